//! The figures as an SVG picture that needs nothing beside it: four small charts with the same ways in the same
//! order, a hollow circle for sparse events and a full square for frequent ones, and each figure beside its mark.
//! It is narrow, so that it can be read on a phone, and follows the reader's choice of dark or light.

use std::fmt::Write as _;

use super::figures::{Comparison, Row};
use super::margin::MEASURED;
use super::scale::Scale;
use super::units::{bytes, count, known_time, rate, ratio, time};

/// Colours and fonts.
const STYLE: &str = include_str!("chart.css");

/// The picture's width, in its own units, as all lengths here.
const WIDTH: f64 = 480.0;
/// From the edge to what is drawn.
const MARGIN: f64 = 18.0;
/// Where the marks begin, right of the names of the ways.
const LEFT: f64 = 148.0;
/// Where they end, left of the figures.
const RIGHT: f64 = 352.0;
/// Where the figures end.
const FIGURES: f64 = WIDTH - MARGIN;
/// What stands above the first chart.
const HEAD: f64 = 130.0;
/// From a chart's beginning to its first way.
const PANEL_HEAD: f64 = 54.0;
/// From one way to the next.
const WAY: f64 = 38.0;
/// From the middle of a way to its upper and to its lower mark.
const LANE: f64 = 9.0;
/// What stands below the last way of a chart.
const PANEL_FOOT: f64 = 48.0;
/// From the middle of a mark to its edge.
const MARK: f64 = 4.5;
/// From the middle of a line of text to its base.
const BASE: f64 = 4.5;

/// One of the small charts: a figure of each row.
struct Panel {
    title: &'static str,
    note: String,
    /// From where to where a row is; nothing where that is not known.
    range: fn(&Row) -> Option<(f64, f64)>,
    figure: fn(&Row) -> String,
    /// A figure on the scale.
    mark: fn(f64) -> String,
    /// What no way can go below.
    payload: Option<f64>,
}

/// A picture of a comparison.
pub(super) fn draw(comparison: &Comparison) -> String {
    let panels = panels(comparison);
    let ways = comparison.scenarios().next().map_or(0, <[Row]>::len);
    let panel_height = PANEL_HEAD + WAY * ways as f64 + PANEL_FOOT;
    let height = HEAD + panel_height * panels.len() as f64;
    let mut svg = String::new();
    head(&mut svg, comparison, height);
    for (number, panel) in panels.iter().enumerate() {
        panel.draw(&mut svg, comparison, HEAD + panel_height * number as f64);
    }
    svg.push_str("</svg>\n");
    svg
}

fn panels(comparison: &Comparison) -> [Panel; 4] {
    let payload = comparison.payload_bytes as f64;
    [
        Panel {
            title: "Bytes for each event and client",
            note: format!(
                "both directions, once open; dotted: the payload, {}",
                bytes(payload)
            ),
            range: |row| Some(point(row.once_open.bytes_per_delivery)),
            figure: |row| bytes(row.once_open.bytes_per_delivery),
            mark: bytes,
            payload: Some(payload),
        },
        Panel {
            title: "Requests for each event and client",
            note: "once open".to_owned(),
            range: |row| Some(point(row.once_open.requests_per_delivery)),
            figure: |row| ratio(row.once_open.requests_per_delivery),
            mark: short,
            payload: None,
        },
        Panel {
            title: "Server CPU for each event and client",
            note: "publishing included".to_owned(),
            range: |row| row.server_cpu_us_per_delivery.map(point),
            figure: |row| known_time(row.server_cpu_us_per_delivery),
            mark: short_time,
            payload: None,
        },
        Panel {
            title: "Delay",
            note: format!("mark: p50; line: up to {}", high_delays(comparison)),
            range: |row| Some((row.delay_us.p50, row.delay_us.high().1)),
            figure: |row| span(row.delay_us.p50, row.delay_us.high().1),
            mark: short_time,
            payload: None,
        },
    ]
}

/// What the high delays are, under each load where that is not the same.
fn high_delays(comparison: &Comparison) -> String {
    let rows = comparison.scenarios().filter_map(<[Row]>::first);
    let names: Vec<_> = rows
        .map(|row| (row.delay_us.high().0, row.scenario))
        .collect();
    match names.as_slice() {
        [(name, _), rest @ ..] if rest.iter().all(|(other, _)| other == name) => (*name).to_owned(),
        names => {
            let names = names
                .iter()
                .map(|(name, scenario)| format!("{name} ({scenario})"));
            names.collect::<Vec<_>>().join(", ")
        }
    }
}

