//! How much of their large requests LCS holds for each user: what is beyond stays in the client's memory until
//! there is room (DESIGN §12, MaxQueuedBytesPerUser).

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use futures_channel::oneshot;
use lcs_core::security::Sid;

/// The users whose large requests are being worked on.
#[derive(Default)]
pub struct Payloads {
    users: RefCell<HashMap<Sid, User>>,
}

#[derive(Default)]
struct User {
    held: usize,
    /// Those who wait for room, in order.
    waiting: VecDeque<(usize, oneshot::Sender<Room>)>,
}

impl User {
    /// One request is always let in, however large.
    fn has_room(&self, bytes: usize, most: usize) -> bool {
        self.held == 0 || self.held.saturating_add(bytes) <= most
    }
}

/// Room for a request of a user, until it is dropped.
pub struct Room {
    payloads: Rc<Payloads>,
    user: Sid,
    bytes: usize,
    most: usize,
}

impl Payloads {
    /// Waits until the user's requests have room for so many more bytes, of `most` together. `None`: LCS ends.
    pub async fn room(self: &Rc<Self>, user: Sid, bytes: usize, most: usize) -> Option<Room> {
        if let Some(room) = self.room_now(user, bytes, most) {
            return Some(room);
        }
        let (sender, turn) = oneshot::channel();
        self.users.borrow_mut().entry(user).or_default().waiting.push_back((bytes, sender));
        turn.await.ok()
    }

    /// Room for so many more bytes, if the user has it now and nobody waits for it.
    pub fn room_now(self: &Rc<Self>, user: Sid, bytes: usize, most: usize) -> Option<Room> {
        let mut users = self.users.borrow_mut();
        let of_user = users.entry(user).or_default();
        if !of_user.waiting.is_empty() || !of_user.has_room(bytes, most) {
            return None;
        }
        of_user.held += bytes;
        Some(Room { payloads: Rc::clone(self), user, bytes, most })
    }

    /// The next of those who wait, if there is room for it.
    fn next(&self, user: Sid, most: usize) -> Option<(usize, oneshot::Sender<Room>)> {
        let mut users = self.users.borrow_mut();
        let of_user = users.get_mut(&user)?;
        // Whoever gave up waits no more.
        of_user.waiting.retain(|(_, turn)| !turn.is_canceled());
        let (bytes, _) = of_user.waiting.front()?;
        if !of_user.has_room(*bytes, most) {
            return None;
        }
        let next = of_user.waiting.pop_front();
        of_user.held += next.as_ref().map_or(0, |(bytes, _)| *bytes);
        next
    }

    fn give_back(&self, user: Sid, bytes: usize) {
        let mut users = self.users.borrow_mut();
        if let Some(of_user) = users.get_mut(&user) {
            of_user.held -= bytes;
            if of_user.held == 0 && of_user.waiting.is_empty() {
                users.remove(&user);
            }
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let (payloads, user, most) = (Rc::clone(&self.payloads), self.user, self.most);
        payloads.give_back(user, self.bytes);
        while let Some((bytes, turn)) = payloads.next(user, most) {
            // If nobody takes it after all, it is dropped, and the next one has its turn.
            let _ = turn.send(Room { payloads: Rc::clone(&payloads), user, bytes, most });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_user_has_so_much_at_once_and_who_gives_up_keeps_nobody_waiting() {
        let payloads = Rc::new(Payloads::default());
        let [one, other] = [Sid::user(1), Sid::user(2)];
        let Poll::Ready(first) = poll(pin!(payloads.room(one, 7, 10))) else { panic!("no room") };
        let mut gives_up = Box::pin(payloads.room(one, 5, 10));
        let mut third = pin!(payloads.room(one, 20, 10));
        assert!(poll(gives_up.as_mut()).is_pending());
        assert!(poll(third.as_mut()).is_pending());
        assert!(poll(pin!(payloads.room(other, 99, 10))).is_ready());
        drop(gives_up);
        drop(first);
        // Larger than all there is, and alone.
        let Poll::Ready(third) = poll(third) else { panic!("no room") };
        assert!(poll(pin!(payloads.room(one, 1, 10))).is_pending());
        drop(third);
        assert!(payloads.users.borrow().values().all(|user| user.held == 0));
    }
}
