//! `reg:` handles: what `dup` derives from a handle, and what `call` does with one.
//!
//! `dup(handle, postcard(Derive))` gives a new handle. `call(handle, payload, [op, ABI_VERSION])` starts
//! with the postcard of the operation's request in the payload, over which LCS writes the answer; the
//! result is the answer's length. If the answer does not fit, the call fails with ERANGE and the first
//! eight bytes of the payload hold the length needed (u64, little-endian).

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Guid;

/// The smallest payload of a call, in bytes; less is EINVAL. Every mutation's answer fits into it.
pub const MIN_PAYLOAD: usize = 64;

/// [`Derive::OpenKey`]: open a link itself and not its target.
pub const OPEN_LINK: u32 = 1;
/// [`Derive::CreateKey`]: the key lives until its source or LCS ends.
pub const CREATE_VOLATILE: u32 = 1;
/// [`Derive::CreateKey`]: the key is a link.
pub const CREATE_LINK: u32 = 2;

/// What to derive from a handle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Derive {
    /// From a root, a transaction or (relative) a key: an existing key.
    OpenKey {
        /// Components separated by `\` or `/`; empty for the handle's own key.
        path: String,
        /// The rights wanted ([`crate::security::Access`]).
        access: u32,
        /// [`OPEN_LINK`].
        flags: u32,
    },
    /// From a root, a transaction or (relative) a key: a key, made if it is not visible there.
    CreateKey {
        /// As in `OpenKey`, not empty. Parents are not created.
        path: String,
        /// The rights wanted on the key.
        access: u32,
        /// The layer of the new path entry; `None` is `base`.
        layer: Option<String>,
        /// [`CREATE_VOLATILE`], [`CREATE_LINK`].
        flags: u32,
        /// The absolute path that a new link leads to.
        link_target: Option<String>,
    },
    /// From a root: a root with more in its view.
    View {
        /// Private hives to join, by scope.
        scopes: Vec<Guid>,
        /// Private layers to attach, by name.
        private_layers: Vec<String>,
        /// No global hive at all.
        sealed: bool,
    },
    /// From a root: a transaction.
    BeginTransaction,
    /// From a key: the same key with fewer rights, or able to write into fewer layers.
    Restrict {
        /// The rights that remain.
        access: u32,
        /// The layers that remain, all of them named; `None` leaves them as they are.
        layers: Option<Vec<String>>,
    },
    /// From a key: a stream to read ([`crate::backup`]).
    Backup,
    /// From a key: a stream to write.
    Restore,
    /// Keys that are made, or are there, with their values: the handle is that of the last one, with SET_VALUE if values
    /// of it are changed, and else with what there is. In a transaction only.
    ChangeKeys(ChangeKeys),
}

/// The operations of `call`, by their number in the first metadata word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum Op {
    /// [`QueryValue`] → [`QueryValueAnswer`].
    QueryValue = 1,
    /// [`QueryValues`] → [`QueryValuesAnswer`].
    QueryValues = 2,
    /// [`SetValue`] → [`SetValueAnswer`].
    SetValue = 3,
    /// [`DeleteValue`] → nothing.
    DeleteValue = 4,
    /// [`SetTombstone`] → nothing.
    SetTombstone = 5,
    /// [`LayerOnly`] → nothing.
    SetBlanket = 6,
    /// [`LayerOnly`] → nothing.
    ClearBlanket = 7,
    /// [`EnumSubkeys`] → [`EnumSubkeysAnswer`].
    EnumSubkeys = 8,
    /// Nothing → [`KeyInfoAnswer`].
    KeyInfo = 9,
    /// [`LayerOnly`] → nothing.
    DeleteKey = 10,
    /// [`LayerOnly`] → nothing.
    HideKey = 11,
    /// [`Unhide`] → nothing.
    Unhide = 12,
    /// [`GetSecurity`] → [`GetSecurityAnswer`].
    GetSecurity = 13,
    /// [`SetSecurity`] → nothing.
    SetSecurity = 14,
    /// [`crate::watch::Notify`] → nothing. Arms a watch, whose events are read from the handle.
    Notify = 15,
    /// [`crate::explain::Explain`] → [`crate::explain::ExplainAnswer`].
    Explain = 16,
    /// Nothing → nothing: all that was acknowledged before is durable.
    Flush = 17,
    /// Nothing → [`StoreCopyAnswer`]. The source makes an automatic copy of the key's hive now.
    StoreCopy = 18,
    /// Nothing → nothing: all that was written in the transaction is durable, at once.
    Commit = 19,
    /// Nothing → [`TransactionStatusAnswer`].
    TransactionStatus = 20,
    /// Nothing → nothing: what was written to the handle of a restore takes effect, at once.
    Finish = 21,
    /// Nothing → [`StatusAnswer`].
    Status = 22,
    /// [`ChangeValues`] → [`SetValueAnswer`], with the sequence number of the first change.
    ChangeValues = 23,
}

