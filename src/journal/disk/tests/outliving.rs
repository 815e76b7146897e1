//! What is read of events that are not owed any more: enough to see that none is missing, and no payload.

use std::sync::Arc;
use std::time::Duration;

use crate::hub::random;
use crate::hub::selector::Selection;
use crate::journal::disk::DiskJournal;
use crate::journal::disk::error::Fault;
use crate::journal::disk::scan::Search;
use crate::journal::excerpt::Excerpt;
use crate::journal::tests::fixture::{AMPLE, Heard, Scratch, draft, selectors, seqs};
use crate::journal::{Journal as _, unix_millis};

const HOUR: Duration = Duration::from_secs(3600);

struct Stage {
    journal: DiskJournal,
    scratch: Scratch,
}

impl Stage {
    /// Of 'a' are 1 and 4, and 2 and 3 for an hour only.
    fn new() -> Self {
        let scratch = Scratch::new();
        let opening = DiskJournal::open(&scratch.config(), random()).unwrap();
        let journal = opening.start(Arc::new(Heard::default())).unwrap();
        let owed = || draft("a", "x");
        let mortal = || owed().with_ttl(HOUR);
        for draft in [owed(), mortal(), mortal(), owed()] {
            journal.append(draft.into()).unwrap();
        }
        Stage { journal, scratch }
    }

    /// What is found from this place on, read when the hour is over.
    fn look_later(&self, list: &str, place: u64) -> Result<Excerpt, Fault> {
        let selection = Selection::new(selectors(list)).live_after(4);
        let now = later();
        let search = Search::forwards(&self.journal.shared, &selection, place, AMPLE, now);
        self.journal.search(&search, &selection, place)
    }
}

fn later() -> u64 {
    unix_millis() + 2 * 3_600_000
}

#[test]
fn events_that_outlived_themselves_are_not_held_while_a_page_is_read() {
    let stage = Stage::new();
    for list in ["a", "a,b", "**"] {
        let excerpt = stage.look_later(list, 0).unwrap();
        assert_eq!(seqs(&excerpt.candidates), [1, 4], "{list}");
        let page = excerpt.page(&Selection::new(selectors(list)), 0, AMPLE, later());
        assert!(page.outlived, "{list}");
        let excerpt = stage.look_later(list, 3).unwrap();
        let page = excerpt.page(&Selection::new(selectors(list)), 3, AMPLE, later());
        assert!(!page.outlived, "{list}");
    }
}

#[test]
fn an_event_that_outlived_itself_still_tells_that_the_one_before_it_is_missing() {
    let stage = Stage::new();
    let journal = stage.scratch.config().journal.path.join("journal.db");
    let connection = rusqlite::Connection::open(journal).unwrap();
    connection
        .execute("DELETE FROM events WHERE seq IN (1, 4)", ())
        .unwrap();
    for list in ["a", "a,b", "**"] {
        let found = stage.look_later(list, 0);
        let fault = found.err().expect("one is missing");
        assert!(fault.to_string().contains("between 0 and 2"), "{fault}");
    }
}
