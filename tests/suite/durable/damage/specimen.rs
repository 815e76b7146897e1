//! A journal of which every event is known, to be damaged again and again.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::durable::commands::files_below;
use crate::durable::dice::Dice;
use crate::durable::history::{History, Sighting, assert_in_order, selects};
use crate::durable::home::Home;
use crate::durable::payloads::{CHANNELS, Publication};
use crate::durable::process::{Process, Refused};
use crate::support::event::seq;
use crate::support::{Event, exchange};

/// How the server ended that wrote the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Stopped,
    Killed,
}

/// What may be missing without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excuse {
    None,
    /// The newest transactions: a log that ends early looks like one of which no more was written.
    NewestOfTheLog,
}

/// A journal before it is damaged.
pub struct Specimen {
    home: Home,
    pristine: PathBuf,
    published: Vec<Event>,
    by_id: HashMap<String, String>,
    tally: Tally,
}

/// How the rounds ended.
#[derive(Debug, Default)]
pub struct Tally {
    refused: usize,
    whole: usize,
    with_gaps: usize,
    in_part: usize,
}

impl Specimen {
    /// Publishes some of everything in two lives, so that the log and the database both have some.
    pub fn make(name: &str, ending: Ending) -> Self {
        let home = Home::new(name);
        let server = Process::start(&home);
        fill(&server, 0);
        server.stop();
        let server = Process::start(&home);
        fill(&server, 1);
        let published = History::read(server.address, "**", "earliest").whole();
        match ending {
            Ending::Stopped => server.stop(),
            Ending::Killed => server.kill(),
        }
        let log = fs::metadata(home.write_ahead_log());
        let has_log = log.is_ok_and(|log| log.len() > 0);
        assert_eq!(has_log, ending == Ending::Killed, "what a log is left");
        let by_id = published.iter().map(|e| (e.id.clone(), e.json.clone()));
        Specimen {
            pristine: home.copy_data_to("pristine"),
            by_id: by_id.collect(),
            published,
            home,
            tally: Tally::default(),
        }
    }

    /// Damages a fresh copy, and fails the test unless the next server refuses or serves it well.
    pub fn examine(&mut self, damage: impl FnOnce(&Home) -> (String, Excuse)) {
        self.home.put_back(&self.pristine);
        let (told, excuse) = damage(&self.home);
        let _told = ToldOnFailure(told);
        let evidence = Evidence::collect(&self.home);
        match Process::try_start(&self.home) {
            Err(refused) => self.accept_refusal(&refused),
            Ok(server) => self.examine_server(server, excuse),
        }
        evidence.must_be_there(&self.home);
    }

    /// How it went so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    fn accept_refusal(&mut self, refused: &Refused) {
        self.tally.refused += 1;
        refused.must_name(&self.home.database());
    }

    fn examine_server(&mut self, server: Process, excuse: Excuse) {
        let head = History::read(server.address, "none", "now").cursor;
        let view = View {
            specimen: self,
            server: &server,
            head: seq(&head),
            excuse,
        };
        let (mut has_gaps, mut pages_refused) = (false, 0);
        for channel in CHANNELS {
            pages_refused += usize::from(view.assert_earliest(channel).is_none());
        }
        for (cursor, channel) in self.cursors().zip(CHANNELS.iter().cycle()) {
            for selectors in [channel, "**"] {
                match view.assert_resumes(selectors, cursor) {
                    Some(was_told) => has_gaps |= was_told,
                    None => pages_refused += 1,
                }
            }
        }
        let news = server.assert_serves();
        assert!(
            !self.by_id.contains_key(&news.id),
            "{} is used twice",
            news.id
        );
        view.assert_still_unknown(&self.published[self.published.len() - 1].id);
        server.kill();
        let outcome = match (pages_refused, has_gaps) {
            (1.., _) => &mut self.tally.in_part,
            (0, true) => &mut self.tally.with_gaps,
            (0, false) => &mut self.tally.whole,
        };
        *outcome += 1;
    }

    /// Cursors that were handed out before the damage.
    fn cursors(&self) -> impl Iterator<Item = &str> {
        let last = self.published.len() - 1;
        let places = [0, last / 4, last / 2, last * 3 / 4, last - 1, last];
        places.into_iter().map(|place| &*self.published[place].id)
    }
}

/// One server on damaged files, and what it must tell.
struct View<'a> {
    specimen: &'a Specimen,
    server: &'a Process,
    /// The number up to which this journal claims to know everything.
    head: u64,
    excuse: Excuse,
}

