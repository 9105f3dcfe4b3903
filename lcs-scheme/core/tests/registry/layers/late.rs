//! Answers of sources that come late: others go on meanwhile, and nothing that anybody reads then or later is older
//! than what was so when he asked. The work of a call that was told ETIMEDOUT goes on all the same (DESIGN §11), so
//! its caller is here one who has not been answered yet.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use lcs_abi::call::{Derive, EnumSubkeys, QueryValue, QueryValues};
use lcs_abi::explain::Explain;
use lcs_abi::rsi::Request;
use lcs_core::registry::{Error, Fault};

use super::acting::Asking;
use super::contents::{Hive, Who};
use super::model;
use super::operations::{Lateness, Op, Start, Way};
use super::player::{Handle, MAX_HANDLES, Player, asked, caller, failure, text};
use super::transactions::TransactionId;
use crate::common::Failure;
use crate::common::world::Hold;

/// A change that can be late.
enum Late {
    /// Of the open key that is there.
    Change(usize),
    /// Of a transaction.
    Commit(TransactionId),
}

/// Whether keys may come into the tree, or leave it.
fn changes_tree(what: &Op) -> bool {
    matches!(what, Op::Delete { .. } | Op::Hide { .. } | Op::Unhide { .. } | Op::Commit { .. })
}

/// An operation that leaves what came of it behind.
fn kept<T: 'static>(
    operation: impl Future<Output = T> + 'static,
) -> (LocalBoxFuture<'static, ()>, Rc<RefCell<Option<T>>>) {
    let outcome = Rc::new(RefCell::new(None));
    let kept = Rc::clone(&outcome);
    let operation = async move {
        let done = operation.await;
        kept.replace(Some(done));
    };
    (Box::pin(operation), outcome)
}

impl Player {
    /// Changes something with a step whose answer is late, and looks around meanwhile.
    pub fn late(&mut self, what: &Op, lateness: Lateness, looks: &[Op]) {
        let Some((hive, late, asking)) = self.can_be_late(what, lateness) else { return };
        if let Lateness::Dies { takes_effect } = lateness {
            let down = Failure { fault: Fault::Down, takes_effect };
            let is_step = |request: &Request| matches!(request, Request::Apply { .. });
            self.client.world.fail_when(move |request| is_step(request).then_some(down));
        }
        let hold = if lateness == Lateness::Idle { Hold::IdleStep } else { Hold::Step };
        let (operation, outcome) = kept(asking);
        let waits = self.client.world.begin_late(hold, operation);
        self.client.world.fail_no_more();
        if !waits {
            let done = outcome.take().expect("it has ended");
            let expected = self.effect(&late, what);
            assert_eq!(done.map(drop).map_err(failure), expected);
            return;
        }
        let takes_effect = [Lateness::Done, Lateness::Dies { takes_effect: true }];
        let watches = self.model.watches.clone();
        let told = std::mem::take(&mut self.model.changed);
        let effect = takes_effect.contains(&lateness).then(|| self.effect(&late, what));
        // That something has changed is said when the answer is there.
        let untold = std::mem::replace(&mut self.model.changed, told);
        self.look_around(looks, what, &late);
        let dies = matches!(lateness, Lateness::Dies { .. });
        if dies {
            self.down(hive);
            // Who watches is told that it is not known what happened, and nothing more.
            self.model.watches = watches;
        }
        self.client.world.finish_late();
        let done = outcome.take().expect("it has ended");
        self.model.changed.extend(untold);
        if dies {
            assert_eq!(done, Err(Error::SourceDown));
            self.up();
            self.close_what_is_over();
        } else {
            let expected = effect.unwrap_or_else(|| self.effect(&late, what));
            if let Late::Change(place) = late {
                self.learn(place, what, &done);
            }
            assert_eq!(done.map(drop).map_err(failure), expected);
        }
        self.look_around(looks, what, &late);
    }

