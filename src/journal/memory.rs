//! The journal in memory: one bounded log in the order of seq, with an index per channel. It ends with
//! the process, and the next life says so to every cursor of this one.

mod idempotency;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::idempotency::Keys;
use super::{
    AppendError, Appended, Batch, Beginning, Draft, GapReason, Journal, Limit, Loss, Page, Receipt,
    Sink, Start, unix_millis,
};
use crate::config::{Config, Retention};
use crate::event::{Cursor, Epoch, Event, Id};
use crate::hub::channel::{Channel, ChannelName, LossReason};
use crate::hub::selector::{Selection, Selector};
use crate::shutdown::abort;

/// Events in memory, bounded by count, age and bytes per channel and by bytes over all.
pub struct MemoryJournal {
    epoch: Epoch,
    rules: Rules,
    sink: Arc<dyn Sink>,
    state: RwLock<State>,
}

struct Rules {
    retention: Vec<Retention>,
    otherwise: Retention,
    max_bytes: usize,
    max_channels: usize,
}

struct State {
    head: u64,
    last_time: u64,
    bytes: usize,
    log: Log,
    channels: HashMap<ChannelName, Record>,
    folded: u64,
    highest_loss: u64,
    keys: Keys,
    closed: bool,
}

/// What is known of one channel.
struct Record {
    channel: Arc<Channel>,
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    rule: Retention,
}

/// All events in the order of seq. An event that goes leaves a hole, and holes are closed when they are
/// the greater part, so that one old event does not hold the room of a million that came after it.
#[derive(Default)]
struct Log {
    slots: VecDeque<Slot>,
    holes: usize,
}

struct Slot {
    seq: u64,
    time: u64,
    event: Option<Arc<Event>>,
}

