use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable,
    StorageBackend, Table, TableDefinition,
};

use super::live::{LiveFile, Snapshots};
use super::overlay::Overlay;
use super::{Rows, RowsMut, Store, View, Visit, Work};
use crate::Error;

/// All rows of a hive; [`crate::hive`] describes them.
const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");

/// Memory for pages of one database, in bytes. The system's page cache stands behind it.
const CACHE_SIZE: usize = 16 << 20;

/// The same while a whole database is checked, which takes pages from all over it.
const READER_CACHE_SIZE: usize = 64 << 20;

/// From this length on, in bytes, reading a whole file takes so long that nobody should wait for it.
pub(crate) const LARGE: u64 = 8 << 20;

/// What opens a database for reading and writing, or for reading only.
type Opener<T> = Box<dyn Fn() -> Result<T, Error> + Send>;

/// A store in a redb database.
pub struct RedbStore {
    open: Opener<Database>,
    open_reader: Opener<RedbReader>,
    state: State,
    /// The file of one that is sealed, and whether that is to be done.
    file: Option<PathBuf>,
    to_be_sealed: bool,
}

enum State {
    Writable(Database),
    /// The disk did not let the database be opened for writing.
    Readable(RedbReader),
    Closed,
}

impl RedbStore {
    /// Opens the database in this file, or makes it. After a crash, and before every start, redb reads the
    /// whole file and checks it; so damage is an error here and no surprise later.
    ///
    /// Opening writes. Where the disk is full or read-only, what is there can be read all the same: see
    /// [`Store::is_writable`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let writing = path.to_owned();
        Self::in_file(path, move || builder().create(writing), || {})
    }

    /// The same of a file that was read and found good just now, and is not read as a whole once more for that.
    pub(crate) fn open_examined(path: &Path) -> Result<Self, Error> {
        let writing = path.to_owned();
        let first = move || builder().set_check_integrity_on_open(false).create(writing);
        Self::in_file(path, first, || {})
    }

    /// The store in this file, which `first` opens now. After an error `again` is called, and the file is opened and read
    /// as a whole.
    fn in_file(
        path: &Path,
        first: impl FnOnce() -> Result<Database, DatabaseError> + Send + 'static,
        again: impl Fn() + Send + 'static,
    ) -> Result<Self, Error> {
        let (writing, reading) = (path.to_owned(), path.to_owned());
        let first = Cell::new(Some(first));
        let store = Self::with(
            move || match first.take() {
                Some(first) => first(),
                None => {
                    again();
                    forget_cached(&writing)?;
                    builder().create(&writing)
                }
            },
            move || FileBackend::new(File::open(&reading)?),
        )?;
        Ok(RedbStore { file: Some(path.to_owned()), to_be_sealed: true, ..store })
    }

    /// Opens a database that was closed or sealed by the process that wrote it, and trusts that since then nobody has
    /// changed its file. Whether that is so can be found out later in snapshots.
    ///
    /// # Errors
    /// It was neither closed nor sealed; what keeps this process from reading or writing it; some damage.
    pub(crate) fn open_unchecked(path: &Path) -> Result<(Self, Snapshots), Error> {
        let failed = |error| Error::File { path: path.to_owned(), error };
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        let (live, snapshots) = LiveFile::open(file)?;
        let database = trusting_builder().create_with_backend(live)?;
        let of_first = snapshots.clone();
        let store = Self::in_file(path, move || Ok(database), move || of_first.end())?;
        // As it was closed or sealed, so it is.
        Ok((RedbStore { to_be_sealed: false, ..store }, snapshots))
    }

    /// A store in the database that `open` opens, now and again after an error, and that can be read through
    /// what `open_reader` opens when the disk does not let it be written.
    pub fn with<B: StorageBackend>(
        open: impl Fn() -> Result<Database, DatabaseError> + Send + 'static,
        open_reader: impl Fn() -> Result<B, DatabaseError> + Send + 'static,
    ) -> Result<Self, Error> {
        let mut store = RedbStore {
            open: Box::new(move || open_with_rows(open()?)),
            open_reader: Box::new(move || RedbReader::open(open_reader()?)),
            state: State::Closed,
            file: None,
            to_be_sealed: false,
        };
        match store.reopen() {
            Err(error) if store.view().is_ok() => {
                log::error!("the database can be read, but not written: {error}");
            }
            opened => opened?,
        }
        Ok(store)
    }

    fn database(&self) -> Result<&Database, Error> {
        match &self.state {
            State::Writable(database) => Ok(database),
            State::Readable(_) | State::Closed => Err(Error::Closed),
        }
    }
}

