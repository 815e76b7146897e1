//! A configuration file. Whatever counts can be written down and means the same again; whatever is wrong is told with a
//! place that is there.

#![no_main]

use fourcast::Config;
use fourcast::config::Place;
use libfuzzer_sys::fuzz_target;

/// Stands for every secret.
const MASK: &str = "********";

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    match Config::from_toml(text) {
        Ok(config) => {
            let shown = config.to_toml();
            if !shown.contains(MASK) {
                assert_eq!(Config::from_toml(&shown).ok(), Some(config), "{shown}");
            }
        }
        Err(error) => {
            assert!(!error.problems.is_empty());
            let lines = text.matches('\n').count() + 1;
            for problem in &error.problems {
                let Place::At { line, column, .. } = problem.place else {
                    panic!("{problem}");
                };
                assert!((1..=lines).contains(&line) && column >= 1, "{problem}");
            }
        }
    }
});
