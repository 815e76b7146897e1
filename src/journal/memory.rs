//! The journal in memory: one bounded log in the order of seq, with an index per channel. It ends with
//! the process, and the next life says so to every cursor of this one.

mod idempotency;
mod log;
mod reading;

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::idempotency::Keys;
use self::log::Log;
use super::channels::{Channels, Recorded};
use super::rules::Rules;
use super::{
    AppendError, Appended, Batch, Beginning, Draft, GapReason, Holding, Journal, Limit, Page,
    Receipt, Sink, Start, Statistics, StoreError, survey, unix_millis,
};
use crate::config::{Config, Current, Retention};
use crate::event::{Cursor, Epoch, Event, Id};
use crate::hub::channel::{Channel, ChannelName, LossReason};
use crate::hub::selector::{Selection, Selector};
use crate::shutdown::abort;

/// How many channels get another rule while publishers wait.
const AT_ONCE: usize = 1_024;
/// How many events go while publishers and readers wait; what is left goes in steps that follow.
const MOST: usize = 16_384;

/// Events in memory, bounded by count, age and bytes per channel and by bytes over all.
pub struct MemoryJournal {
    epoch: Epoch,
    sink: Arc<dyn Sink>,
    state: RwLock<State>,
}

struct State {
    rules: Arc<Rules>,
    head: u64,
    last_time: u64,
    log: Log,
    channels: Channels<Record>,
    keys: Keys,
    crowded_out: u64,
    commits: u64,
    closed: bool,
}

/// What is known of one channel.
struct Record {
    channel: Arc<Channel>,
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    rule: Arc<Retention>,
    /// See [`Holding::last`].
    last: Option<Id>,
    /// Before this time no event here outlives itself.
    next_expiry: u64,
    /// The folded mark when the record was made: the channel may have lost something up to there.
    folded: u64,
}

impl MemoryJournal {
    /// Begins a life with the epoch that `random` stands for.
    pub fn open(config: &Config, random: u64, sink: Arc<dyn Sink>) -> Self {
        MemoryJournal {
            epoch: Epoch::from_random(random),
            sink,
            state: RwLock::new(State {
                rules: Arc::new(Rules::of(config)),
                head: 0,
                last_time: 0,
                log: Log::default(),
                channels: Channels::default(),
                keys: Keys::new(config.journal.idempotency, config.limits.idempotency_keys),
                crowded_out: 0,
                commits: 0,
                closed: false,
            }),
        }
    }

    fn reading(&self) -> RwLockReadGuard<'_, State> {
        self.state
            .read()
            .unwrap_or_else(|_| abort("a thread panicked inside the journal"))
    }

    fn writing(&self) -> RwLockWriteGuard<'_, State> {
        self.state
            .write()
            .unwrap_or_else(|_| abort("a thread panicked inside the journal"))
    }

    fn knows(&self, state: &State, cursor: Cursor) -> bool {
        cursor.epoch == self.epoch && cursor.seq <= state.head
    }
}

