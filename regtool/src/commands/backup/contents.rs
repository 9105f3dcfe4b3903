//! What a stream holds, looked at while it passes.

use std::fmt;
use std::io;

use libreg::backup::{
    Checker, Decoder, Header, Layer, MAX_RECORD, Problem, Record, StreamError, Summary, Unsound,
};
use libreg::security::Sid;
use libreg::{BASE_LAYER, fold};
use serde_json::{Value as Json, json};

use crate::output;

/// Reads a stream, remembers what there is to say of it, and finds what is wrong with it.
pub struct Reader {
    decoder: Decoder,
    checker: Checker,
    /// What the checker found first.
    unsound: Option<Wrong>,
    counts: Counts,
    header: Option<Header>,
    layers: Vec<Layer>,
}

/// How much of each there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    records: u64,
    keys: u64,
    path_entries: u64,
    values: u64,
    blankets: u64,
}

/// What is wrong with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It is damaged, or no backup at all.
    Stream(StreamError),
    /// The record that begins at this byte contradicts those before it.
    Unsound(u64, Unsound),
}

/// What a whole stream holds.
pub struct Contents {
    header: Header,
    /// The layers that it uses.
    pub layers: Vec<Layer>,
    counts: Counts,
    summary: Summary,
    /// Why it cannot be restored, if it cannot.
    pub unsound: Option<Wrong>,
}

impl Reader {
    /// At the start of a stream.
    pub fn new() -> Reader {
        Reader {
            decoder: Decoder::new(MAX_RECORD),
            checker: Checker::new(None),
            unsound: None,
            counts: Counts::default(),
            header: None,
            layers: Vec::new(),
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// The stream is damaged. That it contradicts itself [`Reader::unsound`] says.
    pub fn take(&mut self, piece: &[u8]) -> Result<(), Wrong> {
        let mut items = Vec::new();
        self.decoder.push(piece);
        loop {
            let start = self.decoder.offset();
            let Some(record) = self.decoder.next().map_err(Wrong::Stream)? else { return Ok(()) };
            self.note(&record);
            if self.unsound.is_none() {
                let outcome = self.checker.take(record, &mut items);
                self.unsound = outcome.err().map(|unsound| Wrong::Unsound(start, unsound));
                items.clear();
            }
        }
    }

    fn note(&mut self, record: &Record) {
        let counts = &mut self.counts;
        counts.records += 1;
        match record {
            Record::Header(header) => self.header = Some(header.clone()),
            Record::Layer(layer) => self.layers.push(layer.clone()),
            Record::Key(_) => counts.keys += 1,
            Record::PathEntry(_) => counts.path_entries += 1,
            Record::Value(_) => counts.values += 1,
            Record::Blanket(_) => counts.blankets += 1,
            Record::Unknown { .. } => {}
        }
    }

    /// Why the stream cannot be restored, as far as it has come.
    pub fn unsound(&self) -> Option<Wrong> {
        self.unsound
    }

    /// How many bytes of it are in whole records.
    pub fn bytes(&self) -> u64 {
        self.decoder.offset()
    }

    /// How many records it has so far.
    pub fn records(&self) -> u64 {
        self.counts.records
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// It is damaged.
    pub fn finish(self) -> Result<Contents, Wrong> {
        let end = self.decoder.offset();
        let summary = self.decoder.finish().map_err(Wrong::Stream)?;
        let missing = || self.checker.finish().err().map(|unsound| Wrong::Unsound(end, unsound));
        let unsound = self.unsound.or_else(missing);
        // Every whole stream begins with one.
        let none = StreamError { offset: 0, problem: Problem::NotABackup };
        let header = self.header.ok_or(Wrong::Stream(none))?;
        Ok(Contents { header, layers: self.layers, counts: self.counts, summary, unsound })
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Stream(error) => error.fmt(f),
            Wrong::Unsound(offset, unsound) => write!(f, "at byte {offset}: {unsound}"),
        }
    }
}

impl From<Wrong> for io::Error {
    fn from(wrong: Wrong) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, wrong.to_string())
    }
}

impl fmt::Display for Contents {
    /// `12 keys and 34 values in 2 layers, 5678 bytes`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { keys, values, .. } = self.counts;
        let layers = self.layers.len() as u64;
        write!(
            f,
            "{} and {} in {}, {}",
            counted(keys, "key"),
            counted(values, "value"),
            counted(layers, "layer"),
            counted(self.summary.bytes, "byte")
        )
    }
}

