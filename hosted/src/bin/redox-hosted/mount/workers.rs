//! Threads that wait for answers, so that nobody waits for somebody else's.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What may be under way for one user at a time. The next waits for one of them, and keeps nobody else waiting.
const PER_USER: usize = 32;

/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

/// A pool that grows while all of its threads wait.
#[derive(Clone, Default)]
pub struct Workers(Arc<Pool>);

#[derive(Default)]
struct Pool {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    /// For any thread to take, with whose they are.
    ready: VecDeque<(u32, Job)>,
    idle: usize,
    users: HashMap<u32, User>,
}

#[derive(Default)]
struct User {
    /// Ready, or under way.
    active: usize,
    waiting: VecDeque<Job>,
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        // Jobs run without the lock, and nothing that has it panics between two consistent states.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A user's job is done, or was given up: his next one is ready.
    fn done(&mut self, uid: u32) {
        let Some(user) = self.users.get_mut(&uid) else { return };
        match user.waiting.pop_front() {
            Some(job) => self.ready.push_back((uid, job)),
            None => {
                user.active -= 1;
                if user.active == 0 {
                    self.users.remove(&uid);
                }
            }
        }
    }
}

impl Workers {
    /// Has a thread do this for a user. A job that is dropped undone answers by itself: EIO.
    pub fn run(&self, uid: u32, job: impl FnOnce() + Send + 'static) {
        let mut state = self.0.state();
        let user = state.users.entry(uid).or_default();
        if user.active == PER_USER {
            user.waiting.push_back(Box::new(job));
            return;
        }
        user.active += 1;
        state.ready.push_back((uid, Box::new(job)));
        if state.idle >= state.ready.len() {
            self.0.arrived.notify_one();
            return;
        }
        drop(state);
        let pool = Arc::clone(&self.0);
        let worker = thread::Builder::new().name("worker".to_owned()).spawn(move || work(&pool));
        if worker.is_err() {
            self.give_up();
        }
    }

    /// There is no thread to be had: what nobody would ever do is dropped. Where threads are left they do it.
    fn give_up(&self) {
        let mut state = self.0.state();
        if let Some((uid, job)) = state.ready.pop_back() {
            state.done(uid);
            drop(state);
            drop(job);
        }
    }
}

/// A thread's life.
fn work(pool: &Pool) {
    let mut state = pool.state();
    loop {
        if let Some((uid, job)) = state.ready.pop_front() {
            drop(state);
            // A panic was reported by then, and the request is answered as its job is dropped.
            let _ = catch_unwind(AssertUnwindSafe(job));
            state = pool.state();
            state.done(uid);
            continue;
        }
        state.idle += 1;
        let waited = pool.arrived.wait_timeout(state, IDLE);
        let (back, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        state = back;
        state.idle -= 1;
        if timeout.timed_out() && state.ready.is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn one_users_jobs_that_hang_keep_nobody_else_waiting() {
        let workers = Workers::default();
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let (tell, told) = mpsc::channel();
        for _ in 0..=PER_USER {
            let (held, tell) = (Arc::clone(&held), tell.clone());
            workers.run(1, move || {
                let _ = held.lock().expect("a lock").recv();
                tell.send(1).expect("a listener");
            });
        }
        let other = tell.clone();
        workers.run(2, move || other.send(2).expect("a listener"));
        assert_eq!(told.recv(), Ok(2));
        drop(release);
        for _ in 0..=PER_USER {
            assert_eq!(told.recv(), Ok(1));
        }
    }

    #[test]
    fn a_job_that_panics_does_not_take_its_users_place_for_ever() {
        let workers = Workers::default();
        for _ in 0..2 * PER_USER {
            workers.run(1, || panic!("expected"));
        }
        let (tell, told) = mpsc::channel();
        workers.run(1, move || tell.send(()).expect("a listener"));
        assert_eq!(told.recv(), Ok(()));
    }
}
