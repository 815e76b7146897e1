//! A copy of a journal: made while a server writes, and put in the place of another while none does.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::types::{ToSqlOutput, ValueRef};

use super::directory::{Directory, with_suffix};
use super::error::{Fault, OpenError};
use super::rows::Life;
use super::store::{self, Durability, Store};
use super::verification::Verdict;
use super::visitor::Visitor;
use crate::event::Epoch;
use crate::journal::unix_millis;

/// A backup that was made.
#[derive(Debug, Clone)]
pub struct Archived {
    /// The file.
    pub file: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// What is in it.
    pub verdict: Verdict,
}

/// A backup that is the journal now.
#[derive(Debug, Clone)]
pub struct Restored {
    /// The journal.
    pub file: PathBuf,
    /// What is in it.
    pub verdict: Verdict,
    /// The journal that was there before.
    pub set_aside: Option<PathBuf>,
}

/// Why a backup was not made or not restored. What was there is there still.
#[derive(Debug)]
pub enum ArchiveError {
    /// The journal or the backup cannot be opened.
    Open(OpenError),
    /// The file is there already.
    FileExists(PathBuf),
    /// There is a journal already.
    JournalExists(PathBuf),
    /// The file would lie between those of the journal.
    InJournal(PathBuf),
    /// What was copied is damaged.
    Unsound {
        /// What it was copied from.
        file: PathBuf,
        /// The first problem, as a sentence.
        problem: String,
    },
    /// The system does not let it be written.
    Unwritable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        cause: String,
    },
}

impl ArchiveError {
    fn unwritable(file: &Path, cause: impl fmt::Display) -> Self {
        ArchiveError::Unwritable {
            file: file.to_owned(),
            cause: cause.to_string(),
        }
    }
}

impl From<OpenError> for ArchiveError {
    fn from(error: OpenError) -> Self {
        ArchiveError::Open(error)
    }
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::FileExists(file) => write!(
                f,
                "{} is there already; name another file, or replace it with --force",
                file.display()
            ),
            Self::JournalExists(file) => write!(
                f,
                "there is a journal at {}; --replace sets it aside, and deletes nothing",
                file.display()
            ),
            Self::InJournal(file) => write!(
                f,
                "{} is in the directory of the journal itself; put a backup elsewhere, best on another disk",
                file.display()
            ),
            Self::Unsound { file, problem } => write!(
                f,
                "{} is damaged, so nothing was written: {problem}; 'fourcast journal verify' lists all that is wrong \
                 with a journal",
                file.display()
            ),
            Self::Unwritable { file, cause } => {
                write!(f, "cannot write {}: {cause}", file.display())
            }
        }
    }
}

impl std::error::Error for ArchiveError {}

/// Writes all of `journal`, as it is at one moment, into `file`, readable by its owner alone. Beside a server that
/// writes meanwhile; its write-ahead log grows until this is done. The file is there when all of it is on the disk.
///
/// # Errors
/// When the journal is damaged, or `file` cannot be written or is there already, unless it may be `replaced`.
pub fn back_up(journal: &Visitor, file: &Path, replaced: bool) -> Result<Archived, ArchiveError> {
    let unwritable = |error: io::Error| ArchiveError::unwritable(file, error);
    let target = std::path::absolute(file).map_err(unwritable)?;
    let directory = target.parent().unwrap_or(&target);
    let canonical = directory.canonicalize().map_err(unwritable)?;
    let own = journal.file().parent().map(Path::canonicalize);
    if own.is_some_and(|own| own.is_ok_and(|own| own == canonical)) {
        return Err(ArchiveError::InJournal(target));
    }
    let refuse_another = || match is_there(&target) && !replaced {
        true => Err(ArchiveError::FileExists(target.clone())),
        false => Ok(()),
    };
    refuse_another()?;
    let copy = Unfinished::of(journal, &target)?;
    let verdict = copy.verified(journal)?;
    refuse_another()?;
    copy.rename(&target).map_err(unwritable)?;
    let bytes = fs::metadata(&target).map_err(unwritable)?.len();
    Ok(Archived {
        file: target,
        bytes,
        verdict,
    })
}

