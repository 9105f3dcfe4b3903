//! Security identifiers ([MS-DTYP] 2.4.2).

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::Malformed;

/// The most sub-authorities that a SID can have.
const MAX_SUB_AUTHORITIES: usize = 15;

/// The revision of every SID.
const REVISION: u8 = 1;

/// Bytes before the sub-authorities: revision, count, authority.
const HEADER: usize = 8;

/// The authority of NT.
const NT: u64 = 5;

/// The authority of accounts of a Unix-like system, as Samba uses it: `S-1-22-1-<uid>`, `S-1-22-2-<gid>`.
const UNIX: u64 = 22;

/// A security identifier: a user, a group, or a role that is played at an access check.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid {
    /// Below 2^48.
    authority: u64,
    count: u8,
    /// Those beyond `count` are 0.
    sub_authorities: [u32; MAX_SUB_AUTHORITIES],
}

/// Who is known by name.
impl Sid {
    /// Everyone.
    pub const EVERYONE: Sid = Sid::known(1, &[0]);
    /// In an inheritable ACE: the owner of the key that inherits it.
    pub const CREATOR_OWNER: Sid = Sid::known(3, &[0]);
    /// In an inheritable ACE: the primary group of the key that inherits it.
    pub const CREATOR_GROUP: Sid = Sid::known(3, &[1]);
    /// In an ACE: the owner of the key, in the place of the rights that an owner has by itself.
    pub const OWNER_RIGHTS: Sid = Sid::known(3, &[4]);
    /// Whoever is known to the system.
    pub const AUTHENTICATED_USERS: Sid = Sid::known(NT, &[11]);
    /// The system itself.
    pub const SYSTEM: Sid = Sid::known(NT, &[18]);
    /// The group of administrators.
    pub const ADMINISTRATORS: Sid = Sid::known(NT, &[32, 544]);

    /// The user with this uid.
    pub const fn user(uid: u32) -> Sid {
        Sid::known(UNIX, &[1, uid])
    }

    /// The group with this gid.
    pub const fn group(gid: u32) -> Sid {
        Sid::known(UNIX, &[2, gid])
    }

    /// The uid, if this is a user of [`Sid::user`].
    pub fn uid(&self) -> Option<u32> {
        match (self.authority, self.sub_authorities()) {
            (UNIX, &[1, uid]) => Some(uid),
            _ => None,
        }
    }

    /// The gid, if this is a group of [`Sid::group`].
    pub fn gid(&self) -> Option<u32> {
        match (self.authority, self.sub_authorities()) {
            (UNIX, &[2, gid]) => Some(gid),
            _ => None,
        }
    }

    /// A SID of at most 15 sub-authorities and an authority below 2^48.
    pub(super) const fn known(authority: u64, list: &[u32]) -> Sid {
        let mut sub_authorities = [0; MAX_SUB_AUTHORITIES];
        let mut index = 0;
        while index < list.len() {
            sub_authorities[index] = list[index];
            index += 1;
        }
        Sid { authority, count: list.len() as u8, sub_authorities }
    }
}

impl Sid {
    /// The sub-authorities.
    pub fn sub_authorities(&self) -> &[u32] {
        self.sub_authorities.get(..usize::from(self.count)).unwrap_or_default()
    }

    /// Reads the SID at the start of `bytes`; what follows it is not looked at.
    pub fn from_bytes(bytes: &[u8]) -> Result<Sid, Malformed> {
        let Some((&[revision, count, ref authority @ ..], rest)) =
            bytes.split_first_chunk::<HEADER>()
        else {
            return Err(Malformed::Truncated);
        };
        if revision != REVISION {
            return Err(Malformed::Revision);
        }
        let mut sid = Sid {
            authority: authority.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)),
            count,
            sub_authorities: [0; MAX_SUB_AUTHORITIES],
        };
        let places = sid.sub_authorities.get_mut(..usize::from(count));
        let places = places.ok_or(Malformed::TooManySubAuthorities)?;
        let bytes = rest.get(..4 * usize::from(count)).ok_or(Malformed::Truncated)?;
        for (place, bytes) in places.iter_mut().zip(bytes.as_chunks().0) {
            *place = u32::from_le_bytes(*bytes);
        }
        Ok(sid)
    }

    /// Length of the binary form, in bytes; a multiple of 4.
    pub fn size(&self) -> usize {
        HEADER + 4 * usize::from(self.count)
    }

    /// Appends the binary form.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let [_, _, authority @ ..] = self.authority.to_be_bytes();
        bytes.extend([REVISION, self.count]);
        bytes.extend(authority);
        bytes.extend(self.sub_authorities().iter().flat_map(|value| value.to_le_bytes()));
    }
}

