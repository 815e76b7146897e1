//! Whether a journal is what was written, all of it: SQLite's own structure, the checksum of every row, and what one
//! row says of another.

use std::collections::{BTreeMap, HashSet};

use rusqlite::{Connection, Row};

use super::error::{Fault, OpenError};
use super::keys::KeyRow;
use super::rows::{self, ChannelRow, EVENT_COLUMNS, EventRow, Life, WEIGHT, unsigned};
use super::visitor::{Visitor, newest_id};
use crate::event::Id;
use crate::hub::channel::ChannelName;

/// How many problems are told; who has so many needs no more.
const TOLD: usize = 100;
/// The column behind those of an event.
const WEIGHT_COLUMN: usize = 11;
/// How many events are checked between two words about how far it is.
const STEP: u64 = 1_000;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How many events are kept.
    pub events: u64,
    /// How many channels have a record.
    pub channels: u64,
    /// The newest event's id, whether that is kept or not; `None` before the first.
    pub head: Option<Id>,
    /// What is wrong, a sentence each, the first 100.
    pub problems: Vec<String>,
    /// How many problems there are beyond those.
    pub more: u64,
}

/// A verification under way.
#[derive(Default)]
struct Verification {
    verdict: Verdict,
    lives: Vec<Life>,
    /// Whether some of them cannot be read, so that it is not known which events they have.
    some_lives_unreadable: bool,
    channels: BTreeMap<i64, Tally>,
    /// Channels whose record cannot be read, so that nothing is known of their events.
    unreadable: HashSet<i64>,
    last_time: u64,
}

/// What counts of an event for its channel.
struct Met {
    seq: u64,
    weight: u64,
    previous: u64,
    /// Whether it is owed until a time of its own, so that no event names it as the one before.
    has_end: bool,
}

/// What the events of one channel come to.
struct Tally {
    row: ChannelRow,
    events: u64,
    bytes: u64,
    /// The newest event that was met and is owed without an end.
    last_seq: u64,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn note(&mut self, problem: String) {
        match self.problems.len() < TOLD {
            true => self.problems.push(problem),
            false => self.more += 1,
        }
    }
}

impl Visitor {
    /// Reads everything, within one snapshot, and checks it. `progress` hears now and then how many events were
    /// checked, and of how many.
    ///
    /// # Errors
    /// When the system does not let it be read. What is damaged is in the verdict.
    pub fn verify(&self, progress: impl FnMut(u64, u64)) -> Result<Verdict, OpenError> {
        self.look(|connection| verify(connection, progress))
    }
}

fn verify(connection: &Connection, mut progress: impl FnMut(u64, u64)) -> Result<Verdict, Fault> {
    let mut verification = Verification::default();
    verification.part(|part| part.structure(connection))?;
    verification.part(|part| part.lives(connection))?;
    verification.part(|part| part.channels(connection))?;
    verification.part(|part| part.events(connection, &mut progress))?;
    verification.part(|part| part.keys(connection))?;
    verification.part(|_| rows::folded(connection).map(drop))?;
    Ok(verification.finish())
}

