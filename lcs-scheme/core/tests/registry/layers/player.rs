//! Plays a history on the registry and on the model.

use std::collections::BTreeMap;
use std::rc::Rc;

use lcs_abi::Guid;
use lcs_abi::call::{CREATE_LINK, CREATE_VOLATILE, Derive, OPEN_LINK, TransactionState};
use lcs_abi::rsi::{ClaimedHive, RegisteredHive};
use lcs_abi::security::Access;
use lcs_core::registry::{Caller, ConnectionId, Error, HandleId};

use super::contents::{Hive, Key, SKELETON, Who};
use super::model::{Failure, Making, Model, Reached, Through, View};
use super::names::{Layer, Name, Spelled};
use super::operations::{Op, Start, Way};
use super::restoring::Subtree;
use super::transactions::TransactionId;
use crate::common::Client;
use crate::common::client::{ALL, system, user};
use crate::common::world::Source;

pub const UID: u32 = 1000;

/// The scope that the private hive is for.
pub const SCOPE: Guid = Guid([7; 16]);

/// The handles that are open at once at most.
pub const MAX_HANDLES: usize = 20;

/// An open key.
pub struct Handle {
    pub id: HandleId,
    /// A number that no other handle has had.
    pub number: usize,
    pub key: Key,
    pub path: String,
    pub through: Through,
    pub access: Access,
    pub created: bool,
}

impl Handle {
    pub fn reached(&self) -> Reached {
        Reached { key: self.key, path: self.path.clone() }
    }

    pub fn must_have(&self, rights: Access) -> Result<(), Failure> {
        if self.access.contains(rights) { Ok(()) } else { Err(Failure::Denied) }
    }
}

/// How a history is played.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub queue: Option<u32>,
    pub burst: Option<u32>,
    pub depth: Option<u32>,
    /// The third view has no global hives.
    pub sealed: bool,
    /// There is much in one of the layers from the beginning.
    pub crowded: bool,
    /// Events are read after each operation.
    pub reads_events: bool,
    /// LCS may remember little, and values are large.
    pub forgetful: bool,
}

pub struct Player {
    pub client: Client,
    pub sources: [Source; 3],
    pub model: Model,
    pub setting: Setting,
    pub views: Vec<(HandleId, Rc<View>)>,
    pub handles: Vec<Handle>,
    pub transactions: Vec<(HandleId, TransactionId, Rc<View>)>,
    pub guids: BTreeMap<Key, Guid>,
    /// The sequence numbers of value entries, by the model's order, where they are known.
    pub sequences: BTreeMap<u64, u64>,
    /// Keys that became orphans while their source was away.
    pub unknown_orphans: Vec<(Hive, Guid)>,
    /// What there was under keys, and the streams that say so.
    pub backups: Vec<(Subtree, Vec<u8>)>,
    /// The generations of hives when somebody looked.
    pub generations: BTreeMap<Hive, u64>,
    pub numbers: usize,
}

pub fn connection(hive: Hive) -> ConnectionId {
    ConnectionId(hive as u64 + 1)
}

pub fn failure(error: Error) -> Failure {
    use lcs_core::registry::NotFound;
    match error {
        Error::NotFound(NotFound::Key | NotFound::Hive) => Failure::NoKey,
        Error::NotFound(NotFound::Value) => Failure::NoValue,
        Error::NotFound(NotFound::Layer) => Failure::NoLayer,
        Error::Invalid(_) => Failure::Invalid,
        Error::AlreadyExists => Failure::AlreadyExists,
        Error::NotEmpty => Failure::NotEmpty,
        Error::ConditionFailed => Failure::ConditionFailed,
        Error::AccessDenied { .. } | Error::LayerDenied { .. } => Failure::Denied,
        Error::PrivilegeMissing => Failure::PrivilegeMissing,
        Error::LinkLoop => Failure::LinkLoop,
        Error::Busy(_) => Failure::Busy,
        Error::OtherHive => Failure::OtherHive,
        Error::SourceDown => Failure::SourceDown,
        Error::TransactionEnded(state) => Failure::Ended(state),
        other => panic!("not an error that can come here: {other:?}"),
    }
}

pub fn caller(who: Who) -> Caller {
    match who {
        Who::System => system(),
        Who::User => user(UID, &[]),
    }
}

/// What a caller asks for: SYSTEM for all, the user for whatever there is.
pub fn asked(who: Who) -> u32 {
    match who {
        Who::System => ALL,
        Who::User => Access::MAXIMUM_ALLOWED.bits(),
    }
}

