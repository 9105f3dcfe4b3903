use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;

use redb::{
    Builder, Database, DatabaseError, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable,
    StorageBackend, Table, TableDefinition,
};

use super::overlay::Overlay;
use super::{Rows, RowsMut, Store, View, Visit, Work};
use crate::Error;

/// All rows of a hive; [`crate::hive`] describes them.
const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");

/// Memory for pages of one database, in bytes. The system's page cache stands behind it.
const CACHE_SIZE: usize = 16 << 20;

/// A store in a redb database.
pub struct RedbStore {
    open: Box<dyn Fn() -> Result<Database, DatabaseError> + Send>,
    /// `None` after an error of which it did not recover.
    database: Option<Database>,
}

impl RedbStore {
    /// Opens the database in this file, or makes it. After a crash, and before every start, redb reads the
    /// whole file and checks it; so damage is an error here and no surprise later.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        Self::with(move || builder().create(&path))
    }

    /// A store in the database that `open` opens, now and again after an error.
    pub fn with(
        open: impl Fn() -> Result<Database, DatabaseError> + Send + 'static,
    ) -> Result<Self, Error> {
        let mut store = RedbStore { open: Box::new(open), database: None };
        store.reopen()?;
        Ok(store)
    }

    fn database(&self) -> Result<&Database, Error> {
        self.database.as_ref().ok_or(Error::Closed)
    }
}

impl Store for RedbStore {
    fn view(&self) -> Result<View, Error> {
        view(self.database()?)
    }

    fn commit(&mut self, work: &mut Work) -> Result<(), Error> {
        let mut transaction = self.database()?.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        let stays = work(&mut transaction.open_table(ROWS)?)?;
        if stays {
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), Error> {
        // First, because a database can be open only once.
        self.database = None;
        let database = (self.open)()?;
        // A view needs the table to be there.
        let transaction = database.begin_write()?;
        transaction.open_table(ROWS)?;
        transaction.commit()?;
        self.database = Some(database);
        Ok(())
    }
}

/// A database that is only read. Its file stays as it is, also if it was not closed in order: what redb has
/// to write then stays in memory. Nobody else may write to the file meanwhile.
pub struct RedbReader {
    database: Database,
}

impl RedbReader {
    /// Opens the database in this file, and checks all of it as [`RedbStore::open`] does.
    pub fn open(file: File) -> Result<Self, Error> {
        let overlay = Overlay::new(file).map_err(DatabaseError::from)?;
        if overlay.len().map_err(DatabaseError::from)? == 0 {
            return Err(Error::Damaged("the file is empty".to_owned()));
        }
        Ok(RedbReader { database: builder().create_with_backend(overlay)? })
    }

    /// What is in it.
    pub fn view(&self) -> Result<View, Error> {
        view(&self.database)
    }
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_SIZE).set_check_integrity_on_open(true);
    builder
}

fn view(database: &Database) -> Result<View, Error> {
    Ok(Box::new(database.begin_read()?.open_table(ROWS)?))
}

fn get(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    row: &[u8],
) -> Result<Option<Vec<u8>>, Error> {
    Ok(table.get(row)?.map(|value| value.value().to_vec()))
}

fn scan(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    prefix: &[u8],
    from: &[u8],
    visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
) -> Result<(), Error> {
    for found in table.range(from..)? {
        let (row, value) = found?;
        let row = row.value();
        if !row.starts_with(prefix) {
            break;
        }
        if let ControlFlow::Break(()) = visit(row, value.value())? {
            break;
        }
    }
    Ok(())
}

impl Rows for ReadOnlyTable<&'static [u8], &'static [u8]> {
    fn get(&self, row: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        get(self, row)
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), Error> {
        scan(self, prefix, from, visit)
    }
}

impl Rows for Table<'_, &'static [u8], &'static [u8]> {
    fn get(&self, row: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        get(self, row)
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), Error> {
        scan(self, prefix, from, visit)
    }
}

impl RowsMut for Table<'_, &'static [u8], &'static [u8]> {
    fn put(&mut self, row: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.insert(row, value)?.map(|old| old.value().to_vec()))
    }

    fn remove(&mut self, row: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(Table::remove(self, row)?.map(|old| old.value().to_vec()))
    }
}