impl MemoryJournal {
    /// Begins a life with the epoch that `random` stands for.
    pub fn open(config: &Config, random: u64, sink: Arc<dyn Sink>) -> Self {
        MemoryJournal {
            epoch: Epoch::from_random(random),
            rules: Rules {
                retention: config.channels.clone(),
                otherwise: Retention::default(),
                max_bytes: config.journal.max_bytes,
                max_channels: config.limits.channels,
            },
            sink,
            state: RwLock::new(State {
                head: 0,
                last_time: 0,
                bytes: 0,
                log: Log::default(),
                channels: HashMap::new(),
                folded: 0,
                highest_loss: 0,
                keys: Keys::new(config.journal.idempotency, config.limits.idempotency_keys),
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
        let now = unix_millis().max(state.last_time);
        if let Some(key) = &batch.key
            && let Some(receipts) = state.keys.recall(key, now)?
        {
            return Ok(Appended {
                receipts,
                repeated: true,
            });
        }
        state.make_room_for_channels(&batch.drafts, &self.rules)?;
        let events: Vec<_> = batch
            .drafts
            .into_iter()
            .map(|draft| state.keep(draft, self.epoch, now, &self.rules))
            .collect();
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

    fn begin(&self, selectors: Vec<Selector>, start: Start) -> Beginning {
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
        if !matches!(start, Start::After(_)) || gap.is_some() {
            state.excuse_losses(&mut selection, place);
        }
        Beginning {
            selection,
            place,
            gap,
        }
    }

    fn read(&self, selection: &Selection, place: u64, limit: Limit) -> Page {
        let state = self.reading();
        let now = unix_millis();
        let mut page = match selection.channels() {
            Some(channels) => state.read_channels(selection, &channels, place, limit, now),
            None => state.read_log(selection, place, limit, now),
        };
        page.loss = state.loss_beyond(selection, place);
        page
    }

    fn read_before(&self, selection: &Selection, place: u64, limit: Limit) -> Page {
        self.reading()
            .read_back(selection, place, limit, unix_millis())
    }

    fn forget(&self, channel: &ChannelName) -> bool {
        let mut state = self.writing();
        let Some(record) = state.channels.get_mut(channel) else {
            return false;
        };
        let gone = std::mem::take(&mut record.events);
        record.bytes = 0;
        if let Some(last) = gone.back() {
            record.channel.lose(last.id.seq, LossReason::Deleted);
            state.highest_loss = state.highest_loss.max(last.id.seq);
        }
        for event in gone {
            state.let_go(&event);
        }
        true
    }

    fn retain(&self) {
        let now = unix_millis();
        let mut state = self.writing();
        for name in state.overdue(now) {
            state.trim(&name, now);
        }
        state.keys.expire(now);
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

impl Rules {
    fn rule_for(&self, name: &ChannelName) -> Retention {
        self.retention
            .iter()
            .find(|rule| rule.pattern.matches(name))
            .unwrap_or(&self.otherwise)
            .clone()
    }
}

/// Appending and letting go.
impl State {
    /// Makes sure that the channels of a batch may exist, letting go of records that hold nothing.
    fn make_room_for_channels(
        &mut self,
        drafts: &[Draft],
        rules: &Rules,
    ) -> Result<(), AppendError> {
        let mut new: Vec<_> = drafts
            .iter()
            .map(|draft| &draft.channel)
            .filter(|name| !self.channels.contains_key(*name))
            .collect();
        new.sort_unstable();
        new.dedup();
        if self.channels.len() + new.len() <= rules.max_channels {
            return Ok(());
        }
        self.fold_empty_records();
        if self.channels.len() + new.len() <= rules.max_channels {
            return Ok(());
        }
        Err(AppendError::TooManyChannels)
    }

    fn fold_empty_records(&mut self) {
        let folded = &mut self.folded;
        self.channels.retain(|_, record| {
            if record.events.is_empty() {
                *folded = (*folded).max(record.channel.lost_through());
            }
            !record.events.is_empty()
        });
    }

    /// Numbers one event and puts it where it belongs.
    fn keep(&mut self, draft: Draft, epoch: Epoch, now: u64, rules: &Rules) -> Arc<Event> {
        self.head += 1;
        self.last_time = now;
        let record = self
            .channels
            .entry(draft.channel)
            .or_insert_with_key(|name| Record {
                channel: Arc::new(Channel::new(name.clone())),
                events: VecDeque::new(),
                bytes: 0,
                rule: rules.rule_for(name),
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
            record.events.push_back(event.clone());
            record.bytes += event.weight();
            self.bytes += event.weight();
            self.log.push(event.clone());
            self.trim(event.channel.name(), now);
            self.trim_whole(rules.max_bytes, now);
        }
        event
    }

    /// The channels whose oldest event is to go.
    fn overdue(&self, now: u64) -> Vec<ChannelName> {
        let over = |record: &&Record| {
            record
                .events
                .front()
                .is_some_and(|oldest| record.is_over(oldest, now))
        };
        self.channels
            .values()
            .filter(over)
            .map(|record| record.channel.name().clone())
            .collect()
    }

    /// Keeps a channel within its own rule.
    fn trim(&mut self, name: &ChannelName, now: u64) {
        while let Some(record) = self.channels.get_mut(name) {
            let Some(oldest) = record.events.front() else {
                break;
            };
            if !record.is_over(oldest, now) {
                break;
            }
            let seq = oldest.id.seq;
            self.evict(name, seq, now);
        }
    }

    /// Keeps everything together within `max_bytes`.
    fn trim_whole(&mut self, max_bytes: usize, now: u64) {
        while self.bytes > max_bytes {
            let Some(oldest) = self.log.oldest() else {
                break;
            };
            let (name, seq) = (oldest.channel.name().clone(), oldest.id.seq);
            self.evict(&name, seq, now);
        }
    }

    /// Takes the oldest event of a channel, raising the mark first when it was still owed.
    fn evict(&mut self, name: &ChannelName, seq: u64, now: u64) {
        let Some(record) = self.channels.get_mut(name) else {
            return;
        };
        let Some(event) = record.events.pop_front() else {
            return;
        };
        debug_assert_eq!(event.id.seq, seq);
        if !event.expired(now) {
            record.channel.lose(seq, LossReason::Retention);
            self.highest_loss = self.highest_loss.max(seq);
        }
        record.bytes -= event.weight();
        self.let_go(&event);
    }

    fn let_go(&mut self, event: &Event) {
        self.bytes -= event.weight();
        self.log.remove(event.id.seq);
    }
}

impl Record {
    fn is_over(&self, oldest: &Event, now: u64) -> bool {
        let max_age = self
            .rule
            .max_age
            .map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        self.events.len() > self.rule.max_events
            || self.bytes > self.rule.max_bytes
            || max_age.is_some_and(|age| oldest.time.saturating_add(age) <= now)
            || oldest.expired(now)
    }

    /// The events after `place`.
    fn after(&self, place: u64) -> impl Iterator<Item = &Arc<Event>> {
        self.events
            .range(self.events.partition_point(|event| event.id.seq <= place)..)
    }
}

/// Reading.
impl State {
    /// Channels by name: their indexes are merged, so that nothing else is examined.
    fn read_channels(
        &self,
        selection: &Selection,
        channels: &[&ChannelName],
        place: u64,
        limit: Limit,
        now: u64,
    ) -> Page {
        let records = channels.iter().filter_map(|name| self.channels.get(*name));
        let mut events: Vec<_> = records
            .flat_map(|record| record.after(place).take(limit.rows.saturating_add(1)))
            .filter(|event| selection.matches(event))
            .collect();
        if channels.len() > 1 {
            events.sort_unstable_by_key(|event| event.id.seq);
        }
        self.page(selection, events.into_iter(), limit, now)
    }

    /// Patterns: the log is examined.
    fn read_log(&self, selection: &Selection, place: u64, limit: Limit, now: u64) -> Page {
        self.page(selection, self.log.after(place), limit, now)
    }

    /// Takes from `candidates`, which are in order, what matches and fits.
    fn page<'a>(
        &self,
        selection: &Selection,
        candidates: impl Iterator<Item = &'a Arc<Event>>,
        limit: Limit,
        now: u64,
    ) -> Page {
        let mut page = Page {
            events: Vec::new(),
            loss: None,
            cursor: self.head,
            more: false,
        };
        let (mut bytes, mut examined) = (0, None);
        for (row, event) in candidates.enumerate() {
            let wanted = selection.matches(event) && selection.is_owed(event, now);
            let over = bytes + event.weight() > limit.bytes && !page.events.is_empty();
            if row == limit.rows || (wanted && (page.events.len() == limit.events || over)) {
                page.more = true;
                page.cursor = examined.unwrap_or(event.id.seq - 1);
                return page;
            }
            examined = Some(event.id.seq);
            if wanted {
                bytes += event.weight();
                page.events.push(event.clone());
            }
        }
        page
    }

    /// The newest events before `place`.
    fn read_back(&self, selection: &Selection, place: u64, limit: Limit, now: u64) -> Page {
        let mut page = Page {
            events: Vec::new(),
            loss: None,
            cursor: place,
            more: false,
        };
        let mut bytes = 0;
        for (row, event) in self.log.before(place).enumerate() {
            let wanted = selection.matches(event) && selection.is_owed(event, now);
            let over = bytes + event.weight() > limit.bytes && !page.events.is_empty();
            if row == limit.rows || (wanted && (page.events.len() == limit.events || over)) {
                page.more = true;
                break;
            }
            page.cursor = event.id.seq;
            if wanted {
                bytes += event.weight();
                page.events.push(event.clone());
            }
        }
        page.events.reverse();
        page
    }

    /// The channels that have a record and are asked for.
    fn matching<'a>(
        &'a self,
        selection: &'a Selection,
    ) -> Box<dyn Iterator<Item = (&'a Record, u64)> + 'a> {
        let with_start =
            |record: &'a Record| Some((record, selection.begins_after(record.channel.name())?));
        match selection.channels() {
            Some(names) => Box::new(
                names
                    .into_iter()
                    .filter_map(|name| self.channels.get(name))
                    .filter_map(with_start),
            ),
            None => Box::new(self.channels.values().filter_map(with_start)),
        }
    }

    /// What was lost beyond `place` of that which is asked for.
    fn loss_beyond(&self, selection: &Selection, place: u64) -> Option<Loss> {
        if place >= self.highest_loss.max(self.folded) {
            return None;
        }
        let mut loss = Loss {
            reason: LossReason::Retention,
            channels: Vec::new(),
            folded: 0,
        };
        for (record, start) in self.matching(selection) {
            let Some(reason) = record.channel.lost_after(place.max(start)) else {
                continue;
            };
            if reason == LossReason::Deleted {
                loss.reason = reason;
            }
            loss.channels
                .push((record.channel.name().clone(), record.channel.lost_through()));
        }
        if self.counts_folded(selection) && self.folded > place.max(selection.folded_after()) {
            loss.folded = self.folded;
        }
        (!loss.channels.is_empty() || loss.folded > 0).then_some(loss)
    }

    /// Whether the selection asks for channels that have no record.
    fn counts_folded(&self, selection: &Selection) -> bool {
        match selection.channels() {
            Some(names) => names.iter().any(|name| !self.channels.contains_key(*name)),
            None => true,
        }
    }

    /// Lets no loss up to now be told to a subscriber that never saw what was lost.
    fn excuse_losses(&self, selection: &mut Selection, place: u64) {
        if let Some(loss) = self.loss_beyond(selection, place) {
            loss.excuse(selection);
        }
    }

    /// Lets each channel begin `count` events back, and finds the place before all of these.
    fn start_back(&self, selection: &mut Selection, count: u64) -> u64 {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut starts = Vec::new();
        let mut place = self.head;
        for (record, _) in self.matching(selection) {
            let skipped = record.events.len().saturating_sub(count);
            let first = record
                .events
                .get(skipped)
                .map_or(self.head, |event| event.id.seq - 1);
            place = place.min(first);
            starts.push((record.channel.name().clone(), first));
        }
        for (name, start) in starts {
            selection.excuse(&name, start);
        }
        place
    }
}

impl Log {
    fn push(&mut self, event: Arc<Event>) {
        self.slots.push_back(Slot {
            seq: event.id.seq,
            time: event.time,
            event: Some(event),
        });
    }

    fn remove(&mut self, seq: u64) {
        let index = self.slots.partition_point(|slot| slot.seq < seq);
        if let Some(slot) = self.slots.get_mut(index)
            && slot.seq == seq
            && slot.event.take().is_some()
        {
            self.holes += 1;
        }
        while self.slots.front().is_some_and(|slot| slot.event.is_none()) {
            self.slots.pop_front();
            self.holes -= 1;
        }
        if self.holes > self.slots.len() / 2 {
            self.slots.retain(|slot| slot.event.is_some());
            self.holes = 0;
        }
    }

    fn oldest(&self) -> Option<&Arc<Event>> {
        self.slots.iter().find_map(|slot| slot.event.as_ref())
    }

    fn after(&self, place: u64) -> impl Iterator<Item = &Arc<Event>> {
        let index = self.slots.partition_point(|slot| slot.seq <= place);
        self.slots
            .range(index..)
            .filter_map(|slot| slot.event.as_ref())
    }

    fn before(&self, place: u64) -> impl Iterator<Item = &Arc<Event>> {
        let index = self.slots.partition_point(|slot| slot.seq < place);
        self.slots
            .range(..index)
            .rev()
            .filter_map(|slot| slot.event.as_ref())
    }

    /// The last seq before `time`; times do not decrease along the log.
    fn place_before(&self, time: u64) -> u64 {
        let index = self.slots.partition_point(|slot| slot.time < time);
        match (self.slots.get(index), self.slots.back()) {
            (Some(first), _) => first.seq - 1,
            (None, Some(last)) => last.seq,
            (None, None) => 0,
        }
    }
}
