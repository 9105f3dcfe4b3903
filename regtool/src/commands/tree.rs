//! `tree`.

use serde_json::{Value as Json, json};

use super::Session;
use super::walk::{Content, Descend, Node, Read, walk};
use crate::cli::Tree;
use crate::exit::Failure;
use crate::output::{self, Out};

pub fn tree(session: &mut Session, options: &Tree) -> Result<(), Failure> {
    let starts = session.starts(options.path.as_deref())?;
    let registry = session.registry()?;
    let mut out = Out::stdout();
    let mut keys = Vec::new();
    let read = if options.values { Read::KeysAndValues } else { Read::Keys };
    let outcome = walk(registry, &starts, read, &mut |node, content| {
        if options.output.json {
            keys.push(node_json(options, node, content));
        } else {
            print(&mut out, options, node, content)?;
        }
        let deep_enough = options.depth.is_some_and(|depth| node.last.len() >= depth);
        Ok(if deep_enough { Descend::Past } else { Descend::Into })
    });
    if options.output.json {
        out.json(&json!(keys))?;
    }
    out.finish()?;
    outcome
}

fn node_json(options: &Tree, node: &Node, content: &Content) -> Json {
    let mut json = json!({
        "path": node.path.to_string(),
        "link": node.link,
        "volatile": node.volatile,
    });
    if options.values {
        json["values"] = content.values.iter().map(output::named_value_json).collect();
    }
    json
}

fn print(out: &mut Out, options: &Tree, node: &Node, content: &Content) -> Result<(), Failure> {
    let name = match (node.path.names().last(), node.last.is_empty()) {
        (Some(name), false) => output::one_line(name).into_owned(),
        _ => output::one_line(&node.path.to_string()).into_owned(),
    };
    let mut line = branch(&node.last);
    line.push_str(&name);
    if node.link {
        line.push_str(&format!(" -> {}", output::one_line(&content.link_target())));
    }
    if node.volatile {
        line.push_str("  (volatile)");
    }
    out.line(line)?;
    if options.values {
        let below = options.depth.is_none_or(|depth| node.last.len() < depth);
        let indent =
            stem(&node.last) + if below && !content.subkeys.is_empty() { "│ " } else { "  " };
        for value in &content.values {
            let name = output::value_name(&value.name);
            let data = output::data_line(value.value_type, &value.data, out.data_limit());
            out.line(format_args!("{indent}{name} = {data}"))?;
        }
    }
    Ok(())
}

/// What stands before a key's name.
fn branch(last: &[bool]) -> String {
    match last.split_last() {
        None => String::new(),
        Some((own, above)) => stem(above) + if *own { "└─ " } else { "├─ " },
    }
}

/// What stands below a key's branch.
fn stem(last: &[bool]) -> String {
    last.iter().map(|last| if *last { "   " } else { "│  " }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_join_to_a_tree() {
        assert_eq!(branch(&[]), "");
        assert_eq!(branch(&[false]), "├─ ");
        assert_eq!(branch(&[false, true]), "│  └─ ");
        assert_eq!(branch(&[true, false]), "   ├─ ");
    }
}
