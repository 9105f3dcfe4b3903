//! `acl get`, `acl set`, `acl check`.

use std::str::FromStr;

use comfy_table::Row;
use libreg::security::{Ace, AceFlags, AceKind, AclPart, Control, Parts, SecurityDescriptor, Sid};
use libreg::{Access, Registry};
use serde_json::{Value as Json, json};

use super::Session;
use crate::accounts;
use crate::cli::{Acl, AclCheck, AclGet, AclSet};
use crate::exit::Failure;
use crate::output::{self, Out};
use crate::rights;

pub fn acl(session: &mut Session, options: &Acl) -> Result<(), Failure> {
    match options {
        Acl::Get(options) => get(session, options),
        Acl::Set(options) => set(session, options),
        Acl::Check(options) => check(session, options),
    }
}

fn get(session: &mut Session, options: &AclGet) -> Result<(), Failure> {
    let path = session.path(&options.path)?.key()?;
    let read = read(session.registry()?, &path)?;
    let mut out = Out::stdout();
    if options.output.json {
        out.json(&to_json(&read))?;
    } else {
        out.text(&to_text(&read.sd))?;
    }
    out.finish()
}

/// A security descriptor as far as the caller may read it.
struct ReadSd {
    sd: SecurityDescriptor,
    /// The SACL is in it, if the key has one.
    with_sacl: bool,
}

fn read(registry: &Registry, path: &str) -> Result<ReadSd, Failure> {
    let without = Parts::all() - Parts::SACL;
    let sd = registry.open_key(path, without.rights_to_read())?.security(without)?;
    // A request of its own: to be denied what few are granted is no failed access to the rest.
    let sacl = registry
        .open_key(path, Parts::SACL.rights_to_read())
        .and_then(|key| key.security(Parts::SACL));
    match sacl {
        Ok(sacl) => Ok(ReadSd { sd: sd.with(Parts::SACL, &sacl), with_sacl: true }),
        Err(error) if error.is_access_denied() => Ok(ReadSd { sd, with_sacl: false }),
        Err(error) => Err(error.into()),
    }
}

fn to_text(sd: &SecurityDescriptor) -> String {
    let who = |sid: &Option<Sid>| sid.as_ref().map_or_else(|| "none".to_owned(), accounts::who);
    let mut text = format!("Owner  {}\nGroup  {}\n", who(&sd.owner), who(&sd.group));
    let aces: Vec<_> = [sd.dacl(), sd.sacl()]
        .into_iter()
        .filter_map(AclPart::list)
        .flat_map(|acl| acl.aces())
        .collect();
    if !aces.is_empty() {
        let mut table = output::table(&["WHO", "WHAT", "RIGHTS", "INHERITED", "APPLIES TO"]);
        for ace in aces {
            table.add_row(Row::from(vec![
                accounts::who(&ace.sid),
                what(ace).to_owned(),
                rights::summary(ace.mask),
                if is_inherited(ace) { "yes" } else { "no" }.to_owned(),
                applies_to(ace.flags).to_owned(),
            ]));
        }
        text.push('\n');
        text.push_str(&output::table_text(table));
    }
    text.push('\n');
    for remark in remarks(sd) {
        text.push_str(remark);
        text.push('\n');
    }
    text.push_str(&format!("SDDL  {sd}\n"));
    text
}

/// What the table cannot show.
fn remarks(sd: &SecurityDescriptor) -> Vec<&'static str> {
    let mut remarks = Vec::new();
    match sd.dacl() {
        AclPart::Absent | AclPart::Null => {
            remarks.push("There is no DACL: everybody may do everything.");
        }
        AclPart::List(dacl) if dacl.aces().is_empty() => {
            remarks.push(
                "The DACL is empty: nobody may do anything, but the owner may read and change it.",
            );
        }
        AclPart::List(_) => {}
    }
    for (protected, remark) in [
        (Control::DACL_PROTECTED, "The DACL is protected: it inherits nothing from above."),
        (Control::SACL_PROTECTED, "The SACL is protected: it inherits nothing from above."),
    ] {
        if sd.control.contains(protected) {
            remarks.push(remark);
        }
    }
    remarks
}

