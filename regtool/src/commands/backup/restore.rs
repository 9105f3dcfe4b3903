//! `restore`.

use std::collections::BTreeSet;
use std::io::Write;

use libreg::backup::Layer;
use libreg::{Access, BASE_LAYER, Error, Registry, fold};
use serde_json::json;

use super::contents::Contents;
use super::progress::Progress;
use super::{file, open, read};
use crate::cli::Restore;
use crate::commands::Session;
use crate::commands::layer::LAYERS;
use crate::exit::{Failure, complain};
use crate::output::Out;

pub fn restore(session: &mut Session, options: &Restore) -> Result<(), Failure> {
    let path = session.path(&options.path)?;
    if session.in_transaction() {
        let what = "a restore is not possible in a transaction; commit or abort before".to_owned();
        return Err(Failure::Usage { subject: path.to_string(), what });
    }
    let registry = session.outside()?;
    let key = open(registry, &path)?;
    let (input, length) = file::open(&options.file)?;
    let mut restore = key.restore()?;
    let progress = Progress::of(length);
    let contents = read(&options.file, input, |piece, reader| {
        restore.write_all(piece).map_err(|error| Failure::of_stream(key.path(), error))?;
        progress.at(reader.bytes(), reader.records());
        Ok(())
    })?;
    restore.finish()?;
    drop(progress);
    let latent = latent(registry, &contents.layers);
    for layer in &latent {
        complain(&format_args!(
            "{path}: there is no layer {layer}; what it says here counts when it is made"
        ));
    }
    print(&path.to_string(), &contents, &latent, options.output.json)
}

fn print(path: &str, contents: &Contents, latent: &[&str], json: bool) -> Result<(), Failure> {
    let mut out = Out::stdout();
    if json {
        let mut json = contents.json();
        json["path"] = json!(path);
        json["latent_layers"] = json!(latent);
        out.json(&json)?;
    } else {
        out.line(format_args!("{}: {contents}", crate::output::one_line(path)))?;
    }
    out.finish()
}

/// Those of these layers that are not in the registry. If it does not say which it has, none.
fn latent<'a>(registry: &Registry, layers: &'a [Layer]) -> Vec<&'a str> {
    let Ok(table) = table(registry) else { return Vec::new() };
    let names = layers.iter().map(|layer| layer.name.as_str());
    names.filter(|name| !table.contains(&*fold(name))).collect()
}

/// The folded names of the layers that there are.
fn table(registry: &Registry) -> Result<BTreeSet<String>, Error> {
    let mut names = BTreeSet::from([BASE_LAYER.to_owned()]);
    match registry.status()?.details {
        Some(details) => {
            names.extend(details.layers.iter().map(|layer| fold(&layer.name).to_string()));
        }
        // Others than Administrators may at least list them.
        None => {
            for subkey in registry.open_key(LAYERS, Access::ENUMERATE_SUB_KEYS)?.subkeys(false) {
                names.insert(fold(&subkey?.name).to_string());
            }
        }
    }
    Ok(names)
}
