//! Transactions as programs have them, through real LCS.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::process::{Command, Stdio};
use std::thread;

use event::{EventFlags, EventQueue};
use hosted as _;
use lcs_abi::rsi::{Changes, Mutation, Request};
use libredox::errno::{EAGAIN, EINVAL, EIO, ETIMEDOUT};
use libreg::{Access, CreateKey, Error, Key, SetValue, Transaction, TransactionState, ValueType};
use registry_tests::eventually::eventually;
use registry_tests::harness::{Process, Root, bind, session_in};
use registry_tests::puppet::{Decision, Puppet};
use registry_tests::registry::{create, registry};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

fn lcs(root: &Root) -> Process {
    root.daemon("lcs-scheme", &["--log", "debug"])
}

fn put(key: &Key, data: u8) -> Result<u64, Error> {
    key.set_value("v", ValueType::Binary.code(), &[data], &SetValue::default())
}

fn data(path: &str) -> Option<u8> {
    let key = registry().open_key(path, Access::QUERY_VALUE).ok()?;
    key.value("v").ok().map(|value| value.data[0])
}

/// A transaction in which this key got a value.
fn written(path: &str) -> (Transaction, Key) {
    let transaction = registry().begin().expect("a transaction");
    let key = transaction.registry().open_key(path, Access::KEY_ALL_ACCESS).expect("the key");
    assert_eq!(put(&key, 1).expect("a write"), 0);
    (transaction, key)
}

fn state(transaction: &Transaction) -> TransactionState {
    transaction.status().expect("a state").state
}

fn is_readable(transaction: &Transaction) -> bool {
    // SAFETY: the transaction is open during this call.
    let fd = unsafe { BorrowedFd::borrow_raw(transaction.as_raw_fd()) };
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&now)).expect("an answer") > 0
}

fn transactions() -> u64 {
    registry().status().expect("a status").details.expect("an administrator").transactions
}

#[test]
fn what_is_committed_is_there_at_once_and_whoever_waits_for_it_is_woken() {
    session_in(lcs, |_| {
        let _machine = Puppet::in_service(&["Machine"]).serve(|_, _| Decision::Answer);
        create(r"Machine\Key");
        let (transaction, key) = written(r"Machine\Key");
        let how = CreateKey::default();
        let below = key.create_key("Below", Access::KEY_ALL_ACCESS, &how).expect("a key");
        put(&below, 2).expect("a write");
        assert_eq!((data(r"Machine\Key"), data(r"Machine\Key\Below")), (None, None));
        assert_eq!(state(&transaction), TransactionState::ActiveBound);
        assert_eq!(transaction.status().expect("a status").hive.as_deref(), Some("Machine"));

        let queue: EventQueue<usize> = EventQueue::new().expect("a queue");
        let descriptor = transaction.as_raw_fd() as usize;
        queue.subscribe(descriptor, 7, EventFlags::READ).expect("a subscription");
        assert!(!is_readable(&transaction));
        transaction.commit().expect("a commit");
        assert_eq!(queue.next_event().expect("an event").user_data, 7);
        assert!(is_readable(&transaction));
        assert_eq!((data(r"Machine\Key"), data(r"Machine\Key\Below")), (Some(1), Some(2)));
        assert_eq!(put(&key, 3).unwrap_err().errno(), Some(EINVAL));
        assert_eq!(state(&transaction), TransactionState::Committed);
    });
}

#[test]
fn a_transaction_that_nobody_uses_times_out_by_itself() {
    session_in(lcs, |_| {
        let _machine = Puppet::in_service(&["Machine"]).serve(|_, _| Decision::Answer);
        let settings = create(r"Machine\System\Registry");
        let dword = ValueType::Dword.code();
        let second = 1000_u32.to_le_bytes();
        let how = SetValue::default();
        settings.set_value("TransactionTimeoutMs", dword, &second, &how).expect("a setting");
        create(r"Machine\Key");
        let (transaction, key) = written(r"Machine\Key");
        let queue: EventQueue<usize> = EventQueue::new().expect("a queue");
        let descriptor = transaction.as_raw_fd() as usize;
        queue.subscribe(descriptor, 7, EventFlags::READ).expect("a subscription");
        // Nothing else happens in LCS meanwhile.
        assert_eq!(queue.next_event().expect("an event").user_data, 7);
        assert_eq!(put(&key, 2).unwrap_err().errno(), Some(ETIMEDOUT));
        assert_eq!(transaction.commit().unwrap_err().errno(), Some(ETIMEDOUT));
        assert_eq!(state(&transaction), TransactionState::TimedOut);
        assert_eq!(data(r"Machine\Key"), None);
    });
}

