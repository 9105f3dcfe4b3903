//! Watches: who wants to know what, and what waits to be told (DESIGN §7).

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use hashbrown::{HashMap, HashSet};
use lcs_abi::Guid;
use lcs_abi::security::Access;
use lcs_abi::watch::{Event, EventKind, NOTIFY_ALL, NOTIFY_VALUE, Notify, event_record};

use super::backend::Backend;
use super::chain::Chain;
use super::error::Error;
use super::handles::{Handle, HandleId, KeyHandle};
use super::hives::SlotId;
use super::queued::Queued;
use super::settings::{Setting, Settings};
use super::{Registry, State};
use crate::model::{View, fold};
use crate::security::{Sid, Token};

/// What an event is reckoned to take beside its texts, in bytes.
const OVERHEAD: usize = 64;

/// Who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum WatcherId {
    /// LCS itself, its own keys.
    Own,
    /// A client, through this handle.
    Handle(HandleId),
}

/// An armed watch.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) slot: SlotId,
    pub(super) key: Guid,
    /// The key's parent.
    parent: Guid,
    /// As what the changes are seen.
    pub(super) view: Rc<View>,
    /// Who must be granted KEY_NOTIFY on what changes below the key.
    pub(super) token: Rc<Token>,
    /// `NOTIFY_*`.
    pub(super) filter: u32,
    pub(super) subtree: bool,
    /// Only whether the value of this folded name changed is of interest, and nothing is queued.
    file: Option<String>,
}

/// The events that wait to be read from a handle.
#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    user: Option<Sid>,
    bytes: usize,
    /// It is among those that became readable.
    told: bool,
}

/// All watches.
#[derive(Debug, Default)]
pub(super) struct Watches {
    watchers: HashMap<WatcherId, Watcher>,
    queues: HashMap<HandleId, Queue>,
    of_key: HashMap<(SlotId, Guid), Vec<WatcherId>>,
    /// How many watches there are on the children of a key.
    on_children: HashMap<(SlotId, Guid), usize>,
    /// How many there are in a hive, and how many of them see what is below their key.
    in_hive: HashMap<SlotId, (usize, usize)>,
    /// About how much memory the events take that wait for each user.
    queued: Queued,
    readable: Vec<HandleId>,
    /// Files whose values changed since they were read.
    changed: HashSet<HandleId>,
}

fn size(event: &Event) -> usize {
    OVERHEAD + event.name.len() + event.path.len()
}

/// An event without a name.
pub(super) fn nameless(kind: EventKind) -> Event {
    Event { kind: kind.code(), name: String::new(), path: String::new() }
}

fn is_overflow(event: Option<&Event>) -> bool {
    event.is_some_and(|event| event.kind == EventKind::Overflow.code())
}

/// Whether an event says that the value of this folded name may be another now.
fn may_change(event: &Event, name: &str) -> bool {
    let of_values = [EventKind::ValueSet.code(), EventKind::ValueDeleted.code()];
    !of_values.contains(&event.kind) || fold(&event.name) == name
}

impl Watches {
    /// Arms a watch, in the place of the one that it has.
    pub(super) fn arm(&mut self, id: WatcherId, watcher: Watcher) {
        self.disarm(id);
        let place = (watcher.slot, watcher.key);
        self.of_key.entry(place).or_default().push(id);
        *self.on_children.entry((watcher.slot, watcher.parent)).or_default() += 1;
        let (all, subtree) = self.in_hive.entry(watcher.slot).or_default();
        *all += 1;
        *subtree += usize::from(watcher.subtree);
        self.watchers.insert(id, watcher);
    }

    /// A watched key is elsewhere now.
    pub(super) fn moved(&mut self, id: WatcherId, parent: Guid) {
        if let Some(watcher) = self.disarm(id) {
            self.arm(id, Watcher { parent, ..watcher });
        }
    }

    /// Ends a watch, and gives what it was. What waits stays.
    pub(super) fn disarm(&mut self, id: WatcherId) -> Option<Watcher> {
        let watcher = self.watchers.remove(&id)?;
        let place = (watcher.slot, watcher.key);
        if let Some(of_key) = self.of_key.get_mut(&place) {
            of_key.retain(|other| *other != id);
            if of_key.is_empty() {
                self.of_key.remove(&place);
            }
        }
        let above = (watcher.slot, watcher.parent);
        if let Some(count) = self.on_children.get_mut(&above) {
            *count -= 1;
            if *count == 0 {
                self.on_children.remove(&above);
            }
        }
        if let Some((all, subtree)) = self.in_hive.get_mut(&watcher.slot) {
            *all -= 1;
            *subtree -= usize::from(watcher.subtree);
            if *all == 0 {
                self.in_hive.remove(&watcher.slot);
            }
        }
        Some(watcher)
    }

    /// Forgets what waits.
    pub(super) fn forget(&mut self, id: HandleId) {
        if let Some(queue) = self.queues.remove(&id) {
            self.freed(queue.user, queue.bytes);
        }
    }

    /// A handle is gone, and what it watched.
    pub(super) fn closed(&mut self, id: HandleId) {
        self.disarm(WatcherId::Handle(id));
        self.forget(id);
        self.changed.remove(&id);
    }

