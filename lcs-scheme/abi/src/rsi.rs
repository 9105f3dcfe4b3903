//! The registry source interface (RSI): LCS to a source and back, over a connection to `regsrc:`.
//!
//! A connection speaks frames: u32 little-endian length, then that many bytes of postcard. `read` gives
//! whole frames of LCS ([`ToSource`]), as many as fit; `write` takes one or more whole frames of the source
//! ([`FromSource`]). New frames, and frames that a read left behind, are told by an event (`fevent`). The
//! source claims its hives, opens and purges its files, registers, and from then on
//! answers requests, in any order: the first come before [`ToSource::Registered`], because LCS reads its own
//! configuration before it puts the hives in service. Steps of one hive take effect in the order sent.
//!
//! A source compares names by their folded spelling, byte for byte, and gives back the display spelling.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{Guid, Malformed};

/// Version of this interface.
pub const RSI_VERSION: u32 = 1;

/// The Unicode version whose simple case folding (C+S) folds names: 16.0.0.
pub const FOLD_VERSION: u32 = 0x10_0000;

/// What a frame may hold beyond one value of the largest size, in bytes.
pub const FRAME_OVERHEAD: u32 = 8 << 20;

/// A name in both spellings.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Name {
    /// As its creator wrote it.
    pub display: String,
    /// Folded, for comparison.
    pub folded: String,
}

/// A key object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Its identity.
    pub key: Guid,
    /// Its parent; the root's is its own.
    pub parent: Guid,
    /// Its name as created; the root's is the hive's name.
    pub name: Name,
    /// Its security descriptor, self-relative.
    #[serde(with = "serde_bytes")]
    pub sd: Vec<u8>,
    /// It lives in the source's memory only.
    pub volatile: bool,
    /// It is a link.
    pub link: bool,
    /// Last write, in nanoseconds since 1970 (UTC).
    pub last_write: i64,
}

/// What a path entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// The name leads to this key.
    Key(Guid),
    /// The name is hidden.
    Hidden,
}

/// A layer's entry for a name under a parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathEntry {
    /// The parent key.
    pub parent: Guid,
    /// The child's name.
    pub name: Name,
    /// The layer.
    pub layer: Name,
    /// What the entry says.
    pub target: Target,
    /// Its sequence number.
    pub sequence: u64,
}

/// A layer's entry for a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueEntry {
    /// The key.
    pub key: Guid,
    /// The value's name; empty for the default value.
    pub name: Name,
    /// The layer.
    pub layer: Name,
    /// The type's code, or [`crate::value::TOMBSTONE`].
    pub value_type: u32,
    /// The data.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
    /// Its sequence number.
    pub sequence: u64,
}

/// A [`Name`] where it is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameRef<'a> {
    /// As its creator wrote it.
    pub display: &'a str,
    /// Folded.
    pub folded: &'a str,
}

/// A [`ValueEntry`] where it is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueEntryRef<'a> {
    /// The key.
    pub key: Guid,
    /// The value's name.
    #[serde(borrow)]
    pub name: NameRef<'a>,
    /// The layer.
    #[serde(borrow)]
    pub layer: NameRef<'a>,
    /// The type's code, or [`crate::value::TOMBSTONE`].
    pub value_type: u32,
    /// The data.
    #[serde(with = "serde_bytes")]
    pub data: &'a [u8],
    /// Its sequence number.
    pub sequence: u64,
}

/// A [`BlanketEntry`] where it is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlanketEntryRef<'a> {
    /// The key.
    pub key: Guid,
    /// The layer.
    #[serde(borrow)]
    pub layer: NameRef<'a>,
    /// Its sequence number.
    pub sequence: u64,
}

/// A layer's tombstone for every value of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlanketEntry {
    /// The key.
    pub key: Guid,
    /// The layer.
    pub layer: Name,
    /// Its sequence number.
    pub sequence: u64,
}

/// A hive that a source claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedHive {
    /// The hive's name.
    pub name: String,
    /// The scope of a private hive.
    pub scope: Option<Guid>,
}

/// What a source says of a hive when it registers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredHive {
    /// The root key.
    pub root: Guid,
    /// The highest sequence number that any step carried out had reserved.
    pub max_sequence: u64,
}

/// A hive that its source found damaged and replaced before it registered it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// The hive's number in the claim.
    pub hive: u32,
    /// What was wrong with it.
    pub reason: String,
    /// Where the damaged hive is kept, as the source names it; `None`: there was none.
    pub set_aside: Option<String>,
    /// The automatic copy whose contents the hive has now; `None`: there was no good one, and it is empty.
    pub copy: Option<u32>,
}

