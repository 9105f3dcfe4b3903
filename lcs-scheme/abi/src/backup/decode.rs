//! Reads a stream, and believes none of it.

use alloc::string::String;
use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use super::{
    Blanket, FLAG_LINK, FLAG_VOLATILE, FORMAT_VERSION, HASH, Header, Key, Layer, MAGIC, PathEntry,
    Problem, RECORD_HEADER, Record, StreamError, Summary, Value, record_type,
};
use crate::Guid;

/// Reads a stream that comes in pieces of any size.
///
/// [`Decoder::push`] takes a piece, then [`Decoder::next`] is called until it has no more records in what was
/// pushed, then comes the next piece; at the end of the input [`Decoder::finish`] says whether the stream was
/// whole. Only its `Ok` says so: before it, any record may turn out to be part of a damaged stream.
///
/// A record is given once it has arrived completely. Beside it the decoder holds a part of the next one and
/// the pieces that were pushed since, so what it takes is bounded by the longest record and what its user
/// pushes at once. An error is final.
pub struct Decoder {
    /// The longest record that is taken, in bytes.
    max_record: usize,
    /// What was pushed; up to `taken` it has been given as records.
    buffer: Vec<u8>,
    taken: usize,
    /// Where in the stream the next record begins.
    offset: u64,
    /// Records before it.
    records: u64,
    /// Of all bytes before it.
    hash: Sha256,
    state: State,
}

enum State {
    /// In the middle of the stream.
    Reading,
    /// After a TRAILER that is right.
    Whole(Summary),
    Failed(StreamError),
}

impl Decoder {
    /// A decoder at the start of a stream. A record longer than `max_record` bytes is an error.
    pub fn new(max_record: usize) -> Decoder {
        Decoder {
            max_record,
            buffer: Vec::new(),
            taken: 0,
            offset: 0,
            records: 0,
            hash: Sha256::new(),
            state: State::Reading,
        }
    }

    /// Takes the next piece of the stream.
    pub fn push(&mut self, piece: &[u8]) {
        match self.state {
            State::Failed(_) => return,
            State::Whole(_) if !piece.is_empty() => {
                self.fail(Problem::AfterTrailer);
                return;
            }
            _ => {}
        }
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let needed = self.buffer.len() + piece.len();
        if needed > self.buffer.capacity() {
            // Twice as much each time, so that small pieces cost little; but never more than can be needed.
            let roomy = self.buffer.capacity().saturating_mul(2).min(self.max_record);
            self.buffer.reserve_exact(needed.max(roomy) - self.buffer.len());
        }
        self.buffer.extend_from_slice(piece);
    }

    /// The next record; `None` if more of the stream is needed for it, or if the stream is whole.
    ///
    /// # Errors
    /// The stream is not what it must be. It stays so.
    #[expect(clippy::should_implement_trait, reason = "None is not the end")]
    pub fn next(&mut self) -> Result<Option<Record>, StreamError> {
        if let State::Failed(error) = self.state {
            return Err(error);
        }
        let record = match self.state {
            State::Reading => self.take().map_err(|problem| self.fail(problem))?,
            _ => None,
        };
        if self.is_whole() && self.taken < self.buffer.len() {
            return Err(self.fail(Problem::AfterTrailer));
        }
        Ok(record)
    }

    /// Whether the TRAILER has been read, and was right.
    pub fn is_whole(&self) -> bool {
        matches!(self.state, State::Whole(_))
    }

    /// How much it holds of what was pushed, in bytes.
    pub fn buffered(&self) -> usize {
        self.buffer.capacity()
    }

    /// Where in the stream the next record begins, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The end of the input: what the stream amounts to.
    ///
    /// # Errors
    /// It ended too early, something follows its TRAILER, or it had failed before.
    pub fn finish(mut self) -> Result<Summary, StreamError> {
        while self.next()?.is_some() {}
        match self.state {
            State::Whole(summary) => Ok(summary),
            _ => Err(self.fail(Problem::Truncated)),
        }
    }