    /// Whether a file's value changed since it was read.
    pub(super) fn has_changed(&self, id: HandleId) -> bool {
        self.changed.contains(&id)
    }

    /// A file is being read.
    pub(super) fn being_read(&mut self, id: HandleId) {
        self.changed.remove(&id);
    }

    fn freed(&mut self, user: Option<Sid>, bytes: usize) {
        if let Some(user) = user {
            self.queued.replace(user, bytes, 0);
        }
    }

    /// An armed watch.
    pub(super) fn get(&self, id: WatcherId) -> Option<&Watcher> {
        self.watchers.get(&id)
    }

    /// Whether there are watches in a hive.
    pub(super) fn some_in(&self, slot: SlotId) -> bool {
        self.in_hive.contains_key(&slot)
    }

    /// Whether there are watches in a hive that see what is below their key.
    pub(super) fn some_subtree_in(&self, slot: SlotId) -> bool {
        self.in_hive.get(&slot).is_some_and(|(_, subtree)| *subtree > 0)
    }

    /// Whether there are watches on this key's children.
    pub(super) fn some_on_children(&self, slot: SlotId, key: Guid) -> bool {
        self.on_children.contains_key(&(slot, key))
    }

    /// The watches on a key.
    pub(super) fn on(&self, slot: SlotId, key: Guid) -> &[WatcherId] {
        self.of_key.get(&(slot, key)).map_or(&[], Vec::as_slice)
    }

    /// The watches that see a change of this key, each with the key that it is on: its own, and those above
    /// that see what is below their key.
    pub(super) fn above<'a>(
        &'a self,
        slot: SlotId,
        chain: &'a Rc<Chain>,
    ) -> impl Iterator<Item = (WatcherId, &'a Watcher, &'a Rc<Chain>)> {
        let reach = if self.some_subtree_in(slot) { usize::MAX } else { 1 };
        chain.upward().take(reach).flat_map(move |at| {
            let on = self.on(slot, at.key).iter();
            on.filter_map(move |id| {
                let watcher = self.watchers.get(id)?;
                (watcher.subtree || at.key == chain.key).then_some((*id, watcher, at))
            })
        })
    }

    /// All watches of a hive.
    pub(super) fn in_hive(&self, slot: SlotId) -> Vec<WatcherId> {
        let of_hive = self.watchers.iter().filter(|(_, watcher)| watcher.slot == slot);
        of_hive.map(|(id, _)| *id).collect()
    }

    /// Puts an event into a queue. Of a full one the oldest go, and one OVERFLOW stands for them.
    pub(super) fn push(&mut self, id: WatcherId, event: Event, settings: &Settings) {
        let (Some(watcher), WatcherId::Handle(handle)) = (self.watchers.get(&id), id) else {
            return;
        };
        if let Some(name) = &watcher.file {
            if may_change(&event, name) && self.changed.insert(handle) {
                self.readable.push(handle);
            }
            return;
        }
        let user = watcher.token.user();
        let queue = self.queues.entry(handle).or_default();
        if is_overflow(Some(&event)) && is_overflow(queue.events.back()) {
            return;
        }
        queue.user = Some(user);
        let before = queue.bytes;
        queue.bytes += size(&event);
        queue.events.push_back(event);
        let most = settings.size(Setting::NotificationQueueSize);
        if queue.events.len() > most {
            let keep = most - 1;
            while queue.events.len() > keep {
                queue.bytes -= queue.events.pop_front().as_ref().map_or(0, size);
            }
            if !is_overflow(queue.events.front()) {
                let overflow = nameless(EventKind::Overflow);
                queue.bytes += size(&overflow);
                queue.events.push_front(overflow);
            }
        }
        self.queued.replace(user, before, queue.bytes);
        if self.queued.of(&user) > settings.size(Setting::MaxQueuedBytesPerUser) {
            let overflow = nameless(EventKind::Overflow);
            self.queued.replace(user, queue.bytes, size(&overflow));
            queue.bytes = size(&overflow);
            queue.events = [overflow].into();
        }
        if !queue.told {
            queue.told = true;
            self.readable.push(handle);
        }
    }

    /// About how much memory the events take that wait for a user.
    pub(super) fn bytes_of(&self, user: &Sid) -> usize {
        self.queued.of(user)
    }

    /// Tells everybody who watches in a hive that what happened is not known.
    pub(super) fn overflow(&mut self, slot: SlotId, settings: &Settings) {
        for id in self.in_hive(slot) {
            self.push(id, nameless(EventKind::Overflow), settings);
        }
    }

    /// Whether events wait for a handle.
    pub(super) fn is_readable(&self, id: HandleId) -> bool {
        self.queues.get(&id).is_some_and(|queue| !queue.events.is_empty())
    }

    /// The handles that got events since the last call.
    pub(super) fn take_readable(&mut self) -> Vec<HandleId> {
        let readable = core::mem::take(&mut self.readable);
        for id in &readable {
            if let Some(queue) = self.queues.get_mut(id) {
                queue.told = false;
            }
        }
        readable
    }

    /// Takes as many records as fit.
    fn read(&mut self, id: HandleId, room: usize) -> Result<Vec<u8>, Error> {
        let mut records = Vec::new();
        let Some(queue) = self.queues.get_mut(&id) else {
            let armed = self.watchers.contains_key(&WatcherId::Handle(id));
            return if armed { Ok(records) } else { Err(Error::IsADirectory) };
        };
        let mut freed = 0;
        while let Some(event) = queue.events.front() {
            let record = event_record(event);
            if records.len() + record.len() > room {
                if records.is_empty() {
                    return Err(Error::BufferTooSmall { needed: record.len() });
                }
                break;
            }
            records.extend_from_slice(&record);
            freed += size(event);
            queue.events.pop_front();
        }
        queue.bytes -= freed;
        let user = queue.user;
        if queue.events.is_empty() && !queue.told {
            self.queues.remove(&id);
        }
        self.freed(user, freed);
        Ok(records)
    }
}

