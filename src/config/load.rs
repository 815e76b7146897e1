//! Where the configuration comes from: a file, the environment over it, and the defaults under it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Place, Problem};
use super::written::{Value, Written};
use super::{Config, Endpoint, Log, file, units};

/// Where a file is looked for when none is named, in this order.
const CANDIDATES: [&str; 2] = ["config.toml", "/etc/fourcast/config.toml"];

/// The variable that every program with such a log has. It counts more than `log.level`.
const LOG_FILTER: &str = "RUST_LOG";

/// Where systemd wants a service to keep its things (`StateDirectory=`): one directory, or several with colons.
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";

/// A configuration and the file that it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What was read.
    pub config: Config,
    /// The file; `None`: there was none, and the defaults count.
    pub source: Option<PathBuf>,
    /// What is wrong with `RUST_LOG`, if it does not count because of that. It may be meant for other programs.
    pub unheeded: Option<Problem>,
}

impl Config {
    /// Reads the text of a `config.toml`. Every problem in it is told at once.
    pub fn from_toml(text: &str) -> Result<Config, ConfigError> {
        file::read(CANDIDATES[0], text, [])
    }

    /// Reads `path`, which must exist; without it `./config.toml`, else `/etc/fourcast/config.toml`, else
    /// takes the defaults. Variables of `environment` whose names begin with `FOURCAST_` count more than
    /// the file: `FOURCAST_LIMITS__CONNECTIONS` is `limits.connections`. So does `RUST_LOG`, which is `log.level`.
    /// Blocks while it reads.
    ///
    /// `journal.path`, the paths of `listen` and the files of keys come back absolute. A relative one begins at the directory of the file; without a file
    /// at the first of `STATE_DIRECTORY`, else at the working directory; and at the latter if a variable has it.
    pub fn load(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Loaded, ConfigError> {
        let environment: Vec<_> = environment.into_iter().collect();
        let found = match path {
            Some(path) => Some((path.to_owned(), text_of(path)?)),
            None => first_of(&CANDIDATES.map(Path::new))?,
        };
        let (source, text) = found.unzip();
        let base = base(source.as_deref(), &environment);
        let filter = log_filter(&environment);
        let name = source.as_deref().map(|path| path.display().to_string());
        let mut config = file::read(
            &name.unwrap_or_default(),
            &text.unwrap_or_default(),
            environment,
        )?;
        config.journal.path = absolute(&base.join(config.journal.path), "journal.path")?;
        for listen in &mut config.listen {
            if let Endpoint::Unix(path) = &mut listen.endpoint {
                *path = absolute(&base.join(&*path), "listen")?;
            }
        }
        for path in config.access.tokens.paths_mut() {
            *path = absolute(&base.join(&*path), "access.tokens")?;
        }
        let unheeded = match filter {
            Ok(filter) => {
                config.log = filter.unwrap_or(config.log);
                None
            }
            Err(problem) => Some(problem),
        };
        Ok(Loaded {
            config,
            source,
            unheeded,
        })
    }

    /// [`Config::load`] with the environment of this process.
    pub fn load_with_environment(path: Option<&Path>) -> Result<Loaded, ConfigError> {
        Config::load(path, std::env::vars_os())
    }
}

impl Loaded {
    /// Reads the same file anew, with the environment of this process. Blocks while it reads. Without a file it is
    /// looked for again.
    ///
    /// # Errors
    /// Every problem of the file, or that it is not there any more.
    pub fn again(&self) -> Result<Loaded, ConfigError> {
        if let Some(path) = &self.source {
            require_regular(path)?;
        }
        Config::load_with_environment(self.source.as_deref())
    }
}

/// What `RUST_LOG` says, if it says something.
fn log_filter(environment: &[(OsString, OsString)]) -> Result<Option<Log>, Problem> {
    let found = environment.iter().find(|(name, _)| name == LOG_FILTER);
    let Some((_, text)) = found.filter(|(_, text)| !text.is_empty()) else {
        return Ok(None);
    };
    let written = Written {
        place: Place::Variable(LOG_FILTER.to_owned()),
        value: Value::Bare(text.to_string_lossy().into_owned()),
    };
    match units::log_filter(&written) {
        Ok(level) => Ok(Some(Log { level })),
        Err(message) => Err(Problem {
            place: written.place,
            key: String::new(),
            message,
        }),
    }
}

/// The first of these files that exists. One that exists and cannot be read is an error: to go on
/// without it would be to start with settings that nobody chose.
fn first_of(candidates: &[&Path]) -> Result<Option<(PathBuf, String)>, ConfigError> {
    for path in candidates {
        match fs::symlink_metadata(path) {
            Err(error) if is_absence(&error) => {}
            _ => return Ok(Some((path.to_path_buf(), text_of(path)?))),
        }
    }
    Ok(None)
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn text_of(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|error| {
        let message = match error.kind() {
            io::ErrorKind::NotFound => {
                "there is no such file; 'fourcast print config' writes one to start from".to_owned()
            }
            io::ErrorKind::InvalidData => "it is not text in UTF-8".to_owned(),
            _ => format!("it cannot be read: {error}"),
        };
        ConfigError::from(Problem {
            place: Place::File(path.display().to_string()),
            key: String::new(),
            message,
        })
    })
}

/// A pipe gives its text once: read again it would be empty, which is a sound configuration, or never end.
fn require_regular(path: &Path) -> Result<(), ConfigError> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(ConfigError::from(Problem {
            place: Place::File(path.display().to_string()),
            key: String::new(),
            message: "it is no regular file, so it cannot be read again".to_owned(),
        })),
        // What is not there is told by whoever reads it.
        _ => Ok(()),
    }
}

/// Where relative paths begin; empty: at the working directory.
pub(super) fn base(source: Option<&Path>, environment: &[(OsString, OsString)]) -> PathBuf {
    let directory = source.and_then(Path::parent);
    directory
        .filter(|directory| !is_the_kernels(directory))
        .map(Path::to_owned)
        .or_else(|| state_directory(environment))
        .unwrap_or_default()
}

/// Whether nothing can be kept there: a file such as `/dev/stdin` or `/dev/fd/3` is somewhere else in truth.
fn is_the_kernels(directory: &Path) -> bool {
    directory == Path::new("/dev")
        || directory.starts_with("/dev/fd")
        || directory.starts_with("/proc")
}

fn state_directory(environment: &[(OsString, OsString)]) -> Option<PathBuf> {
    let (_, directories) = environment
        .iter()
        .find(|(name, _)| name == STATE_DIRECTORY)?;
    std::env::split_paths(directories)
        .next()
        .filter(|first| !first.as_os_str().is_empty())
}

/// A relative path has none when the working directory was deleted.
fn absolute(path: &Path, key: &str) -> Result<PathBuf, ConfigError> {
    std::path::absolute(path).map_err(|error| {
        ConfigError::from(Problem {
            place: Place::File(path.display().to_string()),
            key: key.to_owned(),
            message: format!("it has no absolute path: {error}"),
        })
    })
}
