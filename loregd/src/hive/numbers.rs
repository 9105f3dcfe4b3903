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

impl Numbers {
    /// The numbers of a step with these mutations.
    ///
    /// # Errors
    /// Invalid, if there are not so many numbers, or if some mutations have numbers from elsewhere and others
    /// make entries that have none.
    pub(super) fn of<'a>(
        mutations: impl IntoIterator<Item = &'a Mutation>,
        first: u64,
    ) -> Result<Self, Error> {
        let mut ranked = Ranked::default();
        let (mut mutations_seen, mut entries_made) = (0_u64, false);
        for mutation in mutations {
            mutations_seen += 1;
            entries_made |= makes_entry(mutation);
            ranked.extend(from_elsewhere(mutation));
        }
        let from_elsewhere = ranked.into_sorted();
        let count = match &from_elsewhere {
            Some(_) if entries_made => return Err(SourceError::Invalid.into()),
            Some(numbers) => numbers.len() as u64,
            None => mutations_seen.max(1),
        };
        first.checked_add(count - 1).ok_or(SourceError::Invalid)?;
        Ok(Numbers { first, count, from_elsewhere })
    }

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

/// Numbers in the order in which they come, without too many repetitions.
#[derive(Default)]
struct Ranked {
    numbers: Vec<u64>,
    /// How many there may be before repetitions are dropped.
    limit: usize,
}

impl Ranked {
    fn extend(&mut self, number: Option<u64>) {
        let Some(number) = number else { return };
        if self.numbers.len() > self.limit {
            self.sort();
            self.limit = 2 * self.numbers.len() + 1024;
        }
        self.numbers.push(number);
    }

    fn sort(&mut self) {
        self.numbers.sort_unstable();
        self.numbers.dedup();
    }

    fn into_sorted(mut self) -> Option<Vec<u64>> {
        self.sort();
        (!self.numbers.is_empty()).then_some(self.numbers)
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
        let numbers = Numbers::of(&mutations, 7).unwrap();
        let found: Vec<u64> =
            (0..3).map(|index| numbers.number(index, &mutations[0]).unwrap()).collect();
        assert_eq!((found, numbers.last()), (vec![7, 8, 9], 9));
        assert_eq!(Numbers::of(&[], 7).unwrap().last(), 7);
        assert!(Numbers::of(&mutations[..2], u64::MAX).is_err());
        assert!(Numbers::of(&mutations[..1], u64::MAX).is_ok());
    }

    proptest! {
        #[test]
        fn numbers_from_elsewhere_keep_their_order_and_leave_no_gap(
            sequences in vec(prop_oneof![0..50u64, any::<u64>()], 1..5000),
        ) {
            let mut mutations = vec![removal()];
            mutations.extend(sequences.iter().map(|number| restore(*number)));
            let numbers = Numbers::of(&mutations, 100).unwrap();
            let mut distinct = sequences.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(numbers.last(), 100 + distinct.len() as u64 - 1);
            for (sequence, (mutation, index)) in sequences.iter().zip(mutations[1..].iter().zip(1..)) {
                let rank = distinct.iter().position(|it| it == sequence).unwrap() as u64;
                prop_assert_eq!(numbers.number(index, mutation).unwrap(), 100 + rank);
            }
        }
    }
}
