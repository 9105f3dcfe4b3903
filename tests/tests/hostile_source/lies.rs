//! All that a source can say and that is not so.

use lcs_abi::Guid;
use lcs_abi::rsi::{
    Answer, BlanketEntry, ClaimedHive, FOLD_VERSION, FRAME_OVERHEAD, FromSource, Name, PathEntry,
    RSI_VERSION, RegisteredHive, Request, RequestHeader, SourceError, Target, ValueEntry, frame,
};
use registry_tests::dice::Dice;
use registry_tests::puppet::{Decision, Truth};

/// Of this many requests one is not answered, one breaks the protocol, and half are answered truthfully.
const SILENT: u64 = 150;
const BREAKING: u64 = 40;

/// How many pages a listing has that goes on and on.
const ENDLESS: u64 = 300;

/// A liar.
pub struct Liar {
    dice: Dice,
    /// Requests that were not answered yet.
    withheld: Vec<u64>,
    /// How many more pages of a listing follow, all of them new.
    pages: u64,
    page: u64,
}

impl Liar {
    /// One that these dice drive.
    pub fn new(dice: Dice) -> Liar {
        Liar { dice, withheld: Vec::new(), pages: 0, page: 0 }
    }

    /// What to do with a request.
    pub fn decide(&mut self, header: RequestHeader, request: &Request) -> Decision {
        if self.dice.below(SILENT) == 0 {
            self.withheld.push(header.id);
            return Decision::Silence;
        }
        if self.dice.below(BREAKING) == 0 {
            return self.break_protocol(header);
        }
        let number = self.dice.below(1 << 30);
        let mut dice = self.dice.for_number(number);
        let late = (self.dice.below(8) == 0).then(|| self.withheld.pop()).flatten();
        let endless = self.endless(request);
        Decision::Bent(Box::new(move |truth| {
            let told = match endless {
                Some(page) => Ok(page),
                None if dice.below(2) == 0 => truth,
                None => lie(&mut dice, truth),
            };
            let mut writes = vec![answer(header.id, told)];
            // Of an operation that was given up long ago.
            writes.extend(late.map(|id| answer(id, Err(SourceError::StorageError))));
            writes
        }))
    }

    /// The next page of a listing without an end, if it is the time for one.
    fn endless(&mut self, request: &Request) -> Option<Answer> {
        if self.pages == 0 && self.dice.below(30) == 0 {
            self.pages = self.dice.below(ENDLESS);
        }
        self.pages = self.pages.checked_sub(1)?;
        self.page += 1;
        let name = |number: u64| name(&format!("z{:09}{number:03}", self.page));
        let data = vec![7; if self.dice.below(2) == 0 { 1 << 20 } else { 1 }];
        match request {
            Request::EnumChildren { parent, .. } => {
                let entry = |number| PathEntry {
                    parent: *parent,
                    name: name(number),
                    layer: base(),
                    target: Target::Hidden,
                    sequence: 1,
                };
                let entries = (0..500).map(entry).collect();
                Some(Answer::Entries { entries, keys: Vec::new(), more: true })
            }
            Request::QueryValue { key, name: asked, .. } => {
                let asked = Name { display: asked.clone(), folded: asked.clone() };
                let entry = |number| ValueEntry {
                    key: *key,
                    name: asked.clone(),
                    layer: name(number),
                    value_type: 3,
                    data: data.clone(),
                    sequence: 1,
                };
                let entries = (0..4).map(entry).collect();
                Some(Answer::Values { entries, blankets: Vec::new(), more: true })
            }
            Request::QueryValues { key, .. } => {
                let entry = |number| ValueEntry {
                    key: *key,
                    name: name(number),
                    layer: base(),
                    value_type: 0xFFFF,
                    data: Vec::new(),
                    sequence: 1,
                };
                let entries = (0..500).map(entry).collect();
                Some(Answer::Values { entries, blankets: Vec::new(), more: true })
            }
            _ => None,
        }
    }

    /// Something after which LCS can only end the connection, or the end itself.
    fn break_protocol(&mut self, header: RequestHeader) -> Decision {
        let done = |id| answer(id, Ok(Answer::Done));
        let refused = answer(header.id, Err(SourceError::Busy));
        let (version, fold_version) = (RSI_VERSION, FOLD_VERSION);
        let evil = ClaimedHive { name: "Evil".into(), scope: None };
        let hives = vec![RegisteredHive { root: Guid([9; 16]), max_sequence: u64::MAX }];
        Decision::Bytes(match self.dice.below(12) {
            0 => [refused.clone(), refused].concat(),
            1 => answer(header.id, Ok(Answer::Copied { number: 3 })),
            2 => done(header.id + 1),
            3 => done(header.id.wrapping_sub(1)),
            4 => done(u64::MAX),
            5 => rubbish(&mut self.dice),
            6 => refused[..refused.len() - 1].to_vec(),
            7 => (FRAME_OVERHEAD * 2).to_le_bytes().repeat(3),
            8 => frame(&FromSource::Register {
                hives,
                assigns_sequences: true,
                recovered: Vec::new(),
            }),
            9 => frame(&FromSource::Claim { version, fold_version, hives: vec![evil] }),
            10 => frame(&FromSource::Invalidate { hive: 99, keys: None }),
            11 if self.dice.below(2) == 0 => frame(&FromSource::Unregister),
            _ => return Decision::Stop,
        })
    }
}

