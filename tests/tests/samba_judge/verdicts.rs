//! Where the verdicts of Samba's access check and ours differ, all of it: Samba's judges, translated as the
//! entries that concern a case say, must be ours, to the bit.

use lcs_core::security::{Ace, AceKind, Acl, AclKind, AclPart, Sid};
use libreg::Access;

use crate::cases::{Case, GENERIC};
use crate::judge::Outcome;

/// A difference. Each is a translation: of the question, so that Samba can judge what is meant, or of its
/// answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VerdictDifference {
    /// Asked for no right at all, Samba grants that: nothing is missing. A handle without rights is of no
    /// use, and the request most likely a mistake, so here a mask of 0 is invalid, and that comes before the
    /// security descriptor. It must be exactly no right that Samba grants.
    NothingAsked,
    /// Samba takes a bit that is no key's right for a right that no ACE grants, which without a DACL is
    /// granted none the less. Here such a mask is invalid (DESIGN §6: bits beyond the registry's), and that
    /// comes before the security descriptor.
    UnknownRight,
    /// Samba's callers map generic rights before they ask, each with the mapping for its kind of object;
    /// access_check knows none, and looks for ACEs that have the generic bit itself. We map in the check
    /// ([MS-DTYP] 2.4.3, DESIGN §6). Samba must agree about the mapped mask.
    GenericRightAsked,
    /// The same for the masks of ACEs, which Samba's callers map when an ACE is stored. We store what was
    /// written, and map in the check. Samba must agree about the mapped ACEs.
    GenericRightInAce,
    /// Samba lets an ACE of the DACL grant ACCESS_SYSTEM_SECURITY. A DACL does not control who sees the SACL
    /// ([MS-DTYP] 2.5.3.2 and DESIGN §6: SeSecurityPrivilege alone does). Samba must agree where the ACEs
    /// that allow do not have the bit.
    SystemSecurityInAce,
    /// Samba denies everything where the DACL is not said to be there, and grants everything where it is
    /// said to be there and is not. Both mean that nobody has restricted anything: full access
    /// (SE_DACL_PRESENT of winnt.h; DESIGN §6). Samba must agree about the DACL that is said to be there.
    NoDacl,
    /// Without a DACL Samba's MAXIMUM_ALLOWED is nothing but what was asked for besides it: it is worked out
    /// from the ACEs before the missing list is noticed. Everything is allowed, so the maximum is
    /// everything. Samba must agree about a DACL that says so in an ACE.
    MaximumWithoutDacl,
    /// Without a DACL Samba grants all that was asked for, also ACCESS_SYSTEM_SECURITY and without the
    /// privilege. But that right does not come from the DACL, nor from its absence (see
    /// [`SystemSecurityInAce`](Self::SystemSecurityInAce)). Samba must agree about a DACL that grants
    /// everything else in an ACE.
    SystemSecurityWithoutDacl,
    /// Asked for all that can be had where nothing can be had, or for GENERIC_EXECUTE, which is nothing for a
    /// key (DESIGN §6), Samba grants no right. An open that grants nothing is a denial, without any right
    /// that would be missing. It must be exactly no right that Samba grants.
    NothingToBeHad,
}

use VerdictDifference::*;

impl VerdictDifference {
    /// All, in the order in which they translate questions.
    pub const ALL: [VerdictDifference; 9] = [
        NothingAsked,
        UnknownRight,
        GenericRightAsked,
        GenericRightInAce,
        SystemSecurityInAce,
        NoDacl,
        MaximumWithoutDacl,
        SystemSecurityWithoutDacl,
        NothingToBeHad,
    ];

    /// Whether it is about a case like this.
    fn concerns(self, case: &Case) -> bool {
        let mask = Access::from_bits_retain(case.mask);
        let mut aces = case.sd.dacl().list().into_iter().flat_map(Acl::aces);
        let without_dacl = case.sd.dacl().list().is_none();
        match self {
            NothingAsked => mask.is_empty(),
            UnknownRight => !unknown(mask).is_empty(),
            GenericRightAsked => mask.intersects(GENERIC),
            GenericRightInAce => aces.any(|ace| ace.is_effective() && ace.mask.intersects(GENERIC)),
            SystemSecurityInAce => aces.any(grants_system_security),
            NoDacl => *case.sd.dacl() == AclPart::Absent,
            MaximumWithoutDacl => without_dacl && mask.contains(Access::MAXIMUM_ALLOWED),
            SystemSecurityWithoutDacl => {
                without_dacl && mask.contains(Access::ACCESS_SYSTEM_SECURITY)
            }
            NothingToBeHad => !mask.is_empty() && asked_for(mask).is_empty(),
        }
    }

