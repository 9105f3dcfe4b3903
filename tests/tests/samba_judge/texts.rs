//! Where Samba's SDDL and ours differ, all of it.

use lcs_core::security::{AclPart, Control, Parts, SecurityDescriptor};

/// A difference. Each is a translation of what Samba is given to read, after which it must read exactly what
/// we wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TextDifference {
    /// Samba can neither read nor write a list that is said to be there and is not. We write
    /// NO_ACCESS_CONTROL for it, as Windows does (SDDL_NULL_ACL of sddl.h); without that a text could not say
    /// the difference. It is left out of what Samba reads, and Samba leaves it out of what it writes.
    NullList,
    /// Samba does not read KA, KR and KW, the names of keys' rights taken together (SDDL_KEY_ALL and others
    /// of sddl.h). It is given the same masks as numbers.
    NamesOfKeyRights,
    /// Samba takes the S of `D:PS:` for a flag of the DACL that it does not know: an empty list with flags
    /// can only come last. The standard's order is owner, group, DACL, SACL ([MS-DTYP] 2.5.1.1), in which
    /// Samba itself writes what it then does not read. It is given the SACL first.
    FlagsOfEmptyDacl,
    /// Two such lists can come in no order. Samba is given the SACL first and without its flags, which it
    /// must then not read.
    FlagsOfEmptyLists,
    /// Samba ends a SID at the x of an authority in hexadecimal: refused for an owner, another SID in an ACE.
    /// One from 2^32 on must be written so ([MS-DTYP] 2.4.2.1), which it does itself. It is given a decimal
    /// number.
    LargeAuthority,
}

use TextDifference::*;

/// The names of masks that Samba does not read, and their numbers.
const MASKS: [(&str, &str); 3] =
    [(";KA;;;", ";0xf003f;;;"), (";KR;;;", ";0x20019;;;"), (";KW;;;", ";0x20006;;;")];

/// How a SID begins whose authority is in hexadecimal.
const LARGE: &str = "S-1-0x";

/// Digits of an authority in hexadecimal.
const DIGITS: usize = 12;

impl TextDifference {
    /// All, in the order in which they translate texts.
    pub const ALL: [TextDifference; 5] =
        [NullList, NamesOfKeyRights, FlagsOfEmptyDacl, FlagsOfEmptyLists, LargeAuthority];

    /// Whether it is about a security descriptor like this, of which this is our text.
    fn concerns(self, sd: &SecurityDescriptor, text: &str) -> bool {
        match self {
            NullList => [sd.dacl(), sd.sacl()].contains(&&AclPart::Null),
            NamesOfKeyRights => MASKS.iter().any(|(name, _)| text.contains(name)),
            FlagsOfEmptyDacl => {
                empty_with_flags(sd.dacl(), sd.control & Control::DACL)
                    && sd.sacl().list().is_some()
                    && !empty_with_flags(sd.sacl(), sd.control & Control::SACL)
            }
            FlagsOfEmptyLists => {
                empty_with_flags(sd.dacl(), sd.control & Control::DACL)
                    && empty_with_flags(sd.sacl(), sd.control & Control::SACL)
            }
            LargeAuthority => text.contains(LARGE),
        }
    }

    /// What Samba must read then.
    fn meaning(self, mut sd: SecurityDescriptor) -> SecurityDescriptor {
        match self {
            NullList => return without_null_lists(&sd),
            FlagsOfEmptyLists => sd.control -= Control::SACL,
            NamesOfKeyRights | FlagsOfEmptyDacl | LargeAuthority => {}
        }
        sd
    }

    /// The text as Samba is given it.
    fn text(self, sd: &SecurityDescriptor, text: &str) -> String {
        match self {
            NullList => without_null_lists(sd).to_string(),
            NamesOfKeyRights => MASKS
                .iter()
                .fold(text.to_string(), |text, (name, number)| text.replace(name, number)),
            FlagsOfEmptyDacl => {
                let (before, dacl, sacl) = lists(text);
                [before, sacl, dacl].concat()
            }
            FlagsOfEmptyLists => {
                let (before, dacl, _) = lists(text);
                [before, "S:", dacl].concat()
            }
            LargeAuthority => {
                let mut parts = text.split(LARGE);
                let first = parts.next().unwrap_or_default().to_string();
                parts.fold(first, |text, part| {
                    let (digits, rest) = part.split_at_checked(DIGITS).expect("an authority");
                    let number = u64::from_str_radix(digits, 16).expect("a number");
                    format!("{text}S-1-{number}{rest}")
                })
            }
        }
    }
}

/// A security descriptor's text with what must be done about differences.
pub struct Rewritten {
    /// Those that concern it.
    pub differences: Vec<TextDifference>,
    /// As we write it.
    pub original: String,
    /// As it is given to Samba.
    pub text: String,
    /// What Samba must read.
    pub meaning: SecurityDescriptor,
}

impl Rewritten {
    pub fn from(sd: &SecurityDescriptor) -> Rewritten {
        let original = sd.to_string();
        let all = TextDifference::ALL.into_iter();
        let differences: Vec<_> = all.filter(|one| one.concerns(sd, &original)).collect();
        let text = differences.iter().fold(original.clone(), |text, one| one.text(sd, &text));
        let meaning = differences.iter().fold(sd.clone(), |sd, one| one.meaning(sd));
        Rewritten { differences, original, text, meaning }
    }
}

/// Whether a list is empty and has control bits, of these, that a text says.
fn empty_with_flags(list: &AclPart, control: Control) -> bool {
    let is_empty = list.list().is_some_and(|list| list.aces().is_empty());
    is_empty && control.intersects(WITH_NAMES)
}

/// What of a text with both lists precedes them, the DACL, and the SACL.
fn lists(text: &str) -> (&str, &str, &str) {
    let sacl = text.find("S:").expect("a SACL");
    let (rest, sacl) = text.split_at(sacl);
    let (before, dacl) = rest.split_at(rest.find("D:").expect("a DACL"));
    (before, dacl, sacl)
}

/// Control bits that SDDL has names for.
const WITH_NAMES: Control = Control::DACL
    .union(Control::SACL)
    .difference(Control::DACL_DEFAULTED)
    .difference(Control::SACL_DEFAULTED);

/// What a text can say of a security descriptor: control bits belong to a list, and some have no name.
pub fn sayable(sd: &SecurityDescriptor) -> SecurityDescriptor {
    let mut parts = Parts::OWNER | Parts::GROUP;
    parts.set(Parts::DACL, *sd.dacl() != AclPart::Absent);
    parts.set(Parts::SACL, *sd.sacl() != AclPart::Absent);
    let mut said = sd.only(parts);
    said.control &= WITH_NAMES;
    said
}

/// The same, where lists are not there that are said to be there and are not.
pub fn without_null_lists(sd: &SecurityDescriptor) -> SecurityDescriptor {
    let mut parts = Parts::all();
    parts.set(Parts::DACL, *sd.dacl() != AclPart::Null);
    parts.set(Parts::SACL, *sd.sacl() != AclPart::Null);
    sd.only(parts)
}
