//! Entries as people read them.

use std::fmt::Write;

use anstyle::{Effects, Style};
use libreg::data::{interpret, type_name};
use textwrap::core::display_width;
use textwrap::{Options, fill};

use crate::entry::{About, Applies, KeyEntry, Valid, ValueEntry};
use crate::manual::{Entry, Manual};
use crate::place::Place;

/// How wide a card is, in columns.
const WIDTH: usize = 80;

/// Of what is looked at first.
const STRONG: Style = Style::new().effects(Effects::BOLD);

/// The card of a value.
pub(crate) fn of_value(value: &ValueEntry) -> String {
    let mut card = String::new();
    identity(&mut card, &value.place, Some(&value.name));
    paragraph(&mut card, &value.about.summary, 2);
    card.push('\n');
    let mut facts = vec![
        ("Type", type_name(value.value_type.code())),
        ("Default", default(value)),
        ("Valid", valid(&value.valid)),
    ];
    facts.extend(value.unit.clone().map(|unit| ("Unit", unit)));
    facts.push(("Applies", applies(value)));
    facts.push(("Read by", value.about.reader.clone()));
    for (name, fact) in facts {
        line(&mut card, 2, name, "Default".len(), &fact);
    }
    description(&mut card, &value.about);
    card
}

/// The card of a key: what is said of it, and what there is in it. There may be no entry for the key itself.
pub(crate) fn of_key(manual: &Manual, place: &Place, key: Option<&KeyEntry>) -> String {
    let mut card = String::new();
    identity(&mut card, key.map_or(place, |key| &key.place), None);
    if let Some(key) = key {
        paragraph(&mut card, &key.about.summary, 2);
        card.push('\n');
        line(&mut card, 2, "Read by", "Read by".len(), &key.about.reader);
        description(&mut card, &key.about);
    }
    let values = manual.values_of(place).into_iter();
    let values: Vec<_> =
        values.map(|value| (shown_name(&value.name).to_owned(), &*value.about.summary)).collect();
    index(&mut card, "Values", &values);
    let keys = manual.children_of(place).into_iter();
    let keys: Vec<_> =
        keys.filter_map(|key| Some((key.place.split()?.1, &*key.about.summary))).collect();
    index(&mut card, "Keys", &keys);
    card
}

/// One line for each entry: path and name, and the summary below them.
pub(crate) fn list(entries: &[Entry<'_>]) -> String {
    let mut text = String::new();
    for entry in entries {
        identity(&mut text, entry.place(), entry.name());
        paragraph(&mut text, &entry.about().summary, 2);
    }
    text
}

/// A value's name as people write it.
pub(crate) fn shown_name(name: &str) -> &str {
    if name.is_empty() { "@" } else { name }
}

fn identity(card: &mut String, place: &Place, name: Option<&str>) {
    let _ = match name {
        Some(name) => writeln!(card, "{STRONG}{place}  {}{STRONG:#}", shown_name(name)),
        None => writeln!(card, "{STRONG}{place}{STRONG:#}"),
    };
}

fn index(card: &mut String, title: &str, entries: &[(String, &str)]) {
    let Some(width) = entries.iter().map(|(name, _)| display_width(name)).max() else {
        return;
    };
    let _ = writeln!(card, "\n  {STRONG}{title}{STRONG:#}");
    for (name, summary) in entries {
        line(card, 4, name, width, summary);
    }
}

/// A name in a column of this width, and text beside it.
fn line(card: &mut String, indent: usize, name: &str, width: usize, text: &str) {
    let first = format!("{:indent$}{name}{:2$}", "", "", width + 2 - display_width(name));
    let rest = " ".repeat(indent + width + 2);
    let options = Options::new(WIDTH).initial_indent(&first).subsequent_indent(&rest);
    let _ = writeln!(card, "{}", fill(text, options));
}

fn description(card: &mut String, about: &About) {
    for text in about.description.split("\n\n").filter(|text| !text.trim().is_empty()) {
        card.push('\n');
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        paragraph(card, &text, 2);
    }
}

fn paragraph(card: &mut String, text: &str, indent: usize) {
    let indent = " ".repeat(indent);
    let options = Options::new(WIDTH).initial_indent(&indent).subsequent_indent(&indent);
    let _ = writeln!(card, "{}", fill(text, options));
}

fn default(value: &ValueEntry) -> String {
    let Some(data) = &value.default else { return "none".to_owned() };
    match interpret(value.value_type.code(), data) {
        libreg::data::Data::Text(text) => format!("{text:?}"),
        libreg::data::Data::List(strings) => {
            let quoted: Vec<_> = strings.iter().map(|string| format!("{string:?}")).collect();
            if quoted.is_empty() { "an empty list".to_owned() } else { quoted.join(", ") }
        }
        meant => meant.to_string(),
    }
}

fn valid(valid: &Valid) -> String {
    match valid {
        Valid::Any => "any data of this type".to_owned(),
        Valid::Range { min, max } => format!("{min} to {max}"),
        Valid::Set(words) => words.join(", "),
        Valid::Pattern(pattern) => format!("text that matches {}", pattern.as_str()),
    }
}

fn applies(value: &ValueEntry) -> String {
    match value.applies {
        Applies::Live => "at once".to_owned(),
        Applies::Restart => format!("when {} is started again", value.about.reader),
        Applies::Reboot => "when the machine is started again".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::File;
    use crate::path::Path;

    const FILE: &str = r#"
reader = "editor"

[[value]]
path = 'HKCU\Software\Editor'
name = "Tabs"
type = "dword"
default = 4
range = [1, 16]
unit = "columns"
applies = "restart"
summary = "How wide a tab is"
description = """
One that is as wide as a line is long, and this line is longer than a card, is
broken
where it fits.

A second paragraph."""
"#;

    #[test]
    fn a_card_has_identity_facts_and_description_in_80_columns() {
        let file = File::parse(FILE).unwrap();
        let card = anstream::adapter::strip_str(&of_value(&file.values[0])).to_string();
        assert_eq!(
            card,
            r"CurrentUser\Software\Editor  Tabs
  How wide a tab is

  Type     dword
  Default  4
  Valid    1 to 16
  Unit     columns
  Applies  when editor is started again
  Read by  editor

  One that is as wide as a line is long, and this line is longer than a card, is
  broken where it fits.

  A second paragraph.
"
        );
        assert!(card.lines().all(|line| display_width(line) <= WIDTH));
    }

    #[test]
    fn a_key_without_an_entry_has_an_index_of_its_values_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let more = FILE.replace("Tabs", "@");
        std::fs::write(folder.path().join("a.toml"), FILE).unwrap();
        std::fs::write(folder.path().join("b.toml"), more).unwrap();
        let files = crate::manual::folder(folder.path());
        let (manual, _) = Manual::read(&[files]);
        let place = Place::from(Path::parse("Users/S-1/Software/Editor").unwrap());
        let card = anstream::adapter::strip_str(&of_key(&manual, &place, None)).to_string();
        assert_eq!(
            card,
            r"Users\S-1\Software\Editor

  Values
    Tabs  How wide a tab is
    @     How wide a tab is
"
        );
    }
}
