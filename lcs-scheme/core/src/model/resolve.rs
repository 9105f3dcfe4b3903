//! Resolution: which of the layers' entries for a name counts (DESIGN §4).

use alloc::vec::Vec;

use lcs_abi::Guid;
use lcs_abi::rsi::{BlanketEntry, BlanketEntryRef, PathEntry, Target, ValueEntry, ValueEntryRef};
use lcs_abi::value::TOMBSTONE;

use super::layer::{Layer, LayerTable};

/// Two entries of equal precedence and equal sequence number would have to be compared, or an entry has a
/// number that was never given out: the source's data is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImpossibleSequence;

/// No entry of a source has this sequence number or a higher one. Within LCS they order what a transaction
/// has written and not committed, above all that is committed.
pub const PENDING: u64 = 1 << 63;

/// The rank of an entry: precedence of its layer, then sequence number.
type Rank = (u32, u64);

/// Finds the entry with the highest rank.
struct Contest<T> {
    best: Option<(Rank, T)>,
    tie: bool,
}

impl<T> Contest<T> {
    fn new() -> Self {
        Contest { best: None, tie: false }
    }

    fn enter(&mut self, rank: Rank, entry: T) {
        match &self.best {
            Some((best, _)) if rank < *best => {}
            Some((best, _)) if rank == *best => self.tie = true,
            _ => {
                self.best = Some((rank, entry));
                self.tie = false;
            }
        }
    }

    fn winner(self) -> Result<Option<T>, ImpossibleSequence> {
        if self.tie { Err(ImpossibleSequence) } else { Ok(self.best.map(|(_, entry)| entry)) }
    }
}

/// What resolution looks at beside the entries: the layers in force, and the first sequence number that
/// was never given out.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The layers in force.
    pub layers: &'a LayerTable,
    /// Layers that the transaction has made in which one looks; they are not in force yet.
    pub made: &'a [Layer],
    /// The metadata keys of the layers that count although they are not enabled, in order.
    pub private_layers: &'a [Guid],
    /// No committed entry has this sequence number or a higher one.
    pub next_sequence: u64,
}