impl View<'_> {
    /// What is there from the earliest on is right; `None` when the server refused to say.
    fn assert_earliest(&self, selectors: &str) -> Option<()> {
        let history = self.read(selectors, "earliest")?;
        assert_in_order(history.events());
        Some(())
    }

    /// What comes after a cursor is right, and what does not come is told. Whether something was told;
    /// `None` when the server refused to say.
    fn assert_resumes(&self, selectors: &str, cursor: &str) -> Option<bool> {
        let history = self.read(selectors, cursor)?;
        assert_in_order(history.events());
        let has_gaps = !history.gaps().is_empty();
        // Whoever is told that begins anew with what there is.
        if history.gaps().iter().any(|gap| gap.reason == "epoch") {
            return Some(true);
        }
        assert!(seq(cursor) <= self.head, "{cursor} is beyond {}", self.head);
        for channel in CHANNELS
            .iter()
            .filter(|channel| selects(selectors, channel))
        {
            self.assert_told(&history, channel, (selectors, cursor));
        }
        Some(has_gaps)
    }

    /// A cursor from beyond the head stays unknown when the numbers have passed it.
    fn assert_still_unknown(&self, cursor: &str) {
        if seq(cursor) <= self.head {
            return;
        }
        if let Some(history) = self.read("**", cursor) {
            assert!(history.gaps().iter().any(|gap| gap.reason == "epoch"));
        }
    }

    /// In this channel there is a gap between the two events between which something is missing.
    fn assert_told(&self, history: &History, channel: &str, (selectors, cursor): (&str, &str)) {
        let after = seq(cursor);
        let due = self.specimen.published.iter();
        let due: Vec<u64> = due
            .filter(|event| event.channel == channel)
            .map(Event::seq)
            .filter(|&seq| seq > after && !self.is_excused(seq))
            .collect();
        let (mut place, mut is_told) = (after, false);
        let assert_none_missing = |place, before, is_told| {
            let missing = due.iter().find(|&&seq| seq > place && seq < before);
            assert!(
                is_told || missing.is_none(),
                "{missing:?} of {channel} is missing, untold, from what /{selectors}?after={cursor} gives"
            );
        };
        for sighting in &history.sightings {
            match sighting {
                Sighting::Gap(_) => is_told = true,
                Sighting::Event(event) if event.channel == channel => {
                    assert_none_missing(place, event.seq(), is_told);
                    (place, is_told) = (event.seq(), false);
                }
                Sighting::Event(_) => {}
            }
        }
        assert_none_missing(place, u64::MAX, is_told);
    }

    fn is_excused(&self, seq: u64) -> bool {
        self.excuse == Excuse::NewestOfTheLog && seq > self.head
    }

    /// Reads to the head. Every event is byte for byte what was published under its id.
    fn read(&self, selectors: &str, after: &str) -> Option<History> {
        let history = match History::try_read(self.server.address, selectors, after) {
            Ok(history) => history,
            Err(refused) => {
                assert!(refused.refusal().starts_with("journal"), "{refused:?}");
                return None;
            }
        };
        for event in history
            .events()
            .into_iter()
            .filter(|e| e.channel != "honest")
        {
            let known = self.specimen.by_id.get(&event.id);
            assert_eq!(known, Some(&event.json), "after {after}");
        }
        Some(history)
    }
}

/// The damaged files, which nobody may delete.
struct Evidence {
    /// Each held open, so that it is known when it has no name any more, and with its bytes, which stay
    /// when it is copied.
    files: Vec<(PathBuf, File, Vec<u8>)>,
}

impl Evidence {
    /// The log is merged into the database when it is sound; without the database it is all there is.
    fn collect(home: &Home) -> Self {
        let mut files = files_below(&home.data());
        let has_database = home.database().is_file();
        files.retain(|path| {
            path.starts_with(home.database()) || (!has_database && *path == home.write_ahead_log())
        });
        let file = |path: PathBuf| {
            let open = File::open(&path).expect("a file");
            let bytes = fs::read(&path).expect("a file");
            (path, open, bytes)
        };
        Evidence {
            files: files.into_iter().map(file).collect(),
        }
    }

    fn must_be_there(&self, home: &Home) {
        let there = files_below(&home.data());
        for (path, open, bytes) in &self.files {
            let has_name = open.metadata().expect("a file").nlink() > 0;
            let is_copied = || {
                there
                    .iter()
                    .any(|file| fs::read(file).is_ok_and(|b| b == *bytes))
            };
            let is_there = has_name || is_copied();
            assert!(
                is_there,
                "{} was deleted; there are {there:?}",
                path.display()
            );
        }
    }
}

/// What was done to the files, for whoever looks why a test failed.
struct ToldOnFailure(String);

impl Drop for ToldOnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} refused to start, {} served all, {} with gaps told, {} refused to read a part",
            self.refused, self.whole, self.with_gaps, self.in_part
        )
    }
}

fn fill(server: &Process, publisher: usize) {
    let mut dice = Dice::new(u64::try_from(publisher).expect("a seed"));
    for n in 0..30 {
        let publication = Publication::random(publisher, n, &mut dice);
        let (target, fields, body) = publication.request();
        let response = exchange(server.address, "POST", &target, &fields, &body);
        publication.ids(&response);
    }
}