pub fn text(path: &[Spelled]) -> String {
    path.iter().map(|name| name.text).collect::<Vec<_>>().join("\\")
}

pub fn layer_text(layer: Layer) -> Option<String> {
    (layer != Layer::Base).then(|| layer.usual().text.into())
}

impl Player {
    pub fn new(setting: Setting) -> Player {
        let client = Client::new([]);
        let sources = ["Machine", "Test", "Test"].map(Source::new);
        let global = Rc::new(View::default());
        let views = vec![(client.registry.open_root(None, system().token).unwrap(), global)];
        let mut player = Player {
            client,
            sources,
            model: Model::new(),
            setting,
            views,
            handles: Vec::new(),
            transactions: Vec::new(),
            guids: BTreeMap::new(),
            sequences: BTreeMap::new(),
            unknown_orphans: Vec::new(),
            backups: Vec::new(),
            generations: BTreeMap::new(),
            numbers: 0,
        };
        for hive in [Hive::Machine, Hive::Test, Hive::Sandbox] {
            player.connect(hive);
            player.guids.insert(hive.root(), player.sources[hive as usize].root());
        }
        player.learn_what_is_there();
        player.make_layers();
        let attached = |name: &str| Derive::View {
            scopes: Vec::new(),
            private_layers: vec![name.into()],
            sealed: false,
        };
        player.view(1, attached("Private"));
        let Derive::View { private_layers, .. } = attached("Local") else { unreachable!() };
        let sealed = player.setting.sealed;
        player.view(2, Derive::View { scopes: vec![SCOPE], private_layers, sealed });
        if setting.crowded {
            player.crowd();
        }
        player
    }

    /// Connects the source of a hive.
    pub fn connect(&self, hive: Hive) {
        let (name, scope) = match hive {
            Hive::Machine => ("Machine", None),
            Hive::Test => ("Test", None),
            Hive::Sandbox => ("Test", Some(SCOPE)),
        };
        let (registry, source) = (&self.client.registry, &self.sources[hive as usize]);
        let connection = connection(hive);
        self.client.world.connect(connection, vec![source.clone()]);
        registry.claim(connection, &[ClaimedHive { name: name.into(), scope }]).unwrap();
        let hive = RegisteredHive { root: source.root(), max_sequence: source.max_sequence() };
        self.client.run(registry.register(connection, &[hive], false)).unwrap();
        self.client.run(registry.finish_deletions());
    }

    /// Brings the model to where the sources and LCS begin.
    fn learn_what_is_there(&mut self) {
        let paths = ["System", "System\\Registry"].into_iter().map(str::to_string);
        let below = ["Layers", "Scopes", "PendingDeletion"];
        let paths = paths.chain(below.map(|name| format!("System\\Registry\\{name}")));
        for (key, path) in SKELETON.into_iter().zip(paths) {
            let handle = self.client.open(&format!("Machine\\{path}")).unwrap();
            self.guids.insert(key, self.client.details(handle).unwrap().guid);
            self.client.close(handle);
        }
        for (key, record) in &mut self.model.committed.keys {
            let read = lcs_abi::rsi::Request::ReadKey { key: self.guids[key] };
            let answer = self.sources[record.hive as usize].ask(&read).unwrap();
            let lcs_abi::rsi::Answer::Key(found) = answer else { panic!("no key: {answer:?}") };
            record.last_write = found.last_write;
        }
    }

    /// Makes a view anew, with the layers that there are.
    pub fn view(&mut self, number: usize, derive: Derive) {
        let Derive::View { scopes, private_layers, sealed } = derive.clone() else {
            unreachable!("a view")
        };
        let table = &self.model.committed.table;
        let mut attached = std::collections::BTreeSet::new();
        let mut known = true;
        for name in &private_layers {
            let rules =
                table.values().find(|rules| rules.name.name.folded() == name.to_lowercase());
            known &= rules.is_some();
            attached.extend(rules.and_then(|rules| rules.metadata));
        }
        let made = self.client.derive(Some(self.views[0].0), derive).map_err(failure);
        assert_eq!(made.is_ok(), known, "{made:?}");
        let Ok(id) = made else {
            assert_eq!(made, Err(Failure::NoLayer));
            return;
        };
        let scoped = !scopes.is_empty();
        let view = Rc::new(View { scoped, sealed, attached: Rc::new(attached) });
        if number < self.views.len() {
            self.views[number] = (id, view);
        } else {
            self.views.push((id, view));
        }
    }

