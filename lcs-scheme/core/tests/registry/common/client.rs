//! A registry in a world, for tests that do one thing after the other.

use std::future::Future;
use std::rc::Rc;

use lcs_abi::Guid;
use lcs_abi::call::{
    CREATE_LINK, CREATE_VOLATILE, Derive, EnumSubkeys, KeyDetails, KeyInfoAnswer, LayerOnly,
    NamedValue, QueryValue, QueryValueAnswer, QueryValues, SetValue, Subkey, TransactionState,
};
use lcs_abi::rsi::{
    Changes, ClaimedHive, KeyRecord, Mutation, Refusal, RegisteredHive, Request, Target,
};
use lcs_abi::security::Access;
use lcs_core::model::{KeyName, Layer};
use lcs_core::registry::{Caller, ConnectionId, Error, HandleId, Registry};
use lcs_core::security::{Account, SecurityDescriptor, Sid, Token};

use super::kept::Kept;
use super::world::{Source, World};

/// All rights.
pub const ALL: u32 = Access::KEY_ALL_ACCESS.bits();

/// The source of a `Machine` that is there because there are layers.
pub const MACHINE: u64 = 1 << 40;

/// Room for every answer.
pub const ROOM: usize = 1 << 24;

/// A layer for the table, which everybody may write into.
pub fn layer(name: &str, precedence: u32, enabled: bool) -> Layer {
    let (owner, key) = (Sid::SYSTEM, Guid::default());
    let name = KeyName::new(name, 255).expect("a name");
    Layer { name, precedence, enabled, owner, key, sd: Rc::default() }
}

/// A `Machine` whose layers are these.
pub fn machine(layers: impl IntoIterator<Item = Layer>) -> Source {
    let source = Source::new("Machine");
    let name = |text: &str| KeyName::new(text, usize::MAX).expect("a name").to_rsi();
    let owned = |sd: &SecurityDescriptor| {
        let mut sd = sd.clone();
        sd.owner = Some(Sid::SYSTEM);
        sd
    };
    let sd = owned(&SecurityDescriptor::default());
    let mut keys = (1..).map(|number: u64| Guid((u128::from(number) << 64).to_be_bytes()));
    let (mut mutations, mut parent) = (Vec::new(), source.root());
    let mut child = |mutations: &mut Vec<Mutation>, parent, text: &str, sd: &SecurityDescriptor| {
        let key = keys.next().expect("no end");
        let record = KeyRecord {
            key,
            parent,
            name: name(text),
            sd: sd.to_bytes(),
            volatile: false,
            link: false,
            last_write: 0,
        };
        let (layer, target) = (name("base"), Target::Key(key));
        mutations.push(Mutation::CreateKey(record));
        mutations.push(Mutation::SetEntry { parent, name: name(text), layer, target });
        key
    };
    for text in ["System", "Registry", "Layers"] {
        parent = child(&mut mutations, parent, text, &sd);
    }
    for layer in layers {
        let key = child(&mut mutations, parent, layer.name.display(), &owned(&layer.sd));
        for (text, number) in [("Precedence", layer.precedence), ("Enabled", layer.enabled.into())]
        {
            let (value_type, data) = (4, number.to_le_bytes().into());
            let (name, layer) = (name(text), name("base"));
            mutations.push(Mutation::SetValue { key, name, layer, value_type, data });
        }
    }
    let changes = Changes::Mutations(mutations);
    let step = Request::Apply { conditions: Vec::new(), changes, first_sequence: 1 };
    source.ask(&step).expect("memory has room");
    source
}

/// The system itself.
pub fn system() -> Caller {
    Caller { token: Rc::new(Token::system()), pid: 1 }
}

/// An ordinary user in a group of its own, and in these.
pub fn user(uid: u32, groups: &[u32]) -> Caller {
    let account = Account { uid, gid: uid, groups, system: false, administrator: false };
    Caller { token: Rc::new(Token::new(account)), pid: 2 }
}

/// An administrator, who is not the system.
pub fn administrator(uid: u32) -> Caller {
    let account = Account { uid, gid: uid, groups: &[], system: false, administrator: true };
    Caller { token: Rc::new(Token::new(account)), pid: 3 }
}

/// What to derive to create a key with all rights.
pub fn create_key(path: &str, layer: Option<&str>, volatile: bool) -> Derive {
    Derive::CreateKey {
        path: path.into(),
        access: ALL,
        layer: layer.map(Into::into),
        flags: if volatile { CREATE_VOLATILE } else { 0 },
        link_target: None,
    }
}

