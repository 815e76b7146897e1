//! The journal of a server that is started to be measured: in memory, or in a directory that lives as long as
//! the server does.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Where that server keeps events, and when they have to be on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum OwnJournal {
    /// In memory: no disk slows it down
    Memory,
    /// On the disk before the publisher is answered
    Always,
    /// On the disk 100 ms later at most
    Interval,
    /// On the disk when the system likes
    Never,
}

impl OwnJournal {
    /// Its name on the command line and in the report.
    pub(in crate::cli) const fn name(self) -> &'static str {
        match self {
            OwnJournal::Memory => "memory",
            OwnJournal::Always => "always",
            OwnJournal::Interval => "interval",
            OwnJournal::Never => "never",
        }
    }

    /// What of `[journal]` in a configuration makes it this one.
    pub(in crate::cli) const fn keys(self) -> &'static str {
        match self {
            OwnJournal::Memory => "kind = \"memory\"",
            OwnJournal::Always => "kind = \"disk\"\nsync = \"always\"",
            OwnJournal::Interval => "kind = \"disk\"\nsync = \"interval 100ms\"",
            OwnJournal::Never => "kind = \"disk\"\nsync = \"never\"",
        }
    }

    /// A directory for it, where it needs one.
    pub(in crate::cli) fn directory(self) -> io::Result<Option<OwnDirectory>> {
        match self {
            OwnJournal::Memory => Ok(None),
            _ => OwnDirectory::new().map(Some),
        }
    }
}

/// A new directory; dropping this removes it and what is in it.
pub(in crate::cli) struct OwnDirectory(PathBuf);

impl OwnDirectory {
    /// In the working directory: where the system has others for what is temporary, they may be in memory.
    fn new() -> io::Result<Self> {
        let name = format!("fourcast-bench-{}", std::process::id());
        let path = std::env::current_dir()?.join(name);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(OwnDirectory(path)),
            Err(error) => {
                let problem = format!("{}: {error}", path.display());
                Err(io::Error::new(error.kind(), problem))
            }
        }
    }

    /// Its path, which is absolute.
    pub(in crate::cli) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for OwnDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            log::warn!("{} cannot be removed: {error}", self.0.display());
        }
    }
}
