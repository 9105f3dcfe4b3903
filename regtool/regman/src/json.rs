//! Entries as programs read them.

use libreg::data::{Data, interpret, type_name};
use serde_json::{Value as Json, json};

use crate::card::shown_name;
use crate::entry::{KeyEntry, Valid, ValueEntry};
use crate::manual::{Entry, Manual};
use crate::place::Place;

/// A value's entry.
pub(crate) fn of_value(value: &ValueEntry) -> Json {
    let code = value.value_type.code();
    let default = value.default.as_ref().map(|data| match interpret(code, data) {
        Data::Text(text) => json!(text),
        Data::List(strings) => json!(strings),
        Data::Number(number) => json!(number),
        bytes @ Data::Bytes(_) => json!(bytes.to_string()),
    });
    let valid = match &value.valid {
        Valid::Any => Json::Null,
        Valid::Range { min, max } => json!({ "range": [min, max] }),
        Valid::Set(words) => json!({ "set": words }),
        Valid::Pattern(pattern) => json!({ "pattern": pattern.as_str() }),
    };
    json!({
        "path": value.path(),
        "name": shown_name(&value.name),
        "type": type_name(code),
        "default": default,
        "valid": valid,
        "unit": value.unit,
        "applies": value.applies.word(),
        "reader": value.about.reader,
        "summary": value.about.summary,
        "description": value.about.description,
    })
}

/// A key with what there is in it: `values`, and the paths of `keys` that have entries.
pub(crate) fn of_key(manual: &Manual, place: &Place, key: Option<&KeyEntry>) -> Json {
    let mut json = key.map_or_else(|| json!({ "path": place.to_string() }), of_key_alone);
    json["values"] = manual.values_of(place).into_iter().map(of_value).collect();
    json["keys"] = manual.children_of(place).into_iter().map(KeyEntry::path).collect();
    json
}

/// Entries as an array; only those of values have a `name`.
pub(crate) fn of_entries(entries: &[Entry<'_>]) -> Json {
    let of_entry = |entry: &Entry<'_>| match entry {
        Entry::Key(key) => of_key_alone(key),
        Entry::Value(value) => of_value(value),
    };
    entries.iter().map(of_entry).collect()
}

fn of_key_alone(key: &KeyEntry) -> Json {
    json!({
        "path": key.path(),
        "reader": key.about.reader,
        "summary": key.about.summary,
        "description": key.about.description,
    })
}
