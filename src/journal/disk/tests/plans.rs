//! No statement that a publish or a read needs looks at rows that it does not want.

use std::collections::BTreeSet;
use std::sync::Mutex;

use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};

use super::{fixture_with, raw};
use crate::journal::Start;
use crate::journal::tests::fixture::{AMPLE, draft, keep};

/// Every statement that was run in this process, after the file of its database.
static RUN: Mutex<BTreeSet<(String, String)>> = Mutex::new(BTreeSet::new());

/// What is read whole when a journal is opened, and what ends with its first row.
const MAY_SCAN: [&str; 6] = [
    "SELECT * FROM channels ORDER BY id",
    "SELECT * FROM lives ORDER BY number",
    "SELECT coalesce(sum(count), 0) FROM keys",
    "SELECT folded, crc FROM whole",
    "SELECT (SELECT count(*) FROM sqlite_schema) = 0",
    "(SELECT id FROM keys ORDER BY id LIMIT ?2)",
];

/// Notes every statement that this connection runs.
pub fn watched(mut connection: Connection) -> Connection {
    let file = connection.path().unwrap_or_default().to_owned();
    let note = move |event: TraceEvent<'_>| {
        if let TraceEvent::Stmt(statement, _) = event
            && let Ok(mut run) = RUN.lock()
        {
            run.insert((file.clone(), statement.sql().into_owned()));
        }
    };
    let codes = TraceEventCodes::SQLITE_TRACE_STMT;
    connection.trace_v2(codes, Some(note)).unwrap();
    connection
}

#[test]
fn every_statement_seeks() {
    let fixture = fixture_with(|config| {
        config.channels = vec![keep("a", 2)];
        config.limits.channels = 2;
        config.limits.idempotency_keys = 3;
        config.journal.max_bytes = 2_000;
    });
    fixture.publish_all(&["a", "a", "a", "b"]);
    fixture.publish_draft(draft("b", "x").with_ttl(std::time::Duration::from_millis(1)));
    for key in ["1", "2", "3"] {
        fixture.append_with_key("s", key, "x").unwrap();
    }
    fixture.publish_large(3, 700);
    for list in ["a", "a,b", "**"] {
        for start in [
            Start::Last(1),
            Start::Last(9),
            Start::Since(1),
            Start::Earliest,
        ] {
            let beginning = fixture.begin(list, start);
            fixture.read(&beginning);
            fixture.read_before(&beginning.selection, 7, AMPLE);
        }
    }
    fixture.journal.retain();
    fixture.forget("b");
    fixture.publish("c");
    fixture.journal.retain();
    check_plans(&raw(&fixture));
}

fn check_plans(connection: &Connection) {
    let statements = statements_of(connection.path().unwrap());
    assert!(statements.len() > 20, "they were noted: {statements:#?}");
    for sql in statements {
        let may_scan = MAY_SCAN.iter().any(|part| sql.contains(part));
        let of_channel = sql.contains("FROM events WHERE channel = ?1");
        let steps = plan(connection, &sql);
        for step in &steps {
            let scans = step.contains("SCAN") && step != "SCAN CONSTANT ROW" && !may_scan;
            assert!(!scans && !step.contains("TEMP B-TREE"), "{sql}: {step}");
        }
        let by_channel = steps.iter().any(|step| step.contains("events_of_channel"));
        assert!(by_channel || !of_channel, "{sql}: {steps:?}");
    }
}

/// The statements that were run on this database, which change or read something.
fn statements_of(database: &str) -> Vec<String> {
    let run = RUN.lock().unwrap();
    let of_database = run.iter().filter(|(file, _)| file == database);
    let verbs = ["SELECT", "INSERT", "DELETE"];
    let statements = of_database.map(|(_, sql)| sql.clone());
    statements
        .filter(|sql| verbs.iter().any(|verb| sql.starts_with(verb)))
        .collect()
}

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap();
    let steps = statement.raw_query().mapped(|row| row.get(3));
    steps.collect::<Result<_, _>>().unwrap()
}
