//! Answers that a client keeps, as one that has mapped the generation page does.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::atomic::Ordering;

use lcs_abi::call::{Guard, Guarded};
use lcs_core::registry::Backend;

use super::world::World;

/// The newest guarded answer to each question.
pub struct Kept<Q, A> {
    answers: RefCell<HashMap<Q, (Guard, A)>>,
    /// How often one was still good.
    good: Cell<usize>,
}

impl<Q, A> Default for Kept<Q, A> {
    fn default() -> Self {
        Kept { answers: RefCell::default(), good: Cell::new(0) }
    }
}

impl<Q: Eq + Hash, A: Clone + PartialEq + Debug> Kept<Q, A> {
    /// The answer that may be given again.
    pub fn good(&self, world: &World, question: &Q) -> Option<A> {
        let answers = self.answers.borrow();
        let (Guard { slot, generation }, answer) = answers.get(question)?;
        let word = world.generation_words().get(*slot as usize).expect("a word of the page");
        let is_good = word.load(Ordering::SeqCst) == *generation;
        self.good.set(self.good.get() + usize::from(is_good));
        is_good.then(|| answer.clone())
    }

    /// Keeps an answer, if it may be kept.
    pub fn keep(&self, question: Q, Guarded { answer, guard }: Guarded<A>) -> A {
        let mut answers = self.answers.borrow_mut();
        answers.remove(&question);
        if let Some(guard) = guard {
            answers.insert(question, (guard, answer.clone()));
        }
        answer
    }

    /// Keeps a new answer, which must be the same as one that may be given again.
    pub fn check(&self, world: &World, question: Q, told: Guarded<A>) -> A {
        if let Some(kept) = self.good(world, &question) {
            assert_eq!(kept, told.answer, "an answer that could have been given again");
        }
        self.keep(question, told)
    }

    /// Forgets the answers to some questions.
    pub fn forget(&self, which: impl Fn(&Q) -> bool) {
        self.answers.borrow_mut().retain(|question, _| !which(question));
    }

    /// How often an answer could have been given again.
    pub fn count(&self) -> usize {
        self.good.get()
    }
}
