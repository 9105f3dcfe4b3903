//! Recipes, units and configuration name what exists and what Redox knows.
//!
//! The structs have the fields of the cookbook (`src/recipe.rs` in redox-os/redox), of init (`unit.rs` and
//! `service.rs` in redox-os/base) and of the installer (`src/config/` in redox-os/installer), as of August
//! 2026, as far as they are used here; others are errors.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::project;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    source: Source,
    build: Build,
    package: Package,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Source {
    SameAs { same_as: String },
    Path { path: String },
}

#[derive(Deserialize)]
#[serde(tag = "template", rename_all = "lowercase", deny_unknown_fields)]
enum Build {
    Cargo { cargopackages: Vec<String> },
    Custom { script: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Package {
    #[serde(default)]
    dependencies: Vec<String>,
    version: String,
    description: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unit {
    unit: UnitInfo,
    service: Service,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnitInfo {
    description: String,
    #[serde(default)]
    requires_weak: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    cmd: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(rename = "type")]
    kind: ServiceType,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(rename_all = "snake_case")]
enum ServiceType {
    Notify,
    Scheme(String),
    Oneshot,
    OneshotAsync,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    include: Vec<String>,
    general: General,
    packages: BTreeMap<String, String>,
    files: Vec<ImageFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct General {
    filesystem_size: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageFile {
    path: String,
    data: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginSchemes {
    user_schemes: BTreeMap<String, Schemes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Schemes {
    schemes: BTreeSet<String>,
}

/// The text of a file in `recipes/`.
fn parse<T: DeserializeOwned>(path: &str) -> T {
    let text = project::text(format!("recipes/{path}"));
    toml::from_str(&text).unwrap_or_else(|error| panic!("recipes/{path}: {error}"))
}

fn recipe(package: &str) -> Recipe {
    parse(&format!("{package}/recipe.toml"))
}

/// All units, by name, each with the package that brings it.
fn units() -> BTreeMap<String, (String, Unit)> {
    let mut units = BTreeMap::new();
    for package in project::recipes() {
        for name in project::names(&project::root().join("recipes").join(&package)) {
            if name != "recipe.toml" {
                units.insert(name.clone(), (package.clone(), parse(&format!("{package}/{name}"))));
            }
        }
    }
    units
}

impl Build {
    /// The cargo packages whose programs become part of the package.
    fn programs(&self) -> Vec<String> {
        match self {
            Build::Cargo { cargopackages } => cargopackages.clone(),
            Build::Custom { script } => {
                let arguments =
                    script.lines().filter_map(|line| line.strip_prefix("cookbook_cargo_packages "));
                arguments.flat_map(str::split_whitespace).map(str::to_owned).collect()
            }
        }
    }

    /// What the script copies out of the source, and into which folder of the image.
    fn copies(&self) -> Vec<(String, String)> {
        let Build::Custom { script } = self else { return Vec::new() };
        let mut copies = Vec::new();
        for line in script.lines().filter(|line| line.contains("${COOKBOOK_SOURCE}")) {
            let words: Vec<&str> = line.split('"').collect();
            let ["cp -v ", from, " ", to, ""] = words[..] else { panic!("no copy: {line}") };
            let from = from.strip_prefix("${COOKBOOK_SOURCE}/").expect("out of the source");
            let to = to.strip_prefix("${COOKBOOK_STAGE}/").expect("into the image");
            assert!(script.contains(&format!(
                "mkdir -pv \"${{COOKBOOK_STAGE}}/{}\"\n",
                to.trim_end_matches('/')
            )));
            copies.push((from.to_owned(), to.to_owned()));
        }
        copies
    }
}

#[test]
fn each_recipe_builds_the_program_of_its_name_in_the_version_of_the_workspace() {
    let packages = project::cargo_packages(project::root());
    assert!(!project::recipes().is_empty());
    for name in project::recipes() {
        let recipe = recipe(&name);
        assert_eq!(recipe.build.programs(), [name.as_str()]);
        let package = packages.iter().find(|package| package["name"] == name.as_str());
        let package = package.unwrap_or_else(|| panic!("there is no package {name}"));
        let targets = package["targets"].as_array().expect("a list");
        let builds = |target: &&serde_json::Value| {
            target["name"] == name.as_str() && target["kind"][0] == "bin"
        };
        assert_eq!(targets.iter().filter(builds).count(), 1, "{name} is a program");
        assert_eq!(package["version"], recipe.package.version.as_str());
        assert!(!recipe.package.description.is_empty());
    }
}

#[test]
fn recipes_take_their_source_from_where_the_overlay_puts_it_or_as_a_neighbour_does() {
    let mut of_their_own = 0;
    for name in project::recipes() {
        match recipe(&name).source {
            Source::Path { path } => {
                assert_eq!(path, "registry/source");
                of_their_own += 1;
            }
            Source::SameAs { same_as } => {
                let other = same_as.strip_prefix("../").expect("a neighbour");
                assert!(matches!(recipe(other).source, Source::Path { .. }));
            }
        }
    }
    assert_eq!(of_their_own, 1);
}

#[test]
fn packages_depend_on_packages_of_ours() {
    for name in project::recipes() {
        for dependency in recipe(&name).package.dependencies {
            assert!(project::recipes().contains(&dependency), "{name} needs {dependency}");
            assert_ne!(dependency, name);
        }
    }
}

#[test]
fn recipes_install_every_unit_and_manual_file_there_is_and_nothing_that_is_not() {
    let (mut installed, mut described) = (BTreeSet::new(), BTreeSet::new());
    for name in project::recipes() {
        for (from, to) in recipe(&name).build.copies() {
            assert!(project::root().join(&from).is_file(), "{from}");
            if to == "usr/share/regman/" {
                assert!(from.starts_with(&format!("{name}/manual/")), "{from} is its own");
                described.insert(from);
                continue;
            }
            assert_eq!(to, "usr/lib/init.d/");
            let unit = from.strip_prefix(&format!("recipes/{name}/")).expect("its own");
            installed.insert(unit.to_owned());
        }
    }
    assert_eq!(installed, units().into_keys().collect());
    assert_eq!(installed.len(), 2);
    assert_eq!(described, manual_files());
    assert_eq!(described.len(), 3);
}

/// All files of the manual, relative to the project.
fn manual_files() -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for room in project::names(project::root()) {
        let folder = project::root().join(&room).join("manual");
        if folder.is_dir() {
            let names = project::names(&folder).into_iter();
            files.extend(names.map(|name| format!("{room}/manual/{name}")));
        }
    }
    files
}

#[test]
fn units_start_programs_of_their_package_after_units_of_packages_it_depends_on() {
    let units = units();
    for (name, (package, unit)) in &units {
        assert!(recipe(package).build.programs().contains(&unit.service.cmd), "{name}");
        assert_eq!(unit.service.kind, ServiceType::Notify);
        assert!(!unit.unit.description.is_empty());
        for before in &unit.unit.requires_weak {
            let (needed, _) = units.get(before).unwrap_or_else(|| panic!("{name}: no {before}"));
            assert!(recipe(package).package.dependencies.contains(needed), "{name}");
            // Init starts what waits for nothing in the order of the names; a console is 30.
            assert!(before < name && name.as_str() < "30");
        }
    }
}

#[test]
fn programs_take_the_arguments_that_their_units_give_them() {
    // Arguments are looked at from left to right, so help comes only if those before are right.
    let takes = |program: &str, arguments: &[String]| {
        let output = Command::new(project::program(program)).args(arguments).arg("--help").output();
        output.expect("it runs").status.success()
    };
    for (name, (_, unit)) in units() {
        let Service { cmd, mut args, .. } = unit.service;
        assert!(args.contains(&"--supervise".to_owned()), "{name}: init restarts nothing");
        assert!(takes(&cmd, &args), "{name}: {cmd} {args:?}");
        args.push("--no-such-option".to_owned());
        assert!(!takes(&cmd, &args), "{name}");
    }
}

#[test]
fn the_image_has_all_packages_from_source() {
    let image: Image = parse("registry.toml");
    assert_eq!(image.include, ["server.toml"]);
    assert!(image.general.filesystem_size >= 512, "what server.toml has, in MiB");
    let packages: BTreeSet<String> = image.packages.keys().cloned().collect();
    assert_eq!(packages, project::recipes());
    assert!(image.packages.values().all(|rule| rule == "source"));
}

#[test]
fn sessions_of_ordinary_users_see_reg_and_not_regsrc() {
    let image: Image = parse("registry.toml");
    let [file] = &image.files[..] else { panic!("one file") };
    assert_eq!(file.path, "/etc/login_schemes.toml");
    let login: LoginSchemes = toml::from_str(&file.data).expect("TOML");
    let names: Vec<&str> = login.user_schemes.keys().map(String::as_str).collect();
    assert_eq!(names, ["root", "user"]);
    assert!(login.user_schemes["root"].schemes.contains("*"));
    let user = &login.user_schemes["user"].schemes;
    assert!(user.contains("reg") && user.contains("file"));
    let sees = |pattern: &String| match pattern.strip_suffix('*') {
        Some(begin) => "regsrc".starts_with(begin),
        None => pattern == "regsrc",
    };
    assert!(!user.iter().any(sees), "{user:?}");
}
