//! This project, as it lies on the disk.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The folder with the workspace's Cargo.toml.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests is a folder in it")
}

pub fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of what is in a folder.
pub fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect()
}

/// The packages that have a recipe.
pub fn recipes() -> BTreeSet<String> {
    let folder = root().join("recipes");
    names(&folder).into_iter().filter(|name| folder.join(name).is_dir()).collect()
}

/// A program of this project that was built beside this test.
pub fn program(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("this test's executable");
    let path = this.ancestors().nth(2).expect("target/PROFILE").join(name);
    assert!(path.exists(), "{name} is built: cargo build --workspace");
    path
}

/// The packages of a workspace, as cargo sees them.
pub fn cargo_packages(workspace: &Path) -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1", "--manifest-path"])
        .arg(workspace.join("Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    metadata["packages"].as_array().expect("a list").clone()
}
