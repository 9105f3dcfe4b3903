//! One case after the other, given to both.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use proptest::test_runner::{TestCaseError, TestCaseResult};

use crate::cases::Case;
use crate::judge::{Answers, Judge, Outcome, Questions};
use crate::texts::{Rewritten, TextDifference, sayable, without_null_lists};
use crate::verdicts::{Translated, VerdictDifference};

/// What cases are tried with, and what was seen of them.
pub struct Trial {
    judge: RefCell<Judge>,
    tally: RefCell<Tally>,
    failed_at: Cell<Option<u64>>,
}

/// How often what was seen.
#[derive(Debug, Default)]
pub struct Tally {
    pub cases: u64,
    pub granted: u64,
    pub denied: u64,
    /// Where nothing but this difference makes Samba's verdict another one than ours.
    pub verdicts: BTreeMap<VerdictDifference, u64>,
    /// Where nothing but this difference makes Samba refuse, or misunderstand, our text.
    pub texts: BTreeMap<TextDifference, u64>,
}

impl Trial {
    pub fn before(judge: Judge) -> Trial {
        let judge = RefCell::new(judge);
        Trial { judge, tally: RefCell::default(), failed_at: Cell::default() }
    }

    pub fn try_case(&self, case: &Case) -> TestCaseResult {
        let mut tally = self.tally.borrow_mut();
        tally.cases += 1;
        let result = tally.try_case(&mut self.judge.borrow_mut(), case);
        if result.is_err() && self.failed_at.get().is_none() {
            self.failed_at.set(Some(tally.cases));
        }
        result
    }

    /// The number of the first case that failed. Those after it are attempts at making it small.
    pub fn failed_at(&self) -> Option<u64> {
        self.failed_at.get()
    }

    pub fn into_tally(self) -> Tally {
        self.tally.into_inner()
    }
}

impl Tally {
    fn try_case(&mut self, judge: &mut Judge, case: &Case) -> TestCaseResult {
        let (translated, rewritten) = (Translated::from(case), Rewritten::from(&case.sd));
        let questions = Questions::by(&case.token)
            .check(case)
            .check(&translated.question)
            .read(&rewritten.original)
            .read(&rewritten.text)
            .describe(&case.sd);
        let answers = judge.ask(&questions).map_err(TestCaseError::fail)?;
        self.compare_verdicts(case, &translated, &answers)?;
        self.compare_readings(case, &rewritten, &answers)?;
        compare_descriptions(case, &answers)
    }

    fn compare_verdicts(
        &mut self,
        case: &Case,
        translated: &Translated,
        answers: &Answers,
    ) -> TestCaseResult {
        let &[untranslated, verdict] = &*answers.verdicts else {
            return Err(TestCaseError::fail("two verdicts were asked for"));
        };
        let ours = case.outcome();
        match ours {
            Outcome::Granted(_) => self.granted += 1,
            Outcome::Denied(_) => self.denied += 1,
            Outcome::Invalid => {}
        }
        let Translated { differences, question } = translated;
        if ours != translated.answer(verdict) {
            return Err(TestCaseError::fail(format!(
                "we say {ours:?}; Samba says {untranslated:?}, and {verdict:?} of {question:?} \
                 ({differences:?})"
            )));
        }
        if let (true, &[difference]) = (untranslated != ours, &**differences) {
            *self.verdicts.entry(difference).or_default() += 1;
        }
        Ok(())
    }

    fn compare_readings(
        &mut self,
        case: &Case,
        rewritten: &Rewritten,
        answers: &Answers,
    ) -> TestCaseResult {
        let [untranslated, reading] = &*answers.readings().collect::<Vec<_>>() else {
            return Err(TestCaseError::fail("two readings were asked for"));
        };
        let Rewritten { differences, original, text, meaning } = rewritten;
        if *reading != Some(Ok(sayable(meaning))) {
            return Err(TestCaseError::fail(format!(
                "Samba reads {text} as {reading:?}, and {original} as {untranslated:?} \
                 ({differences:?})"
            )));
        }
        let is_difference = *untranslated != Some(Ok(sayable(&case.sd)));
        if let (true, &[difference]) = (is_difference, &**differences) {
            *self.texts.entry(difference).or_default() += 1;
        }
        Ok(())
    }
}

/// What Samba makes of our bytes: the same bytes, and a text that means the same to us.
fn compare_descriptions(case: &Case, answers: &Answers) -> TestCaseResult {
    let sd = &case.sd;
    let &[(ref bytes, text)] = &*answers.described().collect::<Vec<_>>() else {
        return Err(TestCaseError::fail("one description was asked for"));
    };
    if *bytes != sd.to_bytes() {
        return Err(TestCaseError::fail(format!("Samba's bytes of {sd} are {bytes:02x?}")));
    }
    let read = text.parse();
    if read != Ok(sayable(&without_null_lists(sd))) {
        return Err(TestCaseError::fail(format!("we read {text} of {sd} as {read:?}")));
    }
    Ok(())
}
