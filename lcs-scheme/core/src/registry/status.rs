//! How the registry is.

use alloc::string::ToString;
use alloc::vec::Vec;

use lcs_abi::call::{HiveStatus, LayerStatus, SourceStatus, StatusAnswer, StatusDetails};

use super::Registry;
use super::backend::{Backend, ConnectionId};
use super::error::Error;
use super::handles::{Handle, HandleId};
use crate::model::View;

impl<B: Backend> Registry<B> {
    /// How the registry is, as far as the root handle's token may know. What is known of the sources'
    /// connections comes from outside.
    pub fn status(
        &self,
        id: HandleId,
        version: &str,
        sources: impl IntoIterator<Item = (ConnectionId, SourceStatus)>,
    ) -> Result<StatusAnswer, Error> {
        self.with(|state| {
            let Handle::Root(token, view) = state.handles.get(id)? else {
                return Err(Error::BadHandle);
            };
            // Administrators who are not in a view of their own see what there is.
            let everything = token.is_administrator() && *view == View::default();
            let seen =
                state.hives.iter().filter(|slot| everything || state.hives.shows(&view, slot));
            let hives = seen.map(|slot| HiveStatus {
                name: slot.name.display().to_string(),
                scope: slot.scope,
                state: slot.visible_state(),
                generation: slot.generation,
            });
            let hives = hives.collect();
            let details = token.is_administrator().then(|| {
                let sources = sources.into_iter().map(|(connection, source)| {
                    let slots = state.hives.slots_of(connection);
                    let slots = slots.iter().filter_map(|slot| state.hives.get(*slot));
                    let hives = slots.map(|slot| slot.name.display().to_string()).collect();
                    SourceStatus { hives, ..source }
                });
                let mut layers: Vec<LayerStatus> = state
                    .layers
                    .iter()
                    .map(|layer| LayerStatus {
                        name: layer.name.display().to_string(),
                        precedence: layer.precedence,
                        enabled: layer.enabled,
                    })
                    .collect();
                layers.sort_by(|a, b| (a.precedence, &a.name).cmp(&(b.precedence, &b.name)));
                let (transactions, bound) = state.transactions.counts();
                StatusDetails {
                    sources: sources.collect(),
                    layers,
                    rejected_settings: [&state.rejected_settings[..], &state.rejected_metadata]
                        .concat(),
                    handles: state.handles.count() as u64,
                    transactions: transactions as u64,
                    bound_transactions: bound as u64,
                    next_sequence: state.next_sequence,
                    cache: self.cache.status(),
                }
            });
            Ok(StatusAnswer { version: version.to_string(), hives, details })
        })
    }
}
