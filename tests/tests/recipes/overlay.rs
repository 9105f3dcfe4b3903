//! `make redox-overlay` on made-up trees: what it puts there, what it leaves alone, and when it refuses.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::project;

/// A tree that looks like Redox's, and perhaps a project that is smaller than ours.
struct Scene {
    folder: TempDir,
}

/// What one path is: type and mode, bytes or target, time of the last change.
type Entry = (u32, Vec<u8>, (i64, i64));

impl Scene {
    fn new() -> Scene {
        let folder = tempfile::Builder::new()
            .prefix("overlay on ")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a folder");
        let scene = Scene { folder };
        // The list of schemes as Redox has it is ours without reg.
        let ours = project::text("recipes/registry.toml");
        let begin = ours.find("[[files]]").expect("a file");
        scene.write("redox/config/base.toml", &ours[begin..].replace("  \"reg\",\n", ""));
        scene.write("redox/config/server.toml", "include = [\"minimal.toml\"]\n");
        scene.write("redox/Makefile", "all:\n");
        scene.write("redox/mk/config.mk", "ARCH?=x86_64\n");
        scene.write("redox/recipes/core/base/recipe.toml", "[build]\ntemplate = \"none\"\n");
        fs::create_dir_all(scene.path("redox/recipes/tools")).expect("an empty folder");
        symlink("config", scene.path("redox/settings")).expect("a link");
        scene
    }

