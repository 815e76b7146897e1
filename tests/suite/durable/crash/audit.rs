//! Compares what the journal serves with what the publishers know.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::ledger::{Ledger, Records};
use super::subscriber::{Account, END};
use crate::durable::history::{History, Sighting, assert_in_order, selects};
use crate::durable::payloads::{Likeness, likeness};
use crate::durable::process::Process;
use crate::support::event::seq;
use crate::support::{Event, Way};

/// How an audit takes what came next.
pub type Take = fn(&mut Audit, History);

/// All that the journal has served so far, to one client that pages through it after every crash.
pub struct Audit {
    take: Take,
    events: Vec<Event>,
    ids: HashMap<Likeness, String>,
    /// What it was told; where there is a gap, not all is in `events`.
    sightings: Vec<Sighting>,
    has_gaps: bool,
    cursor: Option<String>,
}

impl Audit {
    /// One that has seen nothing yet.
    pub fn new(take: Take) -> Self {
        Audit {
            take,
            events: Vec::new(),
            ids: HashMap::new(),
            sightings: Vec::new(),
            has_gaps: false,
            cursor: None,
        }
    }

    /// Reads on where the last look ended, while nobody publishes, and compares with the ledger.
    pub fn look(&mut self, server: &Process, ledger: &Ledger) {
        self.read_on(server);
        let records = ledger.records();
        records.assert_in_order();
        self.assert_acknowledged_is_there(&records);
        self.assert_known(&records);
        for batch in records.unanswered.values() {
            self.assert_whole_or_absent(batch);
        }
    }

    /// Reads on where the last look ended.
    pub fn read_on(&mut self, server: &Process) {
        let after = self.cursor.as_deref().unwrap_or("earliest");
        let page = History::read(server.address, "**", after);
        self.cursor = Some(page.cursor.clone());
        self.sightings.extend(page.sightings.iter().cloned());
        (self.take)(self, page);
    }

    /// Takes what came next.
    pub fn append(&mut self, events: Vec<Event>) {
        for event in events {
            let known = self.ids.insert(likeness(&event), event.id.clone());
            assert_eq!(known, None, "there twice: {}", event.id);
            self.events.push(event);
        }
        assert_in_order(&self.events);
    }

    /// Takes what came next, where losses may be told.
    pub fn append_told(&mut self, page: History) {
        for gap in page.gaps() {
            assert_eq!(gap.reason, "retention", "{gap:?}");
            self.has_gaps = true;
        }
        self.append(page.events().into_iter().cloned().collect());
    }

    /// What it was told, as one more subscriber that polls.
    pub fn account(mut self) -> Account {
        let is_end = |s: &Sighting| matches!(s, Sighting::Event(event) if event.channel == END);
        self.sightings.retain(|sighting| !is_end(sighting));
        Account {
            selectors: "**",
            ways: vec![Way::Poll],
            sightings: self.sightings,
        }
    }

    /// Fails the test unless this is what one sees who begins with the earliest; `keeps` is how many
    /// events each channel keeps.
    pub fn must_equal(&self, journal: &[Event], keeps: usize) {
        let mut kept: Vec<&Event> = Vec::new();
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for event in self.events.iter().rev() {
            let count = counts.entry(&event.channel).or_default();
            *count += 1;
            if *count <= keeps {
                kept.push(event);
            }
        }
        let kept = kept.into_iter().rev().map(|event| &event.json);
        let journal = journal.iter().map(|event| &event.json);
        assert!(kept.eq(journal), "read on and read anew are not the same");
    }

    fn assert_acknowledged_is_there(&self, records: &Records) {
        for (likeness, id) in &records.acknowledged {
            match self.ids.get(likeness) {
                Some(there) => assert_eq!(there, id, "the id of {}", brief(likeness)),
                None => assert!(
                    self.has_gaps,
                    "acknowledged as {id} and lost: {}",
                    brief(likeness)
                ),
            }
        }
    }

    fn assert_known(&self, records: &Records) {
        let open = records.open();
        for event in self.events.iter().filter(|event| event.channel != END) {
            let likeness = likeness(event);
            let is_known = records.acknowledged.contains_key(&likeness) || open.contains(&likeness);
            assert!(is_known, "nobody published {}", event.json);
        }
    }

