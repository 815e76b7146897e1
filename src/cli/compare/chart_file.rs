//! The file that a chart is to be written to.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::cli::Failure;

/// An open file. It keeps what it holds until a chart is there to replace it.
pub(super) struct ChartFile {
    path: PathBuf,
    file: File,
}

impl ChartFile {
    /// Opens it, before minutes of measuring are spent on what cannot be written.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        let opened = options.create(true).truncate(false).write(true).open(path);
        Ok(ChartFile {
            file: opened.map_err(|error| cannot_write(path, &error))?,
            path: path.to_owned(),
        })
    }

    /// Writes the chart, in the place of what was there.
    pub(super) fn write(mut self, chart: &str) -> Result<(), Failure> {
        self.replace(chart)
            .map_err(|error| cannot_write(&self.path, &error))
    }

    fn replace(&mut self, chart: &str) -> io::Result<()> {
        // Pipes and terminals hold nothing, and have no length to set.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(chart.as_bytes())
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::Failed(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_keeps_its_chart_until_there_is_another_and_nothing_of_it_then() {
        let path = std::env::temp_dir().join(format!("fourcast-chart-{}", std::process::id()));
        fs::write(&path, "a longer one").unwrap();
        let file = ChartFile::open(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a longer one");
        file.write("a chart").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a chart");
        fs::remove_file(&path).unwrap();
    }
}