/// Two times, with one unit where they have the same.
fn span(from: f64, to: f64) -> String {
    let (from, to) = (time(from), time(to));
    match (from.rsplit_once(' '), to.rsplit_once(' ')) {
        (Some((value, unit)), Some((_, same))) if unit == same => format!("{value} – {to}"),
        _ => format!("{from} – {to}"),
    }
}

fn point(figure: f64) -> (f64, f64) {
    (figure, figure)
}

/// A round figure without the digits that say nothing.
fn short(figure: f64) -> String {
    match figure < 1000.0 {
        true => plain(figure),
        false => bytes(figure),
    }
}

/// A figure without what adding up steps has left behind its last digit.
fn plain(figure: f64) -> String {
    ((figure * 1e9).round() / 1e9).to_string()
}

fn short_time(microseconds: f64) -> String {
    match microseconds {
        us if us < 1e3 => format!("{} µs", plain(us)),
        us if us < 1e6 => format!("{} ms", plain(us / 1e3)),
        us => format!("{} s", plain(us / 1e6)),
    }
}

/// What stands above the charts, and what a screen reader reads.
fn head(svg: &mut String, comparison: &Comparison, height: f64) {
    let title = "How the ways compare";
    let events = comparison.scenarios().filter_map(<[Row]>::first);
    let events: Vec<_> = events.map(|row| count(row.events)).collect();
    let load = format!(
        "{} clients on each way, payloads of {} bytes, {} s: {} events",
        count(comparison.clients as u64),
        count(comparison.payload_bytes as u64),
        comparison.publishing_seconds,
        events.join(" or ")
    );
    let summary = format!("{load}. {}", comparison.findings.join(" "));
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-labelledby=\"title desc\">\n\
         <title id=\"title\">{title}</title>\n<desc id=\"desc\">{}</desc>\n<style>\n{STYLE}</style>\n\
         <rect class=\"paper\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n",
        escaped(&summary),
        WIDTH - 1.0,
        height - 1.0
    );
    text(svg, "head", MARGIN, 36.0, title);
    text(svg, "note", MARGIN, 57.0, &load);
    let margin = format!("CPU and delay: what is less than {MEASURED} times apart may be alike");
    text(svg, "note", MARGIN, 73.0, &margin);
    let mut x = MARGIN + MARK;
    for rows in comparison.scenarios() {
        let Some(row) = rows.first() else { continue };
        mark(svg, row, x, 96.0);
        let name = format!("{}: {}", row.scenario, rate(row.events_per_second));
        text(svg, "", x + 12.0, 96.0 + BASE, &name);
        x += WIDTH / 2.0 - 18.0;
    }
}

impl Panel {
    fn draw(&self, svg: &mut String, comparison: &Comparison, top: f64) {
        let ranges = comparison.rows.iter().filter_map(self.range);
        let figures = ranges.flat_map(|(from, to)| [from, to]);
        let scale = Scale::of(figures.chain(self.payload), LEFT, RIGHT);
        let ways = comparison.scenarios().next().map_or(0, <[Row]>::len);
        let (first, last) = (top + PANEL_HEAD, top + PANEL_HEAD + WAY * ways as f64);
        svg.push_str("<g>\n");
        self.draw_head(svg, &scale, top);
        self.draw_scale(svg, &scale, first, last);
        for number in 0..=ways {
            let y = first + WAY * number as f64;
            line(svg, "grid", MARGIN, y, FIGURES, y);
        }
        for (lane, rows) in comparison.scenarios().enumerate() {
            for (number, row) in rows.iter().enumerate() {
                let middle = first + WAY * (number as f64 + 0.5);
                if lane == 0 {
                    text(svg, "", MARGIN, middle + BASE, &row.way);
                }
                let y = middle + if lane == 0 { -LANE } else { LANE };
                self.draw_row(svg, &scale, row, y);
            }
        }
        svg.push_str("</g>\n");
    }

