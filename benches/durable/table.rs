//! Tables of figures.

use std::time::Duration;

/// Prints a line that says what follows, and the names of the columns behind the first.
pub fn heading(title: &str, columns: &[&str]) {
    println!("\n{title}");
    row("", columns);
}

/// Prints what a row is about, and its cells.
pub fn row(label: &str, cells: &[impl AsRef<str>]) {
    let cells = cells.iter().map(|cell| format!("{:>16}", cell.as_ref()));
    println!("  {label:<34}{}", cells.collect::<String>());
}

pub fn rate(per_second: f64) -> String {
    format!("{per_second:.0}")
}

pub fn ratio(ratio: f64) -> String {
    format!("{ratio:.2}")
}

fn time(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 1e-3 => format!("{:.0} µs", seconds * 1e6),
        seconds if seconds < 1.0 => format!("{:.2} ms", seconds * 1e3),
        seconds => format!("{seconds:.2} s"),
    }
}

/// The times that so many percent of the samples did not exceed; 100 is the longest.
pub fn percentiles<const N: usize>(
    mut samples: Vec<Duration>,
    percents: [usize; N],
) -> [String; N] {
    samples.sort_unstable();
    percents.map(|percent| {
        let rank = (samples.len() * percent).div_ceil(100).max(1);
        time(samples.get(rank - 1).copied().unwrap_or_default())
    })
}
