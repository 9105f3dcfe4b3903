//! `export`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path as FilePath;

use libreg::Registry;
use serde_json::json;

use super::Session;
use super::walk::{Content, Descend, Node, Read, walk};
use crate::cli::{Export, Format};
use crate::exit::{Code, Failure, complain};
use crate::formats::{reg, role};
use crate::output;
use crate::path::{Path, root_of_hive};

pub fn export(session: &mut Session, options: &Export) -> Result<(), Failure> {
    let path = session.path(&options.path)?;
    // Before a file is made: it should not be there if there is nothing to put into it.
    path.key()?;
    let registry = session.registry()?;
    registry.open_key(&path.to_string(), libreg::Access::QUERY_VALUE)?;
    match options.output.as_deref().filter(|file| file.as_os_str() != "-") {
        Some(file) => {
            let target =
                Target { name: file.display().to_string(), encoding: reg::Encoding::Utf16 };
            let out = create(file)?;
            write(registry, &path, options.format, out, &target)
        }
        None => {
            let target =
                Target { name: "standard output".to_owned(), encoding: reg::Encoding::Utf8 };
            write(registry, &path, options.format, io::stdout().lock(), &target)
        }
    }
}

fn create(file: &FilePath) -> Result<File, Failure> {
    File::create(file).map_err(|error| Failure::File { name: file.display().to_string(), error })
}

/// What is written to.
struct Target {
    name: String,
    encoding: reg::Encoding,
}

impl Target {
    fn failed(&self, error: io::Error) -> Failure {
        Failure::File { name: self.name.clone(), error }
    }
}

fn write(
    registry: &Registry,
    path: &Path,
    format: Format,
    out: impl Write,
    target: &Target,
) -> Result<(), Failure> {
    let out = BufWriter::with_capacity(1 << 16, out);
    match format {
        Format::Reg => write_reg(registry, path, out, target),
        Format::Json => write_json(registry, path, out, target),
        Format::Toml => write_toml(registry, path, out, target),
    }
}

fn write_reg(
    registry: &Registry,
    path: &Path,
    out: impl Write,
    target: &Target,
) -> Result<(), Failure> {
    let mut export = RegExport {
        writer: reg::Writer::new(out, target.encoding).map_err(|error| target.failed(error))?,
        target,
        inexact: BTreeMap::new(),
        left_out: 0,
    };
    walk(registry, std::slice::from_ref(path), Read::KeysAndValues, &mut |node, content| {
        export.key(node, content)
    })?;
    export.writer.finish().map_err(|error| target.failed(error))?;
    for (what, (count, example)) in &export.inexact {
        complain(&format_args!("{example}: {what} ({count} in all)"));
    }
    if export.left_out > 0 {
        let what = format!("{} keys could not be written and were left out", export.left_out);
        return Err(Failure::Partial { subject: path.to_string(), what, code: Code::Other });
    }
    Ok(())
}

struct RegExport<'a, W> {
    writer: reg::Writer<W>,
    target: &'a Target,
    /// What was not exact: how often, and the first place.
    inexact: BTreeMap<String, (usize, String)>,
    left_out: usize,
}

impl<W: Write> RegExport<'_, W> {
    fn key(&mut self, node: &Node, content: &Content) -> Result<Descend, Failure> {
        let path = node.path.to_string();
        if node.link {
            let target = content.link_target();
            self.note("a link, which .reg cannot hold; it is a comment", &path);
            self.comment(&format!("{path} is a link to {target}"))?;
            return Ok(Descend::Past);
        }
        let mut names: Vec<&str> = node.path.names().iter().map(String::as_str).collect();
        if let Some(root) = names.first().and_then(|hive| root_of_hive(hive)) {
            names[0] = root;
        }
        if self.writer.key(&names).map_err(|error| self.target.failed(error))?.is_err() {
            complain(&format_args!(
                "{path}: .reg cannot hold this name; left out with all below it"
            ));
            self.left_out += 1;
            return Ok(Descend::Past);
        }
        if node.volatile {
            self.note("a volatile key, which .reg cannot tell; it is a comment", &path);
            self.comment("The key is volatile.")?;
        }
        for value in &content.values {
            let data = reg::Value { value_type: value.value_type, data: value.data.clone() };
            let inexact =
                self.writer.value(&value.name, &data).map_err(|error| self.target.failed(error))?;
            if let Some(inexact) = inexact {
                self.note(&inexact.to_string(), &path);
            }
        }
        Ok(Descend::Into)
    }

    fn comment(&mut self, comment: &str) -> Result<(), Failure> {
        self.writer.comment(comment).map_err(|error| self.target.failed(error))
    }

    fn note(&mut self, what: &str, path: &str) {
        self.inexact.entry(what.to_owned()).or_insert_with(|| (0, path.to_owned())).0 += 1;
    }
}

/// Writes an array of keys, each with its path and values, one key at a time.
fn write_json(
    registry: &Registry,
    path: &Path,
    mut out: impl Write,
    target: &Target,
) -> Result<(), Failure> {
    let mut separator = "[\n";
    walk(registry, std::slice::from_ref(path), Read::KeysAndValues, &mut |node, content| {
        let mut json = json!({
            "path": node.path.to_string(),
            "volatile": node.volatile,
            "values": content.values.iter().map(output::named_value_json).collect::<Vec<_>>(),
        });
        if node.link {
            json["link"] = json!(content.link_target());
        }
        write!(out, "{separator}{json}").map_err(|error| target.failed(error))?;
        separator = ",\n";
        Ok(Descend::Into)
    })?;
    writeln!(out, "\n]").and_then(|()| out.flush()).map_err(|error| target.failed(error))
}

fn write_toml(
    registry: &Registry,
    path: &Path,
    out: impl Write,
    target: &Target,
) -> Result<(), Failure> {
    let mut writer = role::Writer::new(out);
    walk(registry, std::slice::from_ref(path), Read::KeysAndValues, &mut |node, content| {
        let path = node.path.to_string();
        let written = if node.link {
            writer.link(&path, &content.link_target())
        } else {
            let value = |value: &libreg::NamedValue| reg::Value {
                value_type: value.value_type,
                data: value.data.clone(),
            };
            let values = content.values.iter().map(|named| (named.name.as_str(), value(named)));
            writer.key(&path, node.volatile, values)
        };
        written.map_err(|error| target.failed(error))?;
        Ok(if node.link { Descend::Past } else { Descend::Into })
    })?;
    writer.finish().map(drop).map_err(|error| target.failed(error))
}
