//! Backup and restore, by `regtool` and by `libreg`, on whole registries.

mod damage;
mod files;
mod memory;
mod real;
mod rights;
mod round_trips;
mod stream;
mod tree;

use std::path::{Path, PathBuf};
use std::process::Output;

use registry_tests::harness::System;
use serde_json::Value as Json;

/// The exit code, and what was said on stderr.
fn failure(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn fails(output: &Output, code: i32, message: &str) {
    assert_eq!(failure(output), (Some(code), format!("regtool: {message}\n")));
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).expect("JSON")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Backs up a key into a file of this name.
fn back_up(system: &System, path: &str, name: &str) -> PathBuf {
    let file = system.file(name);
    system.output(&["backup", path, "-o", text(&file)]);
    file
}

/// Restores a key; gives what was said on stderr.
fn restore(system: &System, path: &str, file: &Path) -> String {
    let output = system.run(&["restore", path, "-i", text(file)]);
    let (code, said) = failure(&output);
    assert_eq!(code, Some(0), "{said}");
    said
}
