//! Why a value is what it is, and why a name leads where it does (DESIGN §4).

use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

use lcs_abi::explain::{
    Candidate, CandidateContent, EXPLAINED_DATA, Explain, ExplainAnswer, Verdict,
};
use lcs_abi::rsi::{Name, Target, ValueEntry};
use lcs_abi::security::Access;
use lcs_abi::value::TOMBSTONE;

use super::Registry;
use super::backend::Backend;
use super::error::Error;
use super::handles::{HandleId, KeyHandle};
use super::values::committed;

/// An entry of a layer, before its fate is known.
struct Entry {
    layer: Name,
    sequence: u64,
    content: CandidateContent,
}

impl<B: Backend> Registry<B> {
    /// Every candidate for a value of the key, or for a child's name, and its fate. Others than Administrators
    /// are told of those that count for them.
    pub async fn explain(&self, id: HandleId, request: Explain) -> Result<ExplainAnswer, Error> {
        let handle = self.key_with(id, Access::QUERY_VALUE)?;
        let entries = match request {
            Explain::Value(name) => self.value_entries(&handle, &name).await?,
            Explain::Child(name) => self.child_entries(&handle, &name).await?,
        };
        if entries.is_empty() {
            // A key that is gone has no entries; say that it is gone.
            self.read_key(handle.site, handle.key).await?;
        }
        Ok(ExplainAnswer { candidates: self.fates(&handle, entries) })
    }

    async fn value_entries(&self, handle: &KeyHandle, name: &str) -> Result<Vec<Entry>, Error> {
        let name = self.value_name(name)?;
        let mut sizes: Vec<(String, u64)> = Vec::new();
        let shorten = |all: &mut Vec<ValueEntry>| {
            for entry in all.iter_mut().filter(|entry| entry.data.len() > EXPLAINED_DATA) {
                sizes.push((entry.layer.folded.clone(), entry.data.len() as u64));
                entry.data.truncate(EXPLAINED_DATA);
                entry.data.shrink_to_fit();
            }
        };
        let (site, key) = (handle.site, handle.key);
        let found = self.value_trimmed(site, key, name.folded(), shorten).await?;
        let values = found.entries.into_iter().map(|entry| {
            let mut data = entry.data;
            let known = sizes.iter().find(|(layer, _)| *layer == entry.layer.folded);
            let size = known.map_or(data.len() as u64, |(_, size)| *size);
            data.truncate(EXPLAINED_DATA);
            let content = match entry.value_type {
                TOMBSTONE => CandidateContent::Tombstone,
                value_type => CandidateContent::Value { value_type, data, size },
            };
            Entry { layer: entry.layer, sequence: entry.sequence, content }
        });
        let blankets = found.blankets.into_iter().map(|blanket| Entry {
            layer: blanket.layer,
            sequence: blanket.sequence,
            content: CandidateContent::Blanket,
        });
        Ok(values.chain(blankets).collect())
    }

    async fn child_entries(&self, handle: &KeyHandle, name: &str) -> Result<Vec<Entry>, Error> {
        let name = self.key_name(name)?;
        let found = self.lookup(handle.site, handle.key, &name).await?;
        let entries = found.entries.into_iter().map(|entry| Entry {
            layer: entry.layer,
            sequence: entry.sequence,
            content: match entry.target {
                Target::Key(key) => CandidateContent::Key(key),
                Target::Hidden => CandidateContent::Hidden,
            },
        });
        Ok(entries.collect())
    }

    /// What becomes of entries of one name in a handle's view.
    fn fates(&self, handle: &KeyHandle, entries: Vec<Entry>) -> Vec<Candidate> {
        self.with(|state| {
            let rules = state.rules(handle.site.transaction, &handle.view);
            let rank = |entry: &Entry| {
                let precedence = rules.active_precedence(&entry.layer.folded)?;
                Some((precedence, entry.sequence))
            };
            let best = entries.iter().filter_map(rank).max();
            let mut entries: Vec<(Option<(u32, u64)>, Entry)> =
                entries.into_iter().map(|entry| (rank(&entry), entry)).collect();
            if !handle.token.is_administrator() {
                entries.retain(|(rank, _)| rank.is_some());
            }
            entries.sort_by_cached_key(|(rank, entry)| {
                let layer = rules.layer(&entry.layer.folded);
                let precedence = layer.map(|layer| layer.precedence);
                (Reverse((*rank, precedence)), Reverse(entry.sequence))
            });
            let candidates = entries.into_iter().map(|(rank, entry)| {
                let layer = rules.layer(&entry.layer.folded);
                let verdict = match rank {
                    Some(rank) if Some(rank) == best => Verdict::Wins,
                    Some((precedence, _)) if best.is_some_and(|best| best.0 == precedence) => {
                        Verdict::Older
                    }
                    Some(_) => Verdict::LowerPrecedence,
                    None if layer.is_some() => Verdict::LayerDisabled,
                    None => Verdict::LayerUnknown,
                };
                Candidate {
                    layer: entry.layer.display,
                    precedence: layer.map(|layer| layer.precedence),
                    sequence: committed(entry.sequence),
                    content: entry.content,
                    verdict,
                }
            });
            candidates.collect()
        })
    }
}