    /// In which hive a change is, and the change, if it is one that can be late: no write of a transaction, for it is
    /// not sent; none in `Machine`, which says what layers there are; and none of the tree that gets no answer, for LCS
    /// would not know what it made an orphan.
    fn can_be_late(&self, what: &Op, lateness: Lateness) -> Option<(Hive, Late, Asking)> {
        let dies = matches!(lateness, Lateness::Dies { .. });
        if !self.model.down.is_empty() || changes_tree(what) && dies {
            return None;
        }
        let (hive, late, asking) = if let Op::Commit { transaction } = what {
            let place = usize::from(*transaction).checked_rem(self.transactions.len())?;
            let (id, transaction, _) = self.transactions[place];
            let registry = Rc::clone(&self.client.registry);
            let asking: Asking = Box::pin(async move { registry.commit(id).await.map(|()| None) });
            let hive = self.model.transactions[&transaction].ready_in().ok()?;
            (hive, Late::Commit(transaction), asking)
        } else {
            let place = self.place_of(what)?;
            let handle = &self.handles[place];
            let is_there = self.model.committed.keys.contains_key(&handle.key);
            if handle.through.transaction.is_some() || !is_there {
                return None;
            }
            (self.hive(place), Late::Change(place), self.asking(place, what))
        };
        (hive != Hive::Machine).then_some((hive, late, asking))
    }

    fn effect(&mut self, late: &Late, what: &Op) -> Result<(), model::Failure> {
        match late {
            Late::Change(place) => self.expect(*place, what),
            Late::Commit(transaction) => self.model.commit_transaction(*transaction),
        }
    }

    /// Looks: not into a transaction that is being committed, and not at what is relative to a key that may be an
    /// orphan by now, for LCS learns of that with the answer.
    fn look_around(&mut self, looks: &[Op], what: &Op, late: &Late) {
        for look in looks {
            match (look, late, self.place_of(look)) {
                (Op::ReadEvents { .. }, ..) => {}
                (Op::Open { way: Way { start, .. }, .. }, ..)
                    if changes_tree(what) && !matches!(start, Start::Root(_)) => {}
                (Op::Open { way, open_link }, ..) => self.look_at_path(way, *open_link),
                (_, Late::Commit(transaction), Some(place))
                    if self.handles[place].through.transaction == Some(*transaction) => {}
                _ => self.write(look),
            }
        }
    }

    /// Opens a key and closes it, if no other must be closed for it.
    fn look_at_path(&mut self, way: &Way, open_link: bool) {
        if self.handles.len() < MAX_HANDLES && self.open(way, open_link) {
            self.close(self.handles.len() - 1);
        }
    }

    /// Looks at something, and before it is answered something else happens. What is said of it then may be the old or
    /// the new; afterwards it is the new.
    pub fn overtaken(&mut self, look: &Op, by: &Op) {
        let place = self.place_of(look);
        let Some(looking) = self.looking(place, look) else { return self.take(by) };
        let number = place.map(|place| self.handles[place].number);
        self.client.world.begin_late(Hold::Read, looking);
        self.take(by);
        self.client.world.finish_late();
        self.close_what_is_over();
        if let Op::Open { way, open_link } = look {
            self.look_at_path(way, *open_link);
        }
        let is_it = |handle: &Handle| Some(handle.number) == number;
        if let Some(place) = self.handles.iter().position(is_it) {
            self.look_at(place, look);
        }
    }

    /// A look, whatever it says.
    fn looking(&self, place: Option<usize>, look: &Op) -> Option<LocalBoxFuture<'static, ()>> {
        let registry = Rc::clone(&self.client.registry);
        let id = match look {
            Op::Open { way, .. } => self.start(way)?.0,
            Op::ReadEvents { .. } => return None,
            _ => self.handles[place?].id,
        };
        let look = look.clone();
        Some(Box::pin(async move {
            // That it may fail is as well.
            let _ = match look {
                Op::Open { way, .. } => {
                    let (path, access) = (text(&way.path), asked(Who::System));
                    let derive = Derive::OpenKey { path, access, flags: 0 };
                    let who = caller(Who::System);
                    match registry.derive(Some(id), &who, derive).await {
                        Ok(opened) => {
                            registry.close(opened).await;
                            Ok(())
                        }
                        Err(error) => Err(error),
                    }
                }
                Op::Query { name, .. } => {
                    registry.query_value(id, QueryValue { name: name.text.into() }).await.map(drop)
                }
                Op::Values { budget, .. } => {
                    registry.query_values(id, QueryValues { cursor: None }, budget).await.map(drop)
                }
                Op::Subkeys { counts, budget, .. } => {
                    let request = EnumSubkeys { cursor: None, counts };
                    registry.enum_subkeys(id, request, budget).await.map(drop)
                }
                Op::Info { .. } => registry.key_info(id).await.map(drop),
                Op::Explain { child: true, name, .. } => {
                    registry.explain(id, Explain::Child(name.text.into())).await.map(drop)
                }
                Op::Explain { name, .. } => {
                    registry.explain(id, Explain::Value(name.text.into())).await.map(drop)
                }
                _ => unreachable!("no look"),
            };
        }))
    }
}
