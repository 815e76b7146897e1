//! `fourcast compare`: that its figures agree with one another, and that it says nothing when it cannot finish. How
//! fast anything is, is none of these tests' business.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::PATIENCE;

const CLIENTS: u64 = 3;
const PAYLOAD: u64 = 64;
/// Two events, or twenty, for each of three clients.
const LOAD: [&str; 10] = [
    "--clients",
    "3",
    "--for",
    "500ms",
    "--sparse",
    "4",
    "--frequent",
    "40",
    "--poll",
    "50ms,200ms",
];
const WAYS: [&str; 6] = [
    "poll every 50 ms",
    "poll every 200 ms",
    "long poll",
    "SSE",
    "NDJSON",
    "WebSocket",
];

/// One run that several tests look at.
static RUN: LazyLock<(Value, String)> = LazyLock::new(|| {
    let chart = scratch("compare.svg");
    let output = output(&[&LOAD[..], &["--json", "--svg", path(&chart)]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let comparison = serde_json::from_slice(&output.stdout).expect("an object");
    let chart = fs::read_to_string(chart).expect("a chart");
    (comparison, chart)
});

fn compare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fourcast"));
    command.arg("compare").args(arguments);
    command
}

fn output(arguments: &[&str]) -> Output {
    compare(arguments).output().expect("the binary")
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

fn rows() -> &'static [Value] {
    RUN.0["rows"].as_array().expect("rows")
}

fn number(row: &Value, pointer: &str) -> u64 {
    let figure = row.pointer(pointer).and_then(Value::as_u64);
    figure.unwrap_or_else(|| panic!("{pointer}: {row}"))
}

fn is_stream(row: &Value) -> bool {
    ["sse", "ndjson", "websocket"].contains(&row["transport"].as_str().expect("a transport"))
}

#[test]
fn every_way_carries_the_same_sparse_and_the_same_frequent_events() {
    assert_eq!(rows().len(), 2 * WAYS.len());
    let scenarios = [("sparse", 2), ("frequent", 20)];
    for (rows, (scenario, events)) in rows().chunks(WAYS.len()).zip(scenarios) {
        for (row, way) in rows.iter().zip(WAYS) {
            assert_eq!(
                (&row["way"], &row["scenario"]),
                (&way.into(), &scenario.into())
            );
            assert_eq!(number(row, "/events"), events, "{row}");
        }
    }
}

#[test]
fn every_client_has_every_event_once_and_in_order() {
    for row in rows() {
        assert_eq!(number(row, "/clients"), CLIENTS);
        assert_eq!(
            number(row, "/deliveries"),
            number(row, "/events") * CLIENTS,
            "{row}"
        );
        assert_eq!(
            number(row, "/duplicates") + number(row, "/out_of_order"),
            0,
            "{row}"
        );
    }
}

#[test]
fn every_request_is_answered_and_a_stream_is_one() {
    for row in rows() {
        let (requests, answers) = (number(row, "/requests"), number(row, "/answers"));
        assert_eq!(requests, answers, "{row}");
        assert!(number(row, "/empty_answers") + CLIENTS <= answers, "{row}");
        match is_stream(row) {
            true => assert_eq!(requests, CLIENTS, "{row}"),
            false => assert!(requests > CLIENTS, "{row}"),
        }
    }
}

#[test]
fn a_long_poll_is_never_answered_empty_while_events_come() {
    for row in rows().iter().filter(|row| row["transport"] == "long-poll") {
        assert_eq!(number(row, "/empty_answers"), 0, "{row}");
        let most = CLIENTS + number(row, "/deliveries");
        assert!(number(row, "/requests") <= most, "{row}");
    }
}

#[test]
fn what_polls_has_its_interval_told() {
    for row in rows() {
        assert_eq!(
            row["interval_ms"].is_u64(),
            row["transport"] == "poll",
            "{row}"
        );
    }
}

#[test]
fn all_bytes_are_counted_payloads_heads_and_openings_among_them() {
    for row in rows() {
        let (sent, received) = (
            number(row, "/bytes_to_server"),
            number(row, "/bytes_from_server"),
        );
        let opening = (
            number(row, "/opening_bytes_to_server"),
            number(row, "/opening_bytes_from_server"),
        );
        let content = number(row, "/content_bytes_from_server");
        let deliveries = number(row, "/deliveries");
        assert!(content >= PAYLOAD * deliveries, "{row}");
        // Nothing of the event by which a round is warmed up: with it there would be three where two are counted.
        assert!(
            !is_stream(row) || content < 3 * PAYLOAD * deliveries,
            "{row}"
        );
        assert!(received >= content + opening.1, "{row}");
        // No head is shorter than its first line and its Host.
        let least = "GET /compare HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n".len() as u64;
        assert!(opening.0 >= CLIENTS * least, "{row}");
        assert!(sent >= number(row, "/requests") * least, "{row}");
        assert_eq!(is_stream(row), sent == opening.0, "{row}");
        assert_is_quotient(row, "/bytes_per_delivery", sent + received);
        let once_open = sent + received - opening.0 - opening.1;
        assert_is_quotient(row, "/once_open/bytes_per_delivery", once_open);
        let requests = number(row, "/requests") - CLIENTS;
        assert_is_quotient(row, "/once_open/requests_per_delivery", requests);
    }
}

fn assert_is_quotient(row: &Value, pointer: &str, sum: u64) {
    let figure = row
        .pointer(pointer)
        .and_then(Value::as_f64)
        .expect("a figure");
    let each = sum as f64 / number(row, "/deliveries") as f64;
    assert!((figure - each).abs() <= each * 1e-9, "{pointer}: {row}");
}

#[test]
fn a_websocket_adds_a_frame_header_to_each_event_and_nothing_else() {
    for row in rows().iter().filter(|row| row["transport"] == "websocket") {
        let after = number(row, "/bytes_from_server") - number(row, "/opening_bytes_from_server");
        let framing = after - number(row, "/content_bytes_from_server");
        // RFC 6455, section 5.2: four bytes before a message of 126 to 65,535.
        assert_eq!(framing, 4 * number(row, "/deliveries"), "{row}");
    }
}

#[test]
fn most_events_are_no_later_than_the_last_and_none_comes_before_it_is_published() {
    for row in rows() {
        let delay = |name| row["delay_us"][name].as_f64();
        let (half, longest) = (
            delay("p50").expect("a delay"),
            delay("max").expect("a delay"),
        );
        assert!(half > 0.0 && half <= longest, "{row}");
        assert_eq!(delay("p99"), None, "there are too few events: {row}");
        let own = row["own_share_of_delay"].as_f64().expect("a share");
        assert!((0.0..=1.0).contains(&own), "{row}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_server_computed_is_known() {
    for row in rows() {
        let figure = |name: &str| {
            row[name]
                .as_f64()
                .unwrap_or_else(|| panic!("{name}: {row}"))
        };
        let each = figure("server_cpu_seconds") * 1e6 / number(row, "/deliveries") as f64;
        assert!(each > 0.0, "{row}");
        assert!(
            (figure("server_cpu_us_per_delivery") - each).abs() <= each * 1e-9,
            "{row}"
        );
    }
}

#[test]
fn sentences_say_what_was_found() {
    let findings = RUN.0["findings"].as_array().expect("findings");
    let told: Vec<_> = findings.iter().filter_map(Value::as_str).collect();
    for about in [
        "polling every 50 ms",
        "long polling",
        "an open WebSocket",
        "SSE took",
    ] {
        assert!(
            told.iter().any(|sentence| sentence.contains(about)),
            "{about}: {told:?}"
        );
    }
}

#[test]
fn the_chart_is_well_formed_and_has_every_way_with_two_figures_in_each_of_four_panels() {
    let chart = &RUN.1;
    let texts = texts_of(chart);
    for way in WAYS {
        let named = texts.iter().filter(|text| **text == way).count();
        assert_eq!(named, 4, "{way}");
    }
    let figures = chart.matches("class=\"figure end\"").count();
    assert_eq!(figures, WAYS.len() * 2 * 4);
    for row in rows() {
        let bytes = row
            .pointer("/once_open/bytes_per_delivery")
            .and_then(Value::as_f64);
        let bytes = with_thousands_apart(bytes.expect("a figure").round() as u64);
        assert!(texts.contains(&bytes), "{bytes}: {texts:?}");
    }
    for part in [
        "<title id=\"title\">",
        "<desc id=\"desc\">",
        "prefers-color-scheme: dark",
    ] {
        assert!(chart.contains(part), "{part}");
    }
    assert!(
        !chart.contains("href") && !chart.contains("url("),
        "it needs nothing beside it"
    );
}

#[test]
fn the_table_has_a_line_for_each_way_and_load_and_fits_the_terminal() {
    let output = output(&LOAD);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let table = String::from_utf8(output.stdout).expect("text");
    for way in WAYS {
        let lines = table.lines().filter(|line| line.starts_with(way));
        assert_eq!(lines.count(), 2, "{way}\n{table}");
    }
    let widest = table.lines().map(|line| line.chars().count()).max();
    assert!(widest.is_some_and(|widest| widest <= 120), "{table}");
}

#[test]
fn a_chart_that_cannot_be_written_is_refused_before_anything_is_measured() {
    let nowhere = scratch("no-such-directory/ways.svg");
    let output = output(&[&LOAD[..], &["--svg", path(&nowhere)]].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "it has measured: {output:?}");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains(path(&nowhere)), "{message}");
}

#[cfg(target_os = "linux")]
#[test]
fn who_stops_it_gets_no_half_table_and_no_server_is_left() {
    let chart = scratch("stopped.svg");
    fs::write(&chart, "the last one").expect("a chart");
    let run = Run::begin(&["--svg", path(&chart)]);
    kill_process(Pid::from_child(&run.process), Signal::INT).expect("a signal");
    let server = run.server;
    let output = run.output();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("stopped by a signal"), "{told}");
    assert!(!Path::new(&format!("/proc/{server}")).exists());
    let kept = fs::read_to_string(chart).expect("a chart");
    assert_eq!(kept, "the last one");
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_whose_connection_breaks_is_named_with_its_way() {
    let run = Run::begin(&[]);
    kill(run.server).expect("a signal");
    let output = run.output();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("poll every 100 ms"), "{told}");
}

#[test]
fn a_line_that_cannot_be_is_refused_before_anything_is_measured() {
    for arguments in [
        &["--clients", "0"][..],
        &["--size", "3"],
        &["--sparse", "30"],
        &["--sparse", "0.01"],
        &["--poll", "1ms"],
        &["--poll", "2m"],
        &["--frequent", "1000", "--size", "1048576"],
    ] {
        let output = output(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

/// A run that goes on for long, and its server. Dropping it kills both, however a test ends.
#[cfg(target_os = "linux")]
struct Run {
    process: Child,
    server: i32,
}

#[cfg(target_os = "linux")]
impl Run {
    /// Begins one, and waits until all clients of the first way are connected.
    fn begin(arguments: &[&str]) -> Self {
        let load = ["--clients", "3", "--for", "10m", "--sparse", "0.1"];
        let process = compare(&[&load[..], arguments].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary");
        let mut run = Run { process, server: 0 };
        // The publisher's socket and the clients'.
        wait_until(|| sockets_of(run.process.id()) > CLIENTS as usize);
        run.server = child_of(run.process.id()).expect("a server");
        run
    }

    /// Waits until it has ended. What it says is far less than a pipe holds.
    fn output(mut self) -> Output {
        wait_until(|| self.process.try_wait().expect("a process").is_some());
        Output {
            status: self.process.wait().expect("a process"),
            stdout: all_of(self.process.stdout.take()),
            stderr: all_of(self.process.stderr.take()),
        }
    }
}

#[cfg(target_os = "linux")]
impl Drop for Run {
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.process.try_wait() {
            // It ends its servers itself, and their numbers may be other processes' by now.
            return;
        }
        let server = child_of(self.process.id());
        let _ = self.process.kill();
        let _ = self.process.wait();
        server.map(kill);
    }
}

#[cfg(target_os = "linux")]
fn kill(process: i32) -> rustix::io::Result<()> {
    kill_process(Pid::from_raw(process).expect("a process"), Signal::KILL)
}

#[cfg(target_os = "linux")]
fn all_of(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut pipe = pipe.expect("a pipe");
    pipe.read_to_end(&mut bytes).expect("the output");
    bytes
}

#[cfg(target_os = "linux")]
fn child_of(parent: u32) -> Option<i32> {
    let is_child = |process: &i32| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let parent_line = format!("PPid:\t{parent}");
        status.lines().any(|line| line == parent_line)
    };
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.into_iter().find(is_child)
}

#[cfg(target_os = "linux")]
fn sockets_of(process: u32) -> usize {
    let Ok(files) = fs::read_dir(format!("/proc/{process}/fd")) else {
        return 0;
    };
    let targets = files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok());
    targets
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it does not come about");
        thread::yield_now();
    }
}

fn with_thousands_apart(count: u64) -> String {
    match (count / 1000, count % 1000) {
        (0, few) => few.to_string(),
        (thousands, rest) => format!("{thousands},{rest:03}"),
    }
}

/// The texts of an XML document's elements, in their order. Fails where it is not well-formed as far as what is
/// drawn here goes: elements that are closed by their names, attributes in double quotes, escaped text.
fn texts_of(document: &str) -> Vec<String> {
    let (mut open, mut texts, mut rest) = (Vec::new(), Vec::new(), document);
    while let Some((text, behind)) = rest.split_once('<') {
        assert_escaped(text);
        if !text.trim().is_empty() {
            assert!(!open.is_empty(), "text outside of all elements: {text}");
            texts.push(text.trim().to_owned());
        }
        let (tag, behind) = behind.split_once('>').expect("the end of a tag");
        rest = behind;
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None => {
                let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
                assert_attributes(attributes.trim_end_matches('/'));
                if !tag.ends_with('/') {
                    open.push(name);
                }
            }
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?}");
    texts
}

fn assert_escaped(text: &str) {
    assert!(!text.contains('>'), "{text}");
    for behind in text.split('&').skip(1) {
        let known = ["amp;", "lt;", "gt;"]
            .iter()
            .any(|name| behind.starts_with(name));
        assert!(known, "{text}");
    }
}

fn assert_attributes(attributes: &str) {
    let mut rest = attributes.trim();
    while !rest.is_empty() {
        let (name, behind) = rest.split_once("=\"").expect("a name and a quote");
        assert!(
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
            "{name}"
        );
        let (value, behind) = behind.split_once('"').expect("a quote");
        assert!(!value.contains('&') && !value.contains('<'), "{value}");
        rest = behind.trim();
    }
}
