//! Backups and restores that others get in the way of: writers, time, sources that go, closed handles.

use std::time::Duration;

use lcs_abi::call::{Derive, TransactionState};
use lcs_abi::rsi::{Request, SourceError};
use lcs_core::registry::{AuditEvent, Error, HandleId, NotFound, Setting, StreamEnd};

use super::{change, with_everything};
use crate::common::client::{create_key, system};
use crate::common::streams::{back_up, comparable, read_all, restore};
use crate::common::{Client, Failure};

fn begin_restore(client: &Client, key: HandleId) -> HandleId {
    client.derive(Some(key), Derive::Restore).unwrap()
}

fn write(client: &Client, restore: HandleId, piece: &[u8]) -> Result<(), Error> {
    client.run(client.registry.write_restore(restore, piece))
}

/// How a backup or a restore ended, as the audit log has it.
fn ends(client: &Client) -> Vec<StreamEnd> {
    let ends = client.world.take_audit().into_iter().filter_map(|event| match event {
        AuditEvent::BackupEnded { end, .. } | AuditEvent::RestoreEnded { end, .. } => Some(end),
        _ => None,
    });
    ends.collect()
}

fn released(client: &Client) -> usize {
    let requests = client.world.take_requests();
    requests.iter().filter(|request| matches!(request, Request::Release { .. })).count()
}

#[test]
fn a_backup_shows_what_was_when_it_began() {
    let (client, _, key) = with_everything();
    let before = back_up(&client, key).unwrap();
    let backup = client.derive(Some(key), Derive::Backup).unwrap();
    let mut stream = client.run(client.registry.read_backup(backup, 100, || true)).unwrap();
    change(&client, key);
    stream.extend(read_all(&client, backup, 100).unwrap());
    assert_eq!(comparable(&stream), comparable(&before));
    client.close(backup);
}

#[test]
fn what_nobody_wanted_any_more_is_read_next() {
    let (client, _, key) = with_everything();
    let whole = back_up(&client, key).unwrap();
    let backup = client.derive(Some(key), Derive::Backup).unwrap();
    let unwanted = client.run(client.registry.read_backup(backup, 50, || false));
    assert_eq!(unwanted, Ok(Vec::new()));
    let stream = read_all(&client, backup, 70).unwrap();
    assert_eq!(comparable(&stream), comparable(&whole));
}

#[test]
fn both_are_audited_from_beginning_to_end() {
    let (client, _, key) = with_everything();
    client.world.take_audit();
    let (path, user) = ("Test\\k".to_owned(), system().token.user());
    let stream = back_up(&client, key).unwrap();
    let end = StreamEnd::Complete { keys: 7 };
    assert_eq!(
        client.world.take_audit(),
        [
            AuditEvent::BackupStarted { key: path.clone(), user },
            AuditEvent::BackupEnded { key: path.clone(), user, end: end.clone() },
        ]
    );
    restore(&client, key, &stream).unwrap();
    assert_eq!(
        client.world.take_audit(),
        [
            AuditEvent::RestoreStarted { key: path.clone(), user },
            AuditEvent::RestoreEnded { key: path.clone(), user, end },
        ]
    );
    client.world.set_log_full(true);
    assert_eq!(client.derive(Some(key), Derive::Backup), Err(Error::NotRecorded));
    assert_eq!(client.derive(Some(key), Derive::Restore), Err(Error::NotRecorded));
}

#[test]
fn a_backup_that_nobody_reads_is_released_in_time() {
    let (client, _, key) = with_everything();
    let backup = client.derive(Some(key), Derive::Backup).unwrap();
    let due = client.registry.expire_backups().unwrap();
    assert_eq!(due, Duration::from_millis(30_000));
    client.world.pass(Duration::from_millis(29_999));
    client.run(client.registry.read_backup(backup, 10, || true)).unwrap();
    client.world.pass(Duration::from_millis(1));
    assert!(client.registry.expire_backups().is_some(), "it was read a moment ago");
    client.world.pass(Duration::from_millis(30_000));
    client.world.take_audit();
    assert_eq!(client.registry.expire_backups(), None);
    assert!(client.registry.has_ended_streams());
    client.run(client.registry.release_streams());
    assert_eq!((released(&client), ends(&client)), (1, vec![StreamEnd::TimedOut]));
    let late = client.run(client.registry.read_backup(backup, 10, || true));
    assert_eq!(late, Err(Error::TransactionEnded(TransactionState::TimedOut)));
    assert!(!client.registry.has_ended_streams());
}

#[test]
fn read_views_are_few_and_given_back() {
    let (client, _, key) = with_everything();
    let most = client.registry.setting(Setting::MaxReadOnlyTransactionsPerSource);
    let backups: Vec<HandleId> =
        (0..most).map(|_| client.derive(Some(key), Derive::Backup).unwrap()).collect();
    let one_more = || client.derive(Some(key), Derive::Backup);
    assert_eq!(one_more(), Err(Error::Busy("MaxReadOnlyTransactionsPerSource")));
    client.world.take_requests();
    client.close(backups[0]);
    assert_eq!(released(&client), 1);
    client.close(one_more().unwrap());
    // One that is read to its end is given back before it is closed.
    read_all(&client, backups[1], 1 << 16).unwrap();
    client.run(client.registry.release_streams());
    client.close(one_more().unwrap());
    // A source that cannot make one takes no place.
    client.world.fail_when(|request| {
        matches!(request, Request::Snapshot).then(|| Failure::refused(SourceError::NotSupported))
    });
    for _ in 0..2 * most {
        assert_eq!(one_more(), Err(Error::Source(SourceError::NotSupported)));
    }
    client.world.fail_no_more();
    client.close(one_more().unwrap());
}