fn what(ace: &Ace) -> &'static str {
    let success = ace.flags.contains(AceFlags::SUCCESSFUL_ACCESS);
    let failure = ace.flags.contains(AceFlags::FAILED_ACCESS);
    match (ace.kind, success, failure) {
        (AceKind::Allow, ..) => "allow",
        (AceKind::Deny, ..) => "deny",
        (AceKind::Audit, true, true) => "audit success+failure",
        (AceKind::Audit, true, false) => "audit success",
        (AceKind::Audit, false, true) => "audit failure",
        (AceKind::Audit, false, false) => "audit nothing",
    }
}

fn is_inherited(ace: &Ace) -> bool {
    ace.flags.contains(AceFlags::INHERITED)
}

/// On which keys an ACE has an effect. What only objects inherit has none below: a key is a container.
fn applies_to(flags: AceFlags) -> &'static str {
    let here = !flags.contains(AceFlags::INHERIT_ONLY);
    let below = flags.contains(AceFlags::CONTAINER_INHERIT);
    let children_only = flags.contains(AceFlags::NO_PROPAGATE_INHERIT);
    match (here, below, children_only) {
        (true, false, _) => "this key",
        (true, true, false) => "this key and below",
        (true, true, true) => "this key and its children only",
        (false, true, false) => "below only",
        (false, true, true) => "its children only",
        (false, false, _) => "nothing",
    }
}

fn to_json(read: &ReadSd) -> Json {
    let ReadSd { sd, with_sacl } = read;
    let mut json = json!({
        "owner": sd.owner.as_ref().map(accounts::json),
        "group": sd.group.as_ref().map(accounts::json),
        "flags": sd.control.iter_names().map(|(name, _)| name).collect::<Vec<_>>(),
        "dacl": list_json(sd.dacl()),
        "sddl": sd.to_string(),
    });
    if *with_sacl {
        json["sacl"] = list_json(sd.sacl());
    }
    json
}

/// The ACEs of a list; null where there is none.
fn list_json(list: &AclPart) -> Json {
    list.list().map_or(Json::Null, |acl| acl.aces().iter().map(ace_json).collect())
}

fn ace_json(ace: &Ace) -> Json {
    json!({
        "who": accounts::json(&ace.sid),
        "what": what(ace),
        "rights": rights::names(ace.mask),
        "mask": ace.mask.bits(),
        "inherited": is_inherited(ace),
        "applies_to": applies_to(ace.flags),
        "flags": ace.flags.iter_names().map(|(name, _)| name).collect::<Vec<_>>(),
    })
}

fn set(session: &mut Session, options: &AclSet) -> Result<(), Failure> {
    let path = session.path(&options.path)?.key()?;
    let sd = SecurityDescriptor::from_str(&options.sddl).map_err(|error| Failure::Usage {
        subject: options.sddl.clone(),
        what: error.to_string(),
    })?;
    let parts = rights::parts_of(&sd);
    if parts.is_empty() {
        let what = "names nothing to set (O:, G:, D: or S:)".to_owned();
        return Err(Failure::Usage { subject: "SDDL".to_owned(), what });
    }
    session.registry()?.open_key(&path, parts.rights_to_write())?.set_security(parts, &sd)?;
    Ok(())
}