/// A message of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromSource {
    /// First: which hives it will bring. Answered by [`ToSource::Claimed`] or [`ToSource::Refused`].
    Claim {
        /// [`RSI_VERSION`].
        version: u32,
        /// [`FOLD_VERSION`].
        fold_version: u32,
        /// The hives; their order numbers them.
        hives: Vec<ClaimedHive>,
    },
    /// Second, with its files open and its orphans purged. Answered by [`ToSource::Registered`] or
    /// [`ToSource::Refused`].
    Register {
        /// In the order of the claim.
        hives: Vec<RegisteredHive>,
        /// The source assigns sequence numbers itself, and tells them in [`Answer::Applied`].
        assigns_sequences: bool,
        /// The hives that were damaged and are what an automatic copy has, or empty; for the audit log.
        recovered: Vec<Recovery>,
    },
    /// Gives up its hives.
    Unregister,
    /// The answer to a request.
    Answer {
        /// The request's id.
        id: u64,
        /// What came of it.
        result: Result<Answer, SourceError>,
    },
    /// What LCS remembers of these keys is no longer so.
    Invalidate {
        /// The hive's number.
        hive: u32,
        /// The keys; `None` for all.
        keys: Option<Vec<Guid>>,
    },
}

/// Why LCS does not accept a claim or a registration. The connection ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Another version of this interface.
    Version,
    /// Names would be folded by another version of Unicode.
    FoldVersion,
    /// A name that no hive can have, the same hive twice, or the wrong number of hives. EINVAL
    Invalid,
    /// Another source has, or had, a hive of this name. EEXIST
    AlreadyExists,
    /// The hive that this source would resume has another root. ESTALE
    Stale,
    /// More sources than MaxRegisteredSources, or more hives than MaxHivesPerSource. ENOSPC
    TooMany,
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Refusal::Version => "LCS speaks another version of the source interface",
            Refusal::FoldVersion => "LCS folds names by another version of Unicode",
            Refusal::Invalid => "invalid claim or registration",
            Refusal::AlreadyExists => "another source holds a hive of this name",
            Refusal::Stale => "this hive was served before with another root",
            Refusal::TooMany => "too many sources or hives",
        })
    }
}

/// A message of LCS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToSource {
    /// The hives are the source's, to open.
    Claimed {
        /// [`RSI_VERSION`].
        version: u32,
        /// The longest frame that LCS takes, in bytes.
        max_frame: u32,
        /// MaxValueSize, in bytes.
        max_value_size: u32,
    },
    /// The hives are in service.
    Registered,
    /// The claim or registration is not accepted.
    Refused(Refusal),
    /// A request; the postcard of a [`Request`] follows in the same frame.
    Request(RequestHeader),
}

/// What precedes a [`Request`], so that one of an unknown kind can still be answered NotSupported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestHeader {
    /// Chosen by LCS; not in use by another request under way.
    pub id: u64,
    /// The hive's number in the claim.
    pub hive: u32,
    /// The snapshot to read from; `None` reads the newest committed state.
    pub snapshot: Option<u64>,
}

/// Where a listing of values goes on: after this name and layer, both folded, or after all of the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValuePosition {
    /// The name, folded.
    pub name: String,
    /// The layer, folded; `None`: after every layer's entry for the name.
    pub layer: Option<String>,
}

/// Where a listing of a layer goes on: after this entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LayerPosition {
    /// A path entry: parent and folded name.
    Entry(Guid, String),
    /// A value: key and folded name.
    Value(Guid, String),
    /// A blanket tombstone: key.
    Blanket(Guid),
}