impl Op {
    /// The operation with this number, if there is one.
    pub fn from_raw(raw: u64) -> Option<Op> {
        const ALL: [Op; 23] = [
            Op::QueryValue,
            Op::QueryValues,
            Op::SetValue,
            Op::DeleteValue,
            Op::SetTombstone,
            Op::SetBlanket,
            Op::ClearBlanket,
            Op::EnumSubkeys,
            Op::KeyInfo,
            Op::DeleteKey,
            Op::HideKey,
            Op::Unhide,
            Op::GetSecurity,
            Op::SetSecurity,
            Op::Notify,
            Op::Explain,
            Op::Flush,
            Op::StoreCopy,
            Op::Commit,
            Op::TransactionStatus,
            Op::Finish,
            Op::Status,
            Op::ChangeValues,
        ];
        ALL.get(usize::try_from(raw.checked_sub(1)?).ok()?).copied()
    }
}

/// Length of the generation page, in bytes: what a mapping of a root handle shows (INTERFACES §1).
pub const GENERATION_PAGE: usize = 4096;
/// How many words the generation page has.
pub const GENERATION_WORDS: usize = GENERATION_PAGE / size_of::<u64>();
/// How long an answer may be given again after a message to LCS confirmed that LCS lives, in milliseconds; and how
/// long a new LCS acknowledges no mutation (DESIGN §15).
pub const GUARD_MS: u64 = 1000;

/// As long as this word of the generation page has this content, the answer is what LCS would answer again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// Which word.
    pub slot: u32,
    /// Its content, from before the answer was made.
    pub generation: u64,
}

/// An answer that may come with a guard: that of [`Op::QueryValue`], [`Op::QueryValues`], [`Op::EnumSubkeys`] or
/// [`Op::KeyInfo`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guarded<A> {
    /// The answer.
    pub answer: A,
    /// `None`: it is good for this once, in a transaction, or beside a change whose outcome is not known yet.
    pub guard: Option<Guard>,
}

/// Asks for the effective value of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryValue {
    /// The value's name; empty for the default value.
    pub name: String,
}

/// An effective value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryValueAnswer {
    /// The type's code ([`crate::value::ValueType`]).
    pub value_type: u32,
    /// The data.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
    /// The sequence number of the winning entry.
    pub sequence: u64,
    /// The layer of the winning entry.
    pub layer: String,
}

/// Asks for effective values, a page at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryValues {
    /// Where to go on: the last page's `next`; `None` for the first page.
    pub cursor: Option<String>,
}

/// An effective value with its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedValue {
    /// The value's name as written; empty for the default value.
    pub name: String,
    /// The type's code.
    pub value_type: u32,
    /// The data.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
    /// The sequence number of the winning entry.
    pub sequence: u64,
    /// The layer of the winning entry.
    pub layer: String,
}

/// A [`QueryValueAnswer`] of borrowed parts; encoded they are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueRef<'a> {
    /// The type's code.
    pub value_type: u32,
    /// The data.
    #[serde(with = "serde_bytes")]
    pub data: &'a [u8],
    /// The sequence number of the winning entry.
    pub sequence: u64,
    /// The layer of the winning entry.
    pub layer: &'a str,
}

/// A [`NamedValue`] of borrowed parts; encoded they are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedValueRef<'a> {
    /// The value's name as written; empty for the default value.
    pub name: &'a str,
    /// The value.
    #[serde(borrow)]
    pub value: ValueRef<'a>,
}

/// What follows the values in a [`QueryValuesAnswer`] with its guard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AfterValues {
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
    /// The hive's generation when the page was made.
    pub generation: u64,
    /// The guard of the answer.
    pub guard: Option<Guard>,
}

/// A page of effective values, in the order of their folded names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryValuesAnswer {
    /// The values of this page.
    pub values: Vec<NamedValue>,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
    /// The hive's generation when the page was made.
    pub generation: u64,
}

/// Writes a value into a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetValue {
    /// The value's name; empty for the default value.
    pub name: String,
    /// The type's code; [`crate::value::TOMBSTONE`] only with empty data.
    pub value_type: u32,
    /// The data, at most MaxValueSize bytes.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
    /// The layer; `None` is `base`.
    pub layer: Option<String>,
    /// The write happens only if the layer's entry has this sequence number, or, for 0, if the layer has
    /// no entry; else EAGAIN.
    pub expected_sequence: Option<u64>,
}

