//! What one subscriber is owed of entries that others read too: what is lost by now is told, not given.

use std::sync::Arc;

use super::channel::{ChannelName, LossReason};
use super::selector::Selection;
use super::tail::{Entry, Page};
use crate::journal::{Limit, Loss};

/// Examines entries on behalf of one subscriber, until its page is full.
pub(super) struct Reader<'a> {
    selection: &'a Selection,
    limit: Limit,
    now: u64,
    rows: usize,
    bytes: usize,
    pub(super) page: Page,
}

impl<'a> Reader<'a> {
    /// A reader that has examined everything up to the end of `page`, which it goes on with, and nothing beyond.
    pub(super) fn new(selection: &'a Selection, page: Page, limit: Limit, now: u64) -> Self {
        let weights = page.entries.iter().map(|entry| entry.event().weight());
        Reader {
            selection,
            limit,
            now,
            rows: 0,
            bytes: weights.sum(),
            page: Page {
                more: false,
                ..page
            },
        }
    }

    /// Examines `entries`, which are all that may be asked for between its place and `through`; `false` when the
    /// page has no room for all of them.
    pub(super) fn examine(&mut self, entries: &[Arc<Entry>], through: u64) -> bool {
        for entry in entries {
            if self.rows == self.limit.rows || !self.take(entry) {
                self.page.more = true;
                return false;
            }
            self.rows += 1;
            self.page.cursor = entry.seq();
        }
        self.page.cursor = through;
        true
    }

    /// Whether there is room for nothing more, however small.
    pub(super) fn is_full(&self) -> bool {
        self.rows == self.limit.rows || self.page.entries.len() == self.limit.events
    }

    /// Examines one entry; `false` when the page has no room for it.
    fn take(&mut self, entry: &Arc<Entry>) -> bool {
        let event = entry.event();
        if !self.selection.matches(event) || !self.selection.is_owed(event, self.now) {
            return true;
        }
        // What was never kept is never lost: a mark over it is that of later events, which tell it themselves.
        let is_kept = !event.is_fleeting();
        let is_deleted = entry.is_deleted();
        if is_deleted && !is_kept {
            return true;
        }
        if is_deleted || (is_kept && entry.is_lost() && !event.expired(self.now)) {
            self.lose(event.channel.name(), entry);
            return true;
        }
        let over = self.bytes + event.weight() > self.limit.bytes && !self.page.entries.is_empty();
        if over || self.page.entries.len() == self.limit.events {
            return false;
        }
        self.bytes += event.weight();
        self.page.entries.push(entry.clone());
        true
    }

    /// Notes that an entry is gone. The channel may have lost more, beyond what is examined here; that is
    /// the next page's matter.
    fn lose(&mut self, name: &ChannelName, entry: &Entry) {
        let Some(reason) = entry.event().channel.lost_after(entry.seq() - 1) else {
            return;
        };
        let loss = self.page.loss.get_or_insert(Loss {
            reason,
            channels: Vec::new(),
            folded: 0,
        });
        if reason == LossReason::Deleted {
            loss.reason = reason;
        }
        match loss.channels.iter_mut().find(|(known, _)| known == name) {
            Some((_, mark)) => *mark = entry.seq().max(*mark),
            None => loss.channels.push((name.clone(), entry.seq())),
        }
    }
}
