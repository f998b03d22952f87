//! One process-wide bound on buffered bytes, and the pooled blocks that count towards it.
//!
//! Blocks in use are charged, in coarse steps per worker, so that a request seldom touches the shared counter. Free
//! blocks that a worker keeps are not: at most 1.5 MiB each. A connection that waits for its next request holds none.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::shared::Shared;

/// Bytes of an ordinary block: one per connection and one per service connection while a request is under way.
pub const BLOCK: usize = 16 * 1024;
/// Bytes of a block for large bodies.
pub const LARGE_BLOCK: usize = 64 * 1024;
/// Free blocks that a worker keeps: 1 MiB of ordinary and 512 KiB of large ones.
const KEEP: usize = 64;
const KEEP_LARGE: usize = 8;
/// Bytes that a worker charges at once.
const STEP: u64 = 128 * 1024;

/// The bound and what is taken of it.
#[derive(Debug)]
pub struct BufferBudget {
    limit: AtomicU64,
    used: AtomicU64,
}

impl BufferBudget {
    /// At most `bytes`.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self { limit: AtomicU64::new(bytes), used: AtomicU64::new(0) }
    }

    /// Changes the bound (reload). What is held stays; nothing more is given out until it falls below the bound.
    pub fn set(&self, bytes: u64) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// Bytes taken now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes `bytes`, or says that there are not so many left.
    #[must_use]
    pub fn take(&self, bytes: u64) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| used.checked_add(bytes).filter(|sum| *sum <= limit))
            .is_ok()
    }

    /// Gives `bytes` back.
    pub fn give(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// One worker's blocks: those in use are charged, in steps of [`STEP`]; some free ones are kept at hand.
#[derive(Debug)]
pub struct BufferPool {
    shared: Arc<Shared>,
    free: RefCell<Vec<Box<[u8]>>>,
    free_large: RefCell<Vec<Box<[u8]>>>,
    in_use: Cell<u64>,
    charged: Cell<u64>,
}

impl BufferPool {
    /// An empty pool that charges the budget of `shared`.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, free: RefCell::default(), free_large: RefCell::default(), in_use: Cell::new(0), charged: Cell::new(0) }
    }

    fn take(&self, size: usize) -> Option<Box<[u8]>> {
        let in_use = self.in_use.get() + size as u64;
        let missing = in_use.saturating_sub(self.charged.get());
        if missing > 0 {
            let step = missing.max(STEP);
            let charged = [step, missing].into_iter().find(|bytes| self.shared.buffers.take(*bytes))?;
            self.charged.set(self.charged.get() + charged);
        }
        self.in_use.set(in_use);
        let kept = match size {
            BLOCK => self.free.borrow_mut().pop(),
            LARGE_BLOCK => self.free_large.borrow_mut().pop(),
            _ => None,
        };
        Some(kept.unwrap_or_else(|| vec![0; size].into_boxed_slice()))
    }

    fn give(&self, block: Box<[u8]>) {
        if block.is_empty() {
            return;
        }
        let in_use = self.in_use.get().saturating_sub(block.len() as u64);
        self.in_use.set(in_use);
        let charged = self.charged.get();
        let keep = if in_use == 0 { 0 } else { in_use + STEP };
        if in_use == 0 || charged > keep + STEP {
            self.charged.set(keep.min(charged));
            self.shared.buffers.give(charged.saturating_sub(keep));
        }
        let (list, keep) = match block.len() {
            BLOCK => (&self.free, KEEP),
            LARGE_BLOCK => (&self.free_large, KEEP_LARGE),
            _ => return,
        };
        let mut list = list.borrow_mut();
        if list.len() < keep {
            list.push(block);
        }
    }
}

impl Drop for BufferPool {
    fn drop(&mut self) {
        self.shared.buffers.give(self.charged.get());
    }
}

/// Why nothing could be read.
#[derive(Debug)]
pub enum FillError {
    /// The socket failed.
    Io(std::io::Error),
    /// The process-wide bound is reached.
    Exhausted,
    /// The block is full; grow it or consume something.
    Full,
}

/// What was read from one connection and not yet used. Holds a block only while there is something in it.
#[derive(Debug)]
pub struct ReadBuffer {
    pool: Rc<BufferPool>,
    block: Box<[u8]>,
    start: usize,
    end: usize,
    /// The block size to take next.
    size: usize,
}

impl ReadBuffer {
    /// An empty one, without a block.
    #[must_use]
    pub fn new(pool: Rc<BufferPool>) -> Self {
        Self { pool, block: Box::default(), start: 0, end: 0, size: BLOCK }
    }

    /// An empty one with room for so many bytes; `None` when the process-wide bound is reached.
    #[must_use]
    pub fn with_room(pool: Rc<BufferPool>, bytes: usize) -> Option<Self> {
        let size = [BLOCK, LARGE_BLOCK].into_iter().find(|size| bytes <= *size).unwrap_or(bytes);
        let block = pool.take(size)?;
        Some(Self { pool, block, start: 0, end: 0, size: BLOCK })
    }

