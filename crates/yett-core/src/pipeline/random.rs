//! Randomness for request ids, spans and shares: fetched 4 KiB at a time, one per worker.

use std::fmt;

const BLOCK: usize = 4096;

/// Buffered randomness of the system.
pub(crate) struct Random {
    block: Box<[u8; BLOCK]>,
    at: usize,
}

impl Default for Random {
    fn default() -> Self {
        Self { block: Box::new([0; BLOCK]), at: BLOCK }
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Random").finish_non_exhaustive()
    }
}

impl Random {
    /// Fresh bytes; `None` where the system has none to give, which refuses the request.
    pub(crate) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        if self.at.checked_add(N)? > BLOCK {
            aws_lc_rs::rand::fill(self.block.as_mut_slice()).ok()?;
            self.at = 0;
        }
        let end = self.at.checked_add(N)?;
        let out = self.block.get(self.at..end)?.try_into().ok()?;
        self.at = end;
        Some(out)
    }
}