    /// The next record, as [`Decoder::next`] gives it, in the middle of the stream.
    fn take(&mut self) -> Result<Option<Record>, Problem> {
        let rest = &self.buffer[self.taken..];
        let Some((head, _)) = rest.split_first_chunk::<RECORD_HEADER>() else { return Ok(None) };
        let [type_0, type_1, length @ ..] = *head;
        let code = u16::from_le_bytes([type_0, type_1]);
        let said = u32::from_le_bytes(length);
        // Before the length is believed: a file of another kind is said to be one, whatever length it has there.
        match (self.records, code) {
            (0, record_type::HEADER) => {}
            (0, _) => return Err(Problem::NotABackup),
            (_, record_type::HEADER) => return Err(Problem::SecondHeader),
            _ => {}
        }
        let length = usize::try_from(said).unwrap_or(usize::MAX);
        if length < RECORD_HEADER {
            return Err(Problem::LengthTooSmall { length: said });
        }
        if length > self.max_record {
            return Err(Problem::LengthTooLarge { length: said, max: self.max_record });
        }
        let Some(record) = rest.get(..length) else { return Ok(None) };
        let mut fields = Fields { record_type: code, rest: &record[RECORD_HEADER..] };
        if code == record_type::TRAILER {
            let stated = fields.u64()?;
            let stated_hash: [u8; HASH] = fields.array()?;
            fields.end()?;
            self.hash.update(&record[..length - HASH]);
            let sha256: [u8; HASH] = self.hash.finalize_reset().into();
            // The hash first: it knows of damage, the count only of a writer's mistake.
            if sha256 != stated_hash {
                return Err(Problem::WrongHash);
            }
            let counted = self.records + 1;
            if stated != counted {
                return Err(Problem::WrongCount { stated, counted });
            }
            self.advance(length);
            self.state =
                State::Whole(Summary { records: self.records, bytes: self.offset, sha256 });
            return Ok(None);
        }
        let decoded = fields.record()?;
        self.hash.update(record);
        self.advance(length);
        Ok(Some(decoded))
    }

    fn advance(&mut self, length: usize) {
        self.taken += length;
        self.offset += length as u64;
        self.records += 1;
    }

    /// Fails at the record that would be next, and forgets what was pushed.
    fn fail(&mut self, problem: Problem) -> StreamError {
        let error = StreamError { offset: self.offset, problem };
        self.state = State::Failed(error);
        self.buffer = Vec::new();
        self.taken = 0;
        error
    }
}

