//! Where in a long list of sorted addresses one would be: one step into a table says between which few.

/// At most so many bits of an address say where in the list it would be.
const BITS: u32 = 18;

/// An address as a number.
pub trait Number: Copy + Ord {
    /// The number behind it.
    fn next(self) -> Option<Self>;
    /// How far behind `base` it is, in steps of `1 << shift`; nothing where it is before it.
    fn steps(self, base: Self, shift: u32) -> Option<usize>;
    /// Bits of how far behind `base` it is.
    fn distance(self, base: Self) -> u32;
}

impl Number for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
    fn steps(self, base: Self, shift: u32) -> Option<usize> {
        self.checked_sub(base).map(|far| far.checked_shr(shift).unwrap_or(0) as usize)
    }
    fn distance(self, base: Self) -> u32 {
        Self::BITS - self.saturating_sub(base).leading_zeros()
    }
}

impl Number for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
    fn steps(self, base: Self, shift: u32) -> Option<usize> {
        self.checked_sub(base).map(|far| usize::try_from(far.checked_shr(shift).unwrap_or(0)).unwrap_or(usize::MAX))
    }
    fn distance(self, base: Self) -> u32 {
        Self::BITS - self.saturating_sub(base).leading_zeros()
    }
}

/// A table beside sorted numbers.
#[derive(Debug)]
pub struct Steps<T> {
    /// The first of them.
    base: Option<T>,
    /// From the first to the last one in steps of `1 << shift`: how many come before each step, and all.
    before: Vec<u32>,
    shift: u32,
}

impl<T> Default for Steps<T> {
    fn default() -> Self {
        Self { base: None, before: Vec::new(), shift: 0 }
    }
}

impl<T: Number> Steps<T> {
    /// Of `count` numbers, sorted, the first and the last of which are these.
    pub fn of(first: T, last: T, count: usize, sorted: impl Iterator<Item = T>) -> Self {
        // As many steps as there are numbers, rounded down to a power of two.
        let wanted = BITS.min(count.max(1).ilog2());
        let shift = last.distance(first).saturating_sub(wanted);
        let steps = last.steps(first, shift).unwrap_or(0).saturating_add(1);
        let mut before = Vec::with_capacity(steps.saturating_add(1));
        let mut rest = sorted.peekable();
        let mut count = 0_u32;
        for step in 0..=steps {
            while rest.next_if(|number| number.steps(first, shift).is_some_and(|at| at < step)).is_some() {
                count = count.saturating_add(1);
            }
            before.push(count);
        }
        Self { base: Some(first), before, shift }
    }

    /// The places between which a number's own is: every number before `from` is smaller, every one from `to` on larger.
    /// Nothing where all are larger.
    #[inline]
    pub fn near(&self, number: T) -> Option<(usize, usize)> {
        let step = number.steps(self.base?, self.shift)?;
        // Behind the last one all come before.
        let step = step.min(self.before.len().saturating_sub(2));
        let at = |index: usize| self.before.get(index).map_or(0, |count| *count as usize);
        Some((at(step), at(step.saturating_add(1))))
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.before.capacity().saturating_mul(size_of::<u32>())
    }
}
