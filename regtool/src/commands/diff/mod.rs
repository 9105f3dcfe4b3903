//! `diff`.

mod tree;

use std::path::Path as FilePath;

use anstyle::AnsiColor;
use libreg::{Registry, fold};
use serde_json::{Value as Json, json};

use super::import::plan::Plan;
use super::walk::{Descend, Read, walk};
use super::{CURRENT_USER, Session, read_file};
use crate::cli::Diff;
use crate::exit::{Code, Failure, complain};
use crate::formats::reg::{self, Value};
use crate::output::{self, Out};
use crate::path::{Path, hive_of_root};
pub use tree::Tree;
use tree::{Change, Difference, Item, TreeKey, TreeValue, differences, root_of};

pub fn diff(session: &mut Session, options: &Diff) -> Result<(), Failure> {
    let sides = [side(session, &options.a)?, side(session, &options.b)?];
    let [mut a, mut b] = [sides[0].tree(session, &sides[1])?, sides[1].tree(session, &sides[0])?];
    if sides.iter().any(Side::is_file) {
        for link in a.take_links().into_iter().chain(b.take_links()) {
            complain(&format_args!("{link}: a link, which .reg cannot hold; not compared"));
        }
    }
    if print(&a, &b, options.output.json)? { Err(Failure::PrintedNo) } else { Ok(()) }
}

/// Prints what differs between two trees, and tells whether anything does.
pub fn print(a: &Tree, b: &Tree, json: bool) -> Result<bool, Failure> {
    let differences = differences(a, b);
    let mut out = Out::stdout();
    if json {
        out.json(&differences.iter().map(to_json).collect::<Json>())?;
    } else {
        let limit = out.data_limit();
        for difference in &differences {
            let colour = match difference.change {
                Change::Removed(_) => AnsiColor::Red,
                Change::Added(_) => AnsiColor::Green,
                Change::Changed { .. } => AnsiColor::Yellow,
            };
            out.coloured(colour, to_text(difference, limit))?;
        }
    }
    out.finish()?;
    Ok(!differences.is_empty())
}

/// One of the two that are compared.
enum Side {
    Key(Path),
    File { name: String, plan: Plan },
}

/// What a person means: a name that ends in `.reg` is a file's, unless it begins with a hive.
fn side(session: &mut Session, text: &str) -> Result<Side, Failure> {
    if !text.to_ascii_lowercase().ends_with(".reg") || begins_with_hive(session, text)? {
        let path = session.path(text)?;
        path.key()?;
        return Ok(Side::Key(path));
    }
    let document = reg::parse(&read_file(FilePath::new(text))?);
    for problem in document.errors.iter().chain(&document.skipped) {
        complain(&format_args!("{text}:{}: {}", problem.line, problem.kind));
    }
    if !document.errors.is_empty() {
        let what = format!("{} errors; nothing was compared", document.errors.len());
        return Err(Failure::Partial { subject: text.to_owned(), what, code: Code::Other });
    }
    Ok(Side::File { name: text.to_owned(), plan: Plan::new(&document, None) })
}

fn begins_with_hive(session: &mut Session, text: &str) -> Result<bool, Failure> {
    let path = Path::parse(text)?;
    let Some(first) = path.names().first().map(|first| fold(first)) else {
        return Ok(false);
    };
    if hive_of_root(&first).is_some() || first == fold(CURRENT_USER) {
        return Ok(true);
    }
    Ok(session.roots()?.iter().any(|hive| fold(hive) == first))
}

impl Side {
    fn is_file(&self) -> bool {
        matches!(self, Side::File { .. })
    }

    /// The key or file with all in it. A file is read as it lies to the other side, if that is a key.
    fn tree(&self, session: &mut Session, other: &Side) -> Result<Tree, Failure> {
        match self {
            Side::Key(path) => read_tree(session, path),
            Side::File { name, plan } => {
                let hint = match other {
                    Side::Key(path) => Some(path),
                    Side::File { .. } => None,
                };
                let root = root_of(plan, hint).ok_or_else(|| Failure::Partial {
                    subject: name.clone(),
                    what: "has no keys, or keys in more than one hive; nothing was compared"
                        .to_owned(),
                    code: Code::Other,
                })?;
                Ok(Tree::of_plan(plan, &root))
            }
        }
    }
}

fn read_tree(session: &mut Session, root: &Path) -> Result<Tree, Failure> {
    let mut tree = Tree::default();
    read(session.registry()?, root, root, true, &mut tree)?;
    Ok(tree)
}

