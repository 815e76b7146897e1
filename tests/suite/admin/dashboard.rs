//! Whoever draws figures draws those that are told: the dashboard for Grafana, the console, the page for
//! operators.

use std::collections::BTreeSet;

use super::metrics::Metrics;
use super::{get, server};

/// Every name of a figure in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_figure = |word: &&str| word.starts_with("fourcast_") || word.starts_with("process_");
    words.filter(is_figure).collect()
}

/// Every name that can be asked for.
fn told(metrics: &Metrics) -> BTreeSet<String> {
    let all = metrics
        .families()
        .into_iter()
        .flat_map(|(name, kind)| match kind {
            "histogram" => vec![
                name.to_owned(),
                format!("{name}_bucket"),
                format!("{name}_sum"),
                format!("{name}_count"),
            ],
            _ => vec![name.to_owned()],
        });
    all.collect()
}

fn assert_all_are_told(what: &str, text: &str) {
    // One on disk tells the size of its files too.
    let directory = std::env::temp_dir().join(format!(
        "fourcast-figures-{}-{}",
        std::process::id(),
        text.len()
    ));
    let server = server(|config| {
        config.journal.kind = fourcast::config::JournalKind::Disk;
        config.journal.path.clone_from(&directory);
    });
    let told = told(&Metrics::of(&server));
    drop(server);
    let _ = std::fs::remove_dir_all(&directory);
    let names = names(text);
    assert!(names.len() > 5, "{what} names figures");
    let unknown: Vec<_> = names.iter().filter(|name| !told.contains(**name)).collect();
    assert!(unknown.is_empty(), "{what} has {unknown:?}");
}

#[test]
fn the_dashboard_draws_figures_that_are_told() {
    let text = include_str!("../../../examples/grafana.json");
    let _: serde_json::Value = serde_json::from_str(text).expect("JSON");
    assert_all_are_told("examples/grafana.json", text);
}

#[test]
fn the_page_for_operators_names_figures_that_are_told() {
    assert_all_are_told("src/operator.md", include_str!("../../../src/operator.md"));
}

#[test]
fn the_console_draws_figures_that_are_told() {
    assert_all_are_told("the console", get(&server(|_| {}), "/-/console.js").text());
}

#[test]
fn the_console_can_be_loaded_without_the_key_and_what_it_shows_cannot() {
    let server = super::keyed();
    for (path, media_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/-/console.css", "text/css; charset=utf-8"),
        ("/-/console.js", "text/javascript; charset=utf-8"),
    ] {
        let answer = get(&server, path);
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.head.must("Content-Type"), media_type);
        assert!(!answer.text().contains(super::KEY));
    }
    let policy = get(&server, "/")
        .head
        .must("Content-Security-Policy")
        .to_owned();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    for path in [
        "/metrics",
        "/-/channels",
        "/-/connections",
        "/-/connections/1",
    ] {
        assert_eq!(get(&server, path).refusal(), "unauthorized", "{path}");
    }
    assert_eq!(
        super::ask(&server, "DELETE", "/-/connections/1", &[]).refusal(),
        "unauthorized"
    );
}