/// What LCS asks of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// The entries of a name in all layers, in the order of the folded layers → [`Answer::Entries`].
    Lookup {
        /// The parent key.
        parent: Guid,
        /// The name, folded.
        name: String,
    },
    /// The same for all names, in the order of folded name and folded layer → [`Answer::Entries`]. The
    /// entries of one name are never split over two pages.
    EnumChildren {
        /// The parent key.
        parent: Guid,
        /// The folded name to go on after.
        after: Option<String>,
        /// About how large a page may be, in bytes; at least one name is in it.
        bytes: u32,
    },
    /// A key's record → [`Answer::Key`], or [`SourceError::NotFound`].
    ReadKey {
        /// The key.
        key: Guid,
    },
    /// The entries of a value name in all layers → [`Answer::Values`].
    QueryValue {
        /// The key.
        key: Guid,
        /// The name, folded.
        name: String,
        /// The folded layer to go on after.
        after_layer: Option<String>,
    },
    /// The same for all names, in the order of folded name and folded layer → [`Answer::Values`].
    QueryValues {
        /// The key.
        key: Guid,
        /// Where to go on.
        after: Option<ValuePosition>,
        /// About how large a page may be, in bytes; at least one entry is in it.
        bytes: u32,
    },
    /// All entries of a layer → [`Answer::Layer`].
    EnumLayer {
        /// The layer, folded.
        layer: String,
        /// Where to go on.
        after: Option<LayerPosition>,
        /// About how large a page may be, in bytes; at least one entry is in it.
        bytes: u32,
    },
    /// One step: atomic, and durable when answered → [`Answer::Applied`].
    Apply {
        /// All must hold, after every earlier step, or nothing happens.
        conditions: Vec<Condition>,
        /// What happens.
        changes: Changes,
        /// Mutation i has the sequence number `first_sequence` + i.
        first_sequence: u64,
    },
    /// Did the step with this first sequence number take effect? → [`Answer::Outcome`]
    Outcome {
        /// The step's `first_sequence`.
        first_sequence: u64,
    },
    /// Keeps mutations aside for a step → [`Answer::Done`]. A stage is in the memory of the source or, if it is
    /// large, in a file; if that cannot be written it is [`SourceError::StorageError`], for the Apply that names
    /// it too. It belongs to one hive, and ends with the connection. What it holds is looked at by that Apply. Stage, DropStage and Apply of one hive take effect in the order sent.
    Stage {
        /// Chosen by LCS; mutations of one stage are appended to each other.
        stage: u64,
        /// More of them.
        mutations: Vec<Mutation>,
    },
    /// Forgets a stage → [`Answer::Done`]. One that is not there is no error.
    DropStage {
        /// The stage.
        stage: u64,
    },
    /// Makes a stable read view → [`Answer::Snapshot`].
    Snapshot,
    /// Ends a read view → [`Answer::Done`].
    Release {
        /// The view.
        snapshot: u64,
    },
    /// Removes an orphaned key: record, values, blankets, and the entries under it → [`Answer::Orphans`]. A
    /// key that is not there is no error.
    DropKey {
        /// The key.
        key: Guid,
    },
    /// Removes all entries of a layer in this hive, atomically → [`Answer::Orphans`].
    DeleteLayer {
        /// The layer, folded.
        layer: String,
    },
    /// All that was answered is durable → [`Answer::Done`].
    Flush,
    /// Makes an automatic copy of the hive now → [`Answer::Copied`].
    Copy,
}

/// What a step changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Changes {
    /// These mutations, in order.
    Mutations(Vec<Mutation>),
    /// Those of a stage; [`SourceError::NotFound`], before any condition is looked at, if it is not there.
    /// The stage is gone with the step, whether that happened or was refused (ConditionFailed and all else);
    /// only after [`SourceError::StorageError`] it is there as before, and the step can be tried again.
    Stage(u64),
}