fn answer(id: u64, result: Truth) -> Vec<u8> {
    frame(&FromSource::Answer { id, result })
}

/// A frame without a meaning.
fn rubbish(dice: &mut Dice) -> Vec<u8> {
    let length = dice.below(200) as u32;
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend((0..length).map(|_| dice.below(256) as u8));
    bytes
}

fn name(text: &str) -> Name {
    Name { display: text.into(), folded: text.into() }
}

fn base() -> Name {
    name("base")
}

/// No name that anything can have, or not that of anything here.
fn other_name(dice: &mut Dice) -> Name {
    match dice.below(8) {
        0 => name(""),
        1 => name("a\\b"),
        2 => name("a/b"),
        3 => name("a\0b"),
        4 => name(&"n".repeat(1 << 16)),
        5 => name("UPPER"),
        6 => Name { display: "one".into(), folded: "another".into() },
        _ => name("other"),
    }
}

/// A number that was never given out, or somebody else's.
fn other_sequence(dice: &mut Dice) -> u64 {
    let numbers = [0, 1, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, u64::MAX];
    numbers[dice.below(numbers.len() as u64) as usize]
}

/// A descriptor that no key can have.
fn other_sd(dice: &mut Dice) -> Vec<u8> {
    match dice.below(4) {
        0 => Vec::new(),
        1 => (0..dice.below(60)).map(|_| dice.below(256) as u8).collect(),
        // Self-relative, with neither owner nor group nor DACL.
        2 => [&[1, 0, 0, 0x80][..], &[0; 16]].concat(),
        // Offsets beyond the end.
        _ => [&[1, 0, 4, 0x80][..], &[0xF0; 16]].concat(),
    }
}

fn lie(dice: &mut Dice, truth: Truth) -> Truth {
    if dice.below(10) == 0 {
        let errors = [
            SourceError::NotFound,
            SourceError::AlreadyExists,
            SourceError::StorageError,
            SourceError::TooLarge,
            SourceError::Invalid,
            SourceError::ConditionFailed(u32::MAX),
            SourceError::NotSupported,
            SourceError::Busy,
        ];
        return Err(errors[dice.below(errors.len() as u64) as usize]);
    }
    let mut told = truth?;
    match &mut told {
        Answer::Entries { entries, keys, more } => {
            bend_list(dice, entries, more, |dice, entry| match dice.below(6) {
                0 => entry.parent = Guid([7; 16]),
                1 => entry.name = other_name(dice),
                2 => entry.layer = other_name(dice),
                3 => entry.target = Target::Hidden,
                4 => entry.target = Target::Key(Guid([7; 16])),
                _ => entry.sequence = other_sequence(dice),
            });
            let of_all = dice.below(keys.len() as u64 + 1) as usize;
            if let Some(record) = keys.get_mut(of_all) {
                match dice.below(5) {
                    0 => record.sd = other_sd(dice),
                    1 => record.key = record.parent,
                    2 => record.parent = record.key,
                    3 => record.name = other_name(dice),
                    _ => record.link = !record.link,
                }
            } else if dice.below(3) == 0 {
                keys.clear();
            }
        }
        Answer::Values { entries, blankets, more } => {
            bend_list(dice, entries, more, |dice, entry| match dice.below(6) {
                0 => entry.key = Guid([7; 16]),
                1 => entry.name = other_name(dice),
                2 => entry.layer = other_name(dice),
                3 => entry.value_type = [12, 0xFFFF, u32::MAX][dice.below(3) as usize],
                // More than MaxValueSize, and as much as a frame takes.
                4 => entry.data = vec![1; (FRAME_OVERHEAD as usize) + (1 << 19)],
                _ => entry.sequence = other_sequence(dice),
            });
            if let Some(ValueEntry { key, sequence, .. }) = entries.first()
                && dice.below(8) == 0
            {
                blankets.push(BlanketEntry { key: *key, layer: base(), sequence: *sequence });
            }
        }
        Answer::Key(record) => match dice.below(4) {
            0 => record.sd = other_sd(dice),
            1 => record.key = Guid([7; 16]),
            2 => record.parent = record.key,
            _ => record.name = other_name(dice),
        },
        Answer::Applied { first_sequence } => *first_sequence = Some(other_sequence(dice)),
        Answer::Outcome { took_effect } => *took_effect = !*took_effect,
        Answer::Orphans(keys) => keys.push(Guid([7; 16])),
        Answer::Snapshot { snapshot } => *snapshot = u64::MAX,
        Answer::Copied { number } => *number = u32::MAX,
        Answer::Layer { .. } | Answer::Done => {}
    }
    Ok(told)
}

/// Bends one entry of a list, or the list.
fn bend_list<T: Clone>(
    dice: &mut Dice,
    entries: &mut Vec<T>,
    more: &mut bool,
    bend: impl FnOnce(&mut Dice, &mut T),
) {
    match dice.below(8) {
        0 => entries.reverse(),
        1 => *more = true,
        2 => {
            entries.clear();
            *more = true;
        }
        3 => entries.extend(entries.clone()),
        _ => {
            let which = dice.below(entries.len().max(1) as u64) as usize;
            if let Some(entry) = entries.get_mut(which) {
                bend(dice, entry);
            }
        }
    }
}
