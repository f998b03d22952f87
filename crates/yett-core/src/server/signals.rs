//! Signals belong to Python's main thread.

/// Blocks all signals on the calling thread, so that the kernel delivers them to Python's main thread.
#[expect(unsafe_code, reason = "std has no call for the signal mask; both pointers are valid for the whole call")]
pub fn block() {
    // SAFETY: `set` is plain data that sigfillset initialises; pthread_sigmask only reads it.
    unsafe {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
    }
}
