//! Many publishers at once share their commits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, Scope, ScopedJoinHandle};

use rusqlite::{Connection, TransactionBehavior};

use crate::config::Config;
use crate::hub::random;
use crate::journal::disk::DiskJournal;
use crate::journal::disk::answer::nobody;
use crate::journal::disk::desk::Work;
use crate::journal::disk::writer::Order;
use crate::journal::tests::fixture::{Heard, Scratch, draft, eventually};
use crate::journal::{AppendError, Journal as _};

struct Stage {
    journal: DiskJournal,
    heard: Arc<Heard>,
    /// Another connection, which can keep the writer from writing.
    other: Connection,
    _scratch: Scratch,
}

impl Stage {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let scratch = Scratch::new();
        let mut config = scratch.config();
        change(&mut config);
        let heard = Arc::new(Heard::default());
        let opening = DiskJournal::open(&config, random()).unwrap();
        Stage {
            journal: opening.start(heard.clone()).unwrap(),
            heard,
            other: Connection::open(config.journal.path.join("journal.db")).unwrap(),
            _scratch: scratch,
        }
    }

    fn commits(&self) -> u64 {
        self.journal.shared.commits.load(Ordering::Relaxed)
    }

    /// What becomes of events in these channels that are published while the writer has something to do.
    fn publish_at_once(&mut self, channels: &[&str]) -> Vec<Result<u64, AppendError>> {
        let behavior = TransactionBehavior::Immediate;
        let held = self.other.transaction_with_behavior(behavior).unwrap();
        let (journal, heard) = (&self.journal, &self.heard);
        let orders = journal.threads.orders.as_ref().unwrap();
        let asker = nobody();
        let work = Work::Retain;
        orders.send(Order { work, asker }).unwrap();
        let in_hand = || journal.shared.in_hand.load(Ordering::Relaxed);
        eventually("the writer is kept busy", || in_hand() > 0);
        thread::scope(|scope| {
            let publish = |&channel| publish(scope, journal, heard, channel);
            let publishers: Vec<_> = channels.iter().map(publish).collect();
            eventually("they wait", || orders.len() + in_hand() > channels.len());
            drop(held);
            publishers.into_iter().map(|p| p.join().unwrap()).collect()
        })
    }
}

fn publish<'scope>(
    scope: &'scope Scope<'scope, '_>,
    journal: &'scope DiskJournal,
    heard: &'scope Heard,
    channel: &str,
) -> ScopedJoinHandle<'scope, Result<u64, AppendError>> {
    let draft = draft(channel, "x");
    scope.spawn(move || {
        let seq = journal.append(draft.into())?.receipts[0].id.seq;
        assert!(heard.seqs().contains(&seq), "heard before it is answered");
        Ok(seq)
    })
}

#[test]
fn what_comes_while_the_writer_is_busy_is_committed_together() {
    let mut stage = Stage::new(|_| {});
    let before = stage.commits();
    let answers = stage.publish_at_once(&["a", "b", "c", "d"].repeat(16));
    let mut seqs: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    seqs.sort_unstable();
    assert!(seqs.into_iter().eq(1..=64));
    assert!(stage.heard.seqs().into_iter().eq(1..=64));
    let commits = stage.commits() - before;
    assert!(commits < 8, "{commits} commits");
}

#[test]
fn one_that_is_refused_leaves_the_others_of_its_transaction_alone() {
    let mut stage = Stage::new(|config| config.limits.channels = 1);
    stage.journal.append(draft("a", "x").into()).unwrap();
    let answers = stage.publish_at_once(&["a", "b", "a", "b", "a"]);
    let refused = Some(AppendError::TooManyChannels);
    let errors: Vec<_> = answers.into_iter().map(Result::err).collect();
    assert_eq!(errors, [None, refused, None, refused, None]);
    assert_eq!(stage.heard.seqs(), [1, 2, 3, 4]);
}