    /// The question as it is put to Samba.
    fn question(self, case: Case) -> Case {
        match self {
            NothingAsked | UnknownRight | NothingToBeHad => case,
            GenericRightAsked => {
                let mask = mapped(Access::from_bits_retain(case.mask));
                Case { mask: mask.bits(), ..case }
            }
            GenericRightInAce => with_aces(&case, |ace| Ace { mask: mapped(ace.mask), ..ace }),
            SystemSecurityInAce => with_aces(&case, |ace| match grants_system_security(&ace) {
                true => Ace { mask: ace.mask - Access::ACCESS_SYSTEM_SECURITY, ..ace },
                false => ace,
            }),
            NoDacl => case.with_dacl(AclPart::Null),
            MaximumWithoutDacl | SystemSecurityWithoutDacl => {
                let flags = Default::default();
                let all = Ace::allow(flags, Access::KEY_ALL_ACCESS, Sid::EVERYONE);
                case.with_dacl(AclPart::List(Acl::new(AclKind::Dacl, vec![all]).expect("a DACL")))
            }
        }
    }

    /// What Samba's answer to such a question must be with us.
    fn answer(self, question: &Case, samba: Outcome) -> Outcome {
        match (self, samba) {
            (NothingAsked, Outcome::Granted(0)) => Outcome::Invalid,
            (UnknownRight, Outcome::Granted(granted))
                if question.sd.dacl().list().is_none() && granted == question.mask =>
            {
                Outcome::Invalid
            }
            (UnknownRight, Outcome::Denied(missing))
                if Access::from_bits_retain(missing)
                    .contains(unknown(Access::from_bits_retain(question.mask))) =>
            {
                Outcome::Invalid
            }
            (NothingToBeHad, Outcome::Granted(0)) => Outcome::Denied(0),
            _ => samba,
        }
    }
}

/// A case with what must be done about differences.
pub struct Translated {
    /// Those that concern it.
    pub differences: Vec<VerdictDifference>,
    /// As it is put to Samba.
    pub question: Case,
}

impl Translated {
    pub fn from(case: &Case) -> Translated {
        let all = VerdictDifference::ALL.into_iter();
        let differences: Vec<_> = all.filter(|difference| difference.concerns(case)).collect();
        let question = differences.iter().fold(case.clone(), |case, one| one.question(case));
        Translated { differences, question }
    }

    /// What Samba's answer must be with us.
    pub fn answer(&self, samba: Outcome) -> Outcome {
        let differences = self.differences.iter();
        differences.fold(samba, |answer, difference| difference.answer(&self.question, answer))
    }
}

/// The generic rights, and what each means for a key (DESIGN §6): in numbers, so that [`map_generic`] is
/// judged, too.
///
/// [`map_generic`]: lcs_core::security::map_generic
const MAPPING: [(u32, u32); 4] =
    [(0x8000_0000, 0x2_0019), (0x4000_0000, 0x2_0006), (0x2000_0000, 0), (0x1000_0000, 0xF_003F)];

fn mapped(mask: Access) -> Access {
    let meant = MAPPING.iter().filter(|(generic, _)| mask.bits() & generic != 0);
    let meant = meant.fold(0, |all, (_, meaning)| all | meaning);
    (mask - GENERIC) | Access::from_bits_retain(meant)
}

fn unknown(mask: Access) -> Access {
    mask - Access::all()
}

/// What of a mask must be granted.
fn asked_for(mask: Access) -> Access {
    mapped(mask - Access::MAXIMUM_ALLOWED)
}

fn grants_system_security(ace: &Ace) -> bool {
    ace.is_effective()
        && ace.kind == AceKind::Allow
        && ace.mask.contains(Access::ACCESS_SYSTEM_SECURITY)
}

fn with_aces(case: &Case, change: impl Fn(Ace) -> Ace) -> Case {
    let Some(dacl) = case.sd.dacl().list() else { return case.clone() };
    let aces = dacl.aces().iter().map(|ace| change(*ace)).collect();
    case.with_dacl(AclPart::List(Acl::new(AclKind::Dacl, aces).expect("a DACL")))
}
