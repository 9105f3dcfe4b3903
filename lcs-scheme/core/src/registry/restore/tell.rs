//! What a restore tells those who watch: OVERFLOW at its target and above it, for who can say what has become of
//! what; and whose key is gone, that it is (DESIGN §7).

use alloc::rc::Rc;
use alloc::vec::Vec;

use hashbrown::HashMap;
use lcs_abi::Guid;
use lcs_abi::rsi::PathEntry;
use lcs_abi::watch::EventKind;

use super::super::backend::Backend;
use super::super::chain::Chain;
use super::super::error::Error;
use super::super::handles::{HandleId, KeyHandle};
use super::super::settings::Setting;
use super::super::watches::{Watcher, WatcherId, nameless};
use super::super::{Registry, State};
use super::Restore;
use super::intake::Intake;
use crate::model::name::KeyName;

/// A watch below the target of a restore that is about to be sent.
pub(super) struct Below {
    handle: HandleId,
    /// Its key's own entry makes the key visible.
    visible: bool,
}

impl State {
    /// The handles of keys below the target of a restore.
    fn handles_below(&self, restore: &Restore) -> Vec<(HandleId, Rc<KeyHandle>)> {
        let target = restore.target.key;
        let is_below = |handle: &KeyHandle| {
            let way = handle.chain.upward().skip(1);
            handle.site.slot == restore.slot() && way.into_iter().any(|at| at.key == target)
        };
        self.handles.keys().filter(|(_, handle)| is_below(handle)).collect()
    }
}

impl<B: Backend> Registry<B> {
    /// Who watches below the target, as it is before the restore.
    pub(super) async fn watching_below(&self, restore: &Restore) -> Vec<Below> {
        let watching = self.with(|state| {
            let mut handles = state.handles_below(restore);
            handles.retain(|(id, _)| state.watches.get(WatcherId::Handle(*id)).is_some());
            handles
        });
        let mut below = Vec::new();
        for (handle, key) in watching {
            let visible = self.is_visible(&key).await;
            below.push(Below { handle, visible });
        }
        below
    }

    /// Whether a key's own entry makes it visible for whom has this handle. Where that cannot be found out it may
    /// be so.
    async fn is_visible(&self, handle: &KeyHandle) -> bool {
        let site = handle.site.slot.into();
        let name = handle.name.folded();
        match self.lookup_folded(site, handle.parent, name).await {
            Ok(found) => self
                .resolve_name(site, &handle.view, &found.entries)
                .map_or(true, |key| key == Some(handle.key)),
            Err(Error::NotFound(_)) => false,
            Err(_) => true,
        }
    }

    /// The keys from the target up to below its hive's root, each with the entries of its name. Where these cannot be
    /// found out they are not there.
    async fn way_down(&self, restore: &Restore) -> Vec<(Guid, Option<Vec<PathEntry>>)> {
        let mut way = Vec::new();
        if !self.with(|state| state.watches.some_subtree_in(restore.slot())) {
            return way;
        }
        for at in restore.target.chain.upward() {
            let Some(above) = &at.above else { break };
            let site = restore.slot().into();
            let entries = match self.lookup_folded(site, above.key, &at.name.folded).await {
                Ok(found) => Some(found.entries),
                Err(Error::NotFound(_)) => Some(Vec::new()),
                Err(_) => None,
            };
            way.push((at.key, entries));
        }
        way
    }

    /// Whether a key is no more. Where that cannot be found out it may still be there.
    async fn is_gone(&self, handle: &KeyHandle) -> bool {
        let record = self.read_key(handle.site.slot.into(), handle.key).await;
        matches!(record, Err(Error::NotFound(_)))
    }

