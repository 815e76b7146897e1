//! The option that names the configuration, for every command that reads one.

use std::path::PathBuf;

use super::Failure;
use crate::config::{Config, Loaded};

/// Which configuration counts.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigFile {
    /// The configuration; without it ./config.toml, else /etc/fourcast/config.toml, else the defaults
    #[arg(long = "config", value_name = "FILE")]
    path: Option<PathBuf>,
}

impl ConfigFile {
    /// Reads it, with the environment put over it.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        Config::load_with_environment(self.path.as_deref()).map_err(|error| {
            let problems = error.to_string().replace('\n', "\n  ");
            Failure::Config(format!("the configuration cannot be used:\n  {problems}"))
        })
    }
}

/// The file as an operator finds it from anywhere, or what counts without one.
pub(super) fn describe_source(loaded: &Loaded) -> String {
    match &loaded.source {
        None => "none found, the built-in defaults count".to_owned(),
        Some(path) => std::path::absolute(path)
            .unwrap_or_else(|_| path.clone())
            .display()
            .to_string(),
    }
}
