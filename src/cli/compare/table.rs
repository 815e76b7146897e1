//! The figures for people at a terminal: a table of 120 columns, and the sentences under it.

use std::fmt;

use super::figures::{Comparison, EVENTS_FOR_P99, Row};
use super::units::{bytes, count, events, known_time, rate, time};

/// Stands for the high delay, which is not the same figure under each load.
const HIGH: &str = "high";
/// The widest line, in characters.
const WIDTH: usize = 120;
/// The columns behind the way, and how wide they are unless a figure is wider.
const COLUMNS: [(&str, usize); 10] = [
    ("delivered", 10),
    ("requests", 9),
    ("empty", 8),
    ("to server", 12),
    ("from server", 12),
    ("bytes each", 11),
    ("once open", 10),
    ("CPU each", 9),
    ("p50", 9),
    (HIGH, 9),
];

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} clients on each way, payloads of {} bytes, {} s a line. 'each' is for each event and client, 'once open'\n\
             is bytes each without what it took to open. What all clients get of an event is one moment of the server, so\n\
             CPU and delay are known from as many moments as there are events; below {EVENTS_FOR_P99} of them max is told, not p99.",
            count(self.clients as u64),
            count(self.payload_bytes as u64),
            self.publishing_seconds
        )?;
        let widths = Widths::of(&self.rows);
        for rows in self.scenarios() {
            write_scenario(f, rows, &widths)?;
        }
        for (mark, sentences) in [("-", &self.findings), ("warning:", &self.warnings)] {
            if !sentences.is_empty() {
                writeln!(f)?;
            }
            for sentence in sentences {
                write_wrapped(f, mark, sentence)?;
            }
        }
        Ok(())
    }
}

/// How wide the columns are, the same for all scenarios.
struct Widths {
    way: usize,
    columns: [usize; COLUMNS.len()],
}

impl Widths {
    fn of(rows: &[Row]) -> Self {
        let ways = rows.iter().map(|row| row.way.chars().count());
        let mut columns = COLUMNS.map(|(_, width)| width);
        for row in rows {
            for (width, cell) in columns.iter_mut().zip(cells(row)) {
                *width = (*width).max(cell.chars().count() + 1);
            }
        }
        Widths {
            way: ways.max().unwrap_or(0),
            columns,
        }
    }

    fn write<'a>(
        &self,
        f: &mut fmt::Formatter<'_>,
        way: &str,
        cells: impl IntoIterator<Item = &'a str>,
    ) -> fmt::Result {
        write!(f, "{way:<width$}", width = self.way)?;
        for (cell, width) in cells.into_iter().zip(self.columns) {
            write!(f, "{cell:>width$}")?;
        }
        writeln!(f)
    }
}

fn write_scenario(f: &mut fmt::Formatter<'_>, rows: &[Row], widths: &Widths) -> fmt::Result {
    let Some(first) = rows.first() else {
        return Ok(());
    };
    writeln!(
        f,
        "\n{}: {}, {} for each client",
        first.scenario,
        rate(first.events_per_second),
        events(first.events)
    )?;
    let (high, _) = first.delay_us.high();
    let titles = COLUMNS.map(|(title, _)| if title == HIGH { high } else { title });
    widths.write(f, "way", titles)?;
    for row in rows {
        widths.write(f, &row.way, cells(row).iter().map(String::as_str))?;
    }
    Ok(())
}

fn cells(row: &Row) -> [String; COLUMNS.len()] {
    [
        count(row.deliveries),
        count(row.requests),
        count(row.empty_answers),
        count(row.bytes_to_server),
        count(row.bytes_from_server),
        bytes(row.bytes_per_delivery),
        bytes(row.once_open.bytes_per_delivery),
        known_time(row.server_cpu_us_per_delivery),
        time(row.delay_us.p50),
        time(row.delay_us.high().1),
    ]
}

/// Writes a sentence behind a mark, in lines that are no wider than the table may be.
fn write_wrapped(f: &mut fmt::Formatter<'_>, mark: &str, sentence: &str) -> fmt::Result {
    let indent = mark.chars().count();
    write!(f, "{mark}")?;
    let mut column = indent;
    for word in sentence.split(' ') {
        let width = word.chars().count() + 1;
        if column + width > WIDTH {
            write!(f, "\n{:indent$}", "")?;
            column = indent;
        }
        write!(f, " {word}")?;
        column += width;
    }
    writeln!(f)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::comparison;

    #[test]
    fn each_row_has_a_line_with_its_figures() {
        let text = comparison().to_string();
        for line in [
            "way               delivered requests   empty   to server from server bytes each once open CPU each      p50      max",
            "way               delivered requests   empty   to server from server bytes each once open CPU each      p50      p99",
            "sparse: 0.5 events a second, 4 events for each client",
            "poll every 100 ms       400    8,200   7,700   1,178,000   1,800,000      7,445     7,255   800 µs  50.1 ms  99.9 ms",
            "SSE                  16,000      100       0      11,300   3,000,000        188       186  9.50 µs   310 µs   900 µs",
        ] {
            assert!(
                text.lines().any(|written| written == line),
                "{line}\n{text}"
            );
        }
    }

    #[test]
    fn no_line_is_wider_than_120_columns() {
        let mut comparison = comparison();
        comparison.clients = 10_000;
        comparison.payload_bytes = 1 << 20;
        comparison.publishing_seconds = 3600.0;
        comparison.findings = vec!["as long as can be ".repeat(40)];
        for line in comparison.to_string().lines() {
            assert!(line.chars().count() <= super::WIDTH, "{line}");
        }
    }

    #[test]
    fn a_figure_that_is_wider_than_its_column_stays_apart() {
        let mut comparison = comparison();
        comparison.rows[0].bytes_to_server = 123_456_789_012;
        let text = comparison.to_string();
        assert!(text.contains(" 7,700 123,456,789,012 "), "{text}");
    }
}
