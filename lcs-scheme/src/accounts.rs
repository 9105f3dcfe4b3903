//! Who belongs to which groups: the system's databases of users and groups, asked in a thread of their own,
//! for they are files, or on Linux whatever the system keeps them in, and can take their time.
//!
//! An answer holds for [`KEPT`]; a caller who leaves a group loses what it gave that much later at most, as
//! far as new handles go. What cannot be read is an error and never "no groups", for groups also deny.

mod cache;
#[cfg(not(target_os = "redox"))]
mod linux;
#[cfg(target_os = "redox")]
mod redox;
mod thread;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use futures_channel::oneshot;

use crate::deadlines::Moment;
use crate::wake::LoopWaker;

use cache::Cache;
#[cfg(not(target_os = "redox"))]
use linux as system;
#[cfg(target_os = "redox")]
use redox as system;
use thread::Question;

/// How long an answer holds, counted from the question.
pub const KEPT: Duration = Duration::from_secs(5);

/// To which groups a caller belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Primary and supplementary gids, in order, each once.
    pub groups: Vec<u32>,
    /// The administrators' group is among them.
    pub administrator: bool,
}

/// Why it is not known to which groups a caller belongs.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AccountsError {
    /// A database is there and cannot be read.
    #[error("cannot read the databases of users and groups: {0}")]
    Unreadable(Arc<io::Error>),
    /// The thread that reads them has ended.
    #[error("the thread that reads the databases of users and groups is gone")]
    Gone,
}

/// A caller, as the kernel names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Who {
    uid: u32,
    gid: u32,
}

/// The groups of callers.
pub struct Accounts {
    questions: Sender<Question>,
    known: RefCell<Cache>,
}

impl Accounts {
    /// Starts the thread that asks, and wakes the event loop when it has an answer. Administrators are the
    /// members of the group of this name; if there is none, nobody.
    pub fn new(admin_group: String, waker: LoopWaker) -> io::Result<Accounts> {
        Accounts::asking(move |who| membership(who, &admin_group), waker)
    }

    fn asking(
        look_up: impl FnMut(Who) -> io::Result<Membership> + Send + 'static,
        waker: LoopWaker,
    ) -> io::Result<Accounts> {
        let questions = thread::start(look_up, waker)?;
        Ok(Accounts { questions, known: RefCell::default() })
    }

    /// To which groups a caller with this uid and primary gid belongs.
    pub async fn membership(&self, uid: u32, gid: u32) -> Result<Rc<Membership>, AccountsError> {
        self.membership_at(Who { uid, gid }, Moment::now()).await
    }

    async fn membership_at(&self, who: Who, now: Moment) -> Result<Rc<Membership>, AccountsError> {
        let known = self.known.borrow().get(who, now);
        if let Some(membership) = known {
            return Ok(membership);
        }
        let (asker, answer) = oneshot::channel();
        self.questions.send(Question { who, asker }).map_err(|_| AccountsError::Gone)?;
        let membership = Rc::new(answer.await.map_err(|_| AccountsError::Gone)??);
        self.known.borrow_mut().put(who, Rc::clone(&membership), now);
        Ok(membership)
    }
}

/// Asks the system.
fn membership(who: Who, admin_group: &str) -> io::Result<Membership> {
    let mut groups = system::lookup(who.uid, who.gid)?;
    groups.sort_unstable();
    groups.dedup();
    let admin_gid = system::gid_of(admin_group)?;
    let administrator = admin_gid.is_some_and(|gid| groups.binary_search(&gid).is_ok());
    Ok(Membership { groups, administrator })
}

#[cfg(test)]
mod tests;