impl fmt::Display for Sid {
    /// `S-1-5-32-544`; an authority of 2^32 or more in hexadecimal ([MS-DTYP] 2.4.2.1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::try_from(self.authority) {
            Ok(authority) => write!(f, "S-1-{authority}")?,
            Err(_) => write!(f, "S-1-{:#014X}", self.authority)?,
        }
        self.sub_authorities().iter().try_for_each(|value| write!(f, "-{value}"))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is no SID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotASid;

impl fmt::Display for NotASid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a SID (S-1-…)")
    }
}

impl core::error::Error for NotASid {}

impl FromStr for Sid {
    type Err = NotASid;

    fn from_str(text: &str) -> Result<Sid, NotASid> {
        let mut parts = text.split('-');
        let prefix = (parts.next(), parts.next());
        if !matches!(prefix, (Some("S" | "s"), Some("1"))) {
            return Err(NotASid);
        }
        let authority = parts.next().and_then(number).filter(|value| *value < 1 << 48);
        let mut sid = Sid::known(authority.ok_or(NotASid)?, &[]);
        for part in parts {
            let value = number(part).and_then(|value| u32::try_from(value).ok()).ok_or(NotASid)?;
            *sid.sub_authorities.get_mut(usize::from(sid.count)).ok_or(NotASid)? = value;
            sid.count += 1;
        }
        Ok(sid)
    }
}

/// A number in decimal, or in hexadecimal after `0x`.
fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // The standard library takes a sign, too.
    let plain = digits.starts_with(|digit: char| digit.is_digit(radix));
    plain.then(|| u64::from_str_radix(digits, radix).ok())?
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn text_and_bytes_are_those_of_the_standard() {
        // [MS-DTYP] 2.4.2.2: S-1-5-32-544.
        let bytes = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 0x02, 0, 0];
        assert_eq!(Sid::from_bytes(&bytes), Ok(Sid::ADMINISTRATORS));
        let mut written = Vec::new();
        Sid::ADMINISTRATORS.write(&mut written);
        assert_eq!(written, bytes);
        assert_eq!(Sid::ADMINISTRATORS.size(), bytes.len());
        assert_eq!(Sid::ADMINISTRATORS.to_string(), "S-1-5-32-544");
    }

    #[test]
    fn a_large_authority_is_hexadecimal() {
        let text = "S-1-0x123456789ABC-7";
        let sid: Sid = text.parse().unwrap();
        assert_eq!(sid.to_string(), text);
        let mut bytes = Vec::new();
        sid.write(&mut bytes);
        assert_eq!(bytes, [1, 1, 0x12, 0x34, 0x56, 0x78, 0x9A, 0xBC, 7, 0, 0, 0]);
        assert_eq!("S-1-0x5-18".parse(), Ok(Sid::SYSTEM));
    }

    #[test]
    fn what_is_no_sid_is_refused() {
        let sixteen = "S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16";
        for text in [
            "",
            "S",
            "S-1",
            "S-2-5",
            "S-1-",
            "S-1-+5",
            "S-1-5-",
            "S-1-5--1",
            "S-1-5-0x",
            "S-1-5-4294967296",
            "S-1-0x1000000000000",
            "BA",
            " S-1-5",
            sixteen,
        ] {
            assert_eq!(text.parse::<Sid>(), Err(NotASid), "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_sid_are_malformed() {
        let good = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
        for length in 0..good.len() {
            assert_eq!(Sid::from_bytes(&good[..length]), Err(Malformed::Truncated));
        }
        let mut revision = good;
        revision[0] = 2;
        assert_eq!(Sid::from_bytes(&revision), Err(Malformed::Revision));
        let mut sixteen = [0; 72];
        sixteen[..2].copy_from_slice(&[1, 16]);
        assert_eq!(Sid::from_bytes(&sixteen), Err(Malformed::TooManySubAuthorities));
    }

    #[test]
    fn users_and_groups_are_numbers() {
        assert_eq!(Sid::user(1000).to_string(), "S-1-22-1-1000");
        assert_eq!(Sid::group(27).to_string(), "S-1-22-2-27");
        assert_eq!((Sid::user(5).uid(), Sid::user(5).gid()), (Some(5), None));
        assert_eq!((Sid::group(5).uid(), Sid::group(5).gid()), (None, Some(5)));
        assert_eq!((Sid::SYSTEM.uid(), Sid::SYSTEM.gid()), (None, None));
    }
}
