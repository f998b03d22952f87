//! A number for each address: sorted beginnings of ranges, without gaps.

use crate::address_lists::steps::{Number, Steps};

/// Numbers of the addresses of one family; 0 is none.
#[derive(Debug)]
pub(super) struct Table<T> {
    starts: Vec<T>,
    values: Vec<u32>,
    steps: Steps<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { starts: Vec::new(), values: Vec::new(), steps: Steps::default() }
    }
}

impl<T: Number> Table<T> {
    #[inline]
    pub(super) fn find(&self, address: T) -> u32 {
        let Some((from, to)) = self.steps.near(address) else { return 0 };
        let near = self.starts.get(from..to).unwrap_or_default();
        let before = from.saturating_add(near.partition_point(|start| *start <= address));
        before.checked_sub(1).and_then(|index| self.values.get(index)).copied().unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    pub(super) fn bytes(&self) -> usize {
        let starts = self.starts.capacity().saturating_mul(size_of::<T>());
        let values = self.values.capacity().saturating_mul(size_of::<u32>());
        starts.saturating_add(values).saturating_add(self.steps.bytes())
    }
}

/// A table that is being made, from the lowest address to the highest.
#[derive(Debug)]
pub(super) struct Builder<T> {
    starts: Vec<T>,
    values: Vec<u32>,
    /// The first address behind all so far; nothing once the highest is there.
    behind: Option<T>,
}

impl<T: Number> Builder<T> {
    pub(super) fn new(lowest: T) -> Self {
        Self { starts: Vec::new(), values: Vec::new(), behind: Some(lowest) }
    }

    /// The next range.
    ///
    /// # Errors
    /// It does not come behind the last one.
    pub(super) fn push(&mut self, first: T, last: T, value: u32) -> Result<(), String> {
        let behind = self.behind.filter(|behind| *behind <= first && first <= last);
        let behind = behind.ok_or_else(|| "its networks are not in order".to_owned())?;
        if behind < first {
            self.add(behind, 0);
        }
        self.add(first, value);
        self.behind = last.next();
        Ok(())
    }

    fn add(&mut self, start: T, value: u32) {
        if self.values.last().copied().unwrap_or_default() != value {
            self.starts.push(start);
            self.values.push(value);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    pub(super) fn finish(mut self) -> Table<T> {
        if let Some(behind) = self.behind {
            self.add(behind, 0);
        }
        let (mut starts, mut values) = (self.starts, self.values);
        starts.shrink_to_fit();
        values.shrink_to_fit();
        let steps = Steps::of(starts.len(), |place| starts.get(place).copied());
        Table { starts, values, steps }
    }
}

#[cfg(test)]
mod tests {
    use super::Builder;

    #[test]
    fn gaps_are_none_and_neighbours_are_one() {
        let mut builder = Builder::new(0_u32);
        for (first, last, value) in [(10, 19, 1), (20, 29, 1), (40, 49, 2), (50, 59, 3), (u32::MAX, u32::MAX, 4)] {
            builder.push(first, last, value).unwrap();
        }
        let table = builder.finish();
        assert_eq!(table.len(), 6);
        for (address, value) in
            [(0, 0), (9, 0), (10, 1), (29, 1), (30, 0), (39, 0), (40, 2), (49, 2), (50, 3), (60, 0), (u32::MAX, 4)]
        {
            assert_eq!(table.find(address), value, "{address}");
        }
    }

    #[test]
    fn what_is_out_of_order_is_refused() {
        for second in [(5, 6), (10, 12), (19, 25), (30, 29)] {
            let mut builder = Builder::new(0_u32);
            builder.push(10, 19, 1).unwrap();
            assert!(builder.push(second.0, second.1, 2).is_err(), "{second:?}");
        }
        let mut builder = Builder::new(0_u32);
        builder.push(0, u32::MAX, 1).unwrap();
        assert!(builder.push(0, 1, 2).is_err());
    }
}