#[test]
fn the_death_of_a_client_undoes_what_it_had_not_committed() {
    const CLIENT: &str = "TRANSACTION_CLIENT";
    session_in(lcs, |_| {
        if std::env::var_os(CLIENT).is_some() {
            let _written = written(r"Machine\Key");
            println!("written");
            loop {
                thread::park();
            }
        }
        let _machine = Puppet::in_service(&["Machine"]).serve(|_, _| Decision::Answer);
        create(r"Machine\Key");
        let mut client = Command::new(std::env::current_exe().expect("this program"));
        client.args(std::env::args().skip(1)).env(CLIENT, "1").stdout(Stdio::null());
        let mut client = Process::spawn(bind(&mut client));
        eventually("a transaction", || (transactions() == 1).then_some(()));
        client.kill();
        eventually("no transaction", || (transactions() == 0).then_some(()));
        assert_eq!(data(r"Machine\Key"), None);
    });
}

#[test]
fn a_conflict_is_eagain_and_undoes_all() {
    session_in(lcs, |_| {
        let _machine = Puppet::in_service(&["Machine"]).serve(|_, _| Decision::Answer);
        let outside = create(r"Machine\Key");
        let (transaction, key) = written(r"Machine\Key");
        let expected = SetValue { layer: None, expected_sequence: Some(0) };
        key.set_value("w", ValueType::Binary.code(), &[1], &expected).expect("a write");
        let binary = ValueType::Binary.code();
        outside.set_value("w", binary, &[2], &SetValue::default()).expect("a write");
        let conflict = transaction.commit().unwrap_err();
        assert_eq!(conflict.errno(), Some(EAGAIN));
        assert_eq!(
            conflict.to_string(),
            "something was changed meanwhile, or a condition did not hold; nothing was done"
        );
        assert_eq!(data(r"Machine\Key"), None);
    });
}

/// Whether this is the step of the transactions of these tests.
fn is_commit(request: &Request) -> bool {
    let Request::Apply { changes: Changes::Mutations(mutations), .. } = request else {
        return false;
    };
    mutations.iter().any(|one| matches!(one, Mutation::SetValue { data, .. } if *data == [1]))
}

/// What becomes of a transaction whose source dies when it was sent the step, and perhaps carried it out.
fn settled_after_death(carried_out: bool) -> (TransactionState, Option<u8>) {
    let machine = Puppet::in_service(&["Machine"]).serve(move |_, request| match request {
        step if is_commit(step) && carried_out => Decision::Instead(Vec::new()),
        step if is_commit(step) => Decision::Silence,
        Request::QueryValue { .. } => Decision::Stop,
        _ => Decision::Answer,
    });
    create(r"Machine\Key");
    let (transaction, key) = written(r"Machine\Key");
    let (bound, _) = written(r"Machine\Key");
    thread::scope(|scope| {
        let commit = scope.spawn(|| transaction.commit().unwrap_err().errno());
        eventually("a commit on its way", || {
            (state(&transaction) == TransactionState::Committing).then_some(())
        });
        assert_eq!(put(&key, 2).unwrap_err().errno(), Some(EINVAL));
        assert_eq!(data(r"Machine\Key"), None);
        assert_eq!(commit.join().expect("an answer"), Some(EIO));
    });
    let hives = machine.join().expect("the hives");
    assert_eq!(state(&transaction), TransactionState::Unknown);
    assert_eq!(state(&bound), TransactionState::SourceDown);
    assert!(is_readable(&bound) && !is_readable(&transaction));
    let mut again = Puppet::connect_with(&["Machine"], hives);
    again.claim().expect("an accepted claim");
    again.register().expect("an accepted registration");
    let _machine = again.serve(|_, _| Decision::Answer);
    assert!(is_readable(&transaction));
    (state(&transaction), data(r"Machine\Key"))
}

#[test]
fn a_commit_that_was_carried_out_by_a_source_that_died_is_known_when_it_is_back() {
    session_in(lcs, |_| {
        assert_eq!(settled_after_death(true), (TransactionState::Committed, Some(1)));
    });
}

#[test]
fn a_commit_that_was_not_carried_out_by_a_source_that_died_is_known_when_it_is_back() {
    session_in(lcs, |_| {
        assert_eq!(settled_after_death(false), (TransactionState::Aborted, None));
    });
}
