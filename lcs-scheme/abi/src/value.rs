//! Types of values. Their data is never interpreted by LCS, except that of a link.

/// The type code of a value, as in the Windows registry.
///
/// By convention text (SZ, EXPAND_SZ, LINK) is UTF-8 without a terminator, MULTI_SZ is UTF-8 strings each
/// followed by one NUL, DWORD and QWORD are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum ValueType {
    /// No type.
    None = 0,
    /// Text.
    Sz = 1,
    /// Text with references to environment variables that its reader expands.
    ExpandSz = 2,
    /// Bytes.
    Binary = 3,
    /// 32-bit number, little-endian.
    Dword = 4,
    /// 32-bit number, big-endian.
    DwordBigEndian = 5,
    /// The target of a link, an absolute registry path.
    Link = 6,
    /// A list of texts.
    MultiSz = 7,
    /// A device driver's list of hardware resources.
    ResourceList = 8,
    /// A hardware resource descriptor.
    FullResourceDescriptor = 9,
    /// A device driver's list of resource requirements.
    ResourceRequirementsList = 10,
    /// 64-bit number, little-endian.
    Qword = 11,
}

/// The internal type of a tombstone entry: "not here, and nothing below me counts". Never returned to a
/// client; a client may write it with empty data.
pub const TOMBSTONE: u32 = 0xFFFF;

impl ValueType {
    /// Every type, in the order of the codes.
    pub const ALL: [ValueType; 12] = [
        ValueType::None,
        ValueType::Sz,
        ValueType::ExpandSz,
        ValueType::Binary,
        ValueType::Dword,
        ValueType::DwordBigEndian,
        ValueType::Link,
        ValueType::MultiSz,
        ValueType::ResourceList,
        ValueType::FullResourceDescriptor,
        ValueType::ResourceRequirementsList,
        ValueType::Qword,
    ];

    /// The type with this code, if there is one.
    pub fn from_code(code: u32) -> Option<ValueType> {
        Self::ALL.get(usize::try_from(code).ok()?).copied()
    }

    /// The code that crosses boundaries.
    pub fn code(self) -> u32 {
        self as u32
    }
}