/// `1 key`, `2 keys`
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl Contents {
    /// For people, one thing a line.
    pub fn lines(&self) -> [(&'static str, String); 7] {
        let layers: Vec<_> = self.layers.iter().map(layer_in_words).collect();
        [
            ("Hive", output::one_line(&self.header.hive).into_owned()),
            ("Time", output::time(self.header.time)),
            ("Keys", self.counts.keys.to_string()),
            ("Values", self.counts.values.to_string()),
            ("Layers", layers.join(", ")),
            ("Size", counted(self.summary.bytes, "byte")),
            ("SHA-256", self.sha256()),
        ]
    }

    /// For programs.
    pub fn json(&self) -> Json {
        json!({
            "hive": self.header.hive,
            "root": self.header.root.to_string(),
            "time": output::time(self.header.time),
            "bytes": self.summary.bytes,
            "records": self.summary.records,
            "keys": self.counts.keys,
            "path_entries": self.counts.path_entries,
            "values": self.counts.values,
            "blankets": self.counts.blankets,
            "layers": self.layers.iter().map(layer_json).collect::<Vec<_>>(),
            "sha256": self.sha256(),
        })
    }

    /// The hash in the stream's TRAILER.
    fn sha256(&self) -> String {
        self.summary.sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn layer_in_words(layer: &Layer) -> String {
    let name = output::one_line(&layer.name);
    let disabled = if layer.enabled { "" } else { ", disabled" };
    match layer.precedence {
        _ if fold(&layer.name) == BASE_LAYER => name.into_owned(),
        precedence => format!("{name} (precedence {precedence}{disabled})"),
    }
}

fn layer_json(layer: &Layer) -> Json {
    json!({
        "name": layer.name,
        "precedence": layer.precedence,
        "enabled": layer.enabled,
        "owner": Sid::from_bytes(&layer.owner).ok().map(|sid| sid.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use libreg::Guid;
    use libreg::backup::{Encoder, KeyRecord, Value};

    const ROOT: Guid = Guid([1; 16]);

    fn stream() -> Vec<u8> {
        let layer = |name: &str, precedence, enabled| {
            let mut owner = Vec::new();
            Sid::SYSTEM.write(&mut owner);
            Record::Layer(Layer { name: name.to_owned(), precedence, enabled, owner })
        };
        let records = [
            Record::Header(Header { time: 0, root: ROOT, hive: "Machine".to_owned() }),
            layer("base", 0, true),
            layer("trial", 7, false),
            Record::Key(KeyRecord {
                key: ROOT,
                volatile: false,
                link: false,
                sd: Vec::new(),
                last_write: 0,
            }),
            Record::Value(Value {
                key: ROOT,
                name: "v".to_owned(),
                value_type: 1,
                data: b"x".to_vec(),
                layer: "trial".to_owned(),
                sequence: 3,
            }),
        ];
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new();
        records.iter().for_each(|record| encoder.record(record, &mut bytes));
        encoder.finish(&mut bytes);
        bytes
    }

    fn contents(bytes: &[u8]) -> Result<Contents, Wrong> {
        let mut reader = Reader::new();
        for piece in bytes.chunks(7) {
            reader.take(piece)?;
        }
        reader.finish()
    }

    #[test]
    fn what_a_stream_holds_is_told() {
        let bytes = stream();
        let contents = contents(&bytes).unwrap();
        assert_eq!(
            contents.to_string(),
            format!("1 key and 1 value in 2 layers, {} bytes", bytes.len())
        );
        let lines = contents.lines();
        assert_eq!(lines[0], ("Hive", "Machine".to_owned()));
        assert_eq!(lines[1], ("Time", "1970-01-01T00:00:00.000000000Z".to_owned()));
        assert_eq!(lines[4], ("Layers", "base, trial (precedence 7, disabled)".to_owned()));
        let json = contents.json();
        assert_eq!(json["records"], json!(6));
        assert_eq!(json["layers"][1]["enabled"], json!(false));
        assert_eq!(json["layers"][1]["owner"], json!("S-1-5-18"));
        assert_eq!(json["sha256"].as_str().map(str::len), Some(64));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let mut bytes = stream();
        let end = bytes.len();
        let error = contents(&bytes[..end - 1]).err().unwrap();
        assert!(matches!(error, Wrong::Stream(StreamError { problem: Problem::Truncated, .. })));
        assert_eq!(error.to_string(), format!("at byte {}: the backup ends too early", end - 46));
        bytes[end - 1] ^= 1;
        let error = io::Error::from(contents(&bytes).err().unwrap());
        assert!(error.to_string().contains("checksum"), "{error}");
    }
}
