//! What the SACL wants to be recorded: the flags and SYSTEM_AUDIT_ACE of [MS-DTYP] 2.4.4.1 and 2.4.4.10. Whether
//! an access is granted follows from the DACL.

use lcs_core::security::{DesiredAccess, access_check, is_audited};

use crate::table::{each, mask, sd, token};

/// SACL, token, what is asked for, whether it is recorded.
type Row = (&'static str, &'static str, &'static str, bool);

/// Everybody may read, and alice may set values.
const DACL: &str = "O:SYD:(A;;KR;;;WD)(A;;DC;;;{alice})";

fn check(dacl: &str, rows: &[Row]) {
    each(rows, |(sacl, who, asked, expected)| {
        let (sd, token) = (sd(&format!("{dacl}{sacl}")), token(who));
        let desired = DesiredAccess::new(mask(asked).bits()).unwrap();
        let outcome = access_check(&sd, &token, &desired);
        (is_audited(&sd, &token, &desired, outcome), *expected)
    });
}

// 2.4.4.1: SUCCESSFUL_ACCESS_ACE_FLAG has successful attempts recorded, FAILED_ACCESS_ACE_FLAG failed ones.
#[test]
fn successes_and_failures_are_recorded_where_the_flags_say_so() {
    check(
        DACL,
        &[
            ("S:(AU;SA;KA;;;WD)", "bob", "KR", true),
            ("S:(AU;SA;KA;;;WD)", "bob", "KW", false),
            ("S:(AU;FA;KA;;;WD)", "bob", "KR", false),
            ("S:(AU;FA;KA;;;WD)", "bob", "KW", true),
            ("S:(AU;SAFA;KA;;;WD)", "bob", "KR", true),
            ("S:(AU;SAFA;KA;;;WD)", "bob", "KW", true),
            ("S:(AU;;KA;;;WD)", "bob", "KR", false),
            ("S:(AU;;KA;;;WD)", "bob", "KW", false),
            ("S:(AU;CIID;KA;;;WD)", "bob", "KR", false),
        ],
    );
}

// 2.4.4.10, Sid: the trustee whose attempts are recorded. Roles that are played at an access check or at
// inheritance are no trustees here (ours).
#[test]
fn an_audit_ace_concerns_its_user_or_the_members_of_its_group() {
    check(
        DACL,
        &[
            ("S:(AU;SA;KA;;;{alice})", "alice", "CC", true),
            ("S:(AU;SA;KA;;;{alice})", "bob", "CC", false),
            ("S:(AU;SA;KA;;;{users})", "bob", "CC", true),
            ("S:(AU;SA;KA;;;{staff})", "bob", "CC", false),
            ("S:(AU;SA;KA;;;{staff})", "bob staff", "CC", true),
            ("S:(AU;FA;KA;;;{staff})", "bob staff", "DC", true),
            ("S:(AU;SA;KA;;;AU)", "bob", "CC", true),
            ("S:(AU;SA;KA;;;BA)", "bob", "CC", false),
            ("S:(AU;SA;KA;;;BA)", "bob administrator unprivileged", "CC", true),
            ("S:(AU;SA;KA;;;BA)", "system", "CC", true),
            ("S:(AU;SA;KA;;;SY)", "system", "CC", true),
            ("S:(AU;SA;KA;;;OW)", "system", "CC", false),
            ("S:(AU;SA;KA;;;CO)", "system", "CC", false),
        ],
    );
}

// 2.4.4.10, Mask: the rights whose use is recorded. Of a success it is one that was granted, of a failure one that
// was asked for, be it a missing one or not (ours: the standard leaves that open).
#[test]
fn an_audit_ace_concerns_the_rights_of_its_mask() {
    check(
        DACL,
        &[
            ("S:(AU;SA;CC;;;WD)", "bob", "CC", true),
            ("S:(AU;SA;CC;;;WD)", "bob", "KR", true),
            ("S:(AU;SA;KR;;;WD)", "bob", "CC", true),
            ("S:(AU;SA;KW;;;WD)", "bob", "CC", false),
            ("S:(AU;SA;0;;;WD)", "bob", "CC", false),
            ("S:(AU;FA;DC;;;WD)", "bob", "CCDC", true),
            ("S:(AU;FA;CC;;;WD)", "bob", "CCDC", true),
            ("S:(AU;FA;SD;;;WD)", "bob", "CCDC", false),
            // Generic rights are mapped on both sides.
            ("S:(AU;SA;GR;;;WD)", "bob", "CC", true),
            ("S:(AU;SA;GW;;;WD)", "bob", "CC", false),
            ("S:(AU;SA;GA;;;WD)", "bob", "CC", true),
            ("S:(AU;SA;GX;;;WD)", "bob", "CC", false),
            ("S:(AU;SA;CC;;;WD)", "bob", "GR", true),
            ("S:(AU;FA;WO;;;WD)", "bob", "GA", true),
            ("S:(AU;FA;KA;;;WD)", "bob", "GX", false),
            // Of MAXIMUM_ALLOWED what came of it counts.
            ("S:(AU;SA;SW;;;WD)", "bob", "MAX", true),
            ("S:(AU;SA;DC;;;WD)", "bob", "MAX", false),
            ("S:(AU;SA;DC;;;WD)", "alice", "MAX", true),
            ("S:(AU;FA;CC;;;WD)", "bob", "MAX DC", true),
            // What a privilege gave is granted like anything else.
            ("S:(AU;SA;WO;;;WD)", "bob administrator", "WO", true),
            ("S:(AU;SA;0x1000000;;;WD)", "bob administrator", "SACL", true),
            ("S:(AU;SA;KA;;;WD)", "bob administrator", "SACL", false),
            ("S:(AU;SA;GA;;;WD)", "bob administrator", "SACL", false),
            ("S:(AU;FA;0x1000000;;;WD)", "bob", "SACL", true),
        ],
    );
    check("O:SYD:", &[("S:(AU;FA;CC;;;WD)", "bob", "MAX", true)]);
    check("O:SYD:NO_ACCESS_CONTROL", &[("S:(AU;SA;DC;;;WD)", "bob", "DC", true)]);
}

// 2.4.4.1: INHERIT_ONLY_ACE. One ACE that wants it is enough, and none can forbid it.
#[test]
fn any_effective_ace_of_the_sacl_is_enough() {
    check(
        DACL,
        &[
            ("", "bob", "CC", false),
            ("S:", "bob", "CC", false),
            ("S:NO_ACCESS_CONTROL", "bob", "CC", false),
            ("S:P", "bob", "DC", false),
            ("S:(AU;CISA;KA;;;WD)", "bob", "CC", true),
            ("S:(AU;CIIOSA;KA;;;WD)", "bob", "CC", false),
            ("S:(AU;CIIOFA;KA;;;WD)", "bob", "DC", false),
            ("S:(AU;OICINPIDSA;KA;;;WD)", "bob", "CC", true),
            ("S:(AU;FA;KA;;;WD)(AU;SA;KA;;;WD)", "bob", "CC", true),
            ("S:(AU;SA;KW;;;WD)(AU;SA;SW;;;{alice})(AU;SA;SW;;;WD)", "bob", "SW", true),
            ("S:(AU;CIIOSA;KA;;;WD)(AU;SA;KA;;;{bob})", "bob", "CC", true),
            ("S:(AU;CIIOSA;KA;;;WD)(AU;SA;KA;;;{alice})", "bob", "CC", false),
        ],
    );
}