/// The outcome of a [`SetValue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetValueAnswer {
    /// The sequence number of the new entry.
    pub sequence: u64,
}

/// Removes a layer's entry for a value name. One that is not there is no error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteValue {
    /// The value's name.
    pub name: String,
    /// The layer; `None` is `base`.
    pub layer: Option<String>,
}

/// Masks a value name in a layer: lower layers no longer count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetTombstone {
    /// The value's name.
    pub name: String,
    /// The layer; `None` is `base`.
    pub layer: Option<String>,
}

/// Changes several values of a key in one layer: all of them, or, if one cannot be, none. Outside a transaction it is
/// one step, whose changes have consecutive sequence numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeValues {
    /// The changes, in their order.
    pub changes: Vec<ValueChange>,
    /// The layer; `None` is `base`.
    pub layer: Option<String>,
}

/// Makes keys, or finds those that are there, and changes their values, in one layer and in a transaction. If one cannot
/// be, those before it are in the transaction, of it at most the key without its values, and nothing of those behind it;
/// whoever asked aborts, or goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeKeys {
    /// The keys, in their order: whatever is made below another one comes behind it. At most [`MOST_CHANGED_KEYS`].
    pub keys: Vec<KeyChange>,
    /// The layer; `None` is `base`.
    pub layer: Option<String>,
}

/// How many keys one [`ChangeKeys`] has at most.
pub const MOST_CHANGED_KEYS: usize = 256;

/// A key that is there, or is made, and changes of its values, all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// Its path, as that of [`Derive::CreateKey`].
    pub path: String,
    /// Whether it is volatile, if it is made.
    pub volatile: bool,
    /// The changes, in their order; there may be none.
    pub values: Vec<ValueChange>,
}

/// A change of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueChange {
    /// The value's name.
    pub name: String,
    /// What becomes of it.
    pub to: Becomes,
}

/// What becomes of a layer's entry for a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Becomes {
    /// This, as [`SetValue`] has it.
    Value {
        /// The type's code.
        value_type: u32,
        /// The data.
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    /// A mask, as [`SetTombstone`] makes it.
    Tombstone,
    /// It is not there, as after [`DeleteValue`].
    Absent,
}

/// The request of the operations that need a layer and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerOnly {
    /// The layer; `None` is `base`.
    pub layer: Option<String>,
}

/// Asks for subkeys, a page at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnumSubkeys {
    /// Where to go on: the last page's `next`; `None` for the first page.
    pub cursor: Option<String>,
    /// Also count what each subkey holds. It costs a look into each of them.
    pub counts: bool,
}

/// How much a key holds, as its reader sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Visible subkeys.
    pub subkeys: u64,
    /// Effective values.
    pub values: u64,
}

/// A visible subkey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subkey {
    /// The name as created.
    pub name: String,
    /// Last write, in nanoseconds since 1970 (UTC).
    pub last_write: i64,
    /// What it holds, where [`EnumSubkeys::counts`] asked for it.
    pub counts: Option<Counts>,
    /// It is a link.
    pub link: bool,
    /// It is volatile.
    pub volatile: bool,
}

/// A page of subkeys, in the order of their folded names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnumSubkeysAnswer {
    /// The subkeys of this page.
    pub subkeys: Vec<Subkey>,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
    /// The hive's generation when the page was made.
    pub generation: u64,
}

/// What a key handle is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInfoAnswer {
    /// Whether the derivation that made this handle created the key.
    pub created: bool,
    /// The handle's granted mask.
    pub access: u32,
    /// All else; only under READ_CONTROL.
    pub details: Option<KeyDetails>,
}

/// The part of [`KeyInfoAnswer`] that needs READ_CONTROL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDetails {
    /// The key's name as created.
    pub name: String,
    /// The path by which the handle was opened, links resolved, separated by `\`.
    pub path: String,
    /// The key's identity.
    pub guid: Guid,
    /// Last write, in nanoseconds since 1970 (UTC).
    pub last_write: i64,
    /// What it holds.
    pub counts: Counts,
    /// The longest name of a subkey, in bytes.
    pub max_subkey_name: u64,
    /// The longest name of a value, in bytes.
    pub max_value_name: u64,
    /// The largest data of a value, in bytes.
    pub max_value_data: u64,
    /// It is volatile.
    pub volatile: bool,
    /// It is a link.
    pub link: bool,
    /// Size of its security descriptor, in bytes.
    pub sd_size: u64,
    /// The hive's generation.
    pub generation: u64,
}

/// Makes a hidden child visible again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unhide {
    /// The child's name.
    pub child: String,
    /// The layer that hides it; `None` is `base`.
    pub layer: Option<String>,
}