fn check(session: &mut Session, options: &AclCheck) -> Result<(), Failure> {
    let path = session.path(&options.path)?.key()?;
    let registry = session.registry()?;
    let missing = match registry.open_key(&path, options.rights) {
        Ok(_) => None,
        Err(error) => Some(registry.missing_rights(&error).ok_or(error)?),
    };
    let mut out = Out::stdout();
    if options.output.json {
        let missing = missing.as_ref().map_or(Access::empty(), |missing| missing.rights);
        out.json(&json!({
            "granted": missing.is_empty(),
            "rights": rights::names(options.rights),
            "missing": rights::names(missing),
        }))?;
    } else {
        match &missing {
            None => out.line(format_args!("yes: {}", rights::names(options.rights).join(", ")))?,
            Some(missing) => out.line(format_args!("no: {}", missing.words()))?,
        }
    }
    out.finish()?;
    if missing.is_some() { Err(Failure::PrintedNo) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(sddl: &str) -> String {
        to_text(&sddl.parse().unwrap())
    }

    #[test]
    fn a_security_descriptor_is_a_table() {
        let sddl = "O:SYG:S-1-22-2-3999999999D:P(A;CI;KA;;;SY)(D;CINPIOID;KW;;;WD)(A;;GR;;;OW)\
                    S:(AU;SAFA;SD;;;AU)";
        let expected = "\
Owner  SYSTEM
Group  group 3999999999

WHO                  WHAT                   RIGHTS        INHERITED  APPLIES TO
SYSTEM               allow                  full control  no         this key and below
Everyone             deny                   write         yes        its children only
OWNER RIGHTS         allow                  GENERIC_READ  no         this key
Authenticated Users  audit success+failure  DELETE        no         this key

The DACL is protected: it inherits nothing from above.
";
        assert_eq!(text(sddl), format!("{expected}SDDL  {sddl}\n"));
    }

    #[test]
    fn a_list_that_is_missing_or_empty_is_told() {
        let open = "Owner  SYSTEM\nGroup  none\n\nThere is no DACL: everybody may do everything.\n";
        assert_eq!(text("O:SY"), format!("{open}SDDL  O:SY\n"));
        let sddl = "O:SYD:NO_ACCESS_CONTROL";
        assert_eq!(text(sddl), format!("{open}SDDL  {sddl}\n"));
        assert!(text("O:SYD:").contains("\nThe DACL is empty: nobody may do anything, but "));
    }

    #[test]
    fn where_an_ace_has_an_effect() {
        for (flags, place) in [
            ("", "this key"),
            ("OI", "this key"),
            ("CI", "this key and below"),
            ("CIIO", "below only"),
            ("CINP", "this key and its children only"),
            ("CINPIO", "its children only"),
            ("OIIO", "nothing"),
        ] {
            let sd: SecurityDescriptor = format!("D:(A;{flags};KR;;;WD)").parse().unwrap();
            let ace = sd.dacl().list().unwrap().aces()[0];
            assert_eq!(applies_to(ace.flags), place, "{flags}");
        }
    }

    #[test]
    fn only_what_an_sddl_names_is_set() {
        let parts = |sddl: &str| rights::parts_of(&sddl.parse().unwrap());
        assert_eq!(parts("O:SY"), Parts::OWNER);
        assert_eq!(parts("G:BAD:"), Parts::GROUP | Parts::DACL);
        assert_eq!(parts("D:NO_ACCESS_CONTROLS:"), Parts::DACL | Parts::SACL);
        assert_eq!(parts(""), Parts::empty());
    }

    #[test]
    fn json_has_lists_and_null_where_there_is_none() {
        let read =
            |sddl: &str, with_sacl| to_json(&ReadSd { sd: sddl.parse().unwrap(), with_sacl });
        let json = read("O:SYD:P(A;CIID;KR;;;AU)", false);
        assert_eq!(json["owner"], json!({ "sid": "S-1-5-18", "name": "SYSTEM" }));
        assert_eq!(json["group"], Json::Null);
        assert_eq!(json["flags"], json!(["DACL_PROTECTED"]));
        assert_eq!(json["sddl"], json!("O:SYD:P(A;CIID;KR;;;AU)"));
        assert_eq!(json.get("sacl"), None);
        let ace = json!({
            "who": { "sid": "S-1-5-11", "name": "Authenticated Users" },
            "what": "allow",
            "rights": ["QUERY_VALUE", "ENUMERATE_SUB_KEYS", "NOTIFY", "READ_CONTROL"],
            "mask": 0x20019,
            "inherited": true,
            "applies_to": "this key and below",
            "flags": ["CONTAINER_INHERIT", "INHERITED"],
        });
        assert_eq!(json["dacl"], json!([ace]));
        let json = read("O:SYD:", true);
        assert_eq!((&json["dacl"], &json["sacl"]), (&json!([]), &Json::Null));
    }
}
