//! One process-wide bound on buffered bytes. [owner: datapath]
/// The bound and what is taken of it.
#[derive(Debug)]
pub struct BufferBudget {}
impl BufferBudget {
    /// At most `bytes`.
    #[must_use]
    pub fn new(bytes: u64) -> Self { let _ = bytes; todo!() }
    /// Changes the bound (reload).
    pub fn set(&self, bytes: u64) { let _ = bytes; todo!() }
    /// Bytes taken now.
    #[must_use]
    pub fn used(&self) -> u64 { todo!() }
}