/// One change. A mutation that names a key that does not exist fails its step with
/// [`SourceError::NotFound`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mutation {
    /// Makes a key object; [`SourceError::AlreadyExists`] if its GUID is in use.
    CreateKey(KeyRecord),
    /// Changes what is `Some` of a key object.
    WriteKey {
        /// The key.
        key: Guid,
        /// Its new security descriptor.
        #[serde(with = "serde_bytes")]
        sd: Option<Vec<u8>>,
        /// Its new last-write time, in nanoseconds since 1970 (UTC).
        last_write: Option<i64>,
    },
    /// Makes or replaces a path entry.
    SetEntry {
        /// The parent key.
        parent: Guid,
        /// The child's name.
        name: Name,
        /// The layer.
        layer: Name,
        /// What the entry says.
        target: Target,
    },
    /// Removes a path entry; one that is not there is no error.
    DeleteEntry {
        /// The parent key.
        parent: Guid,
        /// The child's name, folded.
        name: String,
        /// The layer, folded.
        layer: String,
    },
    /// Makes or replaces a value entry.
    SetValue {
        /// The key.
        key: Guid,
        /// The value's name.
        name: Name,
        /// The layer.
        layer: Name,
        /// The type's code, or [`crate::value::TOMBSTONE`].
        value_type: u32,
        /// The data.
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    /// Removes a value entry; one that is not there is no error.
    DeleteValue {
        /// The key.
        key: Guid,
        /// The value's name, folded.
        name: String,
        /// The layer, folded.
        layer: String,
    },
    /// Makes or renews a blanket tombstone.
    SetBlanket {
        /// The key.
        key: Guid,
        /// The layer.
        layer: Name,
    },
    /// Removes a blanket tombstone; one that is not there is no error.
    ClearBlanket {
        /// The key.
        key: Guid,
        /// The layer, folded.
        layer: String,
    },
    /// Removes all that is under a key (not the key itself): its values, blankets, entries, and the keys
    /// that these lead to, to any depth.
    RemoveSubtree {
        /// The key.
        key: Guid,
    },
    /// Makes a key object, as [`Mutation::CreateKey`] does. If its GUID is that of a key that no entry names,
    /// that key and all that is under it are removed first; [`SourceError::AlreadyExists`] if an entry names
    /// it, or it is the root.
    RestoreKey(KeyRecord),
    /// Makes a path entry with a sequence number from elsewhere. The distinct numbers of the `Restore…`
    /// mutations in a step are ranked, from 0; the entry then has the sequence number `first_sequence` + rank.
    /// In a step that has such a mutation no other makes entries, and it reserves as many numbers as are
    /// distinct. [`SourceError::Invalid`] if there is such an entry already, or another layer's for the same
    /// name has the same number.
    RestoreEntry(PathEntry),
    /// The same of a value entry. [`SourceError::Invalid`] also if a blanket tombstone of the key has the same
    /// number.
    RestoreValue(ValueEntry),
    /// The same of a blanket tombstone. [`SourceError::Invalid`] also if any value entry of the key has the
    /// same number.
    RestoreBlanket(BlanketEntry),
}

/// What must hold for a step to happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// The layer's entry for the value has this sequence number, or is absent.
    ValueIs {
        /// The key.
        key: Guid,
        /// The value's name, folded.
        name: String,
        /// The layer, folded.
        layer: String,
        /// `None`: there is no entry.
        sequence: Option<u64>,
    },
    /// The layer's entry for the path says this, or is absent.
    EntryIs {
        /// The parent key.
        parent: Guid,
        /// The child's name, folded.
        name: String,
        /// The layer, folded.
        layer: String,
        /// `None`: there is no entry.
        target: Option<Target>,
    },
    /// The key's record exists.
    KeyExists {
        /// The key.
        key: Guid,
    },
}

/// What a source answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Path entries, and the record of each key that they name.
    Entries {
        /// The entries of all layers.
        entries: Vec<PathEntry>,
        /// One record per key named, in any order.
        keys: Vec<KeyRecord>,
        /// There are more names.
        more: bool,
    },
    /// A key's record.
    Key(KeyRecord),
    /// Value entries, and (on every page) all blanket tombstones of the key.
    Values {
        /// The entries of all layers.
        entries: Vec<ValueEntry>,
        /// The key's blanket tombstones.
        blankets: Vec<BlanketEntry>,
        /// There are more entries.
        more: bool,
    },
    /// Entries of a layer.
    Layer {
        /// Path entries.
        entries: Vec<PathEntry>,
        /// Value entries.
        values: Vec<ValueEntry>,
        /// Blanket tombstones.
        blankets: Vec<BlanketEntry>,
        /// Where to go on, if there is more.
        next: Option<LayerPosition>,
    },
    /// The step happened.
    Applied {
        /// Its first sequence number, if the source assigns them.
        first_sequence: Option<u64>,
    },
    /// Whether a step took effect.
    Outcome {
        /// It did.
        took_effect: bool,
    },
    /// Nothing more to say.
    Done,
    /// A read view.
    Snapshot {
        /// Its number.
        snapshot: u64,
    },
    /// Keys that lost their last entry by the request, and wait to be dropped.
    Orphans(Vec<Guid>),
    /// An automatic copy.
    Copied {
        /// Its number.
        number: u32,
    },
}

/// Why a source did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceError {
    /// A key or stage that the request names is not there. ENOENT
    NotFound,
    /// The GUID of a new key is in use. EEXIST
    AlreadyExists,
    /// The disk, or what is on it. EIO
    StorageError,
    /// More than the source can hold. ENOSPC
    TooLarge,
    /// The request makes no sense. EINVAL
    Invalid,
    /// This condition (counted from 0) does not hold. EAGAIN
    ConditionFailed(u32),
    /// The source does not know this request. EOPNOTSUPP
    NotSupported,
    /// Not now. EBUSY
    Busy,
}

