//! What a source may write to LCS: frames come apart, messages decode or are malformed, and whatever its
//! answers say, every operation of the registry ends.
#![no_main]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, ready};
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures_executor::block_on;
use lcs_abi::Guid;
use lcs_abi::call::{Derive, EnumSubkeys, LayerOnly, QueryValue, QueryValues, SetValue, Unhide};
use lcs_abi::rsi::{
    Answer, ClaimedHive, FromSource, RegisteredHive, Request, SourceError, split_frame,
};
use lcs_abi::security::Access;
use lcs_core::registry::{
    Address, AuditEvent, Backend, Caller, ConnectionId, Fault, HandleId, NotRecorded, Registry,
};
use lcs_core::security::Token;
use libfuzzer_sys::fuzz_target;

/// A source that says what it was told to say, and then is gone.
struct Script {
    answers: RefCell<VecDeque<Result<Answer, SourceError>>>,
    guids: Cell<u8>,
    words: [AtomicU64; 2],
}

impl Backend for Script {
    fn request(
        &self,
        _to: Address,
        request: Request,
    ) -> impl Future<Output = Result<Answer, Fault>> + 'static {
        drop(request);
        let next = self.answers.borrow_mut().pop_front();
        ready(next.map_or(Err(Fault::Down), |answer| answer.map_err(Fault::Refused)))
    }

    fn now(&self) -> i64 {
        0
    }

    fn new_guid(&self) -> Guid {
        self.guids.set(self.guids.get().wrapping_add(1));
        Guid([self.guids.get(); 16])
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }

    fn generation_words(&self) -> &[AtomicU64] {
        &self.words
    }

    fn no_old_answers(&self) -> impl Future<Output = ()> + 'static {
        ready(())
    }

    fn audit(&self, _event: AuditEvent) {}

    fn record(&self, _event: AuditEvent) -> impl Future<Output = Result<(), NotRecorded>> + 'static {
        ready(Ok(()))
    }
}

/// The root of the hive.
const ROOT: Guid = Guid([0; 16]);

fn answers(mut bytes: &[u8]) -> VecDeque<Result<Answer, SourceError>> {
    let mut answers = VecDeque::new();
    while let Ok(Some((contents, rest))) = split_frame(bytes, 1 << 20) {
        bytes = rest;
        if let Ok(FromSource::Answer { result, .. }) = lcs_abi::decode(contents) {
            answers.push_back(result);
        }
    }
    answers
}

async fn operate(registry: &Registry<Script>) {
    let caller = Caller { token: Rc::new(Token::system()), pid: 1 };
    let access = Access::KEY_ALL_ACCESS.bits();
    let path = || String::from("Machine\\a");
    let open = Derive::OpenKey { path: path(), access, flags: 0 };
    let (layer, flags, link_target) = (Some("role".into()), 0, None);
    let create = Derive::CreateKey { path: path(), access, layer, flags, link_target };
    let mut handles: Vec<HandleId> = Vec::new();
    for derive in [open, create] {
        handles.extend(registry.derive(None, &caller, derive).await);
    }
    for handle in handles {
        let name = || String::from("a");
        let layer = || LayerOnly { layer: Some("role".into()) };
        let _ = registry.query_value(handle, QueryValue { name: name() }).await;
        let _ = registry.query_values(handle, QueryValues::default(), 1 << 16).await;
        let subkeys = EnumSubkeys { cursor: None, counts: true };
        let _ = registry.enum_subkeys(handle, subkeys, 1 << 16).await;
        let _ = registry.key_info(handle).await;
        let set = SetValue {
            name: name(),
            value_type: 1,
            data: Vec::new(),
            layer: layer().layer,
            expected_sequence: Some(1),
        };
        let _ = registry.set_value(handle, set).await;
        let _ = registry.hide_key(handle, layer()).await;
        let unhide = Unhide { child: name(), layer: layer().layer };
        let _ = registry.unhide(handle, unhide).await;
        let _ = registry.delete_key(handle, LayerOnly::default()).await;
        registry.close(handle).await;
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (answers, guids) = (RefCell::new(answers(bytes)), Cell::new(0));
    let registry = Registry::new(Script { answers, guids, words: Default::default() });
    let registry = registry.expect("base is a name");
    let source = ConnectionId(1);
    registry
        .claim(source, &[ClaimedHive { name: "Machine".into(), scope: None }])
        .expect("a new hive");
    block_on(async {
        let hive = RegisteredHive { root: ROOT, max_sequence: 100 };
        registry.register(source, &[hive], false).await.expect("what was claimed");
        operate(&registry).await;
    });
});
