//! Which sequence number a mutation has.

use lcs_abi::rsi::{Mutation, SourceError};

use crate::Error;

/// The sequence numbers of a step.
///
/// Numbers from elsewhere are ranked: the step gives them out anew, in the order that they had. Eight bytes
/// for each is what a step holds in memory of all its mutations.
pub(super) struct Numbers {
    first: u64,
    /// How many the step reserves, at least one.
    count: u64,
    /// Those from elsewhere, in order and each once; `None`: mutation i has the number `first` + i.
    from_elsewhere: Option<Vec<u64>>,
}

/// Finds out the [`Numbers`] of a step: it is shown all of its mutations.
#[derive(Clone, Default)]
pub(super) struct Numbering {
    mutations: u64,
    /// Some make entries that have no numbers from elsewhere.
    makes_entries: bool,
    /// Numbers from elsewhere as they come, and how many there may be before repetitions are dropped.
    from_elsewhere: Vec<u64>,
    limit: usize,
}

impl Numbering {
    pub(super) fn add(&mut self, mutations: &[Mutation]) {
        mutations.iter().for_each(|mutation| self.add_one(mutation));
    }

    fn add_one(&mut self, mutation: &Mutation) {
        self.mutations += 1;
        self.makes_entries |= makes_entry(mutation);
        let Some(number) = from_elsewhere(mutation) else { return };
        if self.from_elsewhere.len() > self.limit {
            self.sort();
            self.limit = 2 * self.from_elsewhere.len() + 1024;
        }
        self.from_elsewhere.push(number);
    }

    fn sort(&mut self) {
        self.from_elsewhere.sort_unstable();
        self.from_elsewhere.dedup();
    }

    /// The numbers of the step with these mutations, of which this is the first.
    ///
    /// # Errors
    /// Invalid, if there are not so many numbers, or if some mutations have numbers from elsewhere and others
    /// make entries that have none.
    pub(super) fn from(mut self, first: u64) -> Result<Numbers, Error> {
        self.sort();
        let is_ranked = !self.from_elsewhere.is_empty();
        if is_ranked && self.makes_entries {
            return Err(SourceError::Invalid.into());
        }
        let count =
            if is_ranked { self.from_elsewhere.len() as u64 } else { self.mutations.max(1) };
        first.checked_add(count - 1).ok_or(SourceError::Invalid)?;
        Ok(Numbers { first, count, from_elsewhere: is_ranked.then_some(self.from_elsewhere) })
    }
}

impl Numbers {
    /// The number of mutation `index`, counted from 0. One that makes no entry has none of its own where
    /// numbers are ranked, and needs none.
    pub(super) fn number(&self, index: u64, mutation: &Mutation) -> Result<u64, Error> {
        let offset = match &self.from_elsewhere {
            None => index,
            Some(numbers) => match from_elsewhere(mutation) {
                Some(number) => {
                    numbers.binary_search(&number).map_err(|_| SourceError::Invalid)? as u64
                }
                None => 0,
            },
        };
        // Not above the last one, of which it is known that it is there.
        Ok(self.first.saturating_add(offset))
    }

    /// The highest number that the step reserves.
    pub(super) fn last(&self) -> u64 {
        self.first.saturating_add(self.count - 1)
    }
}

fn from_elsewhere(mutation: &Mutation) -> Option<u64> {
    match mutation {
        Mutation::RestoreEntry(entry) => Some(entry.sequence),
        Mutation::RestoreValue(value) => Some(value.sequence),
        Mutation::RestoreBlanket(blanket) => Some(blanket.sequence),
        _ => None,
    }
}

fn makes_entry(mutation: &Mutation) -> bool {
    matches!(
        mutation,
        Mutation::SetEntry { .. } | Mutation::SetValue { .. } | Mutation::SetBlanket { .. }
    )
}

#[cfg(test)]
mod tests {
    use lcs_abi::Guid;
    use lcs_abi::rsi::{BlanketEntry, Name};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn numbers(mutations: &[Mutation], first: u64) -> Result<Numbers, Error> {
        let mut numbering = Numbering::default();
        numbering.add(mutations);
        numbering.from(first)
    }

    fn restore(sequence: u64) -> Mutation {
        let entry = BlanketEntry { key: Guid::default(), layer: Name::default(), sequence };
        Mutation::RestoreBlanket(entry)
    }

    fn removal() -> Mutation {
        Mutation::RemoveSubtree { key: Guid::default() }
    }

    #[test]
    fn without_numbers_from_elsewhere_each_mutation_has_its_own() {
        let mutations = [removal(), removal(), removal()];
        let found = numbers(&mutations, 7).unwrap();
        let each: Vec<u64> =
            (0..3).map(|index| found.number(index, &mutations[0]).unwrap()).collect();
        assert_eq!((each, found.last()), (vec![7, 8, 9], 9));
        assert_eq!(numbers(&[], 7).unwrap().last(), 7);
        assert!(numbers(&mutations[..2], u64::MAX).is_err());
        assert!(numbers(&mutations[..1], u64::MAX).is_ok());
    }

    proptest! {
        #[test]
        fn numbers_from_elsewhere_keep_their_order_and_leave_no_gap(
            sequences in vec(prop_oneof![0..50u64, any::<u64>()], 1..5000),
        ) {
            let mut mutations = vec![removal()];
            mutations.extend(sequences.iter().map(|number| restore(*number)));
            let found = numbers(&mutations, 100).unwrap();
            let mut distinct = sequences.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(found.last(), 100 + distinct.len() as u64 - 1);
            for (sequence, (mutation, index)) in sequences.iter().zip(mutations[1..].iter().zip(1..)) {
                let rank = distinct.iter().position(|it| it == sequence).unwrap() as u64;
                prop_assert_eq!(found.number(index, mutation).unwrap(), 100 + rank);
            }
        }
    }
}
