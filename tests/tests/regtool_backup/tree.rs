//! A random tree with something of everything, and what a registry shows of it.

use registry_tests::dice::Dice;
use registry_tests::harness::System;
use serde_json::Value as Json;

/// Where it grows.
pub const TREE: &str = "HKLM/Tree";

const NAMES: [&str; 5] = ["alpha", "Beta", "gamma delta", "\u{c4}pfel", "e%5C"];
const VALUES: [&str; 5] = ["@", "one", "Two", "three four", "f\u{fc}nf"];
const LAYERS: [&str; 4] = ["base", "role", "policy", "trial"];
const DATA: [&str; 5] = [
    "--type sz text",
    "--type dword 7",
    "--type multi_sz a b",
    "--type binary 00ff10",
    "--type expand_sz \u{201e}%PATH%\u{201c}",
];

/// Makes the layers of the tree, of all kinds.
pub fn make_layers(system: &System) {
    system.output(&["layer", "create", "role"]);
    system.output(&["layer", "create", "policy", "--precedence", "10"]);
    system.output(&["layer", "create", "trial", "--precedence", "5", "--disabled"]);
}

/// Makes the tree: something of everything, and what the dice say.
pub fn grow(system: &System, dice: &mut Dice) {
    make_layers(system);
    let mut lines = vec![
        format!("create -p {TREE}"),
        format!("create {TREE}/alpha"),
        format!("create {TREE}/alpha/Beta --layer role"),
        format!("create {TREE}/Beta --layer policy"),
        format!("create {TREE}/volatile --volatile"),
        format!("create {TREE}/link --link HKLM/Tree/alpha"),
        format!("set {TREE}/alpha one 1"),
        format!("set {TREE}/alpha one 2 --layer trial"),
        format!("mask {TREE}/alpha Two --layer role"),
        format!("mask {TREE}/alpha --all --layer policy"),
        format!("set {TREE}/volatile @ x"),
        format!("create {TREE}/hidden"),
        format!("set {TREE}/hidden inside y"),
        format!("hide {TREE}/hidden --layer policy"),
        format!("acl set {TREE}/alpha D:P(A;CI;KA;;;SY)(D;;KW;;;S-1-22-1-61234)"),
    ];
    lines.extend(random_lines(dice, 250));
    let output = system.run_with_input(&["shell"], &(lines.join("\n") + "\n"));
    // Some of the dice's make no sense, as on a key that is hidden by then.
    assert!(output.status.code().is_some(), "{output:?}");
}

/// Changes the tree at random, the key at its top with it.
pub fn change(system: &System, dice: &mut Dice) {
    let mut lines = random_lines(dice, 60).collect::<Vec<_>>();
    lines.extend([
        format!("set {TREE} one changed"),
        format!("set {TREE} changed v --layer role"),
        format!("delete -r {TREE}/alpha"),
        format!("delete -r {TREE}/alpha --layer role"),
        format!("create {TREE}/new"),
        format!("create {TREE}/new/er --volatile"),
        format!("unmask {TREE} --all --layer policy"),
        format!("acl set {TREE} D:(A;CI;KA;;;SY)(A;CI;KR;;;WD)"),
    ]);
    system.run_with_input(&["shell"], &(lines.join("\n") + "\n"));
    assert_eq!(system.output(&["get", TREE, "changed"]), "v\n");
}

fn random_lines(dice: &mut Dice, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|_| random_line(dice))
}

fn random_line(dice: &mut Dice) -> String {
    let depth = 1 + dice.below(4);
    let names: Vec<_> = (0..depth).map(|_| pick(dice, &NAMES)).collect();
    let key = format!("\"{TREE}/{}\"", names.join("/"));
    let (value, layer) = (pick(dice, &VALUES), pick(dice, &LAYERS));
    match dice.below(12) {
        0..4 => format!("create {key} --layer {layer}"),
        4..9 => format!("set {key} \"{value}\" {} --layer {layer}", pick(dice, &DATA)),
        9 => format!("mask {key} \"{value}\" --layer {layer}"),
        10 if dice.below(3) == 0 => format!("mask {key} --all --layer {layer}"),
        10 => format!("hide {key} --layer {layer}"),
        _ => format!("acl set {key} D:(A;CI;KA;;;SY)(A;;0x{:x};;;AU)", 1 + dice.below(7)),
    }
}

fn pick(dice: &mut Dice, from: &[&'static str]) -> &'static str {
    from[usize::try_from(dice.below(from.len() as u64)).expect("an index")]
}

/// All that the registry shows of the tree: what is effective, why it is, and who may do what. Sequence numbers are
/// left out.
pub fn shown(system: &System) -> Vec<Json> {
    let mut exported: Json =
        serde_json::from_str(&system.output(&["export", TREE, "--format", "json"])).expect("JSON");
    without_sequences(&mut exported);
    let keys = exported.as_array().expect("keys");
    let mut lines = String::new();
    for key in keys {
        let path = key["path"].as_str().expect("a path").replace('\\', "/");
        lines += &format!("acl get \"/{path}\" --json\n");
        for name in VALUES {
            lines += &format!("explain \"/{path}\" \"{name}\" --json\n");
        }
        for name in NAMES.iter().chain(&["hidden", "link", "volatile", "new"]) {
            lines += &format!("explain \"/{path}/{name}\" --json\n");
        }
    }
    let output = system.run_with_input(&["shell"], &lines);
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let answers = serde_json::Deserializer::from_str(&stdout).into_iter::<Json>();
    let mut shown = vec![exported.clone()];
    shown.extend(answers.map(|answer| {
        let mut answer = answer.expect("JSON");
        without_sequences(&mut answer);
        answer
    }));
    assert!(shown.len() > keys.len() * (2 + VALUES.len()), "not all was answered");
    shown
}

fn without_sequences(json: &mut Json) {
    match json {
        Json::Array(items) => items.iter_mut().for_each(without_sequences),
        Json::Object(fields) => {
            fields.remove("sequence");
            fields.values_mut().for_each(without_sequences);
        }
        _ => {}
    }
}
