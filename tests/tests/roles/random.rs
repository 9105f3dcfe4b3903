//! Random hives, and random roles for them.

use std::fmt::Write;

use libreg::{Access, CreateKey, Registry, SetValue, ValueType};
use registry_tests::dice::Dice;

/// Names of values; all spellings of one are the same.
const VALUES: [[&str; 2]; 4] = [["port", "Port"], ["Größe", "GRÖSSE"], ["a b", "A B"], ["@", "@"]];

/// A random hive: a key, and what was made below it.
pub struct Hive {
    /// The path of the key.
    pub path: String,
    /// The paths below it, parents first.
    keys: Vec<String>,
    /// Links below it.
    links: Vec<String>,
}

/// What the roles of a hive may have to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// They write the same values, of keys that were there before, and have keys of their own.
    Values,
    /// They make, hide and link the same keys, too.
    Keys,
}

/// Makes a random hive, in one transaction.
///
/// # Panics
///
/// If the registry refuses.
pub fn grow(dice: &mut Dice, path: &str) -> Hive {
    let mut hive = Hive { path: path.to_owned(), keys: vec![String::new()], links: Vec::new() };
    for number in 0..2 + dice.below(6) {
        let parent = &hive.keys[index(dice, hive.keys.len())];
        hive.keys.push(format!("{parent}\\Key{number}"));
    }
    for number in 0..dice.below(3) {
        let parent = &hive.keys[index(dice, hive.keys.len())];
        hive.links.push(format!("{parent}\\Link{number}"));
    }
    let transaction =
        Registry::open().and_then(|registry| registry.begin()).expect("a transaction");
    let inside = transaction.registry();
    for key in &hive.keys {
        let key = inside
            .create_key(&hive.at(key), Access::SET_VALUE, &CreateKey::default())
            .unwrap_or_else(|error| panic!("{error}"));
        for [name, _] in VALUES {
            if dice.below(2) == 0 {
                continue;
            }
            let name = if name == "@" { "" } else { name };
            let text = dice.below(100).to_string();
            key.set_value(name, ValueType::Sz.code(), text.as_bytes(), &SetValue::default())
                .expect("a value");
        }
    }
    for link in &hive.links {
        let target = hive.any_key(dice);
        let how = CreateKey { link: Some(&target), ..CreateKey::default() };
        inside.create_key(&hive.at(link), Access::SET_VALUE, &how).expect("a link");
    }
    transaction.commit().expect("a commit");
    hive
}

impl Hive {
    fn at(&self, below: &str) -> String {
        format!("{}{below}", self.path)
    }

    fn any_key(&self, dice: &mut Dice) -> String {
        self.at(&self.keys[index(dice, self.keys.len())])
    }

    /// The file of a random role for this hive.
    pub fn role(&self, dice: &mut Dice, name: &str, company: Company) -> String {
        let mut role = format!("name = '{name}'\ndescription = 'one of {}'\n", self.path);
        let mut hidden: Vec<&str> = Vec::new();
        for key in &self.keys {
            let is_hidden = hidden.iter().any(|above| key.starts_with(above));
            if is_hidden || dice.below(2) == 0 {
                continue;
            }
            head(&mut role, &self.at(key));
            if company == Company::Keys && !key.is_empty() && dice.below(8) == 0 {
                role.push_str("hide = true\n");
                hidden.push(key);
            } else {
                content(&mut role, dice);
            }
        }
        for link in &self.links {
            // A path through a link that is hidden leads nowhere, or to a key of the role.
            let is_hidden = hidden.iter().any(|above| link.starts_with(above));
            if !is_hidden && dice.below(3) == 0 {
                head(&mut role, &self.at(link));
                writeln!(role, "link = '{}'", self.any_key(dice)).expect("text takes text");
            }
        }
        let owner = if company == Company::Keys { "shared" } else { name };
        for number in 0..1 + dice.below(2) {
            let parent = &self.keys[index(dice, self.keys.len())];
            if hidden.iter().any(|above| parent.starts_with(above)) {
                continue;
            }
            let key = format!("{}\\{owner}{number}", self.at(parent));
            head(&mut role, &key);
            match dice.below(4) {
                0 => {
                    writeln!(role, "link = '{}'", self.any_key(dice)).expect("text takes text");
                }
                choice => {
                    if choice == 1 {
                        role.push_str("sd = 'D:P(A;CI;KA;;;SY)(A;CI;KA;;;BA)'\n");
                    }
                    content(&mut role, dice);
                    if choice == 2 {
                        head(&mut role, &format!("{key}\\deep\\deeper"));
                        content(&mut role, dice);
                    }
                }
            }
        }
        role
    }
}

fn head(role: &mut String, path: &str) {
    writeln!(role, "\n[[key]]\npath = '{path}'").expect("text takes text");
}

/// What a role has for a key that it does not hide.
fn content(role: &mut String, dice: &mut Dice) {
    if dice.below(5) == 0 {
        role.push_str("mask = true\n");
    }
    role.push_str("[key.values]\n");
    for spellings in VALUES {
        let number = dice.below(1000);
        let value = match dice.below(10) {
            0 => format!("'{number}'"),
            1 => number.to_string(),
            2 => format!("{{ qword = {number} }}"),
            3 => format!("['{number}', '']"),
            4 => format!("{{ binary = '{number:04x}' }}"),
            5 => format!("{{ dword_be = {number} }}"),
            6 => "{ tombstone = true }".to_owned(),
            _ => continue,
        };
        writeln!(role, "'{}' = {value}", spellings[index(dice, 2)]).expect("text takes text");
    }
}

/// A place in a list that is not empty.
pub fn index(dice: &mut Dice, length: usize) -> usize {
    usize::try_from(dice.below(length as u64)).expect("a length")
}