impl Verification {
    /// Checks a part, and notes what ends that early.
    fn part(&mut self, check: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        match check(self) {
            Err(Fault::Damage(problem)) => {
                self.verdict.note(problem);
                Ok(())
            }
            Err(fault) if fault.is_damage() => {
                self.verdict.note(format!("the database: {fault}"));
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn structure(&mut self, connection: &Connection) -> Result<(), Fault> {
        let mut statement = connection.prepare(&format!("PRAGMA integrity_check({TOLD})"))?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let line: String = row.get(0)?;
            if line != "ok" {
                self.verdict.note(format!("the database: {line}"));
            }
        }
        Ok(())
    }

    fn lives(&mut self, connection: &Connection) -> Result<(), Fault> {
        let mut statement = connection.prepare("SELECT * FROM lives ORDER BY number")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let life = Life::read(row);
            self.some_lives_unreadable |= life.is_err();
            self.part(|part| part.life(life?))?;
        }
        self.verdict.head = newest_id(&self.lives);
        Ok(())
    }

    fn life(&mut self, life: Life) -> Result<(), Fault> {
        if life.last_seq < self.head() {
            let (number, end, before) = (life.number, life.last_seq, self.head());
            let problem = format!("life {number} ends with {end}, and one before it with {before}");
            self.verdict.note(problem);
        }
        self.lives.push(life);
        Ok(())
    }

    fn channels(&mut self, connection: &Connection) -> Result<(), Fault> {
        let mut statement = connection.prepare("SELECT * FROM channels ORDER BY id")?;
        let mut rows = statement.query(())?;
        let mut names = HashSet::new();
        while let Some(row) = rows.next()? {
            let id = row.get(0)?;
            self.unreadable.insert(id);
            self.part(|part| part.channel(ChannelRow::read(row)?, &mut names))?;
        }
        Ok(())
    }

    fn channel(&mut self, row: ChannelRow, names: &mut HashSet<ChannelName>) -> Result<(), Fault> {
        self.unreadable.remove(&row.id);
        if let Some(name) = &row.name {
            self.verdict.channels += 1;
            if !names.insert(name.clone()) {
                self.verdict
                    .note(format!("channel '{name}' has two records"));
            }
        }
        let tally = Tally {
            events: 0,
            bytes: 0,
            last_seq: 0,
            row,
        };
        self.channels.insert(tally.row.id, tally);
        Ok(())
    }

    fn events(
        &mut self,
        connection: &Connection,
        progress: &mut impl FnMut(u64, u64),
    ) -> Result<(), Fault> {
        let all = connection.query_row("SELECT count(*) FROM events", (), |row| {
            Ok(unsigned(row, 0))
        })??;
        let sql = format!("SELECT {EVENT_COLUMNS}, {WEIGHT} FROM events ORDER BY seq");
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query(())?;
        let mut checked = 0;
        while let Some(row) = rows.next()? {
            self.part(|part| part.event(row))?;
            checked += 1;
            if checked % STEP == 0 {
                progress(checked, all);
            }
        }
        Ok(())
    }

    fn event(&mut self, row: &Row<'_>) -> Result<(), Fault> {
        let (seq, id) = (unsigned(row, 0)?, row.get(1)?);
        let event = EventRow::read(row);
        // One that is damaged is there all the same, and is one problem, not three.
        let met = Met {
            seq,
            weight: unsigned(row, WEIGHT_COLUMN)?,
            previous: event.as_ref().map_or(0, |event| event.previous),
            has_end: event.as_ref().is_ok_and(|event| event.expires.is_some()),
        };
        match self.channels.get_mut(&id) {
            Some(tally) if seq <= tally.row.gone_through => {}
            Some(tally) => {
                self.verdict.events += 1;
                if let Some(problem) = tally.take(&met) {
                    self.verdict.note(problem);
                }
            }
            None if self.unreadable.contains(&id) => {}
            None => {
                let problem = format!("event {seq} is of a channel that is not listed");
                self.verdict.note(problem);
            }
        }
        self.order(&event?);
        Ok(())
    }

    fn keys(&mut self, connection: &Connection) -> Result<(), Fault> {
        let mut statement = connection.prepare("SELECT * FROM keys ORDER BY id")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            self.part(|_| KeyRow::read(row).map(drop))?;
        }
        Ok(())
    }

    /// Checks that an event lies within its life, and in time not before another.
    fn order(&mut self, event: &EventRow<'_>) {
        let (seq, number) = (event.seq, event.life);
        if event.time < self.last_time {
            let problem = format!("event {seq} is older than one before it");
            self.verdict.note(problem);
        }
        self.last_time = event.time.max(self.last_time);
        if self.some_lives_unreadable {
            return;
        }
        let Ok(index) = self.lives.binary_search_by_key(&number, |life| life.number) else {
            let problem = format!("event {seq} is of life {number}, which is not listed");
            return self.verdict.note(problem);
        };
        let end = |index: usize| self.lives.get(index).map_or(0, |life| life.last_seq);
        let (before, end) = (index.checked_sub(1).map_or(0, end), end(index));
        if seq <= before || seq > end {
            let problem = format!(
                "event {seq} is of life {number}, which has those beyond {before} and up to {end}"
            );
            self.verdict.note(problem);
        }
    }