/// The fields of a record that have not been read.
struct Fields<'a> {
    record_type: u16,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// All of them, as a record that is no TRAILER.
    fn record(mut self) -> Result<Record, Problem> {
        let record = match self.record_type {
            record_type::HEADER => Record::Header(self.header()?),
            record_type::LAYER => Record::Layer(Layer {
                name: self.string()?,
                precedence: self.u32()?,
                enabled: match self.array()? {
                    [0] => false,
                    [1] => true,
                    [enabled] => return Err(Problem::BadEnabled { enabled }),
                },
                owner: self.bytes()?.into(),
            }),
            record_type::KEY => {
                let key = self.guid()?;
                let flags = self.u32()?;
                if flags & !(FLAG_VOLATILE | FLAG_LINK) != 0 {
                    return Err(Problem::BadFlags { flags });
                }
                Record::Key(Key {
                    key,
                    volatile: flags & FLAG_VOLATILE != 0,
                    link: flags & FLAG_LINK != 0,
                    sd: self.bytes()?.into(),
                    last_write: self.i64()?,
                })
            }
            record_type::PATH_ENTRY => Record::PathEntry(PathEntry {
                parent: self.guid()?,
                name: self.string()?,
                child: Some(self.guid()?).filter(|child| *child != Guid::default()),
                layer: self.string()?,
                sequence: self.u64()?,
            }),
            record_type::VALUE => Record::Value(Value {
                key: self.guid()?,
                name: self.string()?,
                value_type: self.u32()?,
                data: self.bytes()?.into(),
                layer: self.string()?,
                sequence: self.u64()?,
            }),
            record_type::BLANKET => Record::Blanket(Blanket {
                key: self.guid()?,
                layer: self.string()?,
                sequence: self.u64()?,
            }),
            record_type => {
                let payload = core::mem::take(&mut self.rest).into();
                Record::Unknown { record_type, payload }
            }
        };
        self.end()?;
        Ok(record)
    }

    fn header(&mut self) -> Result<Header, Problem> {
        if !self.rest.starts_with(&MAGIC) {
            return Err(Problem::NotABackup);
        }
        let _magic: [u8; MAGIC.len()] = self.array()?;
        // A later version that this one can read says so by the minimum alone.
        let _version = self.u32()?;
        let minimum = self.u32()?;
        if minimum > FORMAT_VERSION {
            return Err(Problem::TooNew { minimum });
        }
        Ok(Header { time: self.i64()?, root: self.guid()?, hive: self.string()? })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(self.too_long())?;
        self.rest = rest;
        Ok(*array)
    }

    fn u32(&mut self) -> Result<u32, Problem> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Problem> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Result<i64, Problem> {
        self.array().map(i64::from_le_bytes)
    }

    fn guid(&mut self) -> Result<Guid, Problem> {
        self.array().map(Guid)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Problem> {
        let length = usize::try_from(self.u32()?).map_err(|_| self.too_long())?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(self.too_long())?;
        self.rest = rest;
        Ok(bytes)
    }

    fn string(&mut self) -> Result<String, Problem> {
        let text = core::str::from_utf8(self.bytes()?);
        let not_utf8 = Problem::NotUtf8 { record_type: self.record_type };
        text.map(String::from).map_err(|_| not_utf8)
    }

    fn end(&self) -> Result<(), Problem> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(Problem::Excess { record_type: self.record_type })
    }

    fn too_long(&self) -> Problem {
        Problem::FieldTooLong { record_type: self.record_type }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::backup::Encoder;

    /// A stream whose second record has this length, of which so many bytes are there.
    fn stream(length: u32, there: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let header = Header { time: 0, root: Guid([1; 16]), hive: "Machine".into() };
        Encoder::new().record(&Record::Header(header), &mut bytes);
        bytes.extend_from_slice(&record_type::VALUE.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.resize(bytes.len() + there, 0);
        bytes
    }

    proptest! {
        #[test]
        fn no_more_is_held_than_a_record_and_a_piece(
            length in any::<u32>(),
            noise in vec(any::<u8>(), 0..5000),
            there in 0_usize..5000,
            size in 1_usize..3000,
        ) {
            const MAX: usize = 2000;
            let mut bytes = stream(length, there);
            bytes.extend_from_slice(&noise);
            let mut decoder = Decoder::new(MAX);
            for piece in bytes.chunks(size) {
                decoder.push(piece);
                prop_assert!(decoder.buffer.capacity() <= MAX + size);
                while let Ok(Some(_)) = decoder.next() {}
            }
            prop_assert!(decoder.finish().is_err());
        }
    }

    #[test]
    fn a_record_that_comes_in_small_pieces_is_moved_few_times() {
        let mut decoder = Decoder::new(1 << 20);
        let mut grown = 0;
        for piece in stream(1 << 20, (1 << 20) - RECORD_HEADER).chunks(64) {
            let before = decoder.buffer.capacity();
            decoder.push(piece);
            grown += usize::from(decoder.buffer.capacity() > before);
            while let Ok(Some(_)) = decoder.next() {}
        }
        assert!(grown < 20, "{grown} times");
        assert!(decoder.buffer.capacity() <= 1 << 20);
    }
}
