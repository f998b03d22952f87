//! Where in a long list of sorted addresses one would be: a step into a table, or a few, say between which few.

/// At most so many bits of an address say where in the list it would be.
const BITS: u32 = 18;
/// Numbers of one step beyond which it gets a table of its own.
const MANY: u32 = 32;
/// Tables below the first one on the way to a number.
const DEPTH: u32 = 3;

/// An address as a number.
pub trait Number: Copy + Ord {
    /// The number behind it.
    fn next(self) -> Option<Self>;
    /// How far behind `base` it is, in steps of `1 << shift`; nothing where it is before it.
    fn steps(self, base: Self, shift: u32) -> Option<usize>;
    /// Bits of how far behind `base` it is.
    fn distance(self, base: Self) -> u32;
}

macro_rules! number {
    ($($own:ty)*) => {
        $(impl Number for $own {
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
            fn steps(self, base: Self, shift: u32) -> Option<usize> {
                self.checked_sub(base).map(|far| usize::try_from(far.checked_shr(shift).unwrap_or(0)).unwrap_or(usize::MAX))
            }
            fn distance(self, base: Self) -> u32 {
                Self::BITS - self.saturating_sub(base).leading_zeros()
            }
        })*
    };
}
number!(u32 u64 u128);

/// A table for the numbers from one place on.
#[derive(Debug)]
struct Level<T> {
    /// The first of them.
    base: T,
    shift: u32,
    /// From the first to the last one in steps of `1 << shift`: how many of all come before each step, and before its end.
    before: Box<[u32]>,
    /// Of a step with many numbers, the level that tells them apart; 0 is none. Empty where no step has many.
    inner: Box<[u32]>,
}

/// Tables beside sorted numbers: where many of them are close to each other, a step leads to a table of its own.
#[derive(Debug)]
pub struct Steps<T>(Vec<Level<T>>);

impl<T> Default for Steps<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Number> Steps<T> {
    /// Of `count` sorted numbers, each at its place.
    pub fn of(count: usize, at: impl Fn(usize) -> Option<T>) -> Self {
        let mut steps = Self::default();
        steps.level(0, count, 0, &at);
        steps
    }

    /// A level for the numbers between two places: where it stands; nothing without numbers.
    fn level(&mut self, from: usize, to: usize, depth: u32, at: &impl Fn(usize) -> Option<T>) -> Option<u32> {
        let (first, last) = (at(from)?, at(to.checked_sub(1)?)?);
        let small = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        // As many steps as there are numbers, rounded down to a power of two.
        let wanted = BITS.min(to.saturating_sub(from).max(1).ilog2());
        let shift = last.distance(first).saturating_sub(wanted);
        let count = last.steps(first, shift).unwrap_or(0).saturating_add(1);
        let mut before = Vec::with_capacity(count.saturating_add(1));
        let mut place = from;
        for step in 0..=count {
            while place < to && at(place).and_then(|number| number.steps(first, shift)).is_some_and(|own| own < step) {
                place = place.saturating_add(1);
            }
            before.push(small(place));
        }
        let index = self.0.len();
        self.0.push(Level { base: first, shift, before: Box::default(), inner: Box::default() });
        let mut inner = Vec::new();
        for (step, pair) in before.windows(2).enumerate() {
            let &[begin, end] = pair else { continue };
            if end.saturating_sub(begin) > MANY && depth < DEPTH {
                inner.resize(count, 0);
                let deeper = self.level(begin as usize, end as usize, depth.saturating_add(1), at);
                if let (Some(slot), Some(deeper)) = (inner.get_mut(step), deeper) {
                    *slot = deeper;
                }
            }
        }
        if let Some(level) = self.0.get_mut(index) {
            (level.before, level.inner) = (before.into(), inner.into());
        }
        u32::try_from(index).ok()
    }

    /// The places between which a number's own is: every number before `from` is smaller, every one from `to` on larger.
    /// Nothing where all are larger.
    #[inline]
    pub fn near(&self, number: T) -> Option<(usize, usize)> {
        let mut level = self.0.first()?;
        if number < level.base {
            return None;
        }
        loop {
            let last = level.before.len().saturating_sub(2);
            // Smaller than the first of a step is what belongs before it; behind the last one all come before.
            let step = number.steps(level.base, level.shift).unwrap_or(0).min(last);
            let place = |index: usize| level.before.get(index).map_or(0, |count| *count as usize);
            match level.inner.get(step).filter(|deeper| **deeper != 0).and_then(|deeper| self.0.get(*deeper as usize)) {
                Some(deeper) => level = deeper,
                None => return Some((place(step), place(step.saturating_add(1)))),
            }
        }
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        let level = |level: &Level<T>| level.before.len().saturating_add(level.inner.len()).saturating_mul(size_of::<u32>());
        let own = self.0.capacity().saturating_mul(size_of::<Level<T>>());
        self.0.iter().map(level).fold(own, usize::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Number, Steps};

    fn as_a_plain_search<T: Number + std::fmt::Debug>(mut numbers: Vec<T>, asked: &[T]) {
        numbers.sort_unstable();
        numbers.dedup();
        let steps = Steps::of(numbers.len(), |place| numbers.get(place).copied());
        for number in numbers.iter().chain(asked) {
            let wanted = numbers.partition_point(|one| one <= number);
            let found = match steps.near(*number) {
                None => 0,
                Some((from, to)) => from + numbers[from..to].partition_point(|one| one <= number),
            };
            assert_eq!(found, wanted, "{number:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// Wherever they crowd together: some hundred beside each other in the middle of nothing.
        #[test]
        fn as_without_tables(
            crowds in prop::collection::vec((any::<u128>(), 0_u32..120, 0_usize..400), 0..5),
            alone in prop::collection::vec(any::<u128>(), 0..60),
            asked in prop::collection::vec(any::<u128>(), 30),
        ) {
            let mut numbers = alone;
            let mut near = asked;
            for (base, shift, count) in crowds {
                for step in 0..count as u128 {
                    let number = base.wrapping_add((step * step) << shift);
                    numbers.push(number);
                    near.extend([number.wrapping_add(1), number.wrapping_sub(1), number.wrapping_add(1 << shift)]);
                }
            }
            near.extend([0, u128::MAX]);
            let low = |all: &[u128]| all.iter().map(|one| (one >> 5) as u32).collect::<Vec<_>>();
            as_a_plain_search(low(&numbers), &low(&near));
            as_a_plain_search(numbers, &near);
        }
    }
}
