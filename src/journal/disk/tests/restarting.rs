//! What is known of channels and keys goes on over a restart.

use std::time::Duration;

use super::{fixture, fixture_with, kill};
use crate::config::Config;
use crate::hub::channel::LossReason;
use crate::journal::tests::fixture::{Fixture, draft, eventually, keep, rule, seqs, told};
use crate::journal::{AppendError, Batch, Start};

/// After the end of a life, however it ended.
fn after_each_end(fixture: &mut Fixture, check: impl Fn(&Fixture)) {
    check(fixture);
    fixture.restart();
    check(fixture);
    kill(fixture);
    check(fixture);
}

#[test]
fn what_retention_took_is_told() {
    let mut fixture = fixture_with(|config| config.channels = vec![keep("a", 2)]);
    fixture.publish_times(5, "a");
    let first = fixture.cursor(0);
    after_each_end(&mut fixture, |fixture| {
        let page = fixture.read(&fixture.begin("a", Start::After(first)));
        assert_eq!(seqs(&page.events), [4, 5]);
        let loss = page.loss.expect("three are missing");
        assert_eq!(
            (loss.reason, loss.channels[0].1),
            (LossReason::Retention, 3)
        );
        assert_eq!(fixture.read(&fixture.after("a", 3)).loss, None);
    });
}

#[test]
fn what_was_deleted_is_told_as_deleted() {
    let mut fixture = fixture();
    fixture.publish_times(3, "a");
    assert!(fixture.forget("a"));
    fixture.publish("a");
    after_each_end(&mut fixture, |fixture| {
        let page = fixture.read(&fixture.after("a", 1));
        assert_eq!(seqs(&page.events), [4]);
        let loss = page.loss.expect("two are missing");
        assert_eq!((loss.reason, loss.channels[0].1), (LossReason::Deleted, 3));
    });
}

#[test]
fn what_channels_hold_still_counts() {
    let bound = |config: &mut Config| {
        config.channels = vec![keep("a", 4)];
        config.journal.max_bytes = 6 * 193;
    };
    let mut fixture = fixture_with(bound);
    fixture.publish_times(3, "a");
    fixture.publish_times(3, "b");
    after_each_end(&mut fixture, |fixture| {
        assert_eq!(
            fixture.seqs_from("a,b", Start::Earliest),
            [1, 2, 3, 4, 5, 6]
        );
    });
    // One too many for everything together: the oldest goes.
    fixture.publish("b");
    assert_eq!(fixture.seqs_from("**", Start::Earliest), [2, 3, 4, 5, 6, 7]);
    fixture.restart_after(|config| config.journal.max_bytes = 1 << 20);
    // Three too many for one channel.
    fixture.publish_times(5, "a");
    assert_eq!(fixture.seqs_from("a", Start::Earliest), [9, 10, 11, 12]);
}

#[test]
fn a_rule_that_changed_counts_from_then_on() {
    let mut fixture = fixture();
    fixture.publish_times(6, "a");
    fixture.restart_after(|config| config.channels = vec![keep("a", 2)]);
    fixture.publish("a");
    assert_eq!(fixture.seqs_from("a", Start::Earliest), [6, 7]);
    assert!(fixture.read(&fixture.after("a", 0)).loss.is_some());
}

#[test]
fn a_dropped_channel_is_told_and_its_number_is_not_confused_with_anothers() {
    let mut fixture = fixture_with(|config| config.limits.channels = 1);
    let first = fixture.cursor(0);
    fixture.publish_times(2, "a");
    assert!(fixture.forget("a"));
    fixture.publish("b");
    after_each_end(&mut fixture, |fixture| {
        for list in ["a", "**"] {
            let page = fixture.read(&fixture.begin(list, Start::After(first)));
            assert!(page.loss.expect("a lost two").folded >= 2, "{list}");
        }
        let page = fixture.read(&fixture.begin("b", Start::After(first)));
        assert_eq!(seqs(&page.events), [3]);
    });
    // And what it lost is not forgotten when it comes back.
    assert!(fixture.forget("b"));
    fixture.publish("a");
    after_each_end(&mut fixture, |fixture| {
        let page = fixture.read(&fixture.begin("a", Start::After(first)));
        assert_eq!(seqs(&page.events), [4]);
        assert!(page.loss.is_some());
    });
}

