//! The database: how it is opened, its tables, its format, and how a transaction becomes durable.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::error::{Fault, OpenError};

/// The format that this release reads and writes (`PRAGMA user_version`).
pub const FORMAT: i32 = 1;
/// Says that the file is ours (`PRAGMA application_id`): "FCst".
const APPLICATION: i32 = 0x4643_7374;
/// How long a statement waits for a lock; the one writer and its checkpoints hold theirs for less.
const BUSY: Duration = Duration::from_secs(5);
/// How long the log is waited for to begin anew: nobody can publish meanwhile.
const BRIEFLY: Duration = Duration::from_millis(50);
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 48;
/// Pages that the writer keeps in memory, in KiB (negative: SQLite counts pages otherwise).
const WRITER_CACHE: i32 = -16 * 1024;
/// The same for each reader.
const READER_CACHE: i32 = -2 * 1024;

/// All tables. Every number is one that fits into 63 bits; a `crc` covers the other columns of its row.
///
/// - `lives`: each opening for writing; `last_seq` and `last_time` are those of its newest event.
/// - `channels`: what is known of each; `name` is null when it was let go of and its events still have to go.
///   Up to `lost_through` events were lost, up to `lost_to_delete` by DELETE; up to `gone_through` all are gone, whether
///   their rows are still there or not.
/// - `events`: `previous` is the event before it in its channel that was owed without an end.
/// - `keys`: idempotency keys, oldest first, each with the numbers of what was published under it.
/// - `whole`: what there is one of.
const SCHEMA: &str = "
CREATE TABLE lives (
    number INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, last_seq INTEGER NOT NULL, last_time INTEGER NOT NULL,
    crc INTEGER NOT NULL
) STRICT;
CREATE TABLE channels (
    id INTEGER PRIMARY KEY, name TEXT, lost_through INTEGER NOT NULL, lost_to_delete INTEGER NOT NULL,
    gone_through INTEGER NOT NULL, folded INTEGER NOT NULL, last_seq INTEGER NOT NULL, events INTEGER NOT NULL,
    bytes INTEGER NOT NULL, crc INTEGER NOT NULL
) STRICT;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY, channel INTEGER NOT NULL, previous INTEGER NOT NULL, life INTEGER NOT NULL,
    time INTEGER NOT NULL, expires INTEGER, type TEXT, content_type TEXT, form INTEGER NOT NULL,
    crc INTEGER NOT NULL, data BLOB NOT NULL
) STRICT;
CREATE INDEX events_of_channel ON events (channel);
CREATE INDEX events_by_expiry ON events (expires) WHERE expires IS NOT NULL;
CREATE TABLE keys (
    id INTEGER PRIMARY KEY, scope TEXT NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL, life INTEGER NOT NULL,
    first INTEGER NOT NULL, count INTEGER NOT NULL, time INTEGER NOT NULL, crc INTEGER NOT NULL, UNIQUE (scope, key)
) STRICT;
CREATE TABLE whole (id INTEGER PRIMARY KEY CHECK (id = 1), folded INTEGER NOT NULL, crc INTEGER NOT NULL) STRICT;
";

/// Whether a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// A power cut takes nothing that was committed.
    Synced,
    /// The end of the process takes nothing; a power cut may take the newest, in order.
    Written,
}

/// The one connection that writes.
pub(super) struct Store {
    connection: Connection,
    durability: Durability,
}

impl Store {
    /// Opens the database for writing, making it where there is none.
    pub(super) fn open(file: &Path) -> Result<Self, OpenError> {
        Self::open_as(file, OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// Opens one for writing that is there.
    pub(super) fn reopen(file: &Path) -> Result<Self, OpenError> {
        Self::open_as(file, OpenFlags::empty())
    }

    fn open_as(file: &Path, flags: OpenFlags) -> Result<Self, OpenError> {
        let flags = flags | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(file, flags);
        let connection = connection.map_err(|error| opening(file, &error.into()))?;
        #[cfg(test)]
        let connection = super::tests::plans::watched(connection);
        let mut connection = connection;
        prepare(&mut connection, file)?;
        Ok(Store {
            connection,
            durability: Durability::Synced,
        })
    }

    /// For reading, where no transaction is under way.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Does `work` in one transaction, which is kept whole or not at all.
    pub(super) fn transact<T>(
        &mut self,
        durability: Durability,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if durability != self.durability {
            self.connection
                .pragma_update(None, "synchronous", durability.level())?;
            self.durability = durability;
        }
        let connection = &self.connection;
        // By statements that are kept, which a transaction of rusqlite is not.
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute(())?;
        let done = work(connection).and_then(|done| {
            connection.prepare_cached("COMMIT")?.execute(())?;
            Ok(done)
        });
        if done.is_err() && !connection.is_autocommit() {
            // What failed before says more than a failure of this.
            let _ = connection.execute_batch("ROLLBACK");
        }
        done
    }
}

impl Durability {
    /// In WAL mode FULL syncs the log at each commit and NORMAL at checkpoints only; with both a power cut leaves
    /// a whole database.
    const fn level(self) -> &'static str {
        match self {
            Durability::Synced => "FULL",
            Durability::Written => "NORMAL",
        }
    }
}

/// How long the write-ahead log is, in pages, how many of them are in the database, and whether another
/// checkpoint, or a reader where that is waited for, kept this one from its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) pages: u64,
    pub(super) in_database: u64,
    pub(super) is_held: bool,
}

