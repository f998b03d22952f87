//! Descriptors that reach this process from outside, by number, as from a predecessor.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Takes over an open descriptor. Whoever names it gives it up: it is closed with what is returned.
#[expect(unsafe_code, reason = "a number has to become a descriptor somewhere; it is checked to be open first")]
pub fn take(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD reads a flag of a descriptor and fails for a number that is none.
    if number <= 2 || unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: it is open, and by contract nobody else closes it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    #[test]
    fn only_open_ones_and_no_standard_stream() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(take(file.into_raw_fd()).is_ok());
        assert!(take(-1).is_err());
        assert!(take(1).is_err());
        assert!(take(1_000_000).is_err());
    }
}
