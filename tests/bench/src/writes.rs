//! Durable writes.

use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use libreg::{Access, Becomes, Key, SetValue, ValueChange, ValueType};
use redb::{Database, TableDefinition};

use crate::client::Client;
use crate::figures::{Figures, in_turns};

/// Rows as loregd has them: where a value is, and what it is.
const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");

/// How long a row's key is (key, name, layer) and how long its value (type, sequence, names, data).
const ROW: (usize, usize) = (28, 64);

/// A database beside the hives.
pub fn database(directory: &Path) -> anyhow::Result<Database> {
    let database = Database::create(directory.join("base.redb"))?;
    insert(&database, 1, 0)?;
    Ok(database)
}

/// Inserts rows in one durable commit.
pub fn insert(database: &Database, rows: u32, first: u32) -> anyhow::Result<()> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(ROWS)?;
        let mut row = [0; ROW.0];
        for number in first..first + rows {
            row[..4].copy_from_slice(&number.to_be_bytes());
            table.insert(&row[..], &[7; ROW.1][..])?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Writes 32 bytes.
pub fn write(key: &Key, name: &str) -> anyhow::Result<()> {
    key.set_value(name, ValueType::Binary.code(), &[7; 32], &SetValue::default())?;
    Ok(())
}

/// A value that is written; and a commit of a row in a database of this process.
pub fn write_durable(client: &Client) -> anyhow::Result<Figures> {
    let (key, database) = (client.key(r"Machine\Key")?, database(&client.directory)?);
    in_turns(201, 3, || insert(&database, 1, 0), || write(&key, "Value"))
}

/// A value that is written beside a transaction that is left open; and one without.
pub fn beside_transaction(client: &Client) -> anyhow::Result<Figures> {
    let key = client.key(r"Machine\Key")?;
    let other = client.key(r"Machine\Other")?;
    let beside = || {
        let open = client.registry.begin()?;
        write(&open.registry().open_key(r"Machine\Other", Access::SET_VALUE)?, "Value")?;
        write(&key, "Value")
    };
    // What is not to be measured is done in both.
    let alone = || {
        let open = client.registry.begin()?;
        open.registry().open_key(r"Machine\Other", Access::SET_VALUE)?;
        other.value("Value")?;
        write(&key, "Value")
    };
    write(&other, "Value")?;
    in_turns(201, 3, alone, beside)
}

fn change(name: &str) -> ValueChange {
    let to = Becomes::Value { value_type: ValueType::Binary.code(), data: [7; 32].into() };
    ValueChange { name: name.to_owned(), to }
}

/// The time for a write when 64 clients write at the same time; and when one does.
pub fn write_64(client: &Client) -> anyhow::Result<Figures> {
    const SPELL: Duration = Duration::from_millis(500);
    const ROUNDS: usize = 7;
    let paths: Vec<_> = (0..64).map(|number| format!(r"Machine\Writer{number}")).collect();
    let keys = paths.iter().map(|path| client.key(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let spell = |keys: &[Key]| {
        let start = Barrier::new(keys.len());
        let written = thread::scope(|scope| {
            let writers: Vec<_> = keys
                .iter()
                .map(|key| {
                    scope.spawn(|| {
                        start.wait();
                        let end = Instant::now() + SPELL;
                        let mut count = 0_u32;
                        while Instant::now() < end {
                            write(key, "Value")?;
                            count += 1;
                        }
                        anyhow::Ok(count)
                    })
                })
                .collect();
            let counts = writers.into_iter().map(|writer| writer.join().expect("a writer"));
            counts.sum::<anyhow::Result<u32>>()
        })?;
        anyhow::Ok(SPELL.as_secs_f64() * 1e9 / f64::from(written))
    };
    spell(&keys)?;
    let rounds = (0..ROUNDS).map(|_| Ok([spell(&keys[..1])?, spell(&keys)?]));
    Ok(Figures::of_rounds(&rounds.collect::<anyhow::Result<Vec<_>>>()?))
}

/// A transaction of 1000 writes of one request, from its begin to its commit; and a commit of 1000 rows.
pub fn txn_1000(client: &Client) -> anyhow::Result<Figures> {
    let database = database(&client.directory)?;
    client.key(r"Machine\Key")?;
    let names: Vec<_> = (0..1000).map(|number| format!("Value{number}")).collect();
    let transaction = || {
        let transaction = client.registry.begin()?;
        let key = transaction.registry().open_key(r"Machine\Key", Access::SET_VALUE)?;
        key.change_values(names.iter().map(|name| change(name)).collect(), None)?;
        Ok(transaction.commit()?)
    };
    in_turns(31, 1, || insert(&database, 1000, 0), transaction)
}
