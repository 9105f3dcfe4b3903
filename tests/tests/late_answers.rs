//! Changes whose source takes too long: the caller is told ETIMEDOUT, and what is done later is seen.

use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};
use std::thread;

use hosted as _;
use lcs_abi::rsi::{Changes, Request};
use libredox::errno::ETIMEDOUT;
use libreg::security::Parts;
use libreg::{
    Access, CreateKey, Error, EventKind, Key, SetValue, TransactionState, ValueType, WatchFilter,
};
use registry_tests::eventually::eventually;
use registry_tests::harness::{Root, session_in};
use registry_tests::puppet::{Decision, Puppet};
use registry_tests::registry::{create, registry};

/// A source of `Slow`, beside that of `Machine`, which does what `is_held` names only when it is told to.
fn slow(is_held: fn(&Request) -> bool) -> Sender<()> {
    Puppet::in_service(&["Machine"]).serve(|_, _| Decision::Answer);
    let settings = create(r"Machine\System\Registry");
    let (dword, second) = (ValueType::Dword.code(), 1000_u32.to_le_bytes());
    let how = SetValue::default();
    settings.set_value("RequestTimeoutMs", dword, &second, &how).expect("a setting");
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    Puppet::in_service(&["Slow"]).serve(move |_, request| {
        if is_held(request) {
            // When the test is over nobody holds it any more.
            let _ = released.lock().expect("one thread").recv();
        }
        Decision::Answer
    });
    release
}

fn put(key: &Key, data: &[u8]) -> Result<u64, Error> {
    key.set_value("v", ValueType::Binary.code(), data, &SetValue::default())
}

fn errno<T>(result: Result<T, Error>) -> Option<i32> {
    result.err().expect("an error").errno()
}

fn late_answers() -> u64 {
    let details = registry().status().expect("a status").details.expect("all");
    details.sources.iter().map(|source| source.late_answers).sum()
}

#[test]
fn a_late_change_of_any_kind_has_its_effect() {
    session_in(Root::lcs, |_| {
        let release = slow(|request| matches!(request, Request::Apply { .. }));
        let soon = || release.send(()).expect("a source");
        soon();
        let key = create(r"Slow\Key");
        assert_eq!(errno(put(&key, b"late")), Some(ETIMEDOUT));
        soon();
        assert_eq!(key.value("v").expect("the value").data, b"late");

        let how = CreateKey::default();
        assert_eq!(errno(key.create_key("Late", Access::KEY_READ, &how)), Some(ETIMEDOUT));
        soon();
        let late = || key.open_key("Late", Access::KEY_ALL_ACCESS);
        let made = eventually("the key", || late().ok());

        let mut sd = made.security(Parts::DACL).expect("a descriptor");
        let empty = "O:SYG:SYD:".parse().expect("SDDL");
        assert_eq!(errno(made.set_security(Parts::DACL, &empty)), Some(ETIMEDOUT));
        assert_ne!(sd.to_bytes(), empty.only(Parts::DACL).to_bytes());
        soon();
        sd = made.security(Parts::DACL).expect("a descriptor");
        assert_eq!(sd.only(Parts::DACL).to_bytes(), empty.only(Parts::DACL).to_bytes());

        assert_eq!(errno(made.delete(None)), Some(ETIMEDOUT));
        soon();
        eventually("the deletion", || late().err().filter(Error::is_not_found));
        assert_eq!(late_answers(), 4);
    });
}

/// A transaction whose commit comes too late for its caller.
fn commit_late(size: usize, is_held: fn(&Request) -> bool) {
    let release = slow(is_held);
    let key = create(r"Slow\Key");
    let transaction = registry().begin().expect("a transaction");
    let inside = transaction.registry().open_key(r"Slow\Key", Access::KEY_ALL_ACCESS);
    let inside = inside.expect("the key");
    for number in 0..8 {
        let (binary, how) = (ValueType::Binary.code(), SetValue::default());
        inside.set_value(&format!("{number}"), binary, &vec![9; size], &how).expect("a write");
    }
    assert_eq!(errno(transaction.commit()), Some(ETIMEDOUT));
    let state = || transaction.status().expect("a state").state;
    assert_eq!(state(), TransactionState::Committing);
    release.send(()).expect("a source");
    eventually("the commit", || (state() == TransactionState::Committed).then_some(()));
    let values: Result<Vec<_>, _> = key.values().collect();
    assert_eq!(values.expect("the values").len(), 8);
}

fn is_commit(request: &Request) -> bool {
    let Request::Apply { changes, .. } = request else { return false };
    matches!(changes, Changes::Mutations(all) if all.len() >= 8)
}

#[test]
fn a_late_commit_has_its_effect() {
    session_in(Root::lcs, |_| commit_late(1, is_commit));
}

#[test]
fn a_late_commit_of_a_stage_has_its_effect() {
    session_in(Root::lcs, |_| {
        let is_held = |request: &Request| {
            matches!(request, Request::Apply { changes: Changes::Stage(_), .. })
        };
        commit_late(1 << 20, is_held);
    });
}

#[test]
fn an_orphan_that_is_dropped_late_keeps_nobody_waiting() {
    session_in(Root::lcs, |_| {
        let release = slow(|request| matches!(request, Request::DropKey { .. }));
        let key = create(r"Slow\Key");
        key.delete(None).expect("a deletion");
        drop(key);
        // The source sits over the orphan; whoever asks what only it knows meanwhile is told in time.
        let asking = thread::spawn(|| errno(registry().open_key(r"Slow\Other", Access::KEY_READ)));
        assert_eq!(asking.join().expect("a client"), Some(ETIMEDOUT));
        release.send(()).expect("a source");
        create(r"Slow\Key");
    });
}

#[test]
fn layers_come_into_force_also_when_their_makers_were_told_that_it_takes_too_long() {
    session_in(Root::lcs, |_| {
        let release = slow(|request| matches!(request, Request::EnumLayer { .. }));
        let key = create(r"Slow\Key");
        let mut watch = key.watch(WatchFilter::all(), false).expect("a watch");
        let layer = |name: &str| {
            let path = format!(r"Machine\System\Registry\Layers\{name}");
            registry().create_key(&path, Access::KEY_READ, &CreateKey::default())
        };
        // The first waits for what the slow source has of it, the second for the first.
        for name in ["First", "Second"] {
            assert_eq!(errno(layer(name)), Some(ETIMEDOUT));
        }
        for _ in 0..2 {
            release.send(()).expect("a source");
        }
        eventually("the second layer", || {
            let layers = registry().status().expect("a status").details.expect("all").layers;
            layers.iter().any(|layer| layer.name == "Second").then_some(())
        });
        eventually("a change that is known", || {
            put(&key, b"known").expect("a write");
            let told = watch.next().expect("no end").expect("an event");
            (told.kind == EventKind::ValueSet).then_some(())
        });
    });
}
