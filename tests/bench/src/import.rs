//! A large real hive.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use redb::{Database, TableDefinition};
use registry_tests::harness::binary;
use regtool::formats::reg::{self, SectionKind};

use crate::figures::{Better, Figures, nanoseconds, report};
use crate::system::{Cores, System, has_two_cores};

const ROUNDS: usize = 3;

const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");

/// `SYSTEM.reg`, imported by regtool from its start to its end; and the same keys and values as rows of a database, in
/// one commit.
pub fn run(_: &dyn Fn(&str) -> bool) -> anyhow::Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/SYSTEM.reg.xz");
    if !file.exists() {
        println!("skipped: import_system: {} is not there", file.display());
        return Ok(());
    }
    let unpacked = Command::new("xz").arg("-dc").arg(&file).output().context("xz")?;
    ensure!(unpacked.status.success(), "{} cannot be unpacked", file.display());
    let rows = rows(&unpacked.stdout);
    let measure = |cores| measure(cores, &unpacked.stdout, &rows);
    let one = measure(Cores::One)?;
    let two = has_two_cores().then(|| measure(Cores::Two)).transpose()?;
    report("import_system", 4.0, Better::Less, one, two);
    Ok(())
}

/// A row for each key and value, as long as one of loregd's: a key is 16 bytes there, and has its path here.
fn rows(file: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    for (number, section) in reg::parse(file).sections.iter().enumerate() {
        let SectionKind::Key(entries) = &section.kind else { continue };
        let key = (number as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let name = section.path.last().map(String::as_str).unwrap_or_default();
        // The record with its security descriptor, and the entry of its parent.
        rows.insert(key.to_be_bytes().to_vec(), vec![1; 150]);
        rows.insert([&key.to_be_bytes()[..], b"\\", name.as_bytes()].concat(), vec![1; 50]);
        for entry in entries {
            let data = entry.value.as_ref().map_or(&[][..], |value| &value.data);
            let row = [&key.to_be_bytes()[..], b"=", entry.name.as_bytes()].concat();
            rows.insert(row, [&[1; 30][..], data].concat());
        }
    }
    rows
}

fn measure(
    cores: Cores,
    file: &[u8],
    rows: &BTreeMap<Vec<u8>, Vec<u8>>,
) -> anyhow::Result<Figures> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let system = System::start(cores)?;
        let path = system.root.path().join("SYSTEM.reg");
        fs::write(&path, file)?;
        let database = Database::create(system.root.path().join("base.redb"))?;
        let start = Instant::now();
        let transaction = database.begin_write()?;
        {
            let mut table = transaction.open_table(ROWS)?;
            for (key, value) in rows {
                table.insert(key.as_slice(), value.as_slice())?;
            }
        }
        transaction.commit()?;
        let base = nanoseconds(start.elapsed());

        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(binary("regtool")).arg("import").arg(&path);
        command.env("REDOX_HOSTED", system.root.path()).stdout(Stdio::null());
        let start = Instant::now();
        // What it says of the file is of no interest.
        let output = command.output()?;
        let ours = nanoseconds(start.elapsed());
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "regtool import: {}: {said}", output.status);
        rounds.push([base, ours]);
    }
    Ok(Figures::of_rounds(&rounds))
}