/// [`GetSecurity`] and [`SetSecurity`]: the owner.
pub const OWNER_SECURITY_INFORMATION: u32 = 1;
/// [`GetSecurity`] and [`SetSecurity`]: the primary group.
pub const GROUP_SECURITY_INFORMATION: u32 = 2;
/// [`GetSecurity`] and [`SetSecurity`]: the DACL.
pub const DACL_SECURITY_INFORMATION: u32 = 4;
/// [`GetSecurity`] and [`SetSecurity`]: the SACL.
pub const SACL_SECURITY_INFORMATION: u32 = 8;

/// Asks for parts of a key's security descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetSecurity {
    /// `*_SECURITY_INFORMATION` ([MS-DTYP] 2.4.7).
    pub parts: u32,
}

/// A security descriptor with the parts that were asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetSecurityAnswer {
    /// Self-relative ([MS-DTYP] 2.4.6).
    #[serde(with = "serde_bytes")]
    pub sd: Vec<u8>,
}

/// Replaces parts of a key's security descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSecurity {
    /// `*_SECURITY_INFORMATION` ([MS-DTYP] 2.4.7).
    pub parts: u32,
    /// Self-relative ([MS-DTYP] 2.4.6).
    #[serde(with = "serde_bytes")]
    pub sd: Vec<u8>,
}

/// The copy that a source made of a hive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreCopyAnswer {
    /// Its number among the source's copies of the hive.
    pub number: u32,
}

/// How a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransactionState {
    /// Nothing was written in it yet.
    ActiveUnbound,
    /// Something was written in it, to one hive.
    ActiveBound,
    /// It is being carried out.
    Committing,
    /// Its source went away, or was not understood, while it was carried out. Asking again when the source is
    /// back tells what came of it.
    Unknown,
    /// It took effect.
    Committed,
    /// It had no effect: it was closed, or something that it saw or expected was no longer so.
    Aborted,
    /// It had no effect: it was not used for TransactionTimeoutMs.
    TimedOut,
    /// It had no effect: its source went away.
    SourceDown,
}

/// How a transaction is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionStatusAnswer {
    /// How far it has come.
    pub state: TransactionState,
    /// The hive that it is bound to, until it is known what came of it.
    pub hive: Option<String>,
    /// About how much memory its writes take, in bytes.
    pub bytes: u64,
}

/// How a hive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HiveState {
    /// Its source has claimed it and is getting ready.
    Starting,
    /// Its source serves it.
    Up,
    /// Its source is gone; the name and the identity are kept for it.
    Down,
}

/// A hive of the caller's view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HiveStatus {
    /// The hive's name.
    pub name: String,
    /// Its scope, if it is private.
    pub scope: Option<Guid>,
    /// How it is.
    pub state: HiveState,
    /// Its generation: +1 for each committed change.
    pub generation: u64,
}

/// A connected source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// The hives that it claimed.
    pub hives: Vec<String>,
    /// Requests sent and not yet answered.
    pub in_flight: u64,
    /// Requests that wait for a place among those.
    pub waiting: u64,
    /// Answers that came after their caller had been told ETIMEDOUT.
    pub late_answers: u64,
}

/// A layer of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerStatus {
    /// The layer's name.
    pub name: String,
    /// Its precedence.
    pub precedence: u32,
    /// Whether it counts.
    pub enabled: bool,
}

/// A setting of LCS that was found invalid, and is not in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedSetting {
    /// The value's name under `Machine\System\Registry`.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What LCS remembers of what sources said (CacheBytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheStatus {
    /// Looks since LCS started that no source was asked for.
    pub hits: u64,
    /// Looks since LCS started that a source was asked for.
    pub misses: u64,
    /// How many answers and parts of answers are kept.
    pub entries: u64,
    /// About how much memory these take, in bytes.
    pub bytes: u64,
    /// How much they may take: CacheBytes.
    pub limit: u64,
}

/// The part of [`StatusAnswer`] for administrators.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusDetails {
    /// The connected sources.
    pub sources: Vec<SourceStatus>,
    /// The layer table.
    pub layers: Vec<LayerStatus>,
    /// Settings that are not in force.
    pub rejected_settings: Vec<RejectedSetting>,
    /// Open handles.
    pub handles: u64,
    /// Transactions that somebody has a handle of.
    pub transactions: u64,
    /// Those of them that are bound to a hive.
    pub bound_transactions: u64,
    /// The next sequence number.
    pub next_sequence: u64,
    /// What is remembered of what sources said.
    pub cache: CacheStatus,
}

/// How the registry is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// Version of the LCS that answers.
    pub version: String,
    /// The hives of the caller's view.
    pub hives: Vec<HiveStatus>,
    /// More, for administrators.
    pub details: Option<StatusDetails>,
}