impl Watcher {
    /// What a client wants to know through a handle.
    fn of_client(handle: &KeyHandle, request: Notify) -> Watcher {
        Watcher {
            slot: handle.site.slot,
            key: handle.key,
            parent: handle.parent,
            view: Rc::clone(&handle.view),
            token: Rc::clone(&handle.token),
            filter: request.filter,
            subtree: request.subtree,
            file: None,
        }
    }

    /// What somebody wants to know who polls the file of a value.
    pub(super) fn of_file(handle: &KeyHandle, name: &str) -> Watcher {
        let request = Notify { filter: NOTIFY_VALUE, subtree: false };
        Watcher { file: Some(name.into()), ..Watcher::of_client(handle, request) }
    }

    /// What LCS wants to know of its own keys: everything, as everybody sees it.
    pub(super) fn own(slot: SlotId, key: Guid, parent: Guid) -> Watcher {
        let (view, token) = (Rc::default(), Rc::new(Token::system()));
        Watcher { slot, key, parent, view, token, filter: NOTIFY_ALL, subtree: true, file: None }
    }
}

impl<B: Backend> Registry<B> {
    /// Arms a watch on the handle's key, in the place of the one that the handle has; or, with filter 0,
    /// disarms it. When this has succeeded every later change is told.
    ///
    /// # Errors
    /// `NotFound`: no entry names the key any more, or it is gone.
    pub async fn notify(&self, id: HandleId, request: Notify) -> Result<(), Error> {
        if request.filter & !NOTIFY_ALL != 0 {
            return Err(Error::Invalid("unknown filter"));
        }
        let handle = self.key_with(id, Access::NOTIFY)?;
        let watcher = WatcherId::Handle(id);
        if request.filter == 0 {
            self.with(|state| {
                state.watches.disarm(watcher);
                state.watches.forget(id);
            });
            return Ok(());
        }
        self.require_named(handle.site, handle.key)?;
        self.with(|state| {
            state.watches.arm(watcher, Watcher::of_client(&handle, request));
        });
        self.earlier_steps(handle.site.slot).await;
        match self.read_key(handle.site, handle.key).await {
            Err(error @ Error::NotFound(_)) => {
                self.with(|state| state.watches.disarm(watcher));
                Err(error)
            }
            // Of what becomes of the key while its source is away, OVERFLOW tells.
            _ => Ok(()),
        }
    }

    /// As many whole records of events as fit into so many bytes; none if none waits.
    ///
    /// # Errors
    /// `BufferTooSmall`: the first one does not fit; it waits on. `IsADirectory`: no watch is armed. `BadHandle`: it
    /// is no key's handle.
    pub fn read_events(&self, id: HandleId, room: usize) -> Result<Vec<u8>, Error> {
        self.with(|state| {
            if let Handle::Root(..) = state.handles.get(id)? {
                return Err(Error::IsADirectory);
            }
            state.handles.key(id)?;
            state.watches.read(id, room)
        })
    }

    /// The handles that got something to tell since the last call: events, or the end of a transaction.
    pub fn take_readable(&self) -> Vec<HandleId> {
        self.with(|state| {
            let mut readable = state.transactions.take_ended();
            readable.extend(state.watches.take_readable());
            readable
        })
    }

    /// Whether a handle has something to tell: events wait, or its transaction came to its end.
    ///
    /// # Errors
    /// `BadHandle`: there is no such handle, or it is a root or one of a restore.
    pub fn is_readable(&self, id: HandleId) -> Result<bool, Error> {
        self.with(|state| match state.handles.get(id)? {
            Handle::Key(_) => Ok(state.watches.is_readable(id)),
            Handle::File(..) => Ok(state.watches.has_changed(id)),
            Handle::Transaction(transaction, ..) => Ok(state.transactions.has_ended(transaction)),
            // What comes next of a stream is made when somebody reads it.
            Handle::Backup(_) => Ok(true),
            Handle::Root(..) | Handle::Restore(_) => Err(Error::BadHandle),
        })
    }
}

impl State {
    /// Tells one who watches something.
    pub(super) fn tell(&mut self, id: WatcherId, event: Event) {
        self.watches.push(id, event, &self.settings);
    }
}