    fn head(&self) -> u64 {
        self.lives.last().map_or(0, |life| life.last_seq)
    }

    fn finish(mut self) -> Verdict {
        for tally in self.channels.values() {
            for problem in tally.problems() {
                self.verdict.note(problem);
            }
        }
        self.verdict
    }
}

impl Tally {
    /// Counts an event, which names the one before it.
    fn take(&mut self, met: &Met) -> Option<String> {
        self.events += 1;
        self.bytes = self.bytes.saturating_add(met.weight);
        let known = self.last_seq.max(self.row.gone_through);
        if !met.has_end {
            self.last_seq = met.seq;
        }
        let (previous, seq) = (met.previous, met.seq);
        (previous > known).then(|| {
            let name = self.name();
            format!("event {previous} of {name}, which event {seq} comes after, is missing")
        })
    }

    /// What its record says that is not so.
    fn problems(&self) -> Vec<String> {
        let (row, name) = (&self.row, self.name());
        let mut problems = Vec::new();
        let mut compare = |what: &str, said: u64, found: u64| {
            if said != found {
                let problem = format!("{name} is said to have {said} {what}, and has {found}");
                problems.push(problem);
            }
        };
        // Of a channel that was let go of only rows are left that are gone.
        if row.name.is_some() {
            compare("events", row.events, self.events);
            compare("bytes", row.bytes, self.bytes);
        }
        if row.last_seq > self.last_seq.max(row.gone_through) {
            problems.push(format!(
                "event {} of {name}, its newest, is missing",
                row.last_seq
            ));
        }
        problems
    }