impl<'a> Rules<'a> {
    /// The layer of this folded name.
    pub fn layer(&self, folded: &str) -> Option<&'a Layer> {
        let made = self.made.iter().find(|layer| layer.name.folded() == folded);
        made.or_else(|| self.layers.get(folded))
    }

    /// The precedence of the layer of this folded name, if its entries count.
    pub fn active_precedence(&self, folded: &str) -> Option<u32> {
        let layer = self.layer(folded).filter(|layer| layer.counts(self.private_layers))?;
        Some(layer.precedence)
    }

    /// The rank of an entry, or nothing if its layer does not count.
    fn rank(&self, layer: &str, sequence: u64) -> Result<Option<Rank>, ImpossibleSequence> {
        if (self.next_sequence..PENDING).contains(&sequence) {
            return Err(ImpossibleSequence);
        }
        Ok(self.active_precedence(layer).map(|precedence| (precedence, sequence)))
    }

    /// Which of these candidates for one name wins: each has a folded layer and a sequence number.
    pub fn winner<'c, T>(
        &self,
        candidates: impl IntoIterator<Item = (&'c str, u64, T)>,
    ) -> Result<Option<T>, ImpossibleSequence> {
        let mut contest = Contest::new();
        for (layer, sequence, candidate) in candidates {
            if let Some(rank) = self.rank(layer, sequence)? {
                contest.enter(rank, candidate);
            }
        }
        contest.winner()
    }

    /// Which key a name leads to, of the entries of one name under one parent.
    pub fn resolve_name<'e>(
        &self,
        entries: impl IntoIterator<Item = &'e PathEntry>,
    ) -> Result<Option<Guid>, ImpossibleSequence> {
        let entries = entries.into_iter();
        let candidates =
            entries.map(|entry| (entry.layer.folded.as_str(), entry.sequence, entry.target));
        Ok(match self.winner(candidates)? {
            Some(Target::Key(key)) => Some(key),
            Some(Target::Hidden) | None => None,
        })
    }

    /// Which entry is the effective value, of the entries of one value name and the key's blankets.
    pub fn resolve_value(
        &self,
        entries: impl IntoIterator<Item = ValueEntry>,
        blankets: &[BlanketEntry],
    ) -> Result<Option<ValueEntry>, ImpossibleSequence> {
        let mut contest = Contest::new();
        for entry in entries {
            if let Some(rank) = self.rank(&entry.layer.folded, entry.sequence)? {
                contest.enter(rank, Some(entry));
            }
        }
        for blanket in blankets {
            if let Some(rank) = self.rank(&blanket.layer.folded, blanket.sequence)? {
                contest.enter(rank, None);
            }
        }
        Ok(contest.winner()?.flatten().filter(|entry| entry.value_type != TOMBSTONE))
    }

    /// The same, of entries where they are encoded.
    pub fn winning_value<'e>(
        &self,
        entries: &[ValueEntryRef<'e>],
        blankets: &[BlanketEntryRef<'_>],
    ) -> Result<Option<ValueEntryRef<'e>>, ImpossibleSequence> {
        let entries =
            entries.iter().map(|entry| (entry.layer.folded, entry.sequence, Some(*entry)));
        let blankets =
            blankets.iter().map(|blanket| (blanket.layer.folded, blanket.sequence, None));
        let winner = self.winner(entries.chain(blankets))?.flatten();
        Ok(winner.filter(|entry| entry.value_type != TOMBSTONE))
    }

    /// Drops the data of those entries of one value name that another one outranks, so that it is not held
    /// while more of them come.
    pub fn drop_outranked_data(&self, entries: &mut [ValueEntry]) {
        let rank =
            |entry: &ValueEntry| self.rank(&entry.layer.folded, entry.sequence).ok().flatten();
        let best = entries.iter().filter_map(rank).max();
        for entry in entries {
            if rank(entry) != best {
                entry.data = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use lcs_abi::rsi::Name;

    use super::*;
    use crate::model::layer::Layer;
    use crate::model::name::KeyName;
    use crate::security::Sid;

    fn name(text: &str) -> Name {
        Name { display: text.into(), folded: String::from(text) }
    }

    fn entry(layer: &str, sequence: u64, target: Target) -> PathEntry {
        PathEntry {
            parent: Guid([1; 16]),
            name: name("child"),
            layer: name(layer),
            target,
            sequence,
        }
    }

    fn value(layer: &str, sequence: u64, value_type: u32) -> ValueEntry {
        let data = [sequence as u8].into();
        ValueEntry {
            key: Guid([1; 16]),
            name: name("v"),
            layer: name(layer),
            value_type,
            data,
            sequence,
        }
    }

    fn blanket(layer: &str, sequence: u64) -> BlanketEntry {
        BlanketEntry { key: Guid([1; 16]), layer: name(layer), sequence }
    }

    fn layers() -> LayerTable {
        let layer = |name, precedence, enabled| Layer {
            name: KeyName::new(name, 99).unwrap(),
            precedence,
            enabled,
            owner: Sid::SYSTEM,
            key: Guid([name.len() as u8; 16]),
            sd: Default::default(),
        };
        LayerTable::new([layer("role", 0, true), layer("policy", 5, true), layer("off", 9, false)])
            .unwrap()
    }

    fn rules(layers: &LayerTable, next_sequence: u64) -> Rules<'_> {
        Rules { layers, made: &[], private_layers: &[], next_sequence }
    }

    const A: Target = Target::Key(Guid([0xA; 16]));
    const B: Target = Target::Key(Guid([0xB; 16]));

    #[test]
    fn precedence_beats_sequence_and_sequence_decides_within_one_precedence() {
        let table = layers();
        let rules = rules(&table, 100);
        let resolve = |entries: &[PathEntry]| rules.resolve_name(entries);
        assert_eq!(resolve(&[]), Ok(None));
        assert_eq!(
            resolve(&[entry("base", 9, A), entry("policy", 2, B)]),
            Ok(Some(Guid([0xB; 16])))
        );
        assert_eq!(resolve(&[entry("base", 9, A), entry("role", 2, B)]), Ok(Some(Guid([0xA; 16]))));
    }

    #[test]
    fn a_hidden_winner_hides_with_no_fall_through() {
        let table = layers();
        let rules = rules(&table, 100);
        let entries = [entry("base", 9, A), entry("policy", 2, Target::Hidden)];
        assert_eq!(rules.resolve_name(&entries), Ok(None));
    }

    #[test]
    fn unknown_and_disabled_layers_do_not_count() {
        let table = layers();
        let rules = rules(&table, 100);
        let entries =
            [entry("base", 1, A), entry("off", 2, B), entry("unknown", 3, Target::Hidden)];
        assert_eq!(rules.resolve_name(&entries), Ok(Some(Guid([0xA; 16]))));
    }

    #[test]
    fn a_disabled_layer_counts_in_a_view_that_it_is_attached_to() {
        let table = layers();
        let attached = [table.get("off").unwrap().key];
        let rules = Rules { private_layers: &attached, ..rules(&table, 100) };
        let entries = [entry("policy", 9, A), entry("off", 2, B)];
        assert_eq!(rules.resolve_name(&entries), Ok(Some(Guid([0xB; 16]))));
    }

    #[test]
    fn a_layer_that_a_transaction_makes_counts_in_it_instead_of_one_that_goes() {
        let table = layers();
        let made = [Layer { precedence: 0, ..table.get("policy").unwrap().clone() }];
        let rules = Rules { made: &made, ..rules(&table, 100) };
        let entries = [entry("policy", 1, A), entry("base", 2, B)];
        assert_eq!(rules.resolve_name(&entries), Ok(Some(Guid([0xB; 16]))));
    }

    #[test]
    fn a_blanket_counts_as_a_tombstone_of_its_layer_and_time() {
        let table = layers();
        let rules = rules(&table, 100);
        let winner = |values: &[ValueEntry], blankets: &[BlanketEntry]| {
            let winner = rules.resolve_value(values.to_vec(), blankets);
            winner.map(|winner| winner.map(|entry| entry.sequence))
        };
        assert_eq!(winner(&[value("base", 3, 1)], &[blanket("role", 2)]), Ok(Some(3)));
        assert_eq!(winner(&[value("base", 3, 1)], &[blanket("role", 4)]), Ok(None));
        assert_eq!(winner(&[value("base", 3, 1)], &[blanket("policy", 2)]), Ok(None));
        assert_eq!(winner(&[value("policy", 3, 1)], &[blanket("policy", 2)]), Ok(Some(3)));
        assert_eq!(winner(&[value("policy", 3, TOMBSTONE), value("base", 4, 1)], &[]), Ok(None));
        assert_eq!(winner(&[], &[blanket("off", 4)]), Ok(None));
    }

    #[test]
    fn impossible_sequences_are_malformed_data() {
        let table = layers();
        let rules = rules(&table, 10);
        assert_eq!(rules.resolve_name(&[entry("base", 10, A)]), Err(ImpossibleSequence));
        assert_eq!(
            rules.resolve_name(&[entry("base", 3, A), entry("role", 3, B)]),
            Err(ImpossibleSequence)
        );
        // Entries that need not be compared may have equal numbers.
        let entries = [entry("base", 3, A), entry("role", 3, B), entry("policy", 3, A)];
        assert_eq!(rules.resolve_name(&entries), Ok(Some(Guid([0xA; 16]))));
    }
}