/// Makes a copy of `archive` the journal in `directory`, where no server may run, and begins a life in it with the
/// epoch that `random` stands for: so a cursor from beyond the backup is known to be unknown.
///
/// # Errors
/// When `archive` is damaged, a process has the directory, or there is a journal, unless it may be `replaced`, which
/// renames it.
pub fn restore(
    directory: &Directory,
    archive: &Path,
    replaced: bool,
    random: u64,
) -> Result<Restored, ArchiveError> {
    let archive = Visitor::open_file(archive)?;
    let _lock = directory.lock()?;
    let file = directory.database();
    let unwritable = |error| ArchiveError::unwritable(&file, error);
    directory.recover().map_err(unwritable)?;
    let is_replaced = is_there(&file);
    if is_replaced && !replaced {
        return Err(ArchiveError::JournalExists(file));
    }
    let copy = Unfinished::of(&archive, &file)?;
    let verdict = copy.verified(&archive)?;
    copy.begin_life(Epoch::from_random(random))?;
    // Under that name a server would finish what a crash keeps this from, so only now.
    copy.rename(&directory.unfinished()).map_err(unwritable)?;
    let aside = directory.replace("replaced").map_err(unwritable)?;
    Ok(Restored {
        file,
        verdict,
        set_aside: is_replaced.then_some(aside),
    })
}

/// A copy that is not in its place yet; dropping it removes it.
struct Unfinished {
    file: PathBuf,
}

impl Unfinished {
    /// Copies what `source` is at this moment, write-ahead log and all, into one file beside `target`.
    fn of(source: &Visitor, target: &Path) -> Result<Self, ArchiveError> {
        let file = with_suffix(target, &format!(".unfinished-{}", unix_millis()));
        let mut options = OpenOptions::new();
        let created = options.write(true).create_new(true).mode(0o600).open(&file);
        created.map_err(|error| ArchiveError::unwritable(&file, error))?;
        let copy = Unfinished { file };
        // A path need not be UTF-8, and SQLite does not ask.
        let name = ToSqlOutput::Borrowed(ValueRef::Text(copy.file.as_os_str().as_bytes()));
        let copied = source.connection().execute("VACUUM INTO ?1", [name]);
        match copied.map_err(Fault::from) {
            Ok(_) => Ok(copy),
            Err(fault) if fault.is_damage() => Err(store::opening(source.file(), &fault).into()),
            Err(fault) => Err(ArchiveError::unwritable(target, fault)),
        }
    }

    /// What is in it, all of which is as it was written.
    fn verified(&self, source: &Visitor) -> Result<Verdict, ArchiveError> {
        let verdict = Visitor::open_file(&self.file)?.verify(|_, _| {})?;
        match verdict.problems.first() {
            None => Ok(verdict),
            Some(problem) => Err(ArchiveError::Unsound {
                file: source.file().to_owned(),
                problem: problem.clone(),
            }),
        }
    }

    fn begin_life(&self, epoch: Epoch) -> Result<(), OpenError> {
        let mut store = Store::open(&self.file)?;
        let begun = Life::all(store.connection()).and_then(|lives| {
            let before = lives.last().copied().unwrap_or(Life::NONE);
            let life = Life {
                number: before.number.saturating_add(1),
                epoch,
                ..before
            };
            store.transact(Durability::Synced, |connection| life.put(connection))?;
            store::empty_log(store.connection())
        });
        begun
            .map(drop)
            .map_err(|fault| store::opening(&self.file, &fault))
    }

    /// Puts it in its place, for good.
    fn rename(self, target: &Path) -> io::Result<()> {
        File::open(&self.file)?.sync_all()?;
        fs::rename(&self.file, target)?;
        match target.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After the renaming there is none, and what cannot be removed has a name that says what it is.
        let _ = fs::remove_file(&self.file);
        for companion in ["-journal", "-wal", "-shm"] {
            let _ = fs::remove_file(with_suffix(&self.file, companion));
        }
    }
}

/// Whether something has this name, be it a link to nothing.
fn is_there(file: &Path) -> bool {
    fs::symlink_metadata(file).is_ok()
}
