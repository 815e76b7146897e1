//! The data directory: which files are in it, whose it is, and how something is put aside in it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::error::OpenError;
use crate::journal::unix_millis;

/// What SQLite keeps beside a database: the write-ahead log and the index of it.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// Where a journal lives on disk.
#[derive(Debug, Clone)]
pub struct Directory {
    path: PathBuf,
}

/// The right to write into a directory; it ends when this is dropped, or with the process.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Which file a database was opened as, so that it is noticed when another one takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Directory {
    /// The directory at `path`, which need not exist.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Directory { path: path.into() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database in it.
    pub fn database(&self) -> PathBuf {
        self.path.join("journal.db")
    }

    /// Makes the directory if it is not there, readable by its owner alone, and takes it for this process.
    ///
    /// # Errors
    /// When another process has it, or it cannot be written.
    pub fn lock(&self) -> Result<Lock, OpenError> {
        let unusable = |error| OpenError::unusable(&self.path, error);
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&self.path).map_err(unusable)?;
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(self.path.join("lock"))
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(self.taken_by(&mut file)),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        note_owner(&mut file).map_err(unusable)?;
        Ok(Lock { file })
    }

    /// Renames the database, with what SQLite keeps beside it, so that nothing of it is lost: the new name.
    pub fn set_aside(&self, why: &str) -> io::Result<PathBuf> {
        let database = self.database();
        let aside = free_name(&database, why);
        for companion in COMPANIONS {
            rename_if_there(
                &with_suffix(&database, companion),
                &with_suffix(&aside, companion),
            )?;
        }
        rename_if_there(&database, &aside)?;
        self.sync()?;
        Ok(aside)
    }

    /// What the database and its companions take on disk, as far as it can be told.
    pub(super) fn bytes(&self) -> u64 {
        let database = self.database();
        let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
        let companions = COMPANIONS.map(|companion| size(&with_suffix(&database, companion)));
        companions
            .iter()
            .sum::<u64>()
            .saturating_add(size(&database))
    }

    /// Where a new database is made that is to take the place of the one there is.
    pub(super) fn unfinished(&self) -> PathBuf {
        with_suffix(&self.database(), ".new")
    }

    /// Puts the new database, which is whole, in the place of the one there is: where that is now.
    pub(super) fn replace(&self, why: &str) -> io::Result<PathBuf> {
        let new = self.unfinished();
        File::open(&new)?.sync_all()?;
        let aside = self.set_aside(why)?;
        fs::rename(&new, self.database())?;
        self.sync()?;
        Ok(aside)
    }

    /// Finishes what a crash left: a new database that was whole takes its place, one that was not is removed, and a
    /// write-ahead log without a database, which SQLite would delete unread, is renamed.
    pub(super) fn recover(&self) -> io::Result<()> {
        let (database, new) = (self.database(), self.unfinished());
        if new.exists() && !database.exists() {
            log::warn!(
                "{} takes its place, which a crash kept it from",
                new.display()
            );
            fs::rename(&new, &database)?;
        }
        self.remove_unfinished()?;
        let is_empty = |path: &Path| fs::metadata(path).map_or(true, |file| file.len() == 0);
        let log = with_suffix(&database, COMPANIONS[0]);
        if is_empty(&database) && !is_empty(&log) {
            let aside = with_suffix(&free_name(&database, "lost"), COMPANIONS[0]);
            fs::rename(&log, &aside)?;
            log::error!(
                "{} is gone; its write-ahead log was kept as {}",
                database.display(),
                aside.display()
            );
        }
        Ok(())
    }

    /// Removes what is left of a new database that did not become whole.
    pub(super) fn remove_unfinished(&self) -> io::Result<()> {
        let new = self.unfinished();
        let mut files = vec![new.clone()];
        files.extend(COMPANIONS.map(|companion| with_suffix(&new, companion)));
        for file in files {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes the names of the files in it safe.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// Makes the write-ahead log safe as far as it was written. Unlike a commit it needs no room. SQLite has no lock on
    /// this file that closing it here would end.
    pub(super) fn sync_log(&self) -> io::Result<()> {
        match File::open(with_suffix(&self.database(), COMPANIONS[0])) {
            Ok(log) => log.sync_data(),
            // All of it is in the database.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Which file the database is.
    pub(super) fn identity(&self) -> io::Result<Identity> {
        let file = fs::metadata(self.database())?;
        Ok(Identity {
            device: file.dev(),
            inode: file.ino(),
        })
    }

    fn taken_by(&self, file: &mut File) -> OpenError {
        let mut owner = String::new();
        // The number is for people; without it the sentence is as true.
        let _ = file.take(20).read_to_string(&mut owner);
        OpenError::Taken {
            directory: self.path.clone(),
            pid: owner.trim().parse().ok(),
        }
    }
}

impl Drop for Lock {
    /// Gives the right back by name. Closing the file alone would leave it with a child that this process is starting
    /// at the moment, which has the same open file until its exec.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            log::warn!("the data directory stays locked until this process ends: {error}");
        }
    }
}

/// `path` with something behind its last letter.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A name for what is put aside that nothing has yet.
fn free_name(path: &Path, why: &str) -> PathBuf {
    let first = unix_millis();
    let names = (first..).map(|time| with_suffix(path, &format!(".{why}-{time}")));
    let mut free = names.filter(|name| {
        !name.exists()
            && COMPANIONS
                .iter()
                .all(|suffix| !with_suffix(name, suffix).exists())
    });
    free.next().unwrap_or_else(|| with_suffix(path, why))
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn note_owner(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_is_just_being_started_keeps_no_directory_locked() {
        let path = std::env::temp_dir().join(format!("directory-{}", std::process::id()));
        let directory = Directory::at(&path);
        let lock = directory.lock().expect("a lock");
        // What a child has between fork and exec: the same open file under a number of its own.
        let _inherited = lock.file.try_clone().expect("a file");
        let taken = directory.lock().expect_err("it is taken");
        assert!(matches!(taken, OpenError::Taken { .. }), "{taken}");
        drop(lock);
        drop(directory.lock().expect("it was given back"));
        fs::remove_dir_all(&path).expect("removed");
    }
}
