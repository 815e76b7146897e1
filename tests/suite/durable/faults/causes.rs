//! Ways to make a disk fail. Each ends when it is dropped.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::durable::commands::files_below;

/// A file system of its own, in memory.
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one of this size; that takes a superuser.
    pub fn mount(path: &Path, size: &str) -> Result<Self, String> {
        fs::create_dir_all(path).expect("a directory");
        let options = format!("size={size}");
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(path))?;
        Ok(SmallDisk {
            path: path.to_owned(),
        })
    }

    /// Mounts it anew, as `ro` or `rw`.
    pub fn make(&self, mode: &str) {
        let options = format!("remount,{mode}");
        run(Command::new("mount").args(["-o", &options]).arg(&self.path)).expect("a remount");
    }

    /// Takes so many bytes of its room.
    pub fn add_ballast(&self, bytes: usize) -> Ballast {
        let path = self.path.join("ballast");
        let mut file = File::create(&path).expect("a file");
        file.write_all(&vec![0; bytes]).expect("room");
        Ballast { path }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A server of a test that failed may still have files open.
        let _ = run(Command::new("umount").arg("-l").arg(&self.path));
    }
}

/// A file that takes room.
pub struct Ballast {
    path: PathBuf,
}

impl Ballast {
    /// Gives the room back.
    pub fn remove(self) {
        fs::remove_file(self.path).expect("the ballast goes");
    }
}

/// Files that nobody may write to, not even who has them open (`chattr +i`).
pub struct Immutable {
    files: Vec<PathBuf>,
}

impl Immutable {
    /// Makes every file in a directory one; that takes a superuser and a file system that can.
    ///
    /// Not the one that SQLite's connections share as memory: the system ends (SIGBUS) whoever writes to
    /// memory whose file nobody may write to, and no program can prevent it.
    pub fn make(directory: &Path) -> Result<Self, String> {
        let trial = directory.with_extension("trial");
        let mut open = File::create(&trial).expect("a file");
        let immutable = Immutable::these(vec![trial])?;
        let still_written = open.write(b"x").is_ok();
        drop(immutable);
        if still_written {
            return Err("this file system lets those write who have a file open".to_owned());
        }
        let mut files = files_below(directory);
        files.retain(|file| file.extension() != Some("db-shm".as_ref()));
        Self::these(files)
    }

    fn these(files: Vec<PathBuf>) -> Result<Self, String> {
        run(Command::new("chattr").arg("+i").args(&files))?;
        Ok(Immutable { files })
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        run(Command::new("chattr").arg("-i").args(&self.files)).expect("they become writable");
    }
}

/// A disk whose writes fail on demand: a library that stands between the server and the system.
pub struct FailingDisk {
    library: PathBuf,
    switch: PathBuf,
}

impl FailingDisk {
    /// Builds the library; that takes a C compiler.
    pub fn build(directory: &Path) -> Result<Self, String> {
        let source = directory.join("failing_disk.c");
        fs::write(&source, include_str!("failing_disk.c")).expect("a file");
        let library = directory.join("failing_disk.so");
        run(Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .arg("-ldl"))?;
        Ok(FailingDisk {
            library,
            switch: directory.join("failing"),
        })
    }

    /// The same command line on this disk.
    pub fn under(&self, mut command: Command) -> Command {
        command.env("LD_PRELOAD", &self.library);
        command.env("FAILING_DISK", &self.switch);
        command
    }

    /// From now on it fails so: `<error> on write` or `<error> on sync`.
    pub fn fail_with(&self, error: &str) {
        // At once, not bit by bit: the server may look at any time.
        let whole = self.switch.with_extension("new");
        fs::write(&whole, error).expect("a file");
        fs::rename(&whole, &self.switch).expect("a file");
    }

    /// It works again.
    pub fn work(&self) {
        fs::remove_file(&self.switch).expect("the switch goes");
    }
}

/// Runs a program of the system; what it complains about.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{command:?}: {told}"))
}