/// What to derive to open a key with all rights.
pub fn open_key(path: &str) -> Derive {
    Derive::OpenKey { path: path.into(), access: ALL, flags: 0 }
}

/// The request of the operations that need a layer only.
pub fn in_layer(layer: Option<&str>) -> LayerOnly {
    LayerOnly { layer: layer.map(Into::into) }
}

/// SYSTEM, with a registry of its own.
pub struct Client {
    pub world: World,
    pub registry: Rc<Registry<World>>,
    /// The `Machine` that is there because there are layers.
    pub machine: Option<Source>,
    /// What it was told of values and keys, and could tell itself.
    kept_values: Kept<(HandleId, String), QueryValueAnswer>,
    kept_infos: Kept<HandleId, KeyInfoAnswer>,
}

impl Client {
    /// A registry without hives; or, if there are to be layers beside `base`, with `Machine`.
    pub fn new(layers: impl IntoIterator<Item = Layer>) -> Client {
        let world = World::new();
        let registry = Rc::new(Registry::new(world.clone()).expect("base is a name"));
        let (kept_values, kept_infos) = (Kept::default(), Kept::default());
        let mut client = Client { world, registry, machine: None, kept_values, kept_infos };
        let mut layers = layers.into_iter().peekable();
        if layers.peek().is_some() {
            let machine = machine(layers);
            client.serve(MACHINE, &[("Machine", &machine)]).expect("a new hive");
            client.machine = Some(machine);
            client.world.take_requests();
            client.world.take_audit();
        }
        client
    }

    /// A registry with one hive, of which LCS wants nothing.
    pub fn with_hive(layers: impl IntoIterator<Item = Layer>) -> (Client, Source) {
        let (client, source) = (Client::new(layers), Source::new("Test"));
        client.serve(1, &[("Test", &source)]).expect("a new hive");
        (client, source)
    }

    /// Connects a source, claims its hives and brings them into service.
    pub fn serve(&self, number: u64, hives: &[(&str, &Source)]) -> Result<(), Refusal> {
        self.run(self.serving(number, hives))
    }

    /// The same, while other things happen.
    pub async fn serving(&self, number: u64, hives: &[(&str, &Source)]) -> Result<(), Refusal> {
        let connection = ConnectionId(number);
        self.world.connect(connection, hives.iter().map(|(_, source)| (*source).clone()).collect());
        let claimed = |(name, _): &(&str, _)| ClaimedHive { name: (*name).into(), scope: None };
        let claimed: Vec<ClaimedHive> = hives.iter().map(claimed).collect();
        self.registry.claim(connection, &claimed)?;
        let registered = |(_, source): &(_, &Source)| RegisteredHive {
            root: source.root(),
            max_sequence: source.max_sequence(),
        };
        let registered: Vec<RegisteredHive> = hives.iter().map(registered).collect();
        self.registry.register(connection, &registered, false).await?;
        self.registry.finish_deletions().await;
        Ok(())
    }

    /// The source's process dies.
    pub fn disconnect(&self, number: u64) {
        self.world.disconnect(ConnectionId(number));
        self.registry.disconnected(ConnectionId(number));
    }

    /// The source's first hive has changed without LCS, as it says: all that LCS knows of it, it asks for again.
    pub fn forget(&self, number: u64) {
        self.run(self.registry.invalidated(ConnectionId(number), 0, None));
    }

    pub fn run<T>(&self, operation: impl Future<Output = T>) -> T {
        self.world.run(operation)
    }

    pub fn derive(&self, base: Option<HandleId>, derive: Derive) -> Result<HandleId, Error> {
        self.derive_as(&system(), base, derive)
    }

    pub fn derive_as(
        &self,
        caller: &Caller,
        base: Option<HandleId>,
        derive: Derive,
    ) -> Result<HandleId, Error> {
        self.run(self.registry.derive(base, caller, derive))
    }

    pub fn open(&self, path: &str) -> Result<HandleId, Error> {
        self.derive(None, open_key(path))
    }

    pub fn create(&self, path: &str) -> Result<HandleId, Error> {
        self.create_in(path, None)
    }

    pub fn create_in(&self, path: &str, layer: Option<&str>) -> Result<HandleId, Error> {
        self.derive(None, create_key(path, layer, false))
    }