/// Looks at the log, and does nothing to it.
pub(super) fn log(connection: &Connection) -> Result<Log, Fault> {
    checkpoint_in(connection, "NOOP")
}

/// Brings what it can of the write-ahead log into the database, beside whoever reads and writes.
pub(super) fn checkpoint(connection: &Connection) -> Result<Log, Fault> {
    checkpoint_in(connection, "PASSIVE")
}

/// Brings all of the log into the database, so that it begins anew. Waits for readers, but not for one who reads long,
/// such as a backup.
pub(super) fn begin_log_anew(connection: &Connection) -> Result<Log, Fault> {
    connection.busy_timeout(BRIEFLY)?;
    let log = checkpoint_in(connection, "RESTART");
    connection.busy_timeout(BUSY)?;
    log
}

/// Brings all of the log into the database and cuts it off. Waits for readers.
pub(super) fn empty_log(connection: &Connection) -> Result<Log, Fault> {
    checkpoint_in(connection, "TRUNCATE")
}

fn checkpoint_in(connection: &Connection, mode: &str) -> Result<Log, Fault> {
    let pragma = format!("PRAGMA wal_checkpoint({mode})");
    let (is_held, pages, in_database): (bool, i64, i64) =
        connection.query_row(&pragma, (), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    Ok(Log {
        pages: u64::try_from(pages).unwrap_or(0),
        in_database: u64::try_from(in_database).unwrap_or(0),
        is_held,
    })
}

/// A connection beside the writer: it reads, and brings the log into the database.
pub(super) fn open_beside(file: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    #[cfg(test)]
    let connection = super::tests::plans::watched(connection);
    prepare_for_reading(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "synchronous", Durability::Written.level())?;
    Ok(connection)
}

/// A connection that only reads; it need not know whether anybody writes.
pub(super) fn open_for_reading(file: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    #[cfg(test)]
    let connection = super::tests::plans::watched(connection);
    prepare_for_reading(&connection)?;
    Ok(connection)
}

fn prepare_for_reading(connection: &Connection) -> rusqlite::Result<()> {
    prepare_statements(connection)?;
    connection.pragma_update(None, "cache_size", READER_CACHE)
}

/// Keeps statements, and has them planned once: SQLite would plan each anew when the number behind its LIMIT changes.
fn prepare_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Checks that an open database is a journal of a format that this release knows.
pub(super) fn check_format(connection: &Connection, file: &Path) -> Result<(), OpenError> {
    let read = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let application = read("application_id").map_err(|error| opening(file, &error.into()))?;
    let found = read("user_version").map_err(|error| opening(file, &error.into()))?;
    match (application, found) {
        (APPLICATION, FORMAT) => Ok(()),
        (APPLICATION, _) => Err(OpenError::Format {
            file: file.to_owned(),
            found,
            known: FORMAT,
        }),
        _ => Err(OpenError::NotAJournal(file.to_owned())),
    }
}

/// What it means that the database cannot be opened.
pub(super) fn opening(file: &Path, fault: &Fault) -> OpenError {
    match fault {
        Fault::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            OpenError::NotAJournal(file.to_owned())
        }
        fault if fault.is_damage() => OpenError::Damaged {
            file: file.to_owned(),
            part: fault.to_string(),
        },
        fault => OpenError::unusable(file, fault),
    }
}

/// Makes a connection the writer's: sets what has to be set before the first table, makes the tables of a new
/// database, and refuses one that is not ours.
fn prepare(connection: &mut Connection, file: &Path) -> Result<(), OpenError> {
    let failed = |error: rusqlite::Error| opening(file, &error.into());
    prepare_statements(connection).map_err(failed)?;
    let is_new = is_empty(connection).map_err(failed)?;
    if !is_new {
        check_format(connection, file)?;
    }
    settle(connection, is_new).map_err(failed)?;
    if is_new {
        create(connection).map_err(failed)?;
    }
    Ok(())
}

/// Whether nobody has made a table yet: SQLite's own file of no bytes, or ours before its first transaction.
fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT (SELECT count(*) FROM sqlite_schema) = 0";
    let application: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    Ok(application == 0 && connection.query_row(sql, (), |row| row.get(0))?)
}

fn settle(connection: &Connection, is_new: bool) -> rusqlite::Result<()> {
    if is_new {
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", Durability::Synced.level())?;
    // Checkpoints are made beside the commits, not by them.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", WRITER_CACHE)?;
    connection.pragma_update(None, "temp_store", "MEMORY")
}

fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(SCHEMA)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}