    /// Where something was lost to retention, a part of a batch may be.
    fn assert_whole_or_absent(&self, batch: &[Likeness]) {
        let there: Vec<&String> = batch.iter().filter_map(|l| self.ids.get(l)).collect();
        let is_whole = there.is_empty() || there.len() == batch.len();
        assert!(
            is_whole || self.has_gaps,
            "only {there:?} of {}",
            brief(&batch[0])
        );
    }
}

/// Enough to find it.
fn brief((channel, data): &Likeness) -> String {
    format!("{channel} {}", data.chars().take(60).collect::<String>())
}

/// Every event that anybody knows of, by its number.
#[derive(Default)]
pub struct Known<'a> {
    by_seq: BTreeMap<u64, Fact<'a>>,
}

/// What is known of one event; its JSON is once somebody saw it.
#[derive(Debug, Clone, Copy)]
struct Fact<'a> {
    id: &'a str,
    channel: &'a str,
    json: Option<&'a str>,
}

impl<'a> Known<'a> {
    /// Takes what somebody saw. An id means the same event to everybody, and no number is used twice.
    pub fn see(&mut self, events: impl IntoIterator<Item = &'a Event>) {
        for event in events {
            let fact = self.learn(&event.id, &event.channel);
            let known = *fact.json.get_or_insert(&event.json);
            assert_eq!(known, event.json, "two with one id");
        }
    }

    /// Takes what was acknowledged, whether somebody saw it or not.
    pub fn acknowledge(&mut self, records: &'a Records) {
        for ((channel, _), id) in &records.acknowledged {
            self.learn(id, channel);
        }
    }

    fn learn(&mut self, id: &'a str, channel: &'a str) -> &mut Fact<'a> {
        let json = None;
        let fact = self.by_seq.entry(seq(id));
        let fact = fact.or_insert(Fact { id, channel, json });
        assert_eq!(
            (fact.id, fact.channel),
            (id, channel),
            "two with one number"
        );
        fact
    }

    /// Fails the test unless `kept` is the newest of each channel, as many as are kept.
    pub fn must_end_with(&self, kept: &[Event], keeps: usize) {
        let channels: HashSet<&str> = kept.iter().map(|event| &*event.channel).collect();
        for channel in channels {
            let kept = kept.iter().filter(|event| event.channel == channel);
            let kept: Vec<&str> = kept.map(|event| &*event.id).collect();
            let known = self.by_seq.values().filter(|fact| fact.channel == channel);
            let newest: Vec<&str> = known.rev().take(keeps).map(|fact| fact.id).collect();
            assert!(kept.iter().eq(newest.iter().rev()), "what {channel} keeps");
        }
    }

    /// Fails the test unless all that `account` did not see was told to it: in each channel there is a
    /// gap between the two events between which something is missing.
    pub fn must_explain(&self, account: &Account) {
        assert_in_order(account.events());
        for channel in self.channels(account.selectors) {
            let (mut place, mut is_told) = (0, false);
            for sighting in &account.sightings {
                match sighting {
                    Sighting::Event(event) if event.channel == channel => {
                        let missing = self.first_between(channel, place, event.seq());
                        assert!(missing.is_none() || is_told, "untold: {missing:?}");
                        (place, is_told) = (event.seq(), false);
                    }
                    Sighting::Event(_) => {}
                    Sighting::Gap(gap) => {
                        assert!(matches!(&*gap.reason, "retention" | "overtaken"), "{gap:?}");
                        is_told = true;
                    }
                }
            }
            let missing = self.first_between(channel, place, u64::MAX);
            assert!(missing.is_none() || is_told, "untold: {missing:?}");
        }
    }

    fn channels(&self, selectors: &str) -> HashSet<&'a str> {
        let channels = self.by_seq.values().map(|fact| fact.channel);
        channels
            .filter(|channel| *channel != END && selects(selectors, channel))
            .collect()
    }

    fn first_between(&self, channel: &str, after: u64, before: u64) -> Option<&Fact<'a>> {
        let mut between = self.by_seq.range(after + 1..before).map(|(_, fact)| fact);
        between.find(|fact| fact.channel == channel)
    }
}
