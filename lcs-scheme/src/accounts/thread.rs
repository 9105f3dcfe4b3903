//! The thread that asks the system, because that can take its time.

use std::collections::BTreeMap;
use std::io;
use std::iter;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use futures_channel::oneshot;

use crate::wake::LoopWaker;

use super::{AccountsError, Membership, Who};

/// To which groups somebody belongs, and who wants to know. An asker that is dropped unanswered learns it.
pub(super) struct Question {
    pub(super) who: Who,
    pub(super) asker: oneshot::Sender<Result<Membership, AccountsError>>,
}

/// Starts the thread. It ends when nobody can ask any more.
pub(super) fn start(
    look_up: impl FnMut(Who) -> io::Result<Membership> + Send + 'static,
    waker: LoopWaker,
) -> io::Result<Sender<Question>> {
    let (questions, asked) = mpsc::channel();
    let work = move || {
        // Dropped in reverse order: those who wait learn that the thread ended, then the loop is woken.
        let waker = WakesAtTheEnd(waker);
        let asked = asked;
        answer(&asked, look_up, &waker.0);
    };
    thread::Builder::new().name("accounts".to_owned()).spawn(work)?;
    Ok(questions)
}

/// Answers what is asked. Of all that waits, equal questions are looked up once.
fn answer(
    questions: &Receiver<Question>,
    mut look_up: impl FnMut(Who) -> io::Result<Membership>,
    waker: &LoopWaker,
) {
    while let Ok(first) = questions.recv() {
        let mut waiting = BTreeMap::<Who, Vec<_>>::new();
        for question in iter::once(first).chain(questions.try_iter()) {
            waiting.entry(question.who).or_default().push(question.asker);
        }
        for (who, askers) in waiting {
            let answer = look_up(who).map_err(|error| AccountsError::Unreadable(Arc::new(error)));
            for asker in askers {
                // Who has given up wants no answer.
                let _ = asker.send(answer.clone());
            }
            waker.wake();
        }
    }
}

struct WakesAtTheEnd(LoopWaker);

impl Drop for WakesAtTheEnd {
    fn drop(&mut self) {
        self.0.wake();
    }
}