impl Store for RedbStore {
    fn view(&self) -> Result<View, Error> {
        match &self.state {
            State::Writable(database) => view(database),
            State::Readable(reader) => reader.view(),
            State::Closed => Err(Error::Closed),
        }
    }

    fn commit(&mut self, work: &mut Work) -> Result<(), Error> {
        let mut transaction = self.database()?.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        let stays = work(&mut transaction.open_table(ROWS)?)?;
        if stays {
            self.to_be_sealed = true;
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        Ok(())
    }

    fn is_writable(&self) -> bool {
        matches!(self.state, State::Writable(_))
    }

    fn is_to_be_sealed(&self) -> bool {
        // How large it is is not asked each time: a file whose times somebody looks at gets another one with each write.
        self.to_be_sealed && self.is_writable() && self.file.is_some()
    }

    fn seal(&mut self) -> Result<(), Error> {
        // Once, also where it fails: a disk that is full now may be so for long.
        self.to_be_sealed = false;
        let length = self.file.as_ref().and_then(|path| fs::metadata(path).ok());
        if length.is_some_and(|file| file.len() >= LARGE) {
            let mut transaction = self.database()?.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            transaction.set_quick_repair(true);
            transaction.commit()?;
        }
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), Error> {
        // First, because a database can be open only once.
        self.state = State::Closed;
        self.to_be_sealed = false;
        match (self.open)() {
            Ok(database) => {
                self.state = State::Writable(database);
                Ok(())
            }
            Err(error) => {
                // Only where it is the disk: a database that another process holds open changes while it is
                // read.
                if error.is_of_disk()
                    && let Ok(reader) = (self.open_reader)()
                {
                    self.state = State::Readable(reader);
                }
                Err(error)
            }
        }
    }
}

/// Has the system read the file from the disk from now on. After an error of fsync its cache may hold, as if
/// they were written, pages that never reached the disk; what is committed on top of them would be lost with
/// them.
#[cfg(not(target_os = "redox"))]
fn forget_cached(path: &Path) -> io::Result<()> {
    use rustix::fs::{Advice, fadvise};

    Ok(fadvise(File::open(path)?, 0, None, Advice::DontNeed)?)
}

/// On Redox nobody can be asked to.
#[cfg(target_os = "redox")]
fn forget_cached(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether a database was closed by the process that wrote it, and not left behind by a crash. The tenth byte
/// of the file has redb's flags (its design.md, "God byte"); the second of them asks for a recovery.
pub(crate) fn was_closed(file: &File) -> io::Result<bool> {
    use std::io::Read;

    const FLAGS: usize = 9;
    const RECOVERY_REQUIRED: u8 = 2;
    let mut header = Vec::new();
    file.take(FLAGS as u64 + 1).read_to_end(&mut header)?;
    Ok(header.get(FLAGS).is_some_and(|flags| flags & RECOVERY_REQUIRED == 0))
}

/// Makes sure that the table is there: a view needs it.
fn open_with_rows(database: Database) -> Result<Database, Error> {
    if view(&database).is_err() {
        let transaction = database.begin_write()?;
        transaction.open_table(ROWS)?;
        transaction.commit()?;
    }
    Ok(database)
}

/// A database that is only read. Its file stays as it is, also if it was not closed in order: what redb has
/// to write then stays in memory. Nobody else may write to the file meanwhile.
pub struct RedbReader {
    database: Database,
}

impl RedbReader {
    /// Opens the database in this file.
    pub fn of_file(file: File) -> Result<Self, Error> {
        Self::open(FileBackend::new(file)?)
    }

    /// Opens the database, and checks all of it as [`RedbStore::open`] does.
    pub fn open(file: impl StorageBackend) -> Result<Self, Error> {
        let overlay = Overlay::new(Box::new(file)).map_err(DatabaseError::from)?;
        if overlay.len().map_err(DatabaseError::from)? == 0 {
            return Err(Error::Damaged("the file is empty".to_owned()));
        }
        let mut builder = builder();
        builder.set_cache_size(READER_CACHE_SIZE);
        Ok(RedbReader { database: builder.create_with_backend(overlay)? })
    }

    /// What is in it.
    pub fn view(&self) -> Result<View, Error> {
        view(&self.database)
    }
}

/// How databases are opened here.
pub(crate) fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_SIZE).set_check_integrity_on_open(true);
    builder
}

/// How databases are opened that were closed or sealed; others do not open so.
pub(crate) fn trusting_builder() -> Builder {
    let mut builder = builder();
    builder.set_check_integrity_on_open(false);
    builder.set_repair_callback(|repair| repair.abort());
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