    /// With a project of few files, which a test may change.
    fn with_small_project() -> Scene {
        let scene = Scene::new();
        for file in ["Cargo.toml", "Cargo.lock", "LICENSE", ".cargo/config.toml", "tests/a.rs"] {
            scene.write(&format!("project/{file}"), file);
        }
        for folder in ["hosted", "lcs-scheme", "loregd", "regtool"] {
            scene.write(&format!("project/{folder}/src/main.rs"), folder);
            scene.write(&format!("project/{folder}/target/debug/{folder}"), "built");
        }
        for file in ["overlay.sh", "registry.toml"] {
            let file = format!("recipes/{file}");
            scene.write(&format!("project/{file}"), &project::text(&file));
        }
        for package in project::recipes() {
            let file = format!("recipes/{package}/recipe.toml");
            scene.write(&format!("project/{file}"), &project::text(&file));
        }
        scene
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn run(&self, command: &str) -> Output {
        Command::new("sh")
            .arg(self.path("project/recipes/overlay.sh"))
            .arg(command)
            .arg(self.path("redox"))
            .output()
            .expect("it runs")
    }

    fn does(&self, command: &str) -> String {
        let output = self.run(command);
        assert!(output.status.success(), "{}", errors(&output));
        errors(&output)
    }

    /// The command fails, says so in these words, and changes nothing.
    fn refuses(&self, command: &str, words: &[&str]) {
        let before = self.tree();
        let output = self.run(command);
        assert_eq!(output.status.code(), Some(1));
        for word in words {
            assert!(errors(&output).contains(word), "{word}: {}", errors(&output));
        }
        assert_eq!(self.tree(), before);
    }

    /// All there is in the tree.
    fn tree(&self) -> BTreeMap<PathBuf, Entry> {
        let mut entries = BTreeMap::new();
        let root = self.path("redox");
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for name in project::names(&folder) {
                let path = folder.join(name);
                let status = path.symlink_metadata().expect("it is there");
                // A folder's time says only that something in it came or went.
                let (contents, time) = if status.is_dir() {
                    folders.push(path.clone());
                    (Vec::new(), (0, 0))
                } else if status.is_symlink() {
                    let target = fs::read_link(&path).expect("a link").into_os_string();
                    (target.into_encoded_bytes(), (status.mtime(), status.mtime_nsec()))
                } else {
                    let bytes = fs::read(&path).expect("a file");
                    (bytes, (status.mtime(), status.mtime_nsec()))
                };
                let name = path.strip_prefix(&root).expect("below").to_owned();
                entries.insert(name, (status.mode(), contents, time));
            }
        }
        entries
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn make(target: &str, redox: &Path) -> Output {
    Command::new("make")
        .args(["--no-print-directory", "-C"])
        .arg(project::root())
        .arg(target)
        .arg(format!("REDOX={}", redox.display()))
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .output()
        .expect("make runs")
}

#[test]
fn putting_it_twice_changes_nothing_and_removing_it_leaves_the_tree_to_the_byte() {
    let scene = Scene::new();
    let redox = scene.path("redox");
    let before = scene.tree();

    let output = make("redox-overlay", &redox);
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(errors(&output), "");
    let once = scene.tree();
    for package in project::recipes() {
        let recipe = format!("recipes/{package}/recipe.toml");
        let there = scene.read(&format!("redox/recipes/registry/{package}/recipe.toml"));
        assert_eq!(there, project::text(recipe));
    }
    assert_eq!(scene.read("redox/config/registry.toml"), project::text("recipes/registry.toml"));
    assert_eq!(before.iter().filter(|(path, entry)| once.get(*path) != Some(*entry)).count(), 0);

    let output = make("redox-overlay", &redox);
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(scene.tree(), once);

    for _ in 0..2 {
        let output = make("redox-overlay-remove", &redox);
        assert!(output.status.success(), "{}", errors(&output));
        assert_eq!(scene.tree(), before);
    }
}

#[test]
fn the_source_is_there_whole_and_the_cookbook_finds_no_recipe_in_it() {
    let scene = Scene::new();
    let output = make("redox-overlay", &scene.path("redox"));
    assert!(output.status.success(), "{}", errors(&output));

    let source = scene.path("redox/registry/source");
    let packages = |workspace: &Path| {
        let packages = project::cargo_packages(workspace).into_iter();
        packages.map(|package| package["name"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(packages(&source), packages(project::root()));
    for package in project::recipes() {
        assert!(!source.join("recipes").join(&package).join("recipe.toml").exists());
    }
    for unit in ["lcs-scheme/20_lcs.service", "loregd/21_loregd.service"] {
        let unit = format!("recipes/{unit}");
        assert_eq!(scene.read(&format!("redox/registry/source/{unit}")), project::text(&unit));
    }
    assert!(!source.join("target").exists() && !source.join("tests/fuzz").exists());
}

#[test]
fn files_of_others_beside_ours_survive_and_what_the_cookbook_made_goes() {
    let scene = Scene::with_small_project();
    scene.write("redox/recipes/registry/mine/recipe.toml", "mine");
    scene.write("redox/registry/notes", "notes");
    let before = scene.tree();
    scene.does("put");
    // What comes while ours is there.
    scene.write("redox/recipes/registry/loregd/notes", "more notes");
    scene.write("redox/recipes/registry/loregd/target/x86_64-unknown-redox/stage.pkgar", "built");
    scene.write("redox/recipes/registry/lcs-scheme/source/Cargo.toml", "copied");
    symlink("../lcs-scheme/source", scene.path("redox/recipes/registry/loregd/source"))
        .expect("a link");
    scene.does("remove");

    let mut after = scene.tree();
    let notes = after.remove(Path::new("recipes/registry/loregd/notes")).expect("it is there");
    assert_eq!(notes.1, b"more notes");
    after.remove(Path::new("recipes/registry/loregd")).expect("what holds it");
    assert_eq!(after, before);
}

#[test]
fn a_file_of_the_same_name_that_is_not_ours_is_refused() {
    for path in [
        "config/registry.toml",
        "recipes/registry/loregd/recipe.toml",
        "registry/source/Cargo.toml",
    ] {
        let scene = Scene::with_small_project();
        scene.write(&format!("redox/{path}"), "somebody else's");
        scene.refuses("put", &[path, "not ours", "nothing was done"]);
    }
    for target in ["nowhere", "../../project/recipes/registry.toml"] {
        let scene = Scene::with_small_project();
        symlink(target, scene.path("redox/config/registry.toml")).expect("a link");
        scene.refuses("put", &["config/registry.toml", "not ours"]);
    }
    let scene = Scene::with_small_project();
    fs::create_dir(scene.path("redox/config/registry.toml")).expect("a folder");
    scene.refuses("put", &["config/registry.toml", "not ours"]);
}

#[test]
fn a_file_of_ours_that_was_changed_is_neither_overwritten_nor_removed() {
    let scene = Scene::with_small_project();
    let before = scene.tree();
    scene.does("put");
    let original = scene.read("redox/config/registry.toml");
    scene.write("redox/config/registry.toml", "changed");
    for command in ["put", "remove"] {
        scene.refuses(command, &["config/registry.toml", "changed since"]);
    }
    scene.write("redox/config/registry.toml", &original);
    scene.does("remove");
    assert_eq!(scene.tree(), before);
}

#[test]
fn a_recipe_of_the_same_name_elsewhere_is_refused() {
    let scene = Scene::with_small_project();
    scene.write("redox/recipes/wip/services/loregd/recipe.toml", "another");
    scene.refuses("put", &["recipes/wip/services/loregd/recipe.toml"]);
    // In the source of a package it is none.
    fs::remove_dir_all(scene.path("redox/recipes/wip")).expect("gone");
    scene.write("redox/recipes/core/base/source/loregd/recipe.toml", "a file");
    scene.does("put");
}

#[test]
fn what_is_no_tree_of_redox_is_refused_and_so_is_no_tree_at_all() {
    for missing in
        ["Makefile", "mk/config.mk", "config/base.toml", "recipes/core", "config/server.toml"]
    {
        let scene = Scene::with_small_project();
        let path = scene.path("redox").join(missing);
        let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        gone.expect("gone");
        scene.refuses("put", &[missing]);
    }
    let scene = Scene::with_small_project();
    fs::remove_dir_all(scene.path("redox")).expect("gone");
    let output = scene.run("put");
    assert!(!output.status.success() && errors(&output).contains("no directory"));
    for target in ["redox-overlay", "redox-overlay-remove"] {
        let output = make(target, Path::new(""));
        assert!(!output.status.success() && errors(&output).contains("REDOX=DIR"));
    }
}

#[test]
fn a_newer_project_takes_the_place_of_the_older_and_its_unchanged_files_keep_their_time() {
    let scene = Scene::with_small_project();
    let before = scene.tree();
    scene.does("put");
    let old = scene.tree();
    scene.write("project/loregd/src/main.rs", "newer");
    scene.write("project/loregd/src/new/module.rs", "new");
    fs::remove_file(scene.path("project/tests/a.rs")).expect("gone");
    scene.does("put");

    let source = "redox/registry/source";
    assert_eq!(scene.read(&format!("{source}/loregd/src/main.rs")), "newer");
    assert_eq!(scene.read(&format!("{source}/loregd/src/new/module.rs")), "new");
    let new = scene.tree();
    let same =
        |path: &str| new.get(Path::new(path)).is_some_and(|entry| entry == &old[Path::new(path)]);
    assert!(same("registry/source/hosted/src/main.rs") && same("config/registry.toml"));
    assert!(!new.contains_key(Path::new("registry/source/tests/a.rs")));
    scene.does("remove");
    assert_eq!(scene.tree(), before);
}

#[test]
fn what_was_stopped_half_way_is_finished_or_undone() {
    let scene = Scene::with_small_project();
    let before = scene.tree();
    scene.does("put");
    let whole = scene.tree();
    // The list is written first and removed last: half of the files is what both commands leave when stopped.
    let halve = || {
        for path in [
            "config/registry.toml",
            "registry/source/Cargo.toml",
            "recipes/registry/loregd/recipe.toml",
        ] {
            fs::remove_file(scene.path("redox").join(path)).expect("gone");
        }
        fs::remove_dir(scene.path("redox/recipes/registry/loregd")).expect("gone");
        scene.write("redox/registry/.part", "half a fi");
    };
    halve();
    scene.does("put");
    let contents = |tree: &BTreeMap<PathBuf, Entry>| {
        tree.iter().map(|(path, entry)| (path.clone(), entry.1.clone())).collect::<Vec<_>>()
    };
    assert_eq!(contents(&scene.tree()), contents(&whole));
    halve();
    scene.does("remove");
    assert_eq!(scene.tree(), before);
}

#[test]
fn a_put_that_cannot_write_leaves_what_the_next_can_finish() {
    let scene = Scene::with_small_project();
    // A file where a folder of ours has to be: the put fails when it comes to it.
    scene.write("redox/recipes/registry", "a file");
    let before = scene.tree();
    assert!(!scene.run("put").status.success());
    scene.does("remove");
    assert_eq!(scene.tree(), before);
    fs::remove_file(scene.path("redox/recipes/registry")).expect("gone");
    scene.does("put");
    assert!(scene.path("redox/recipes/registry/loregd/recipe.toml").exists());
}

#[test]
fn other_schemes_in_redox_than_the_image_lists_are_told() {
    let scene = Scene::with_small_project();
    assert_eq!(scene.does("put"), "");
    let base = scene.read("redox/config/base.toml");
    scene.write("redox/config/base.toml", &base.replace("\"chan\",", "\"chan\", \"new\","));
    assert!(scene.does("put").contains("lists other schemes"));
}

#[test]
fn programs_stay_executable_and_nothing_that_was_built_is_copied() {
    let scene = Scene::with_small_project();
    let script = scene.path("project/tests/tour.sh");
    fs::write(&script, "#!/bin/sh\n").expect("a script");
    fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("executable");
    scene.does("put");
    let there = scene.path("redox/registry/source/tests/tour.sh");
    assert_eq!(fs::metadata(there).expect("it is there").mode() & 0o111, 0o111);
    assert!(!scene.path("redox/registry/source/loregd/target").exists());
}
