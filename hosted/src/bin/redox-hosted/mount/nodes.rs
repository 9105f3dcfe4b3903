//! Which numbers the kernel knows files by.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

/// The mount point.
pub const ROOT: u64 = 1;

/// What is set in the numbers of files, but not in those of directories: some programs (`cp -r`) take what is in a
/// directory in the order of the numbers, and a key has to be there before a value whose name it has.
const FILE: u64 = 1 << 62;

/// What a number stands for.
///
/// A directory is one for all users. Of a file each user has his own: what a program maps the kernel keeps as the file's,
/// and what one path leads to can differ from user to user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// Below the scheme's root, and empty for it.
    pub path: Arc<str>,
    /// Whose, of a file that is no directory.
    pub user: Option<u32>,
}

struct Node {
    place: Place,
    /// How often the kernel was told of it and has not forgotten it.
    told: u64,
}

/// The places that the kernel knows. A place has the same number each time, as long as two do not get the same by
/// chance; then one of them gets the next.
pub struct Nodes(Mutex<HashMap<u64, Node>>);

impl Nodes {
    /// None but the mount point.
    pub fn new() -> Nodes {
        let root = Node { place: Place { path: "".into(), user: None }, told: 1 };
        Nodes(Mutex::new(HashMap::from([(ROOT, root)])))
    }

    fn with<R>(&self, f: impl FnOnce(&mut HashMap<u64, Node>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a number stands for; none of one that was forgotten.
    pub fn place(&self, number: u64) -> Option<Place> {
        self.with(|nodes| nodes.get(&number).map(|node| node.place.clone()))
    }

    /// The number of a place that the kernel is told of now.
    pub fn tell(&self, place: Place) -> u64 {
        self.with(|nodes| {
            let number = number_in(nodes, &place);
            match nodes.entry(number) {
                Entry::Occupied(mut known) => known.get_mut().told += 1,
                Entry::Vacant(free) => {
                    free.insert(Node { place, told: 1 });
                }
            }
            number
        })
    }

    /// The number that a place has, or would get now.
    pub fn number(&self, place: &Place) -> u64 {
        self.with(|nodes| number_in(nodes, place))
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

fn number_in(nodes: &HashMap<u64, Node>, place: &Place) -> u64 {
    let mut number = preferred(place);
    while nodes.get(&number).is_some_and(|node| node.place != *place) {
        number += 1;
    }
    number
}

/// The number that a place has unless another one took it.
fn preferred(place: &Place) -> u64 {
    if place.path.is_empty() {
        return ROOT;
    }
    // FNV-1a
    let user = place.user.unwrap_or_default().to_le_bytes();
    let hash = place.path.bytes().chain(user).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let number = (hash >> 3).max(ROOT + 1);
    if place.user.is_none() { number } else { number | FILE }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(path: &str) -> Place {
        Place { path: path.into(), user: None }
    }

    fn file(path: &str, user: u32) -> Place {
        Place { path: path.into(), user: Some(user) }
    }

    #[test]
    fn a_place_has_the_same_number_each_time_and_directories_come_first() {
        let nodes = Nodes::new();
        let directory_number = nodes.tell(directory("Machine/a"));
        let file_number = nodes.tell(file("Machine/b", 0));
        assert!(directory_number < file_number && directory_number > ROOT);
        assert_eq!(nodes.tell(directory("Machine/a")), directory_number);
        assert_eq!(nodes.number(&directory("Machine/a")), directory_number);
        assert_eq!(nodes.place(directory_number), Some(directory("Machine/a")));
        assert_eq!(nodes.tell(directory("")), ROOT);
    }

    #[test]
    fn a_file_has_a_number_for_each_user() {
        let nodes = Nodes::new();
        let (one, other) =
            (nodes.tell(file("CurrentUser/x", 1)), nodes.tell(file("CurrentUser/x", 2)));
        assert_ne!(one, other);
        assert_eq!(nodes.place(one), Some(file("CurrentUser/x", 1)));
        assert_eq!(nodes.place(other), Some(file("CurrentUser/x", 2)));
    }

    #[test]
    fn a_number_is_forgotten_as_often_as_it_was_told() {
        let nodes = Nodes::new();
        let number = nodes.tell(file("x", 0));
        nodes.tell(file("x", 0));
        nodes.forget(number, 1);
        assert!(nodes.place(number).is_some());
        nodes.forget(number, 1);
        assert!(nodes.place(number).is_none());
        nodes.forget(ROOT, 100);
        assert!(nodes.place(ROOT).is_some());
    }

    #[test]
    fn two_places_never_have_one_number() {
        let nodes = Nodes::new();
        let taken = preferred(&file("x", 0));
        nodes.with(|nodes| nodes.insert(taken, Node { place: file("other", 0), told: 1 }));
        assert_eq!(nodes.tell(file("x", 0)), taken + 1);
        assert_eq!(nodes.place(taken), Some(file("other", 0)));
    }
}
