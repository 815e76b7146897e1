//! Whoever draws figures draws those that are told: the dashboard for Grafana, the console, the page for
//! operators.

use std::collections::BTreeSet;

use fourcast::config::JournalKind;
use serde_json::Value;

use super::metrics::Metrics;
use super::{get, server};
use crate::durable::home::Home;

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

/// All figures of a server with a journal on disk, which tells the size of its files too.
fn figures(home: &Home) -> Metrics {
    let server = server(|config| {
        config.journal.kind = JournalKind::Disk;
        config.journal.path = home.data();
    });
    Metrics::of(&server)
}

fn assert_all_are_told(name: &str, text: &str) {
    let told = told(&figures(&Home::new(&format!("figures-of-{name}"))));
    let names = names(text);
    assert!(names.len() > 5, "the {name} names figures");
    let unknown: Vec<_> = names.iter().filter(|name| !told.contains(**name)).collect();
    assert!(unknown.is_empty(), "the {name} has {unknown:?}");
}

const DASHBOARD: &str = include_str!("../../../examples/grafana.json");

#[test]
fn the_dashboard_draws_figures_that_are_told() {
    assert_all_are_told("dashboard", DASHBOARD);
}

#[test]
fn the_page_for_operators_names_figures_that_are_told() {
    let page = include_str!("../../../src/operator.md");
    assert_all_are_told("page-for-operators", page);
}

#[test]
fn the_console_draws_figures_that_are_told() {
    assert_all_are_told("console", get(&server(|_| {}), "/-/console.js").text());
}

/// What stands between `begin` and `end`, each time that it does.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    let rests = text.split(begin).skip(1);
    rests
        .filter_map(|rest| Some(rest.split_once(end)?.0))
        .collect()
}

#[test]
fn the_panels_group_by_labels_and_are_named_after_labels_that_their_figures_have() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let metrics = figures(&Home::new("labels-of-dashboard"));
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array());
    let mut used = BTreeSet::new();
    for target in targets.flatten() {
        let query = target["expr"].as_str().expect("a query");
        let legend = target["legendFormat"].as_str().unwrap_or_default();
        let names = names(query).into_iter();
        let has: BTreeSet<_> = names.flat_map(|name| metrics.labels(name)).collect();
        let mut asked = between(legend, "{{", "}}");
        asked.extend(between(query, " by (", ")"));
        asked.extend(between(query, " without (", ")"));
        for label in asked {
            assert!(has.contains(label), "{label} of {query}");
            used.insert(label);
        }
    }
    assert_eq!(
        used,
        BTreeSet::from(["code", "le", "reason", "version", "way"])
    );
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