    /// Makes a link in `base`.
    pub fn link(&self, path: &str, target: &str) {
        let link = Derive::CreateKey {
            path: path.into(),
            access: ALL,
            layer: None,
            flags: CREATE_LINK,
            link_target: Some(target.into()),
        };
        let link = self.derive(None, link).expect("SYSTEM makes links");
        self.close(link);
    }

    pub fn begin(&self) -> HandleId {
        self.derive(None, Derive::BeginTransaction).expect("a transaction")
    }

    pub fn commit(&self, transaction: HandleId) -> Result<(), Error> {
        self.run(self.registry.commit(transaction))
    }

    pub fn state(&self, transaction: HandleId) -> TransactionState {
        self.run(self.registry.transaction_status(transaction)).expect("a transaction").state
    }

    pub fn close(&self, handle: HandleId) {
        self.kept_values.forget(|(of, _)| *of == handle);
        self.kept_infos.forget(|of| *of == handle);
        self.run(self.registry.close(handle));
    }

    pub fn delete(&self, handle: HandleId, layer: Option<&str>) -> Result<(), Error> {
        self.run(self.registry.delete_key(handle, in_layer(layer)))
    }

    pub fn hide(&self, handle: HandleId, layer: Option<&str>) -> Result<(), Error> {
        self.run(self.registry.hide_key(handle, in_layer(layer)))
    }

    pub fn set(
        &self,
        handle: HandleId,
        name: &str,
        value_type: u32,
        data: &[u8],
        layer: Option<&str>,
    ) -> Result<u64, Error> {
        let request = SetValue {
            name: name.into(),
            value_type,
            data: data.into(),
            layer: layer.map(Into::into),
            expected_sequence: None,
        };
        self.run(self.registry.set_value(handle, request)).map(|answer| answer.sequence)
    }

    pub fn query(&self, handle: HandleId, name: &str) -> Result<QueryValueAnswer, Error> {
        let request = QueryValue { name: name.into() };
        let told = self.run(self.registry.query_value(handle, request.clone()))?;
        if let Some(known) = self.registry.known_value(handle, &request) {
            assert_eq!(known, lcs_abi::encode(&told), "{name} as it is known");
        }
        Ok(self.kept_values.check(&self.world, (handle, name.to_owned()), told))
    }

    pub fn info(&self, handle: HandleId) -> Result<KeyInfoAnswer, Error> {
        let told = self.run(self.registry.key_info(handle))?;
        Ok(self.kept_infos.check(&self.world, handle, told))
    }

    pub fn details(&self, handle: HandleId) -> Result<KeyDetails, Error> {
        let info = self.info(handle)?;
        Ok(info.details.expect("the handle has READ_CONTROL"))
    }

    /// All effective values, in pages of at most `budget` bytes, or of what a page needs at least.
    pub fn values(&self, handle: HandleId, budget: usize) -> Result<Vec<NamedValue>, Error> {
        paged(budget, |cursor, budget| {
            let request = QueryValues { cursor };
            let page = self.run(self.registry.query_values(handle, request.clone(), budget))?;
            if let Some(known) = self.registry.known_values(handle, &request, budget) {
                assert_eq!(known, lcs_abi::encode(&page), "a page as it is known");
            }
            assert!(lcs_abi::encode(&page).len() <= budget, "the page fits");
            Ok((page.answer.values, page.answer.next))
        })
    }

    /// All visible subkeys, in pages of at most `budget` bytes, or of what a page needs at least.
    pub fn subkeys(
        &self,
        handle: HandleId,
        counts: bool,
        budget: usize,
    ) -> Result<Vec<Subkey>, Error> {
        paged(budget, |cursor, budget| {
            let request = EnumSubkeys { cursor, counts };
            let page = self.run(self.registry.enum_subkeys(handle, request, budget))?;
            assert!(lcs_abi::encode(&page).len() <= budget, "the page fits");
            Ok((page.answer.subkeys, page.answer.next))
        })
    }
}

/// Reads page after page, each time with the room that is said to be needed.
fn paged<T>(
    budget: usize,
    mut read: impl FnMut(Option<String>, usize) -> Result<(Vec<T>, Option<String>), Error>,
) -> Result<Vec<T>, Error> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = match read(cursor.clone(), budget) {
            Err(Error::BufferTooSmall { needed }) => {
                assert!(needed > budget, "{needed} bytes are no more than there were");
                let page = read(cursor, needed).expect("the room that was asked for");
                assert_eq!(page.0.len(), 1);
                page
            }
            page => page?,
        };
        all.extend(page.0);
        if page.1.is_none() {
            return Ok(all);
        }
        cursor = page.1;
    }
}
