//! Answers, as long as they hold.

use std::collections::HashMap;
use std::rc::Rc;

use crate::deadlines::Moment;

use super::{KEPT, Membership, Who};

/// How many callers are remembered at most.
const CAPACITY: usize = 1024;

/// What was answered not long ago.
#[derive(Default)]
pub(super) struct Cache(HashMap<Who, Answer>);

struct Answer {
    membership: Rc<Membership>,
    /// From then on it does not hold.
    until: Moment,
}

impl Cache {
    /// The groups of `who`, if they were asked for not long before `now`.
    pub(super) fn get(&self, who: Who, now: Moment) -> Option<Rc<Membership>> {
        let answer = self.0.get(&who).filter(|answer| now < answer.until)?;
        Some(Rc::clone(&answer.membership))
    }

    /// Remembers an answer to a question of `asked`. When there are too many that still hold, this one is not
    /// kept.
    pub(super) fn put(&mut self, who: Who, membership: Rc<Membership>, asked: Moment) {
        if self.0.len() >= CAPACITY {
            self.0.retain(|_, answer| asked < answer.until);
        }
        if self.0.len() < CAPACITY || self.0.contains_key(&who) {
            self.0.insert(who, Answer { membership, until: asked.after(KEPT) });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn who(uid: usize) -> Who {
        Who { uid: uid.try_into().unwrap(), gid: 0 }
    }

    fn membership() -> Rc<Membership> {
        Rc::new(Membership { groups: vec![0], administrator: false })
    }

    #[test]
    fn an_answer_holds_for_its_time_and_not_longer() {
        let mut cache = Cache::default();
        let begin = Moment::default().after(Duration::from_secs(1000));
        cache.put(who(1), membership(), begin);
        let last = begin.after(KEPT - Duration::from_nanos(1));
        assert_eq!(cache.get(who(1), last), Some(membership()));
        assert_eq!(cache.get(who(1), begin.after(KEPT)), None);
        assert_eq!(cache.get(who(2), begin), None);
    }

    #[test]
    fn it_stays_bounded_and_what_no_longer_holds_makes_room() {
        let mut cache = Cache::default();
        let begin = Moment::default();
        for uid in 0..2 * CAPACITY {
            cache.put(who(uid), membership(), begin);
        }
        assert_eq!(cache.0.len(), CAPACITY);
        assert_eq!(cache.get(who(CAPACITY), begin), None);

        let later = begin.after(KEPT);
        cache.put(who(CAPACITY), membership(), later);
        assert_eq!(cache.0.len(), 1);
        assert_eq!(cache.get(who(CAPACITY), later), Some(membership()));
    }
}
