//! Which numbers the kernel knows paths by.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

/// The mount point.
pub const ROOT: u64 = 1;

/// What is set in the numbers of files, but not in those of directories: some programs (`cp -r`) take what is in a
/// directory in the order of the numbers, and a key has to be there before a value whose name it has.
const FILE: u64 = 1 << 62;

struct Node {
    path: String,
    /// How often the kernel was told of it and has not forgotten it.
    told: u64,
}

/// The paths that the kernel knows. A path has the same number each time, as long as two do not get the same by
/// chance; then one of them gets the next.
pub struct Nodes(Mutex<HashMap<u64, Node>>);

impl Nodes {
    /// None but the mount point.
    pub fn new() -> Nodes {
        let root = Node { path: String::new(), told: 1 };
        Nodes(Mutex::new(HashMap::from([(ROOT, root)])))
    }

    fn with<R>(&self, f: impl FnOnce(&mut HashMap<u64, Node>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The path of a number; none of one that was forgotten.
    pub fn path(&self, number: u64) -> Option<String> {
        self.with(|nodes| nodes.get(&number).map(|node| node.path.clone()))
    }

    /// The number of a path that the kernel is told of now.
    pub fn tell(&self, path: &str, is_directory: bool) -> u64 {
        self.with(|nodes| {
            let mut number = number(path, is_directory);
            loop {
                match nodes.entry(number) {
                    Entry::Occupied(mut known) if known.get().path == path => {
                        known.get_mut().told += 1;
                        return number;
                    }
                    Entry::Occupied(_) => number += 1,
                    Entry::Vacant(free) => {
                        free.insert(Node { path: path.to_owned(), told: 1 });
                        return number;
                    }
                }
            }
        })
    }

    /// The kernel forgets a number that it was told so often.
    pub fn forget(&self, number: u64, told: u64) {
        self.with(|nodes| {
            if let Entry::Occupied(mut node) = nodes.entry(number)
                && number != ROOT
            {
                let left = node.get().told.saturating_sub(told);
                node.get_mut().told = left;
                if left == 0 {
                    node.remove();
                }
            }
        });
    }
}

/// The number that a path has unless another one took it.
pub fn number(path: &str, is_directory: bool) -> u64 {
    if path.is_empty() {
        return ROOT;
    }
    // FNV-1a
    let hash = path.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let number = (hash >> 3).max(ROOT + 1);
    if is_directory { number } else { number | FILE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_same_number_each_time_and_directories_come_first() {
        let nodes = Nodes::new();
        let directory = nodes.tell("Machine/a", true);
        let file = nodes.tell("Machine/b", false);
        assert!(directory < file && directory > ROOT);
        assert_eq!(nodes.tell("Machine/a", true), directory);
        assert_eq!(nodes.path(directory).as_deref(), Some("Machine/a"));
        assert_eq!(nodes.tell("", true), ROOT);
    }

    #[test]
    fn a_number_is_forgotten_as_often_as_it_was_told() {
        let nodes = Nodes::new();
        let number = nodes.tell("x", false);
        nodes.tell("x", false);
        nodes.forget(number, 1);
        assert!(nodes.path(number).is_some());
        nodes.forget(number, 1);
        assert!(nodes.path(number).is_none());
        nodes.forget(ROOT, 100);
        assert!(nodes.path(ROOT).is_some());
    }

    #[test]
    fn two_paths_never_have_one_number() {
        let nodes = Nodes::new();
        let taken = number("x", false);
        nodes.with(|nodes| nodes.insert(taken, Node { path: "other".to_owned(), told: 1 }));
        assert_eq!(nodes.tell("x", false), taken + 1);
        assert_eq!(nodes.path(taken).as_deref(), Some("other"));
    }
}