    /// A restore was carried out: handles learn where their keys are now, and those who watch what has become of
    /// what they see.
    pub(super) async fn restored(&self, restore: &Restore, intake: &Intake, watching: Vec<Below>) {
        let returned = self.keys_come_back(restore, intake).await;
        let way = self.way_down(restore).await;
        let mut deleted = Vec::new();
        let mut uncertain = returned;
        for Below { handle: id, visible } in watching {
            let Some(handle) = self.with(|state| state.handles.key_of(id)) else { continue };
            let brought = intake.has(handle.key);
            // One that is below a key to which no entry leads is there as before.
            let gone = !brought && self.is_gone(&handle).await;
            if visible && (gone || brought && !self.is_visible(&handle).await) {
                deleted.push(id);
            }
            if brought {
                uncertain.push(id);
            }
        }
        self.with(|state| {
            let tell = |state: &mut State, id, kind| state.tell(id, nameless(kind));
            for id in deleted {
                tell(state, WatcherId::Handle(id), EventKind::KeyDeleted);
            }
            uncertain.sort_unstable();
            uncertain.dedup();
            let chain = &restore.target.chain;
            let above = state.watches.above(restore.slot(), chain);
            let above = above.filter(|(_, watcher, at)| {
                // Nothing is known of the way if nobody watched from above when it was looked for.
                let steps = way.get(..chain.depth - at.depth);
                steps.is_none_or(|steps| state.reaches_down(steps, watcher))
            });
            let above = above.map(|(id, ..)| id);
            let uncertain = uncertain.into_iter().map(WatcherId::Handle);
            for id in above.chain(uncertain).collect::<Vec<_>>() {
                tell(state, id, EventKind::Overflow);
            }
        });
    }

    /// Keys that somebody has open, and that the stream brought: they are named again, and may be elsewhere than
    /// they were. Gives the handles of those that no entry had named.
    async fn keys_come_back(&self, restore: &Restore, intake: &Intake) -> Vec<HandleId> {
        let slot = restore.slot();
        let (handles, returned) = self.with(|state| {
            let in_stream = |handle: &KeyHandle| handle.site.slot == slot && intake.has(handle.key);
            let handles: Vec<(HandleId, Rc<KeyHandle>)> =
                state.handles.keys().filter(|(_, handle)| in_stream(handle)).collect();
            let orphaned = |(_, handle): &&(HandleId, Rc<KeyHandle>)| {
                state.handles.require_named(slot, handle.key).is_err()
            };
            let returned: Vec<HandleId> =
                handles.iter().filter(orphaned).map(|(id, _)| *id).collect();
            (handles, returned)
        });
        // Whatever the stream has is below its top, which stays where it is.
        let top = (restore.target.key, Some(Rc::clone(&restore.target.chain)));
        let mut known = HashMap::from([top]);
        for (id, handle) in handles {
            self.with(|state| state.handles.named_again(slot, handle.key));
            match self.way_to(slot, handle.key, &mut known).await {
                Ok(Some(chain)) => self.with(|state| state.move_handle(id, &handle, chain)),
                Ok(None) => {}
                Err(error) => log::warn!("where a restored key is could not be found: {error}"),
            }
        }
        returned
    }
}

impl State {
    /// Whether a watcher sees what is below the last of these steps down from its key, the deepest first.
    fn reaches_down(&self, steps: &[(Guid, Option<Vec<PathEntry>>)], watcher: &Watcher) -> bool {
        let most = self.settings.size(Setting::MaxSubtreeWatchDepth);
        if most > 0 && steps.len() > most {
            return false;
        }
        let rules = self.rules(None, &watcher.view);
        steps.iter().all(|(key, entries)| {
            let entries = entries.as_ref();
            entries.is_none_or(|entries| rules.resolve_name(entries) == Ok(Some(*key)))
        })
    }

    /// A handle's key is here now.
    fn move_handle(&mut self, id: HandleId, handle: &KeyHandle, chain: Rc<Chain>) {
        let Ok(name) = KeyName::new(&chain.name.display, usize::MAX) else { return };
        let parent = chain.above.as_ref().map_or(chain.key, |above| above.key);
        let same = handle.chain.upward().map(|at| at.key).eq(chain.upward().map(|at| at.key));
        if same && handle.name == name {
            return;
        }
        let mut names: Vec<&str> = chain.upward().map(|at| at.name.display.as_str()).collect();
        names.reverse();
        let moved = KeyHandle {
            parent,
            name,
            path: names.join("\\"),
            depth: names.len(),
            chain,
            ..handle.clone()
        };
        self.watches.moved(WatcherId::Handle(id), parent);
        self.handles.replace(id, Rc::new(moved));
    }
}
