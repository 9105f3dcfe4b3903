//! Which steps were carried out: the highest sequence number, and the last steps' first numbers.

use super::both::{Home, Working};
use super::rows::{self, Kind, LedgerRow};
use crate::Error;
use crate::store::Rows;

/// How many steps are remembered for [`lcs_abi::rsi::Request::Outcome`].
pub(super) const SLOTS: u64 = 8192;

/// What the rows of the kinds ledger and step say, with the steps of a commit under way beside it.
#[derive(Default)]
pub(super) struct Ledger {
    row: LedgerRow,
    /// The first sequence numbers of the last steps, by slot.
    slots: Vec<u64>,
    /// Those of the steps in the commit under way, in order, and the highest number they reserve.
    pending: Vec<u64>,
    pending_max: u64,
}

impl Ledger {
    pub(super) fn read(rows: &dyn Rows) -> Result<Self, Error> {
        let key = rows::single(Kind::Ledger);
        let Some(value) = rows.get(&key)? else {
            return Ok(Ledger::default());
        };
        let row: LedgerRow = rows::decode(&key, &value)?;
        let mut slots = Vec::new();
        let prefix = rows::single(Kind::Step);
        rows.scan(&prefix, &prefix, &mut |key, value| {
            let first =
                value.try_into().map_err(|_| Error::corrupt(key, "not a sequence number"))?;
            slots.push(u64::from_le_bytes(first));
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        if slots.len() as u64 != row.steps.min(SLOTS) {
            return Err(Error::corrupt(&key, "there are more or fewer steps than it says"));
        }
        Ok(Ledger { row, slots, pending: Vec::new(), pending_max: 0 })
    }

    pub(super) fn max_sequence(&self) -> u64 {
        self.row.max_sequence
    }

    pub(super) fn commits(&self) -> u64 {
        self.row.commits
    }

    /// Whether the step took effect, also if it did so in the commit under way.
    pub(super) fn knows(&self, first_sequence: u64) -> bool {
        self.pending.contains(&first_sequence) || self.slots.contains(&first_sequence)
    }

    /// The step took effect in the commit under way.
    pub(super) fn add(&mut self, first_sequence: u64, last_sequence: u64) {
        self.pending.push(first_sequence);
        self.pending_max = self.pending_max.max(last_sequence);
    }

    /// Writes the steps of the commit under way into it.
    pub(super) fn write(&self, rows: &mut Working) -> Result<(), Error> {
        for (&first, slot) in self.pending.iter().zip(self.row.steps..) {
            let row = rows::step((slot % SLOTS) as u16);
            rows.put(Home::Store, &row, &first.to_le_bytes())?;
        }
        let row = lcs_abi::encode(&self.row_after());
        rows.put(Home::Store, &rows::single(Kind::Ledger), &row)?;
        Ok(())
    }

    fn row_after(&self) -> LedgerRow {
        LedgerRow {
            max_sequence: self.row.max_sequence.max(self.pending_max),
            steps: self.row.steps + self.pending.len() as u64,
            commits: self.row.commits + 1,
        }
    }

    /// The commit under way happened.
    pub(super) fn committed(&mut self) {
        let row = self.row_after();
        for (first, slot) in self.pending.drain(..).zip(self.row.steps..) {
            match self.slots.get_mut((slot % SLOTS) as usize) {
                Some(slot) => *slot = first,
                None => self.slots.push(first),
            }
        }
        self.row = row;
        self.pending_max = 0;
    }

    /// The commit under way did not happen.
    pub(super) fn forget(&mut self) {
        self.pending.clear();
        self.pending_max = 0;
    }
}