    pub fn play(&mut self, step: usize, op: &Op) {
        self.model.now = 1000 + step as i64;
        self.client.world.set_now(self.model.now);
        self.take(op);
        if self.setting.reads_events {
            let readable = self.client.registry.take_readable();
            let waits = |handle: &&Handle| {
                let watch = self.model.watches.get(&handle.number);
                watch.is_some_and(|watch| watch.waiting() > 0)
            };
            for handle in self.handles.iter().filter(waits) {
                assert!(readable.contains(&handle.id), "{} became readable", handle.path);
            }
        }
        self.close_what_is_over();
        if self.setting.reads_events {
            for place in 0..self.handles.len() {
                self.read_events(place);
            }
        }
    }

    pub fn take(&mut self, op: &Op) {
        if !self.act(op) {
            self.write(op);
        }
    }

    /// Does what is not done with one open key.
    fn act(&mut self, op: &Op) -> bool {
        match op {
            Op::Open { way, open_link } => drop(self.open(way, *open_link)),
            Op::Create { way, layer, volatile, link } => {
                self.create(way, Making { layer: *layer, volatile: *volatile, link: *link });
            }
            Op::Close { handle } => {
                if let Some(place) = self.place(*handle)
                    && !self.model.down.contains(&self.hive(place))
                {
                    self.close(place);
                }
            }
            Op::Layer { layer, what, transaction } => self.metadata(*layer, what, *transaction),
            Op::Begin { view } => self.begin(*view),
            Op::Commit { transaction } => self.commit(*transaction),
            Op::Abort { transaction } => self.abort(*transaction),
            Op::Late { what, lateness, looks } => self.late(what, *lateness, looks),
            Op::Overtaken { look, by } => self.overtaken(look, by),
            Op::Backup { handle } => {
                if let Some(place) = self.place(*handle)
                    && !self.model.down.contains(&self.hive(place))
                {
                    self.back_up(place);
                }
            }
            Op::Restore { handle } => {
                if let Some(place) = self.place(*handle)
                    && !self.model.down.contains(&self.hive(place))
                {
                    self.restore(place);
                }
            }
            Op::Down { hive } => self.down(*hive),
            Op::Up => self.up(),
            Op::Look { view } => self.look(*view),
            _ => return false,
        }
        true
    }

    /// The place of the handle with this number, modulo what there is.
    pub fn place(&self, number: u8) -> Option<usize> {
        usize::from(number).checked_rem(self.handles.len())
    }

    pub fn hive(&self, place: usize) -> Hive {
        self.model.seen(self.handles[place].through.transaction).hive(self.handles[place].key)
    }

    /// Where a path starts: for the registry, for the model, and through what.
    pub fn start(&self, way: &Way) -> Option<(HandleId, Option<Reached>, Through)> {
        let who = if way.user { Who::User } else { Who::System };
        match way.start {
            Start::Transaction(number) if !self.transactions.is_empty() => {
                let place = usize::from(number) % self.transactions.len();
                let (id, transaction, view) = &self.transactions[place];
                let (view, transaction) = (Rc::clone(view), Some(*transaction));
                Some((*id, None, Through { who, view, transaction }))
            }
            Start::Root(number) | Start::Transaction(number) => {
                let (id, view) = &self.views[usize::from(number) % self.views.len()];
                Some((*id, None, Through { who, view: Rc::clone(view), transaction: None }))
            }
            Start::Handle(number) => {
                let handle = &self.handles[self.place(number)?];
                let contents = self.model.seen(handle.through.transaction);
                let link = contents.keys[&handle.key].link;
                let through = Through { who, ..handle.through.clone() };
                (!link).then(|| (handle.id, Some(handle.reached()), through))
            }
        }
    }

    /// Whether there is one open key more, the last one.
    pub fn open(&mut self, way: &Way, open_link: bool) -> bool {
        let Some((id, start, through)) = self.start(way) else { return false };
        let flags = if open_link { OPEN_LINK } else { 0 };
        let access = asked(through.who);
        let derive = Derive::OpenKey { path: text(&way.path), access, flags };
        let opened = self.client.derive_as(&caller(through.who), Some(id), derive);
        let names: Vec<Name> = way.path.iter().map(|name| name.name).collect();
        let expected = self
            .model
            .follow(&through, start.as_ref(), &names, open_link)
            .and_then(|reached| Ok((self.model.admit(&through, reached.key)?, reached)));
        match (opened, expected) {
            (Ok(id), Ok((access, reached))) => {
                self.opened(id, reached, through, access, false);
                true
            }
            (opened, expected) => {
                self.agree_on(start, opened.map(drop), expected.map(drop));
                false
            }
        }
    }