    fn name(&self) -> String {
        match &self.row.name {
            Some(name) => format!("channel '{name}'"),
            None => format!("channel {}", self.row.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::super::catalogue::Record;
    use super::super::store::Store;
    use super::*;
    use crate::event::{Data, Epoch, Event, EventType};
    use crate::hub::channel::Channel;

    const LIFE: Life = Life {
        number: 1,
        epoch: Epoch::from_random(7),
        last_seq: 3,
        last_time: 3,
    };

    fn record() -> ChannelRow {
        let rule = Arc::default();
        let record = Record::new(1, "chat".parse().unwrap(), rule, 0);
        ChannelRow {
            last_seq: 3,
            events: 3,
            bytes: 3 * 193,
            ..record.row()
        }
    }

    fn insert(store: &Store, channel: i64, seq: u64, previous: u64, time: u64) {
        let id = Id {
            epoch: LIFE.epoch,
            seq,
        };
        let event = Event {
            id,
            channel: Arc::new(Channel::new("chat".parse().unwrap())),
            kind: EventType::message(),
            time,
            expires: None,
            content_type: None,
            data: Data::Text("x".into()),
        };
        let row = EventRow::of(&event, channel, previous, LIFE.number);
        row.insert(store.connection()).unwrap();
    }

    /// Three events in one channel, of one life.
    fn journal() -> Store {
        let store = Store::open(Path::new(":memory:")).unwrap();
        LIFE.put(store.connection()).unwrap();
        record().put(store.connection()).unwrap();
        for seq in 1..=3 {
            insert(&store, 1, seq, seq - 1, seq);
        }
        store
    }

    fn verdict(store: &Store) -> Verdict {
        verify(store.connection(), |_, _| {}).unwrap()
    }

    #[test]
    fn what_was_written_is_sound() {
        let verdict = verdict(&journal());
        assert_eq!(verdict.problems, [""; 0]);
        assert_eq!((verdict.events, verdict.channels), (3, 1));
        assert_eq!(verdict.head.map(|head| head.seq), Some(3));
    }

    #[test]
    fn what_is_gone_may_be_swept_or_not() {
        for swept in [0, 1, 2] {
            let store = journal();
            let row = ChannelRow {
                gone_through: 2,
                events: 1,
                bytes: 193,
                ..record()
            };
            row.put(store.connection()).unwrap();
            let sql = "DELETE FROM events WHERE seq <= ?1";
            store.connection().execute(sql, [swept]).unwrap();
            let verdict = verdict(&store);
            assert_eq!((verdict.problems, verdict.events), (vec![], 1), "{swept}");
        }
    }

    #[test]
    fn each_kind_of_damage_is_named_with_its_part() {
        for (damage, problems) in [
            (
                "UPDATE events SET data = x'00' WHERE seq = 2",
                &["event 2 is not what was written"][..],
            ),
            (
                "DELETE FROM events WHERE seq = 2",
                &[
                    "event 2 of channel 'chat', which event 3 comes after, is missing",
                    "channel 'chat' is said to have 3 events, and has 2",
                    "channel 'chat' is said to have 579 bytes, and has 386",
                ],
            ),
            (
                "DELETE FROM events WHERE seq = 3",
                &[
                    "channel 'chat' is said to have 3 events, and has 2",
                    "channel 'chat' is said to have 579 bytes, and has 386",
                    "event 3 of channel 'chat', its newest, is missing",
                ],
            ),
            (
                "UPDATE channels SET events = 4",
                &["the record of channel 1 is not what was written"],
            ),
            (
                "DELETE FROM channels",
                &[
                    "event 1 is of a channel that is not listed",
                    "event 2 is of a channel that is not listed",
                    "event 3 is of a channel that is not listed",
                ],
            ),
            (
                "INSERT INTO channels SELECT 2, name, 0, 0, 0, 0, 0, 0, 0, 0 FROM channels",
                &["the record of channel 2 is not what was written"],
            ),
            (
                "UPDATE lives SET last_seq = 2",
                &["life 1 is not what was written"],
            ),
            (
                "INSERT INTO keys VALUES (1, 'chat', 'order-1', x'00', 1, 1, 1, 1, 0)",
                &["an idempotency key is not what was written"],
            ),
            (
                "INSERT INTO whole VALUES (1, 5, 0)",
                &["the mark of all channels is not what was written"],
            ),
        ] {
            let store = journal();
            store.connection().execute_batch(damage).unwrap();
            assert_eq!(verdict(&store).problems, problems, "{damage}");
        }
    }

    #[test]
    fn records_that_contradict_each_other_are_named_although_each_is_as_it_was_written() {
        let store = journal();
        let (life, other) = (
            Life {
                last_seq: 4,
                ..LIFE
            },
            Life {
                number: 2,
                last_seq: 3,
                ..LIFE
            },
        );
        life.put(store.connection()).unwrap();
        other.put(store.connection()).unwrap();
        let twin = ChannelRow {
            id: 2,
            last_seq: 0,
            events: 0,
            bytes: 0,
            ..record()
        };
        twin.put(store.connection()).unwrap();
        insert(&store, 3, 4, 0, 1);
        insert(&store, 1, 5, 3, 3);
        let problems = verdict(&store).problems;
        for problem in [
            "life 2 ends with 3, and one before it with 4",
            "channel 'chat' has two records",
            "event 4 is of a channel that is not listed",
            "event 4 is older than one before it",
            "event 5 is of life 1, which has those beyond 0 and up to 4",
            "channel 'chat' is said to have 3 events, and has 4",
        ] {
            assert!(
                problems.iter().any(|told| told == problem),
                "{problem}: {problems:?}"
            );
        }
    }

    #[test]
    fn no_more_problems_are_told_than_anybody_reads() {
        let store = journal();
        for seq in 4..=130 {
            insert(&store, 9, seq, 0, 3);
        }
        store
            .connection()
            .execute("UPDATE events SET crc = 0", ())
            .unwrap();
        let verdict = verdict(&store);
        assert!(!verdict.is_sound());
        // An event of an unknown channel is one problem, its checksum another.
        assert_eq!(
            (verdict.problems.len(), verdict.more),
            (TOLD, 3 + 2 * 127 - 100)
        );
    }
}
