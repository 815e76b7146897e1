//! Numbers, times, the sink, and what others see meanwhile.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;

use super::fixture::{Fixture, Open, PATIENCE, Scratch, draft, keep, name, seqs};
use crate::event::Event;
use crate::journal::{AppendError, Journal, Sink, Start};

pub fn numbers_are_consecutive_and_begin_with_one(open: Open) {
    let fixture = Fixture::open(open);
    assert_eq!(fixture.journal.head(), 0);
    assert_eq!(fixture.publish("a"), 1);
    let batch = ["b", "a", "c"].map(|channel| draft(channel, "x"));
    let appended = fixture.append(batch.into()).unwrap();
    let numbers: Vec<_> = appended.receipts.iter().map(|r| r.id.seq).collect();
    assert_eq!(numbers, [2, 3, 4]);
    assert_eq!(fixture.publish("a"), 5);
    assert_eq!(fixture.journal.head(), 5);
}

pub fn receipts_name_what_was_kept_in_the_order_of_the_drafts(open: Open) {
    let fixture = Fixture::open(open);
    let batch = vec![draft("b", "1"), draft("a", "2"), draft("b", "3")];
    let appended = fixture.append(batch).unwrap();
    assert!(!appended.repeated);
    let page = fixture.read(&fixture.begin("**", Start::Earliest));
    assert_eq!(page.events.len(), appended.receipts.len());
    for (event, receipt) in page.events.iter().zip(appended.receipts.iter()) {
        assert_eq!(event.id, receipt.id);
        assert_eq!(event.id.epoch, fixture.journal.epoch());
        assert_eq!(*event.channel.name(), receipt.channel);
        assert_eq!(event.time, receipt.time);
    }
    let payloads: Vec<_> = page.events.iter().map(|e| e.data.bytes()).collect();
    assert_eq!(payloads, [b"1", b"2", b"3"]);
}

pub fn times_never_decrease(open: Open) {
    let fixture = Fixture::open(open);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| fixture.publish_times(200, "a"));
        }
    });
    let heard = fixture.heard.events();
    assert_eq!(heard.len(), 800);
    assert!(heard.is_sorted_by_key(|event| event.time));
}

pub fn the_sink_hears_every_event_once_and_in_order_before_append_returns(open: Open) {
    let fixture = Fixture::open(open);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let seq = fixture.publish("a");
                    let heard = fixture.heard.seqs();
                    assert!(heard.contains(&seq), "{seq} was answered but not heard");
                }
            });
        }
    });
    assert_eq!(fixture.heard.seqs(), (1..=400).collect::<Vec<_>>());
    assert!(fixture.heard.announced() >= 1);
}

/// Goes back into the journal when it is told that there is news.
struct Curious {
    journal: OnceLock<Weak<dyn Journal>>,
    answers: Mutex<Sender<u64>>,
}

impl Sink for Curious {
    fn committed(&self, _: &[Arc<Event>]) {}

    fn announce(&self) {
        let journal = self.journal.get().unwrap().upgrade().unwrap();
        let _ = self.answers.lock().unwrap().send(journal.head());
    }
}

pub fn the_sink_is_called_with_no_lock_held_to_announce(open: Open) {
    let (answers, answered) = channel();
    let sink = Arc::new(Curious {
        journal: OnceLock::new(),
        answers: Mutex::new(answers),
    });
    let scratch = Scratch::new();
    let journal = open(&scratch.config(), sink.clone());
    assert!(sink.journal.set(Arc::downgrade(&journal)).is_ok());
    // On a thread of its own, so that a lock that is held fails the case instead of hanging it.
    let publisher = thread::spawn(move || journal.append(draft("a", "x").into()).is_ok());
    assert_eq!(answered.recv_timeout(PATIENCE), Ok(1));
    assert!(publisher.join().unwrap());
}

pub fn a_batch_that_is_refused_leaves_nothing_behind(open: Open) {
    let fixture = Fixture::with(open, |config| config.limits.channels = 2);
    fixture.publish("a");
    let batch = ["a", "b", "c"].map(|channel| draft(channel, "x"));
    let refused = fixture.append(batch.into()).unwrap_err();
    assert_eq!(refused, AppendError::TooManyChannels);
    assert_eq!(fixture.journal.head(), 1);
    assert_eq!(fixture.heard.seqs(), [1]);
    assert_eq!(fixture.seqs_from("**", Start::Earliest), [1]);
    assert!(!fixture.forget("b"), "no channel was made for it");
    assert_eq!(fixture.publish("b"), 2);
}

pub fn a_closed_journal_appends_and_forgets_nothing_and_is_still_read(open: Open) {
    let fixture = Fixture::open(open);
    fixture.publish("a");
    fixture.journal.close();
    let refused = fixture.append(vec![draft("a", "x")]).unwrap_err();
    assert_eq!(refused, AppendError::Closed);
    assert_eq!(fixture.journal.forget(&name("a")), Err(AppendError::Closed));
    assert_eq!(fixture.heard.seqs(), [1]);
    assert_eq!(fixture.seqs_from("a", Start::Earliest), [1]);
}

/// Runs `read` on three threads while batches of one event to each of three channels are appended.
fn beside_a_writer(fixture: &Fixture, batches: u64, read: impl Fn() + Sync) {
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while fixture.journal.head() < batches * 3 {
                    read();
                }
                read();
            });
        }
        for _ in 0..batches {
            let batch = ["a", "b", "c"].map(|channel| draft(channel, "x"));
            fixture.append(batch.into()).unwrap();
        }
    });
}

pub fn readers_beside_a_writer_see_whole_batches_and_no_holes(open: Open) {
    let fixture = Fixture::open(open);
    beside_a_writer(&fixture, 300, || {
        for list in ["**", "a,b,c"] {
            let beginning = fixture.after(list, 0);
            let page = fixture.read(&beginning);
            let head = page.cursor;
            assert_eq!(head % 3, 0, "a part of a batch was seen");
            assert_eq!(seqs(&page.events), (1..=head).collect::<Vec<_>>());
        }
    });
    assert_eq!(fixture.journal.head(), 900);
}

pub fn what_a_reader_misses_beside_a_writer_is_in_the_loss_of_the_same_page(open: Open) {
    let fixture = Fixture::with(open, |config| config.channels = vec![keep("**", 5)]);
    beside_a_writer(&fixture, 300, || {
        let page = fixture.read(&fixture.after("a", 0));
        let Some(first) = page.events.first() else {
            return;
        };
        // Channel a has every third event, beginning with 1.
        let mark = (first.id.seq > 1).then(|| vec![(name("a"), first.id.seq - 3)]);
        assert_eq!(page.loss.map(|loss| loss.channels), mark);
        assert!(page.events.len() <= 5);
    });
}

pub fn what_comes_after_a_beginning_beside_a_writer_is_read_or_told(open: Open) {
    let fixture = Fixture::with(open, |config| config.channels = vec![keep("**", 1)]);
    beside_a_writer(&fixture, 300, || {
        let beginning = fixture.begin("a", Start::Now);
        let page = fixture.read(&beginning);
        // Channel a has every third event.
        let came = (page.cursor - beginning.place) / 3;
        let read = page.events.len() as u64;
        assert!(read == came || page.loss.is_some(), "{read} of {came}");
    });
}
