//! The honest subscribers: a run of `fourcast bench`, and what it found.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::server::Server;

/// What one run found.
pub struct Findings {
    /// Half of the events were faster.
    pub p50: Duration,
    /// All but one of a hundred were faster.
    pub p99: Duration,
    /// Events that were lost, came twice or out of order, and subscribers that were ended.
    pub harm: u64,
}

/// Has `count` subscribers listen to 20 events a second for so many seconds. Blocks so long, and a little longer.
pub fn measure(server: &Server, count: usize, seconds: u64) -> Findings {
    let output = Command::new(env!("CARGO_BIN_EXE_fourcast"))
        .arg("bench")
        .arg(format!("http://{}/honest", server.address()))
        .args(["--json", "--subscribers", &count.to_string()])
        .args(["--for", &format!("{seconds}s")])
        .args(["--pid", &server.pid().to_string()])
        .output()
        .expect("a run of fourcast bench");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let micros = |name: &str| {
        let micros = report["delay_us"][name].as_f64().expect("a delay");
        Duration::from_nanos((micros * 1000.0) as u64)
    };
    let count = |name: &str| report[name].as_u64().expect("a number");
    Findings {
        p50: micros("p50"),
        p99: micros("p99"),
        harm: ["losses", "duplicates", "out_of_order", "ended"]
            .map(count)
            .iter()
            .sum(),
    }
}
