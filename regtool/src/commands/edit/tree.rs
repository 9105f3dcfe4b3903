//! The tree of keys: which are unfolded, and which one is selected.

use super::draft::{Child, State, is_at_or_below, same, same_key};
use crate::path::Path;

/// A key in the tree.
#[derive(Debug)]
struct Node {
    path: Path,
    link: bool,
    state: State,
    /// What is below it, if it is unfolded.
    children: Option<Vec<Node>>,
}

/// A line of the tree.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub path: Path,
    pub depth: usize,
    pub link: bool,
    pub state: State,
    pub unfolded: bool,
}

/// The tree.
#[derive(Debug)]
pub struct Tree {
    hives: Vec<Node>,
    selected: Path,
}

impl Tree {
    /// A tree of these hives, folded, of which the first is selected.
    pub fn new(hives: &[String]) -> Tree {
        let node = |hive: &String| Node {
            path: vec![hive.clone()].into(),
            link: false,
            state: State::Written,
            children: None,
        };
        let hives: Vec<Node> = hives.iter().map(node).collect();
        let selected = hives.first().map(|hive| hive.path.clone()).unwrap_or_default();
        Tree { hives, selected }
    }

    /// The lines that there are, from the top down.
    pub fn lines(&self) -> Vec<Line> {
        fn add(nodes: &[Node], depth: usize, lines: &mut Vec<Line>) {
            for node in nodes {
                lines.push(Line {
                    path: node.path.clone(),
                    depth,
                    link: node.link,
                    state: node.state,
                    unfolded: node.children.is_some(),
                });
                add(node.children.as_deref().unwrap_or_default(), depth + 1, lines);
            }
        }
        let mut lines = Vec::new();
        add(&self.hives, 0, &mut lines);
        lines
    }

    /// The selected key.
    pub fn selected(&self) -> &Path {
        &self.selected
    }

    /// The line of the selected key.
    pub fn selected_line(&self) -> usize {
        self.lines().iter().position(|line| same_key(&line.path, &self.selected)).unwrap_or(0)
    }

    /// Selects a key that has a line.
    pub fn select(&mut self, path: &Path) {
        if let Some(node) = self.find(path) {
            self.selected = node.path.clone();
        }
    }

    /// Selects the key so many lines further down, or up.
    pub fn move_by(&mut self, lines: isize) {
        let all = self.lines();
        let target = self.selected_line().saturating_add_signed(lines);
        if let Some(line) = all.get(target.min(all.len().saturating_sub(1))) {
            self.selected = line.path.clone();
        }
    }

    /// Whether a key is there and a link.
    pub fn is_link(&self, path: &Path) -> bool {
        self.find(path).is_some_and(|node| node.link)
    }

    /// Whether a key is unfolded.
    pub fn is_unfolded(&self, path: &Path) -> bool {
        self.find(path).is_some_and(|node| node.children.is_some())
    }

    /// The keys that are unfolded, from the top down.
    pub fn unfolded(&self) -> Vec<Path> {
        let lines = self.lines().into_iter().filter(|line| line.unfolded);
        lines.map(|line| line.path).collect()
    }

    /// Unfolds a key, which has these subkeys now; what is unfolded below stays so. If the selected key is no longer
    /// there, this one is selected.
    pub fn unfold(&mut self, path: &Path, children: Vec<Child>) {
        let Some(node) = find_mut(&mut self.hives, path) else { return };
        let mut before = node.children.take().unwrap_or_default();
        let of_child = |child: Child| {
            let path = node.path.join(&child.name);
            let known = before.iter().position(|old| same_key(&old.path, &path));
            let known = known.and_then(|at| before.swap_remove(at).children);
            Node { path, link: child.link, state: child.state, children: known }
        };
        let children: Vec<Node> = children.into_iter().map(of_child).collect();
        node.children = Some(children);
        let above = node.path.clone();
        if self.find(&self.selected).is_none() && is_at_or_below(&self.selected, &above) {
            self.selected = above;
        }
    }

    /// Folds a key.
    pub fn fold(&mut self, path: &Path) {
        if let Some(node) = find_mut(&mut self.hives, path) {
            node.children = None;
            if is_at_or_below(&self.selected, path) {
                self.selected = node.path.clone();
            }
        }
    }

    fn find(&self, path: &Path) -> Option<&Node> {
        let mut nodes = &self.hives;
        let mut found = None;
        for (depth, name) in path.names().iter().enumerate() {
            let node = nodes.iter().find(|node| same(&node.path.names()[depth], name))?;
            found = Some(node);
            nodes = match &node.children {
                Some(children) => children,
                None if depth + 1 == path.names().len() => return found,
                None => return None,
            };
        }
        found
    }
}

fn find_mut<'a>(nodes: &'a mut [Node], path: &Path) -> Option<&'a mut Node> {
    let node = nodes.iter_mut().find(|node| is_at_or_below(path, &node.path))?;
    if node.path.names().len() == path.names().len() {
        return Some(node);
    }
    find_mut(node.children.as_mut()?, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        Path::parse(text).expect("a path")
    }

    fn children(names: &[&str]) -> Vec<Child> {
        let child =
            |name: &&str| Child { name: (*name).to_owned(), link: false, state: State::Written };
        names.iter().map(child).collect()
    }

    fn shown(tree: &Tree) -> Vec<String> {
        let shown = |line: Line| format!("{}{}", " ".repeat(line.depth), line.path);
        tree.lines().into_iter().map(shown).collect()
    }

    #[test]
    fn keys_unfold_and_fold_and_what_is_below_stays_unfolded_when_read_again() {
        let mut tree = Tree::new(&["Machine".to_owned(), "Users".to_owned()]);
        tree.unfold(&path("machine"), children(&["A", "B"]));
        tree.unfold(&path("Machine\\A"), children(&["X"]));
        assert_eq!(
            shown(&tree),
            ["Machine", " Machine\\A", "  Machine\\A\\X", " Machine\\B", "Users"]
        );
        tree.unfold(&path("Machine"), children(&["A", "C"]));
        assert_eq!(
            shown(&tree),
            ["Machine", " Machine\\A", "  Machine\\A\\X", " Machine\\C", "Users"]
        );
        tree.fold(&path("Machine"));
        assert_eq!(shown(&tree), ["Machine", "Users"]);
    }

    #[test]
    fn the_selection_stays_inside_and_goes_up_when_its_key_goes() {
        let mut tree = Tree::new(&["Machine".to_owned()]);
        tree.move_by(-3);
        assert_eq!(tree.selected(), &path("Machine"));
        tree.unfold(&path("Machine"), children(&["A", "B"]));
        tree.move_by(100);
        assert_eq!(tree.selected(), &path("Machine\\B"));
        tree.unfold(&path("Machine"), children(&["A"]));
        assert_eq!(tree.selected(), &path("Machine"));
        tree.select(&path("MACHINE\\a"));
        assert_eq!(tree.selected(), &path("Machine\\A"));
        tree.fold(&path("Machine"));
        assert_eq!(tree.selected(), &path("Machine"));
    }
}
