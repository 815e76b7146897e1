//! The mark in every payload, by which a subscriber knows what it got: whose event it is, which of them,
//! and when it was sent. Its width is fixed, so that it is found in bytes without parsing them.

use memchr::memmem::Finder;

/// Bytes of a mark: `bench-RRRRRRRR-PPPP-NNNNNNNN-TTTTTTTTTTTTTTTT`, all numbers hexadecimal.
pub(in crate::cli) const WIDTH: usize = BEGINNING + 4 + 1 + 8 + 1 + 16;

/// Bytes that all marks of a run begin with.
const BEGINNING: usize = 6 + 8 + 1;

/// What a mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Mark {
    /// Who published the event, from 0.
    pub(in crate::cli) publisher: u16,
    /// Which of its events this is, from 0.
    pub(in crate::cli) number: u32,
    /// When it was sent, in nanoseconds since the beginning of the run.
    pub(in crate::cli) sent: u64,
}

/// Writes and finds the marks of one run. Those of another run on the same channel are not found.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Marks {
    beginning: String,
    finder: Finder<'static>,
}

impl Marks {
    /// The marks of the run with this number.
    pub(in crate::cli) fn of_run(run: u32) -> Self {
        let beginning = format!("bench-{run:08x}-");
        Marks {
            finder: Finder::new(&beginning).into_owned(),
            beginning,
        }
    }

    /// The text of a mark, [`WIDTH`] bytes of ASCII that JSON need not escape.
    pub(in crate::cli) fn text(&self, mark: Mark) -> String {
        let Mark {
            publisher,
            number,
            sent,
        } = mark;
        format!("{}{publisher:04x}-{number:08x}-{sent:016x}", self.beginning)
    }

    /// Gives `found` each whole mark in `text`, in their order, and returns from where on `text` may be
    /// the beginning of another: its length, if it is not.
    pub(in crate::cli) fn find(&self, text: &[u8], mut found: impl FnMut(Mark)) -> usize {
        let mut whole = 0;
        for at in self.finder.find_iter(text) {
            let end = at.saturating_add(WIDTH);
            let Some(mark) = text.get(at..end) else {
                return at;
            };
            if let Some(mark) = read(mark) {
                found(mark);
                whole = end;
            }
        }
        self.beginning_in(text, whole)
    }

    /// Where the last bytes of `text`, too few for a whole mark, are the beginning of one.
    fn beginning_in(&self, text: &[u8], whole: usize) -> usize {
        let from = text.len().saturating_sub(BEGINNING - 1).max(whole);
        let last = text.get(from..).unwrap_or_default();
        let begins = |at: &usize| {
            let rest = last.get(*at..).unwrap_or_default();
            self.beginning.as_bytes().starts_with(rest)
        };
        memchr::memchr_iter(b'b', last)
            .find(begins)
            .map_or(text.len(), |at| from + at)
    }
}

/// Reads a mark; `None` for what only begins as one.
fn read(mark: &[u8]) -> Option<Mark> {
    let (publisher, rest) = number(mark.get(BEGINNING..)?, 4)?;
    let (number_of_event, rest) = number(rest.strip_prefix(b"-")?, 8)?;
    let (sent, _) = number(rest.strip_prefix(b"-")?, 16)?;
    Some(Mark {
        publisher: u16::try_from(publisher).ok()?,
        number: u32::try_from(number_of_event).ok()?,
        sent,
    })
}

/// Reads a number of so many hexadecimal digits, at most 16, off the front.
fn number(text: &[u8], digits: usize) -> Option<(u64, &[u8])> {
    let (text, rest) = text.split_at_checked(digits)?;
    let number = text.iter().try_fold(0, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number << 4 | u64::from(digit))
    })?;
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(number: u32) -> Mark {
        Mark {
            publisher: 0xab,
            number,
            sent: u64::from(number) * 1_000_000_007,
        }
    }

    fn found_in(marks: &Marks, text: &[u8]) -> (Vec<Mark>, usize) {
        let mut found = Vec::new();
        let rest = marks.find(text, |mark| found.push(mark));
        (found, rest)
    }

    #[test]
    fn a_mark_is_found_as_it_was_written() {
        let marks = Marks::of_run(7);
        for mark in [mark(0), mark(1), mark(u32::MAX)] {
            let text = marks.text(mark);
            assert_eq!(text.len(), WIDTH);
            assert_eq!(found_in(&marks, text.as_bytes()), (vec![mark], WIDTH));
        }
    }

    #[test]
    fn all_marks_are_found_wherever_the_bytes_are_cut() {
        let marks = Marks::of_run(0xbe4c);
        let event = |number| format!("data: {{\"data\":\"{}xx\"}}\n\n", marks.text(mark(number)));
        let stream = [event(1), event(2), event(3)].concat().into_bytes();
        for cut in 0..=stream.len() {
            let (first, second) = stream.split_at(cut);
            let (mut found, rest) = found_in(&marks, first);
            let joined = [&first[rest..], second].concat();
            found.extend(found_in(&marks, &joined).0);
            assert_eq!(found, [mark(1), mark(2), mark(3)], "cut at {cut}");
        }
    }

    #[test]
    fn all_marks_are_found_byte_by_byte_and_little_is_kept() {
        let marks = Marks::of_run(0xbe4c);
        let stream = format!("b{}bench-{}", marks.text(mark(1)), marks.text(mark(2)));
        let (mut found, mut kept) = (Vec::new(), Vec::new());
        for byte in stream.bytes() {
            kept.push(byte);
            let rest = marks.find(&kept, |mark| found.push(mark));
            kept.drain(..rest);
            assert!(kept.len() < WIDTH);
        }
        assert_eq!(found, [mark(1), mark(2)]);
        assert!(kept.is_empty());
    }

    #[test]
    fn nothing_is_kept_of_text_that_begins_no_mark() {
        let marks = Marks::of_run(1);
        for text in ["", "data: 1\n\n", "bench-00000002-", "abba bench "] {
            assert_eq!(found_in(&marks, text.as_bytes()), (vec![], text.len()));
        }
    }

    #[test]
    fn other_runs_and_what_only_looks_like_a_mark_are_passed_over() {
        let marks = Marks::of_run(1);
        let other = Marks::of_run(2).text(mark(1));
        let broken = marks.text(mark(1)).replace("-00ab-", "-00xy-");
        let text = format!("{other}{broken}{}", marks.text(mark(9)));
        assert_eq!(found_in(&marks, text.as_bytes()).0, [mark(9)]);
    }
}