#[test]
fn a_key_within_its_time_gets_the_first_answer() {
    let mut fixture = fixture();
    let first = fixture.append_with_key("s", "k", "1").unwrap();
    after_each_end(&mut fixture, |fixture| {
        let again = fixture.append_with_key("s", "k", "1").unwrap();
        assert!(again.repeated);
        assert_eq!(again.receipts, first.receipts);
        let refused = fixture.append_with_key("s", "k", "2").unwrap_err();
        assert_eq!(refused, AppendError::KeyReused);
        assert_eq!(fixture.journal.head(), 2);
    });
}

#[test]
fn a_key_beyond_its_time_is_free() {
    let mut fixture = fixture_with(|config| {
        config.journal.idempotency = Duration::from_millis(1);
    });
    fixture.append_with_key("s", "k", "1").unwrap();
    fixture.restart();
    eventually("the key is free again", || {
        fixture.append_with_key("s", "k", "2").is_ok()
    });
}

#[test]
fn keys_still_count_against_their_bound() {
    let mut fixture = fixture_with(|config| config.limits.idempotency_keys = 4);
    for key in ["1", "2"] {
        fixture.append_with_key("s", key, "x").unwrap();
    }
    fixture.restart();
    fixture.append_with_key("s", "3", "x").unwrap();
    for (key, repeated) in [("3", true), ("2", true), ("1", false)] {
        let appended = fixture.append_with_key("s", key, "x").unwrap();
        assert_eq!(appended.repeated, repeated, "{key}");
    }
}

#[test]
fn a_key_that_is_used_anew_counts_once() {
    let fixture = fixture_with(|config| {
        config.limits.idempotency_keys = 4;
        config.journal.idempotency = Duration::ZERO;
    });
    for payload in ["1", "2", "3", "4"] {
        assert!(!fixture.append_with_key("s", "k", payload).unwrap().repeated);
    }
    let connection = super::raw(&fixture);
    assert_eq!(super::count(&connection, "SELECT sum(count) FROM keys"), 2);
}

#[test]
fn age_goes_on() {
    let mut fixture = fixture_with(|config| {
        let mut rule = rule("a");
        rule.max_age = Some(Duration::from_millis(1));
        config.channels = vec![rule];
    });
    fixture.publish_all(&["a", "b"]);
    fixture.restart();
    eventually("it is too old", || {
        fixture.journal.retain();
        fixture.read(&fixture.after("**", 0)).loss.is_some()
    });
    let loss = fixture.read(&fixture.after("**", 0)).loss.unwrap();
    assert_eq!(loss.channels, [("a".parse().unwrap(), 1)]);
}

#[test]
fn every_form_of_an_event_is_read_as_it_was() {
    use crate::event::{Data, EventType};
    let mut fixture = fixture();
    let data = [
        Data::Json("{\"n\":1.00}".into()),
        Data::Text("é\0".into()),
        Data::Text("".into()),
        Data::Binary([0u8, 255, 10].as_slice().into()),
    ];
    let mut drafts = Vec::new();
    for data in data {
        let mut draft = draft("a", "").with_type(EventType::parse("note").unwrap());
        draft.data = data;
        draft.content_type = Some("image/png".into());
        draft.ttl = Some(Duration::MAX / 2);
        drafts.push(draft);
    }
    fixture.journal.append(Batch { drafts, key: None }).unwrap();
    kill(&mut fixture);
    let page = fixture.read(&fixture.after("a", 0));
    assert_eq!(told(&page.events), told(&fixture.heard.events()));
    assert_eq!(page.events.len(), 4);
}