    fn draw_head(&self, svg: &mut String, scale: &Scale, top: f64) {
        line(svg, "rule", MARGIN, top, FIGURES, top);
        text(svg, "panel", MARGIN, top + 26.0, self.title);
        let kind = scale.kind().map(|kind| format!("; {kind}"));
        let note = format!("{}{}", self.note, kind.unwrap_or_default());
        text(svg, "note", MARGIN, top + 44.0, &note);
    }

    fn draw_scale(&self, svg: &mut String, scale: &Scale, first: f64, last: f64) {
        for figure in scale.marks() {
            let x = scale.place(figure);
            line(svg, "grid", x, first, x, last);
            let label = (self.mark)(figure);
            text(svg, "mark middle", x, last + 16.0, &label);
        }
        if let Some(payload) = self.payload {
            let x = scale.place(payload);
            line(svg, "payload", x, first, x, last);
        }
    }

    fn draw_row(&self, svg: &mut String, scale: &Scale, row: &Row, y: f64) {
        if let Some((from, to)) = (self.range)(row) {
            let (from, to) = (scale.place(from), scale.place(to));
            if to > from {
                line(svg, row.scenario, from, y, to, y);
                line(svg, row.scenario, to, y - MARK, to, y + MARK);
            }
            mark(svg, row, from, y);
        }
        text(svg, "figure end", FIGURES, y + BASE, &(self.figure)(row));
    }
}

/// The mark of a row's scenario: its shape tells it as well as its colour.
fn mark(svg: &mut String, row: &Row, x: f64, y: f64) {
    let class = row.scenario;
    let _ = match class {
        "sparse" => writeln!(
            svg,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{MARK}\"/>"
        ),
        _ => writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{side}\" height=\"{side}\"/>",
            x - MARK + 0.5,
            y - MARK + 0.5,
            side = 2.0 * MARK - 1.0
        ),
    };
}

fn text(svg: &mut String, class: &str, x: f64, y: f64, text: &str) {
    let text = escaped(text);
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
    );
}

fn line(svg: &mut String, class: &str, x1: f64, y1: f64, x2: f64, y2: f64) {
    let _ = writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

/// Text as XML has it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::comparison;
    use super::*;

    #[test]
    fn a_chart_has_every_way_and_every_figure_as_text() {
        let comparison = comparison();
        let svg = draw(&comparison);
        for row in &comparison.rows {
            let figures = panels(&comparison).map(|panel| (panel.figure)(row));
            for text in figures.iter().chain([&row.way]) {
                assert!(svg.contains(&format!(">{text}</text>")), "{text}");
            }
        }
    }

    #[test]
    fn a_screen_reader_is_told_what_was_found() {
        let mut comparison = comparison();
        comparison.findings = vec!["Less < more & more.".to_owned()];
        let svg = draw(&comparison);
        assert!(svg.contains("Less &lt; more &amp; more.</desc>"), "{svg}");
    }

    #[test]
    fn what_is_not_known_is_said_and_not_drawn() {
        let mut comparison = comparison();
        let marks = |svg: &str| svg.matches("<circle").count();
        let before = marks(&draw(&comparison));
        comparison.rows[0].server_cpu_us_per_delivery = None;
        let svg = draw(&comparison);
        assert!(svg.contains(">unknown</text>"));
        assert_eq!(marks(&svg), before - 1);
    }

    #[test]
    fn figures_on_a_scale_have_no_digits_that_say_nothing() {
        let step = 0.1;
        assert_eq!(
            (short(3.0 * step), short(10_000.0)),
            ("0.3".into(), "10,000".into())
        );
        let times = [0.0, 3.0 * step, 500.0, 1e4, 2e6].map(short_time);
        assert_eq!(times, ["0 µs", "0.3 µs", "500 µs", "10 ms", "2 s"]);
    }

    #[test]
    fn what_the_longest_lines_end_at_is_said_for_each_load_where_it_is_not_the_same() {
        let mut comparison = comparison();
        assert_eq!(high_delays(&comparison), "max (sparse), p99 (frequent)");
        for row in &mut comparison.rows {
            row.delay_us.p99 = None;
        }
        assert_eq!(high_delays(&comparison), "max");
        comparison.rows.clear();
        assert_eq!(high_delays(&comparison), "");
    }

    #[test]
    fn two_times_have_one_unit_where_they_can() {
        assert_eq!(span(51_400.0, 101_000.0), "51.4 – 101 ms");
        assert_eq!(span(975.0, 1640.0), "975 µs – 1.64 ms");
    }
}