impl core::fmt::Display for SourceError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            SourceError::NotFound => f.write_str("no such key"),
            SourceError::AlreadyExists => f.write_str("key already exists"),
            SourceError::StorageError => f.write_str("storage error"),
            SourceError::TooLarge => f.write_str("too large"),
            SourceError::Invalid => f.write_str("invalid request"),
            SourceError::ConditionFailed(index) => write!(f, "condition {index} does not hold"),
            SourceError::NotSupported => f.write_str("not supported"),
            SourceError::Busy => f.write_str("busy"),
        }
    }
}

impl core::error::Error for SourceError {}

/// Size of the length that precedes each frame, in bytes.
pub const FRAME_HEADER: usize = 4;

/// Makes the frame of one message.
pub fn frame<T: Serialize>(message: &T) -> Vec<u8> {
    framed(|frame| append(frame, message))
}

/// Makes the frame of a request to a source.
pub fn request_frame(header: RequestHeader, request: &Request) -> Vec<u8> {
    framed(|frame| {
        append(frame, &ToSource::Request(header));
        append(frame, request);
    })
}

fn framed(fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = alloc::vec![0; FRAME_HEADER];
    fill(&mut frame);
    let length = (frame.len() - FRAME_HEADER) as u32;
    frame[..FRAME_HEADER].copy_from_slice(&length.to_le_bytes());
    frame
}

fn append<T: Serialize>(frame: &mut Vec<u8>, message: &T) {
    // As in `encode`: a Vec takes all.
    if let Ok(grown) = postcard::to_extend(message, core::mem::take(frame)) {
        *frame = grown;
    }
}

/// Takes the first frame off `bytes`: its contents, and what follows it. `None`: no whole frame is there
/// yet.
///
/// # Errors
/// The frame is longer than `max_frame` bytes.
#[allow(clippy::type_complexity)]
pub fn split_frame(bytes: &[u8], max_frame: u32) -> Result<Option<(&[u8], &[u8])>, Malformed> {
    let Some((header, rest)) = bytes.split_first_chunk::<FRAME_HEADER>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*header);
    if length > max_frame {
        return Err(Malformed);
    }
    Ok(rest.split_at_checked(length as usize))
}

/// A message of LCS as a source reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A request of a known kind.
    Request(RequestHeader, Request),
    /// A request of an unknown kind, to be answered [`SourceError::NotSupported`].
    Unknown(RequestHeader),
    /// Anything else.
    Other(ToSource),
}

/// Decodes the contents of a frame of LCS.
pub fn decode_to_source(contents: &[u8]) -> Result<Received, Malformed> {
    let (message, rest) = postcard::take_from_bytes::<ToSource>(contents).map_err(|_| Malformed)?;
    Ok(match message {
        ToSource::Request(header) => match crate::decode(rest) {
            Ok(request) => Received::Request(header, request),
            Err(Malformed) => Received::Unknown(header),
        },
        other => Received::Other(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_a_length_and_themselves() {
        let entry =
            Mutation::WriteKey { key: Guid([7; 16]), sd: Some([1, 2, 3].into()), last_write: None };
        let expected = [&[1][..], &[7; 16], &[1, 3, 1, 2, 3], &[0]].concat();
        assert_eq!(crate::encode(&entry), expected);
        assert_eq!(crate::decode(&expected), Ok(entry));
    }

    #[test]
    fn a_request_survives_its_frame() {
        let header = RequestHeader { id: 7, hive: 1, snapshot: None };
        let request = Request::Lookup { parent: Guid([9; 16]), name: "system".into() };
        let bytes = request_frame(header, &request);
        let (contents, rest) = split_frame(&bytes, 1 << 20).unwrap().unwrap();
        assert!(rest.is_empty());
        assert_eq!(decode_to_source(contents), Ok(Received::Request(header, request)));
    }

    #[test]
    fn a_request_of_an_unknown_kind_keeps_its_id() {
        let header = RequestHeader { id: 300, hive: 0, snapshot: None };
        let mut contents = crate::encode(&ToSource::Request(header));
        contents.extend([200, 1, 2, 3]);
        assert_eq!(decode_to_source(&contents), Ok(Received::Unknown(header)));
    }

    #[test]
    fn part_of_a_frame_is_no_frame_and_too_long_a_frame_is_an_error() {
        let bytes = frame(&ToSource::Registered);
        for cut in 0..bytes.len() {
            assert_eq!(split_frame(&bytes[..cut], 1 << 20), Ok(None));
        }
        assert_eq!(split_frame(&[255, 255, 255, 255, 0], 1 << 20), Err(Malformed));
    }
}