impl Journal for MemoryJournal {
    fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        let mut state = self.writing();
        if state.closed {
            return Err(AppendError::Closed);
        }
        let wall = unix_millis();
        let now = wall.max(state.last_time);
        if let Some(key) = &batch.key
            && let Some(receipts) = state.keys.recall(key, now)?
        {
            return Ok(Appended {
                receipts,
                repeated: true,
            });
        }
        let (rules, before) = (state.rules.clone(), state.log.bytes());
        state.make_room_for_channels(&batch.drafts, &rules)?;
        let events: Vec<_> = batch
            .drafts
            .into_iter()
            .map(|draft| state.keep(draft, self.epoch, now, &rules))
            .collect();
        // Readers go by the clock as it is, even when it was ahead once.
        state.trim(&events, before, wall, &rules);
        state.commits += 1;
        self.sink.committed(&events);
        let receipts: Arc<[Receipt]> = events.iter().map(|event| receipt(event)).collect();
        if let Some(key) = batch.key {
            state.keys.remember(key, receipts.clone(), now);
        }
        drop(state);
        self.sink.announce();
        Ok(Appended {
            receipts,
            repeated: false,
        })
    }

    fn head(&self) -> u64 {
        self.reading().head
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn begin(&self, selectors: Vec<Selector>, start: Start) -> Result<Beginning, StoreError> {
        let state = self.reading();
        let mut selection = Selection::new(selectors).live_after(state.head);
        let (place, gap) = match start {
            Start::After(cursor) if self.knows(&state, cursor) => (cursor.seq, None),
            Start::After(_) => (0, Some(GapReason::Epoch)),
            Start::Unreadable => (0, Some(GapReason::Unknown)),
            Start::Now => (state.head, None),
            Start::Earliest => (0, None),
            Start::Since(time) => (state.log.place_before(time), None),
            Start::Last(count) => (state.start_back(&mut selection, count), None),
        };
        let bare = !matches!(start, Start::After(_)) || gap.is_some();
        let losses = bare.then(|| state.channels.losses(&selection, place));
        drop(state);
        // What was lost before a subscriber came was never owed to it.
        if let Some(loss) = losses.and_then(|losses| losses.loss(&selection, place)) {
            loss.excuse(&mut selection);
        }
        Ok(Beginning {
            selection,
            place,
            gap,
        })
    }

    fn read(&self, selection: &Selection, place: u64, limit: Limit) -> Result<Page, StoreError> {
        let excerpt = {
            let state = self.reading();
            let candidates = state.candidates(selection, place, limit.rows.saturating_add(1));
            state.excerpt(selection, place, candidates)
        };
        Ok(excerpt.page(selection, place, limit, unix_millis()))
    }

    fn read_before(
        &self,
        selection: &Selection,
        place: u64,
        limit: Limit,
    ) -> Result<Page, StoreError> {
        let excerpt = {
            let state = self.reading();
            let rows = limit.rows.saturating_add(1);
            let candidates = state.log.before(place).take(rows).cloned().collect();
            state.excerpt(selection, u64::MAX, candidates)
        };
        Ok(excerpt.page_back(selection, place, limit, unix_millis()))
    }

    fn has_lost_nothing(&self, selection: &Selection, place: u64) -> bool {
        let losses = self.reading().channels.losses(selection, place);
        losses.loss(selection, place).is_none()
    }

    fn forget(&self, channel: &ChannelName) -> Result<bool, AppendError> {
        let now = unix_millis();
        let state = &mut *self.writing();
        if state.closed {
            return Err(AppendError::Closed);
        }
        let head = state.head;
        let gone = state
            .channels
            .change(channel, |record| record.delete(head, now));
        let there = gone.is_some();
        for event in gone.into_iter().flatten() {
            state.log.remove(event.id.seq);
        }
        Ok(there)
    }

    fn is_writable(&self) -> bool {
        true
    }

    fn statistics(&self) -> Statistics {
        let state = self.reading();
        Statistics {
            channels: state.channels.len() as u64,
            events: state.log.len() as u64,
            bytes: state.log.bytes() as u64,
            commits: state.commits,
            waiting: 0,
            crowded_out: state.crowded_out,
            file_bytes: None,
        }
    }

    fn holdings(
        &self,
        after: Option<&ChannelName>,
        filter: &Selector,
        most: usize,
    ) -> Vec<Holding> {
        // Chosen without the lock: publishers wait for it.
        let names = || self.reading().channels.names();
        let names = survey::next(names, after, filter, most);
        let state = self.reading();
        let records = names.iter().filter_map(|name| state.channels.get(name));
        records.map(Record::holding).collect()
    }

    fn obey(&self, told: &Arc<Current>) {
        let (rules, names) = {
            let state = &mut *self.writing();
            let rules = Rules::after(&state.rules, &told.get());
            state.keys.bound(rules.key_memory, rules.max_keys);
            state.rules = Arc::new(rules);
            (state.rules.clone(), state.channels.names())
        };
        for names in names.chunks(AT_ONCE) {
            // Matched without the lock: publishers wait for it.
            let matched: Vec<_> = names.iter().map(|name| rules.rule_for(name)).collect();
            let state = &mut *self.writing();
            if !Arc::ptr_eq(&state.rules, &rules) {
                // Somebody else was told something newer.
                return;
            }
            for (name, rule) in names.iter().zip(matched) {
                state.channels.change(name, |record| record.rule = rule);
            }
        }
        self.retain();
    }

    fn retain(&self) -> bool {
        let mut state = self.writing();
        if state.closed {
            return false;
        }
        let gone = state.let_go(unix_millis(), MOST);
        state.commits += u64::from(gone > 0);
        gone >= MOST
    }

    fn close(&self) {
        self.writing().closed = true;
    }
}

fn receipt(event: &Event) -> Receipt {
    Receipt {
        id: event.id,
        channel: event.channel.name().clone(),
        time: event.time,
    }
}

