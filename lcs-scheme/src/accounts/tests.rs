use std::sync::mpsc::{self, Receiver, Sender};

use async_executor::LocalExecutor;
use event::{EventFlags, EventQueue};
use futures_executor::block_on;

use super::*;
use crate::wake::Wakeups;

/// Nobody has this uid.
const NOBODYS_UID: u32 = 4_000_000_000;

/// No group is called so.
const NO_GROUP: &str = "no-such-group-of-lcs";

const ROOT: Who = Who { uid: 0, gid: 0 };

fn system(admin_group: &str) -> Accounts {
    Accounts::new(admin_group.to_owned(), Wakeups::new().unwrap().waker()).unwrap()
}

/// Whose answers a test decides, and what it was asked.
struct Asked {
    accounts: Accounts,
    wakeups: Wakeups,
    questions: Receiver<Who>,
    answers: Sender<io::Result<Membership>>,
}

impl Asked {
    fn new() -> Asked {
        let wakeups = Wakeups::new().unwrap();
        let (ask, questions) = mpsc::channel();
        let (answers, answered) = mpsc::channel();
        let look_up = move |who| {
            ask.send(who).unwrap();
            answered.recv().expect("an answer to each question")
        };
        let accounts = Accounts::asking(look_up, wakeups.waker()).unwrap();
        Asked { accounts, wakeups, questions, answers }
    }
}

fn in_group(gid: u32) -> Membership {
    Membership { groups: vec![gid], administrator: false }
}

#[test]
fn this_processs_user_has_the_gid_it_runs_with() {
    let (uid, gid) = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
    let membership = block_on(system("sudo").membership(uid, gid)).unwrap();
    assert!(membership.groups.contains(&gid), "{membership:?}");
    assert!(membership.groups.is_sorted_by(|left, right| left < right), "{membership:?}");
}

#[test]
fn a_uid_without_an_account_has_its_gid_alone() {
    let accounts = system("root");
    let stranger = block_on(accounts.membership(NOBODYS_UID, 77)).unwrap();
    assert_eq!(*stranger, in_group(77));
}

#[test]
fn who_is_in_the_administrators_group_is_an_administrator() {
    let accounts = system("root");
    let member = block_on(accounts.membership(NOBODYS_UID, 0)).unwrap();
    assert_eq!(*member, Membership { groups: vec![0], administrator: true });
    assert!(!block_on(accounts.membership(NOBODYS_UID, 1)).unwrap().administrator);
}

#[test]
fn where_the_administrators_group_does_not_exist_nobody_is_one() {
    let accounts = system(NO_GROUP);
    assert!(!block_on(accounts.membership(0, 0)).unwrap().administrator);
    assert_eq!(super::system::gid_of(NO_GROUP).unwrap(), None);
    assert_eq!(super::system::gid_of("nul\0").unwrap(), None);
}

#[test]
fn an_answer_is_asked_for_again_when_it_no_longer_holds() {
    let asked = Asked::new();
    let begin = Moment::default().after(Duration::from_secs(1000));
    for gid in [1, 2] {
        asked.answers.send(Ok(in_group(gid))).unwrap();
    }
    let groups = |now| block_on(asked.accounts.membership_at(ROOT, now)).unwrap().groups.clone();
    assert_eq!(groups(begin), [1]);
    assert_eq!(groups(begin.after(KEPT - Duration::from_nanos(1))), [1]);
    assert_eq!(groups(begin.after(KEPT)), [2]);
    assert_eq!(asked.questions.try_iter().count(), 2);
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_remembered() {
    let asked = Asked::new();
    asked.answers.send(Err(io::ErrorKind::PermissionDenied.into())).unwrap();
    asked.answers.send(Ok(in_group(1))).unwrap();
    let error = block_on(asked.accounts.membership(0, 0)).unwrap_err();
    assert!(matches!(error, AccountsError::Unreadable(_)), "{error}");
    assert_eq!(*block_on(asked.accounts.membership(0, 0)).unwrap(), in_group(1));
}

#[test]
fn all_who_ask_are_answered_and_equal_questions_that_wait_are_looked_up_once() {
    let asked = Asked::new();
    let accounts = Rc::new(asked.accounts);
    let executor = LocalExecutor::new();
    let ask = |uid| {
        let accounts = Rc::clone(&accounts);
        executor.spawn(async move { accounts.membership(uid, 0).await.unwrap().groups[0] })
    };
    let tick = || while executor.try_tick() {};

    let first = ask(0);
    tick();
    assert_eq!(asked.questions.recv().unwrap().uid, 0);
    // The thread looks up the first while these come.
    let others: Vec<_> = (0..100).map(|count| ask(count % 2)).collect();
    tick();
    for gid in [10, 20, 30] {
        asked.answers.send(Ok(in_group(gid))).unwrap();
    }
    assert_eq!(block_on(executor.run(first)), 10);
    for (count, other) in others.into_iter().enumerate() {
        assert_eq!(block_on(executor.run(other)), if count % 2 == 0 { 20 } else { 30 });
    }
    assert_eq!(asked.questions.try_iter().map(|who| who.uid).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn an_answer_ends_the_loops_sleep() {
    let asked = Asked::new();
    let events = EventQueue::<usize>::new().unwrap();
    events.subscribe(asked.wakeups.descriptor(), 0, EventFlags::READ).unwrap();
    let executor = LocalExecutor::new();
    let task = executor.spawn(asked.accounts.membership(0, 0));
    while executor.try_tick() {}
    asked.answers.send(Ok(in_group(1))).unwrap();

    events.next_event().unwrap();
    asked.wakeups.drain().unwrap();
    while executor.try_tick() {}
    assert!(task.is_finished());
}

#[test]
fn when_the_thread_is_gone_who_waits_and_who_comes_gets_an_error_and_the_loop_wakes() {
    let wakeups = Wakeups::new().unwrap();
    let events = EventQueue::<usize>::new().unwrap();
    events.subscribe(wakeups.descriptor(), 0, EventFlags::READ).unwrap();
    let look_up = |_| panic!("on purpose");
    let accounts = Accounts::asking(look_up, wakeups.waker()).unwrap();
    for _ in 0..2 {
        let error = block_on(accounts.membership(0, 0)).unwrap_err();
        assert!(matches!(error, AccountsError::Gone), "{error}");
    }
    events.next_event().unwrap();
}

#[test]
fn the_thread_ends_with_who_asks() {
    let asked = Asked::new();
    drop(asked.accounts);
    // The thread owned the other end.
    asked.questions.recv().unwrap_err();
}