    /// Whether there is one open key more, the last one.
    pub fn create(&mut self, way: &Way, making: Making) -> bool {
        let Some((id, start, through)) = self.start(way) else { return false };
        let volatile = if making.volatile { CREATE_VOLATILE } else { 0 };
        let link = if making.link.is_some() { CREATE_LINK } else { 0 };
        let derive = Derive::CreateKey {
            path: text(&way.path),
            access: asked(through.who),
            layer: layer_text(making.layer),
            flags: volatile | link,
            link_target: making.link.flatten().map(Into::into),
        };
        let made = self.client.derive_as(&caller(through.who), Some(id), derive);
        let expected = self.model.create(&through, start.as_ref(), &way.path, making);
        match (made, expected) {
            (Ok(id), Ok((reached, created, access))) => {
                if created {
                    let guid = self.client.world.made_guids().last().expect("a GUID");
                    self.guids.insert(reached.key, guid);
                }
                self.opened(id, reached, through, access, created);
                true
            }
            (made, expected) => {
                self.agree_on(start, made.map(drop), expected.map(drop));
                false
            }
        }
    }

    /// The same has come of it on both sides. Of a hive that is away the model knows at once what is gone with a
    /// layer, and the registry when it comes back.
    fn agree_on(
        &self,
        start: Option<Reached>,
        done: Result<(), Error>,
        expected: Result<(), Failure>,
    ) {
        let committed = &self.model.committed;
        let record = start.and_then(|start| committed.keys.get(&start.key));
        if done.is_ok()
            || expected.is_ok()
            || record.is_none_or(|record| !self.model.down.contains(&record.hive))
        {
            assert_eq!(done.map_err(failure), expected);
        }
    }

    pub fn opened(
        &mut self,
        id: HandleId,
        reached: Reached,
        through: Through,
        access: Access,
        created: bool,
    ) {
        let Reached { key, path } = reached;
        let number = self.numbers;
        self.numbers += 1;
        self.model.opened(key);
        let handle = Handle { id, number, key, path, through, access, created };
        self.handles.push(handle);
        self.info(self.handles.len() - 1);
        if self.handles.len() > MAX_HANDLES {
            let up = |place: &usize| !self.model.down.contains(&self.hive(*place));
            if let Some(oldest) = (0..self.handles.len()).find(up) {
                self.close(oldest);
            }
        }
    }

    pub fn close(&mut self, place: usize) {
        let handle = self.handles.remove(place);
        self.client.close(handle.id);
        self.model.watches.remove(&handle.number);
        self.model.close(handle.key);
    }

    /// Closes handles in transactions that are over, and of keys that a transaction has deleted.
    pub fn close_what_is_over(&mut self) {
        let mut place = 0;
        while let Some(handle) = self.handles.get(place) {
            let transaction = handle.through.transaction;
            let transaction = transaction.and_then(|id| self.model.transactions.get(&id));
            if handle.through.transaction.is_some()
                && transaction.is_none_or(|one| {
                    !one.is_open() || one.lacks(&self.model.committed, handle.key)
                })
            {
                self.close(place);
            } else {
                place += 1;
            }
        }
        let mut place = 0;
        while let Some((id, transaction, _)) = self.transactions.get(place) {
            let state = self.model.transactions[transaction].state;
            assert_eq!(self.client.state(*id), state);
            let active = [TransactionState::ActiveUnbound, TransactionState::ActiveBound];
            if active.contains(&state) {
                place += 1;
            } else {
                self.client.close(*id);
                self.model.transactions.remove(transaction);
                self.transactions.remove(place);
            }
        }
    }

    /// Looks at everything once more.
    pub fn finish(&mut self) {
        while !self.model.down.is_empty() {
            self.up();
        }
        while !self.transactions.is_empty() {
            self.abort(0);
        }
        self.close_what_is_over();
        for place in 0..self.handles.len() {
            self.read_events(place);
            self.info(place);
        }
        self.check_views();
        if self.setting.forgetful {
            let status = self.client.registry.status(self.views[0].0, "", []).expect("a root");
            let cache = status.details.expect("SYSTEM").cache;
            assert_eq!(cache.limit, 1 << 20);
            assert!(cache.bytes <= cache.limit, "{cache:?}");
        }
        self.check_sources();
        while !self.handles.is_empty() {
            self.close(0);
        }
        self.purge_unknown_orphans();
        self.check_sources();
    }
}