/// Appending and letting go.
impl State {
    /// Makes sure that the channels of a batch may exist, letting go of records that hold nothing; of none where that
    /// would not make enough room, since a refused batch changes nothing.
    fn make_room_for_channels(
        &mut self,
        drafts: &[Draft],
        rules: &Rules,
    ) -> Result<(), AppendError> {
        if self.channels.len() + drafts.len() <= rules.max_channels {
            return Ok(());
        }
        let wanted: HashSet<&ChannelName> = drafts.iter().map(|draft| &draft.channel).collect();
        match self.excess_with(&wanted, rules) {
            0 => Ok(()),
            excess if self.channels.fold_empty(&wanted, excess) => Ok(()),
            _ => Err(AppendError::TooManyChannels),
        }
    }

    /// How many records there would be too many with those of `wanted`.
    fn excess_with(&self, wanted: &HashSet<&ChannelName>, rules: &Rules) -> usize {
        let is_new = |name: &&&ChannelName| self.channels.get(name).is_none();
        match wanted.iter().filter(is_new).count() {
            0 => 0,
            new => (self.channels.len() + new).saturating_sub(rules.max_channels),
        }
    }

    /// Numbers one event and puts it where it belongs.
    fn keep(&mut self, draft: Draft, epoch: Epoch, now: u64, rules: &Rules) -> Arc<Event> {
        self.head += 1;
        self.last_time = now;
        let record = self.channels.get_or_put(draft.channel, |name, folded| {
            Record::new(name, rules, folded)
        });
        let expires = draft
            .ttl
            .map(|ttl| now.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)));
        let event = Arc::new(Event {
            id: Id {
                epoch,
                seq: self.head,
            },
            channel: record.channel.clone(),
            kind: draft.kind,
            time: now,
            expires,
            content_type: draft.content_type,
            data: draft.data,
        });
        if draft.ttl.is_none_or(|ttl| !ttl.is_zero()) {
            record.next_expiry = record.next_expiry.min(expires.unwrap_or(u64::MAX));
            record.events.push_back(event.clone());
            record.bytes += event.weight();
            if expires.is_none() {
                record.last = Some(event.id);
            }
            self.log.push(event.clone());
        }
        event
    }

    /// Keeps the channels of a batch within their own rules, then everything within its bound: all of it weighed
    /// `before` when the batch came.
    fn trim(&mut self, batch: &[Arc<Event>], before: usize, now: u64, rules: &Rules) {
        // Twice as many go as came, so that what has to go does not pile up.
        let mut left = MOST.max(2 * batch.len());
        for run in batch.chunk_by(|one, next| Arc::ptr_eq(&one.channel, &next.channel)) {
            if let Some(event) = run.first() {
                let (log, name) = (&mut self.log, event.channel.name());
                let gone = self
                    .channels
                    .change(name, |record| record.trim(log, now, left));
                left -= gone.unwrap_or(0);
            }
        }
        // For what came there is room at once, however much has to go for it.
        self.trim_whole(rules.max_bytes.max(before), now, usize::MAX);
        self.trim_whole(rules.max_bytes, now, left);
    }

    /// Lets go of what is beyond its bounds, until `most` or a few more events and keys are gone; how many are. Those that
    /// outlived their time to live are none of them: a channel's go at once.
    fn let_go(&mut self, now: u64, most: usize) -> usize {
        let mut left = most;
        self.channels.change_all(|record| {
            if left > 0 && record.is_overdue(now) {
                record.sweep(&mut self.log, now);
                left -= record.trim(&mut self.log, now, left);
            }
        });
        left -= self.trim_whole(self.rules.max_bytes, now, left);
        most - left + self.keys.expire(now, left)
    }

    /// Keeps everything together within `max_bytes`, by letting go of `most` events at most; of how many it did.
    fn trim_whole(&mut self, max_bytes: usize, now: u64, most: usize) -> usize {
        let mut gone = 0;
        while gone < most && self.log.bytes() > max_bytes {
            let oldest = self.log.oldest().map(|event| event.channel.clone());
            let log = &mut self.log;
            let evicted = oldest.and_then(|channel| {
                self.channels
                    .change(channel.name(), |record| record.evict(log, now))
            });
            if evicted.is_none() {
                break;
            }
            gone += 1;
        }
        self.crowded_out += gone as u64;
        gone
    }
}

impl Recorded for Record {
    fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    fn folded(&self) -> u64 {
        self.folded
    }

    fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

impl Record {
    fn new(name: &ChannelName, rules: &Rules, folded: u64) -> Self {
        Record {
            channel: Arc::new(Channel::new(name.clone())),
            events: VecDeque::new(),
            bytes: 0,
            rule: rules.rule_for(name),
            last: None,
            next_expiry: u64::MAX,
            folded,
        }
    }

    fn holding(&self) -> Holding {
        Holding {
            channel: self.channel.name().clone(),
            events: self.events.len() as u64,
            bytes: self.bytes as u64,
            last: self.last,
        }
    }

    /// Takes all events, which are deleted.
    fn delete(&mut self, head: u64, now: u64) -> VecDeque<Arc<Event>> {
        let gone = std::mem::take(&mut self.events);
        self.bytes = 0;
        if let Some(last) = gone.iter().rfind(|event| !event.expired(now)) {
            self.channel.lose(last.id.seq, LossReason::Deleted);
        }
        // Also over what was never kept: it may still be on its way to those who are live.
        self.channel.delete(head);
        gone
    }

    /// Whether something is to go by its age or its time to live.
    fn is_overdue(&self, now: u64) -> bool {
        self.next_expiry <= now || self.is_over(now)
    }

    /// Lets go of all events that outlived themselves, so that they push out no others.
    fn sweep(&mut self, log: &mut Log, now: u64) {
        if self.next_expiry > now {
            return;
        }
        let events = std::mem::take(&mut self.events).into_iter();
        let (gone, kept): (VecDeque<_>, VecDeque<_>) = events.partition(|event| event.expired(now));
        let expiries = kept.iter().filter_map(|event| event.expires);
        self.next_expiry = expiries.min().unwrap_or(u64::MAX);
        self.bytes = kept.iter().map(|event| event.weight()).sum();
        self.events = kept;
        for event in gone {
            log.remove(event.id.seq);
        }
    }

    /// Keeps the channel within its own rule, by letting go of `most` events at most; of how many it did.
    fn trim(&mut self, log: &mut Log, now: u64, most: usize) -> usize {
        let mut gone = 0;
        while gone < most && self.is_over(now) {
            self.evict(log, now);
            gone += 1;
        }
        gone
    }

    /// Takes the oldest event, raising the mark first when it was still owed.
    fn evict(&mut self, log: &mut Log, now: u64) {
        let Some(event) = self.events.pop_front() else {
            return;
        };
        if !event.expired(now) {
            self.channel.lose(event.id.seq, LossReason::Retention);
        }
        self.bytes -= event.weight();
        log.remove(event.id.seq);
    }

    /// Whether the oldest event is to go.
    fn is_over(&self, now: u64) -> bool {
        let Some(oldest) = self.events.front() else {
            return false;
        };
        let max_age = self
            .rule
            .max_age
            .map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        self.events.len() > self.rule.max_events
            || self.bytes > self.rule.max_bytes
            || max_age.is_some_and(|age| oldest.time.saturating_add(age) <= now)
            || oldest.expired(now)
    }

    /// The place before the newest `count` events that are owed at `now`; `None` if there are none.
    fn place_back(&self, count: usize, now: u64) -> Option<u64> {
        let first = if self.next_expiry > now {
            self.events.get(self.events.len().saturating_sub(count))
        } else {
            let owed = self.events.iter().rev().filter(|event| !event.expired(now));
            owed.take(count).last()
        };
        first.map(|event| event.id.seq - 1)
    }

    /// The events after `place`.
    fn after(&self, place: u64) -> impl Iterator<Item = &Arc<Event>> {
        self.events
            .range(self.events.partition_point(|event| event.id.seq <= place)..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::tests::fixture::{Fixture, draft, keep};

    #[test]
    fn for_what_comes_there_is_room_at_once_however_much_has_to_go() {
        const WHOLE: usize = 8 * 1024 * 1024;
        let fixture = Fixture::with(
            |config, sink| Arc::new(MemoryJournal::open(config, 1, sink)),
            |config| {
                config.journal.max_bytes = WHOLE;
                config.channels = vec![keep("**", 1_000_000)];
            },
        );
        let few = vec![draft("a", "x"); 1_000];
        for _ in 0..=MOST / few.len() {
            fixture.append(few.clone()).unwrap();
        }
        assert!(fixture.journal.statistics().events > MOST as u64);
        fixture.publish_draft(draft("b", &"x".repeat(WHOLE - 1_000)));
        let held = fixture.journal.statistics();
        assert!(held.bytes <= WHOLE as u64, "{held:?}");
    }
}
