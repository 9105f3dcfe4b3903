//! Callers that are interrupted by a signal (DESIGN §11): if nothing went to a source nothing has happened,
//! else they get the true answer, and a handle that nobody wants is closed.

use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use hosted as _;
use lcs_abi::call::{Derive, Op, TransactionState, TransactionStatusAnswer};
use lcs_abi::rsi::Request;
use libredox::Fd;
use libredox::errno::EINTR;
use libreg::{Access, SetValue, ValueType};
use registry_tests::eventually::eventually;
use registry_tests::handles::root;
use registry_tests::harness::{Root, session_in};
use registry_tests::interruptible::Interruptible;
use registry_tests::puppet::{Decision, Puppet};
use registry_tests::registry::{call, create, derive, registry};

/// A source of `Slow` that, from the first word on, says of what `is_held` names that it has it, and does it
/// when it is told to.
struct Slow {
    begin: Sender<()>,
    held: Receiver<()>,
    release: Sender<()>,
}

impl Slow {
    fn new(is_held: fn(&Request) -> bool) -> Slow {
        let (begin, begun) = mpsc::channel();
        let (holds, held) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let channels = Mutex::new((begun, released));
        let mut holding = false;
        Puppet::in_service(&["Slow"]).serve(move |_, request| {
            let (begun, released) = &*channels.lock().expect("one thread");
            holding = holding || begun.try_recv().is_ok();
            if holding && is_held(request) {
                // When the test is over nobody waits any more.
                let _ = holds.send(());
                let _ = released.recv();
            }
            Decision::Answer
        });
        Slow { begin, held, release }
    }

    fn begin(&self) {
        self.begin.send(()).expect("a source");
    }

    fn wait(&self) {
        self.held.recv().expect("a request");
    }

    fn release(&self) {
        self.release.send(()).expect("a source");
    }
}

fn is_step(request: &Request) -> bool {
    matches!(request, Request::Apply { .. })
}

#[test]
fn an_interrupted_write_that_its_source_has_gets_the_true_answer() {
    session_in(Root::lcs, |_| {
        let slow = Slow::new(is_step);
        let key = create(r"Slow\Key");
        slow.begin();
        thread::scope(|scope| {
            let write = Interruptible::start(scope, || {
                key.set_value("v", ValueType::Binary.code(), &[1], &SetValue::default())
            });
            slow.wait();
            write.goes_on();
            slow.release();
            assert!(write.join().is_ok());
        });
        assert_eq!(key.value("v").expect("the value").data, [1]);
    });
}

#[test]
fn a_handle_for_an_open_that_was_interrupted_is_closed() {
    session_in(Root::lcs, |_| {
        let slow = Slow::new(is_step);
        let handles = || registry().status().expect("a status").details.expect("all").handles;
        let (root, before) = (root(), handles());
        slow.begin();
        thread::scope(|scope| {
            let open = Interruptible::start(scope, || {
                let (path, access) = (r"Slow\Key".into(), Access::KEY_READ.bits());
                let (layer, flags, link_target) = (None, 0, None);
                derive(&root, &Derive::CreateKey { path, access, layer, flags, link_target })
            });
            slow.wait();
            open.goes_on();
            slow.release();
            let opened = open.join();
            assert_eq!(opened.err().map(|error| error.errno()), Some(EINTR));
        });
        eventually("no handle of it", || (handles() == before).then_some(()));
    });
}

#[test]
fn an_interrupted_commit_that_waits_for_another_one_has_not_happened_and_can_be_had_later() {
    session_in(Root::lcs, |_| {
        let slow = Slow::new(is_step);
        let root = root();
        let begin = |path: &str| {
            let transaction = derive(&root, &Derive::BeginTransaction).expect("a transaction");
            let (path, access) = (path.to_owned(), Access::KEY_READ.bits());
            let (layer, flags, link_target) = (None, 0, None);
            let create = Derive::CreateKey { path, access, layer, flags, link_target };
            drop(derive(&transaction, &create).expect("a key"));
            transaction
        };
        let [first, second] = [begin(r"Slow\First"), begin(r"Slow\Second")];
        let commit = |transaction: &Fd| call::<(), ()>(transaction, Op::Commit, &(), &[]);
        slow.begin();
        thread::scope(|scope| {
            let stuck = scope.spawn(|| commit(&first));
            slow.wait();
            let waits = Interruptible::start(scope, || commit(&second));
            assert_eq!(waits.ends().map_err(|error| error.errno()), Err(EINTR));
            slow.release();
            stuck.join().expect("the commit").expect("a commit");
        });
        let status: TransactionStatusAnswer =
            call(&second, Op::TransactionStatus, &(), &[]).expect("a status");
        assert_eq!(status.state, TransactionState::ActiveBound);
        let read = |path| registry().open_key(path, Access::KEY_READ).is_ok();
        assert_eq!([read(r"Slow\First"), read(r"Slow\Second")], [true, false]);
        slow.release();
        commit(&second).expect("a commit");
        assert!(read(r"Slow\Second"));
    });
}
