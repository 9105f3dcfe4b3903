//! The entries of one name, as far as they decide which of them wins.

use alloc::string::String;
use alloc::vec::Vec;

use lcs_abi::Guid;
use lcs_abi::rsi::{BlanketEntry, PathEntry, Target, ValueEntry};
use lcs_abi::value::TOMBSTONE;

use crate::model::resolve::{ImpossibleSequence, Rules};

/// What an entry says of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Says {
    /// It leads to this key.
    Key(Guid),
    /// There is a value.
    Value,
    /// Nothing is there.
    Nothing,
}

/// A layer's entry for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Candidate {
    layer: String,
    sequence: u64,
    says: Says,
    /// The name as it is spelled there.
    name: String,
}

impl Candidate {
    /// The entries of one child's name.
    pub(in super::super) fn of_child(entries: &[PathEntry]) -> Vec<Candidate> {
        let candidate = |entry: &PathEntry| Candidate {
            layer: entry.layer.folded.clone(),
            sequence: entry.sequence,
            says: match entry.target {
                Target::Key(key) => Says::Key(key),
                Target::Hidden => Says::Nothing,
            },
            name: entry.name.display.clone(),
        };
        entries.iter().map(candidate).collect()
    }

    /// The entries of one value's name, and the blankets of its key.
    pub(in super::super) fn of_value(
        entries: &[ValueEntry],
        blankets: &[BlanketEntry],
    ) -> Vec<Candidate> {
        let entries = entries.iter().map(|entry| Candidate {
            layer: entry.layer.folded.clone(),
            sequence: entry.sequence,
            says: if entry.value_type == TOMBSTONE { Says::Nothing } else { Says::Value },
            name: entry.name.display.clone(),
        });
        let blankets = blankets.iter().map(|blanket| Candidate {
            layer: blanket.layer.folded.clone(),
            sequence: blanket.sequence,
            says: Says::Nothing,
            name: String::new(),
        });
        entries.chain(blankets).collect()
    }

    /// The one of these that counts, if it does not say that nothing is there.
    pub(in super::super) fn winner<'c>(
        candidates: &'c [Candidate],
        rules: &Rules<'_>,
    ) -> Result<Option<&'c Candidate>, ImpossibleSequence> {
        let ranked = candidates.iter().map(|one| (one.layer.as_str(), one.sequence, one));
        Ok(rules.winner(ranked)?.filter(|winner| winner.says != Says::Nothing))
    }

    /// The key that the name leads to, if it leads to one.
    pub(in super::super) fn key(&self) -> Option<Guid> {
        match self.says {
            Says::Key(key) => Some(key),
            Says::Value | Says::Nothing => None,
        }
    }

    /// Whether both are one entry, written once.
    pub(in super::super) fn is_same(&self, other: &Candidate) -> bool {
        self.layer == other.layer && self.sequence == other.sequence
    }

    /// The name as it is spelled there.
    pub(in super::super) fn name(&self) -> &str {
        &self.name
    }
}

/// The entries of one name before a commit and after it.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Image {
    pub(in super::super) before: Vec<Candidate>,
    pub(in super::super) after: Vec<Candidate>,
}

impl Image {
    /// The keys that the name leads to in some layer before the commit.
    pub(in super::super) fn keys_before(&self) -> impl Iterator<Item = Guid> {
        self.before.iter().filter_map(Candidate::key)
    }
}
