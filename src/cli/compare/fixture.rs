//! A comparison as one may come out, for the tests of what is made of it.

use super::figures::{Comparison, Delay, OnceOpen, Row};

/// Sparse and frequent events by some of the ways.
pub(super) fn comparison() -> Comparison {
    let sparse = [
        way("poll every 100 ms", "poll", (20.2, 7255.0, 800.0, 50_100.0)),
        way("poll every 1 s", "poll", (2.5, 1108.0, 160.0, 501_000.0)),
        way("long poll", "long-poll", (1.0, 641.0, 60.0, 510.0)),
        way("SSE", "sse", (0.0, 184.0, 20.0, 320.0)),
        way("WebSocket", "websocket", (0.0, 157.0, 20.0, 310.0)),
    ];
    let frequent = [
        way("poll every 100 ms", "poll", (0.51, 380.0, 30.0, 51_000.0)),
        way("poll every 1 s", "poll", (0.06, 182.0, 8.0, 502_000.0)),
        way("long poll", "long-poll", (1.0, 645.0, 38.0, 500.0)),
        way("SSE", "sse", (0.0, 186.0, 9.5, 310.0)),
        way("WebSocket", "websocket", (0.0, 158.0, 9.5, 300.0)),
    ];
    let mut rows: Vec<Row> = sparse.into_iter().collect();
    rows.extend(frequent.into_iter().map(often));
    rows[0].requests = 8200;
    rows[0].answers = 8200;
    rows[0].empty_answers = 7700;
    rows[0].bytes_to_server = 1_178_000;
    rows[0].bytes_from_server = 1_800_000;
    rows[0].bytes_per_delivery = 7445.0;
    Comparison {
        clients: 100,
        publishing_seconds: 8.0,
        payload_bytes: 64,
        rows,
        findings: Vec::new(),
        warnings: Vec::new(),
    }
}

/// A way whose each delivery took so many requests and bytes, and so many microseconds of CPU and time.
fn way(name: &str, transport: &'static str, figures: (f64, f64, f64, f64)) -> Row {
    let (requests_per_delivery, bytes_per_delivery, cpu, delay) = figures;
    Row {
        scenario: "sparse",
        events_per_second: 0.5,
        way: name.to_owned(),
        transport,
        interval_ms: (transport == "poll").then_some(100),
        clients: 100,
        events: 4,
        deliveries: 400,
        duplicates: 0,
        out_of_order: 0,
        requests: 100,
        answers: 100,
        empty_answers: 0,
        bytes_to_server: 11_300,
        bytes_from_server: 68_500,
        opening_bytes_to_server: 11_300,
        opening_bytes_from_server: 31_700,
        content_bytes_from_server: 35_200,
        bytes_per_delivery: bytes_per_delivery + 2.0,
        once_open: OnceOpen {
            requests_per_delivery,
            bytes_per_delivery,
        },
        server_cpu_seconds: Some(cpu * 400.0 / 1e6),
        server_cpu_us_per_delivery: Some(cpu),
        delay_us: Delay {
            p50: delay,
            p99: None,
            max: if delay > 10_000.0 { 99_900.0 } else { 900.0 },
        },
        own_share_of_delay: 0.1,
        published_late_us: 300.0,
    }
}

fn often(row: Row) -> Row {
    Row {
        scenario: "frequent",
        events_per_second: 20.0,
        events: 160,
        deliveries: 16_000,
        bytes_from_server: 3_000_000,
        content_bytes_from_server: 2_464_000,
        delay_us: Delay {
            p99: Some(row.delay_us.max),
            max: 2.0 * row.delay_us.max,
            ..row.delay_us
        },
        ..row
    }
}