#[test]
fn with_its_source_goes_a_backup() {
    let (client, source, key) = with_everything();
    let backup = client.derive(Some(key), Derive::Backup).unwrap();
    client.run(client.registry.read_backup(backup, 10, || true)).unwrap();
    client.disconnect(1);
    let read = || client.run(client.registry.read_backup(backup, 10, || true));
    assert_eq!(read(), Err(Error::SourceDown));
    client.serve(2, &[("Test", &source)]).unwrap();
    assert_eq!(read(), Err(Error::SourceDown), "the read view went with its connection");
    client.close(backup);
    back_up(&client, key).unwrap();
}

#[test]
fn a_key_that_is_gone_or_was_made_in_a_transaction_has_no_backup() {
    let (client, _, _) = with_everything();
    let gone = client.create("Test\\gone").unwrap();
    client.delete(gone, None).unwrap();
    let no_key = Err(Error::NotFound(NotFound::Key));
    assert_eq!(client.derive(Some(gone), Derive::Backup), no_key);
    assert_eq!(client.derive(Some(gone), Derive::Restore), no_key);
    let transaction = client.begin();
    let made = client.derive(Some(transaction), create_key("Test\\made", None, false)).unwrap();
    assert_eq!(client.derive(Some(made), Derive::Backup), no_key);
    assert!(matches!(client.derive(Some(made), Derive::Restore), Err(Error::Invalid(_))));
    client.close(made);
    client.close(transaction);
}

#[test]
fn what_was_not_finished_leaves_nothing_behind() {
    let (client, _, key) = with_everything();
    let stream = back_up(&client, key).unwrap();
    change(&client, key);
    let changed = comparable(&back_up(&client, key).unwrap());
    client.world.take_audit();
    let closed = begin_restore(&client, key);
    write(&client, closed, &stream).unwrap();
    client.close(closed);
    assert_eq!(ends(&client), [StreamEnd::GivenUp]);
    let cut = begin_restore(&client, key);
    write(&client, cut, &stream[..stream.len() / 2]).unwrap();
    assert!(matches!(client.run(client.registry.finish(cut)), Err(Error::Invalid(_))));
    assert!(matches!(ends(&client)[..], [StreamEnd::Failed(Error::Invalid(_))]));
    // It is over then, whatever comes.
    assert!(matches!(write(&client, cut, &stream), Err(Error::Invalid(_))));
    assert!(matches!(client.run(client.registry.finish(cut)), Err(Error::Invalid(_))));
    client.close(cut);
    assert_eq!(ends(&client), []);
    assert_eq!(comparable(&back_up(&client, key).unwrap()), changed);
}

#[test]
fn what_a_source_cannot_restore_stays_as_it_was() {
    let (client, source, key) = with_everything();
    let stream = back_up(&client, key).unwrap();
    change(&client, key);
    let changed = comparable(&back_up(&client, key).unwrap());
    client.world.fail_when(|request| {
        matches!(request, Request::Apply { .. })
            .then(|| Failure::refused(SourceError::StorageError))
    });
    let refused = restore(&client, key, &stream);
    assert_eq!(refused, Err(Error::Source(SourceError::StorageError)));
    client.world.fail_no_more();
    assert_eq!(comparable(&back_up(&client, key).unwrap()), changed);
    // A source that went has forgotten what was staged.
    let cut = begin_restore(&client, key);
    write(&client, cut, &stream).unwrap();
    client.disconnect(1);
    client.serve(2, &[("Test", &source)]).unwrap();
    assert_eq!(client.run(client.registry.finish(cut)), Err(Error::SourceDown));
    client.close(cut);
    let after = comparable(&back_up(&client, key).unwrap());
    let lasting = |records: &[lcs_abi::backup::Record]| records.len();
    assert!(lasting(&after) < lasting(&changed), "what is volatile went with the source");
}

#[test]
fn a_key_that_only_a_handle_holds_is_taken_over() {
    let (client, _, key) = with_everything();
    let stream = back_up(&client, key).unwrap();
    let open = |path: &str| client.open(path).unwrap();
    let (deep, alpha) = (open("Test\\k\\Alpha\\deep"), open("Test\\k\\Alpha"));
    client.delete(deep, Some("role")).unwrap();
    client.delete(alpha, None).unwrap();
    client.set(deep, "x", 1, b"as an orphan", None).unwrap();
    assert_eq!(client.details(alpha).unwrap().counts.subkeys, 0);
    restore(&client, key, &stream).unwrap();
    assert_eq!(client.details(alpha).unwrap().counts.subkeys, 1);
    assert_eq!(client.query(deep, "x"), Err(Error::NotFound(NotFound::Value)), "a tombstone");
    let below = client.derive(Some(deep), create_key("below", None, false)).unwrap();
    assert_eq!(client.details(below).unwrap().path, "Test\\k\\Alpha\\deep\\below");
    for handle in [below, deep, alpha] {
        client.close(handle);
    }
    client.close(open("Test\\k\\Alpha\\deep\\below"));
}

#[test]
fn a_removed_key_is_gone_for_those_who_have_it_open_too() {
    let (client, _, key) = with_everything();
    let stream = back_up(&client, key).unwrap();
    let made = client.create("Test\\k\\made").unwrap();
    restore(&client, key, &stream).unwrap();
    assert_eq!(client.query(made, "v"), Err(Error::NotFound(NotFound::Key)));
    let below = client.derive(Some(made), create_key("x", None, false));
    assert_eq!(below, Err(Error::NotFound(NotFound::Key)));
    client.close(made);
}
