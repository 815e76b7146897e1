//! How much is matched while the catalogue is held, for which every publisher waits.

use std::sync::Arc;

use crate::hub::random;
use crate::hub::selector::{MATCHED, Selection};
use crate::journal::disk::DiskJournal;
use crate::journal::disk::scan::Search;
use crate::journal::tests::fixture::{AMPLE, Heard, Scratch, draft, selectors};
use crate::journal::{Journal as _, unix_millis};

#[test]
fn channels_with_nothing_new_are_not_matched_while_the_catalogue_is_held() {
    let scratch = Scratch::new();
    let opening = DiskJournal::open(&scratch.config(), random()).unwrap();
    let journal = opening.start(Arc::new(Heard::default())).unwrap();
    for number in 0..20 {
        let channel = format!("a/{number}");
        journal.append(draft(&channel, "x").into()).unwrap();
    }
    // All were read before, or are read now, or there is one left that is not asked for.
    for (list, place, most) in [("a/*", 20, 0), ("a/*", 0, 0), ("b/*", 19, 1)] {
        let selection = Selection::new(selectors(list));
        let search = Search::forwards(&journal.shared, &selection, place, AMPLE, unix_millis());
        let found = journal.readers.look(|connection| search.run(connection));
        let before = MATCHED.get();
        let excerpt = found
            .unwrap()
            .excerpt(&journal.shared.catalogue(), &selection, place);
        assert!(excerpt.is_ok());
        assert!(MATCHED.get() - before <= most, "{list} from {place}");
    }
}