    /// Adds what there is room for; says how much that was.
    pub fn append(&mut self, data: &[u8]) -> usize {
        let room = self.block.get_mut(self.end..).unwrap_or_default();
        let count = room.len().min(data.len());
        if let (Some(room), Some(data)) = (room.get_mut(..count), data.get(..count)) {
            room.copy_from_slice(data);
        }
        self.end += count;
        count
    }

    /// Brings back the first bytes of what was appended, whatever was consumed. Only where nothing was read into it.
    pub fn rewind(&mut self, bytes: usize) {
        self.start = 0;
        self.end = bytes.min(self.block.len());
    }

    /// The bytes in it.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.block.get(self.start..self.end).unwrap_or_default()
    }

    /// Forgets the first `count` bytes (at most all).
    pub fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Forgets all bytes.
    pub fn clear(&mut self) {
        self.consume(self.end);
    }

    /// Gives the block back if nothing is in it, and starts small again.
    pub fn release(&mut self) {
        self.size = BLOCK;
        if self.end == 0 {
            self.pool.give(std::mem::take(&mut self.block));
        }
    }

    /// Whether the last read filled the block to its end: more is probably waiting.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.end == self.block.len() && self.end > 0
    }

    /// Uses large blocks from the next read into an empty buffer on; without effect when the bound is reached.
    pub fn prefer_large(&mut self) {
        self.size = LARGE_BLOCK;
    }

    /// Doubles the block, keeping what is in it.
    ///
    /// # Errors
    /// [`FillError::Exhausted`] when the process-wide bound is reached.
    pub fn grow(&mut self) -> Result<(), FillError> {
        let wanted = match self.block.len() {
            size if size < LARGE_BLOCK => LARGE_BLOCK,
            size => size.saturating_mul(2),
        };
        let mut larger = self.pool.take(wanted).ok_or(FillError::Exhausted)?;
        let data = self.block.get(self.start..self.end).unwrap_or_default();
        if let Some(room) = larger.get_mut(..data.len()) {
            room.copy_from_slice(data);
        }
        self.end -= self.start;
        self.start = 0;
        self.pool.give(std::mem::replace(&mut self.block, larger));
        Ok(())
    }

    /// Makes sure that there is a block with room at its end.
    fn make_room(&mut self) -> Result<(), FillError> {
        if self.end == 0 && self.block.len() < self.size {
            if let Some(block) = self.pool.take(self.size) {
                self.pool.give(std::mem::replace(&mut self.block, block));
            } else if self.block.is_empty() {
                self.block = self.pool.take(BLOCK).ok_or(FillError::Exhausted)?;
            }
        } else if self.end == self.block.len() {
            if self.start == 0 {
                return Err(FillError::Full);
            }
            self.block.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        Ok(())
    }

    /// Reads once; 0 is the end of the stream. While the socket has nothing, an empty buffer holds no block.
    ///
    /// # Errors
    /// See [`FillError`].
    pub fn poll_fill<R: AsyncRead + Unpin>(&mut self, cx: &mut Context<'_>, reader: &mut R) -> Poll<Result<usize, FillError>> {
        self.make_room()?;
        let room = self.block.get_mut(self.end..).unwrap_or_default();
        let mut read = ReadBuf::new(room);
        let outcome = Pin::new(reader).poll_read(cx, &mut read);
        let count = read.filled().len();
        if outcome.is_pending() && self.end == 0 {
            self.pool.give(std::mem::take(&mut self.block));
        }
        ready!(outcome).map_err(FillError::Io)?;
        self.end += count;
        Poll::Ready(Ok(count))
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        self.pool.give(std::mem::take(&mut self.block));
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::Arc;

    use super::{BLOCK, BufferBudget, BufferPool, STEP};
    use crate::shared::Shared;

    #[tokio::test]
    async fn a_pool_never_passes_the_bound_and_gives_all_back() {
        let shared = Arc::new(Shared::new(tokio::runtime::Handle::current(), [0; 32]));
        shared.buffers.set(STEP + 3 * BLOCK as u64);
        let pool = Rc::new(BufferPool::new(shared.clone()));
        let blocks: Vec<_> = std::iter::from_fn(|| pool.take(BLOCK)).collect();
        assert_eq!(blocks.len() * BLOCK, STEP as usize + 3 * BLOCK);
        assert_eq!(shared.buffers.used(), STEP + 3 * BLOCK as u64);
        blocks.into_iter().for_each(|block| pool.give(block));
        assert_eq!(shared.buffers.used(), 0);
        assert!(pool.take(BLOCK).is_some());
        drop(pool);
        assert_eq!(shared.buffers.used(), 0);
    }

    #[test]
    fn takes_up_to_the_bound() {
        let budget = BufferBudget::new(100);
        assert!(budget.take(60) && !budget.take(41) && budget.take(40));
        budget.give(60);
        budget.set(50);
        assert!(!budget.take(11) && budget.take(10));
        assert_eq!(budget.used(), 50);
    }
}