/// Reads a key, and, if it is said, all below it, into the tree of `root`.
pub fn read(
    registry: &Registry,
    start: &Path,
    root: &Path,
    below: bool,
    tree: &mut Tree,
) -> Result<(), Failure> {
    walk(registry, std::slice::from_ref(start), Read::KeysAndValues, &mut |node, content| {
        let link = node.link.then(|| content.link_target());
        let of_key = content.values.iter().filter(|_| link.is_none());
        let values = of_key.map(|value| {
            let data = Value { value_type: value.value_type, data: value.data.clone() };
            (fold(&value.name), TreeValue { name: value.name.clone(), value: data })
        });
        let values = values.collect();
        tree.insert(root, TreeKey { path: node.path.clone(), link, values });
        Ok(if node.link || !below { Descend::Past } else { Descend::Into })
    })
}

/// A line: `- KEY`, `+ KEY  NAME = DATA`, `~ KEY  NAME = OLD -> NEW`; with types where these differ.
fn to_text(difference: &Difference, limit: usize) -> String {
    let data = |value: &Value| output::data_line(value.value_type, &value.data, limit);
    let typed =
        |value: &Value| format!("{} ({})", data(value), libreg::data::type_name(value.value_type));
    let item = |item: &Item| match item {
        Item::Key => String::new(),
        Item::Link(target) => format!(" -> {}", output::one_line(target)),
        Item::Value(TreeValue { name, value }) => {
            format!("  {} = {}", output::value_name(name), data(value))
        }
    };
    let (sign, rest) = match &difference.change {
        Change::Removed(removed) => ('-', item(removed)),
        Change::Added(added) => ('+', item(added)),
        Change::Changed { old, new } => {
            let name = output::value_name(&old.name);
            let (old, new) = (&old.value, &new.value);
            let rest = if old.value_type == new.value_type {
                format!("  {name} = {} -> {}", data(old), data(new))
            } else {
                format!("  {name} = {} -> {}", typed(old), typed(new))
            };
            ('~', rest)
        }
    };
    format!("{sign} {}{rest}", output::one_line(&difference.path.to_string()))
}

/// `change` (`removed`, `added`, `changed`), `path`, and for a link `link`, for a value `name` and, of `old` and
/// `new`, what there is, each with `type` and `data` as in other commands.
fn to_json(difference: &Difference) -> Json {
    let data = |value: &Value| {
        let mut json = output::value_json(value.value_type, &value.data, "", 0);
        json.retain(|field, _| field == "type" || field == "data");
        Json::from(json)
    };
    let mut json = json!({ "path": difference.path.to_string() });
    let (change, side, item) = match &difference.change {
        Change::Removed(item) => ("removed", "old", item),
        Change::Added(item) => ("added", "new", item),
        Change::Changed { old, new } => {
            json["old"] = data(&old.value);
            ("changed", "new", &Item::Value(new))
        }
    };
    json["change"] = json!(change);
    match item {
        Item::Key => {}
        Item::Link(target) => json["link"] = json!(target),
        Item::Value(value) => {
            json["name"] = json!(value.name);
            json[side] = data(&value.value);
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(value_type: u32, data: &[u8]) -> TreeValue {
        TreeValue { name: String::new(), value: Value { value_type, data: data.to_vec() } }
    }

    #[test]
    fn each_difference_is_a_line() {
        let path = Path::parse("Machine\\A").unwrap();
        let text = |change| to_text(&Difference { path: &path, change }, 100);
        let [one, two, three] = [value(4, &[1, 0, 0, 0]), value(4, &[2, 0, 0, 0]), value(1, b"x")];
        assert_eq!(text(Change::Removed(Item::Key)), "- Machine\\A");
        assert_eq!(text(Change::Added(Item::Link("Users\\B"))), "+ Machine\\A -> Users\\B");
        assert_eq!(text(Change::Added(Item::Value(&one))), "+ Machine\\A  @ = 1 (0x1)");
        assert_eq!(
            text(Change::Changed { old: &one, new: &two }),
            "~ Machine\\A  @ = 1 (0x1) -> 2 (0x2)"
        );
        assert_eq!(
            text(Change::Changed { old: &one, new: &three }),
            "~ Machine\\A  @ = 1 (0x1) (dword) -> x (sz)"
        );
    }

    #[test]
    fn json_says_what_there_was_and_what_there_is() {
        let path = Path::parse("Machine\\A").unwrap();
        let json = |change| to_json(&Difference { path: &path, change });
        let [one, two] = [value(4, &[1, 0, 0, 0]), value(1, b"x")];
        assert_eq!(
            json(Change::Changed { old: &one, new: &two }),
            json!({
                "path": "Machine\\A", "change": "changed", "name": "",
                "old": { "type": "dword", "data": 1 }, "new": { "type": "sz", "data": "x" },
            })
        );
        assert_eq!(
            json(Change::Removed(Item::Value(&two))),
            json!({
                "path": "Machine\\A", "change": "removed", "name": "",
                "old": { "type": "sz", "data": "x" },
            })
        );
        assert_eq!(
            json(Change::Added(Item::Key)),
            json!({ "path": "Machine\\A", "change": "added" })
        );
    }
}
