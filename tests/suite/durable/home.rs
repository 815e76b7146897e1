//! The directory of one test: a configuration, the journal's directory and the servers' logs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// What may differ between the servers of these tests.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `journal.sync`.
    pub sync: &'static str,
    /// `journal.path`, relative to the home.
    pub path: &'static str,
    /// How many events each channel keeps.
    pub max_events: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            sync: "always",
            path: "data",
            max_events: 1_000_000,
        }
    }
}

impl Settings {
    fn toml(&self) -> String {
        let Settings {
            sync,
            path,
            max_events,
        } = self;
        format!(
            "listen = \"127.0.0.1:0\"\n\
             [admin]\n\
             listen = \"off\"\n\
             [journal]\n\
             kind = \"disk\"\n\
             path = \"{path}\"\n\
             sync = \"{sync}\"\n\
             [timeouts]\n\
             drain = \"5s\"\n\
             close = \"1s\"\n\
             [[channels]]\n\
             pattern = \"**\"\n\
             max_events = {max_events}\n\
             max_bytes = \"512 MiB\"\n"
        )
    }
}

/// A fresh directory. Dropping it removes it, unless the test failed: then it is what to look at.
pub struct Home {
    path: PathBuf,
    settings: Settings,
    logs: AtomicU32,
}

impl Home {
    /// The home of the test `name`, with the defaults.
    pub fn new(name: &str) -> Self {
        Self::with(name, Settings::default())
    }

    /// The home of the test `name`.
    pub fn with(name: &str, settings: Settings) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("durable")
            .join(name);
        if path.exists() {
            fs::remove_dir_all(&path).expect("what an earlier run left goes");
        }
        fs::create_dir_all(&path).expect("a directory");
        fs::write(path.join("config.toml"), settings.toml()).expect("a configuration");
        Home {
            path,
            settings,
            logs: AtomicU32::new(0),
        }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The journal's directory.
    pub fn data(&self) -> PathBuf {
        self.path.join(self.settings.path)
    }

    /// The journal's database.
    pub fn database(&self) -> PathBuf {
        self.data().join("journal.db")
    }

    /// What was written ahead of the database.
    pub fn write_ahead_log(&self) -> PathBuf {
        self.data().join("journal.db-wal")
    }

    /// The server's command line.
    pub fn serve(&self) -> Command {
        self.run(&["serve"])
    }

    /// A command line of the binary with this home's configuration.
    pub fn run(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments);
        self.configure(&mut command);
        command
    }

    /// The server's command line under a limit of the shell, such as `ulimit -f 2048`.
    pub fn serve_under(&self, limit: &str) -> Command {
        let mut command = Command::new("sh");
        let script = format!("{limit} && exec \"$0\" \"$@\"");
        command.arg("-c").arg(script).arg(binary()).arg("serve");
        self.configure(&mut command);
        command
    }

    /// A file for what the next server says on stderr.
    pub fn next_log(&self) -> PathBuf {
        let number = self.logs.fetch_add(1, Ordering::Relaxed);
        self.path.join(format!("server-{number}.log"))
    }

    /// Copies the journal's directory, of which no server may be running.
    pub fn copy_data_to(&self, name: &str) -> PathBuf {
        let copy = self.path.join(name);
        copy_directory(&self.data(), &copy);
        copy
    }

    /// Puts a copy in the place of the journal's directory.
    pub fn put_back(&self, copy: &Path) {
        self.wipe();
        copy_directory(copy, &self.data());
    }

    /// Removes the journal's directory.
    pub fn wipe(&self) {
        if self.data().exists() {
            fs::remove_dir_all(self.data()).expect("the journal's directory goes");
        }
    }

    /// What these tests are told by variables would be keys of the configuration to the server.
    fn configure(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("FOURCAST_") || name_text == "RUST_LOG" {
                command.env_remove(&name);
            }
        }
        command.arg("--config").arg(self.path.join("config.toml"));
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("left to look at: {}", self.path.display());
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn binary() -> PathBuf {
    std::env::var_os("SUITE_BINARY").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_fourcast")),
        PathBuf::from,
    )
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}
