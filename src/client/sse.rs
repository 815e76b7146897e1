//! A parser of `text/event-stream` by the algorithm of WHATWG HTML, section 9.2.6; sans-io.

use std::collections::VecDeque;
use std::time::Duration;

/// What a stream holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// A block that dispatches an event.
    Message(Message),
    /// A comment line. The algorithm ignores it; to a client it says that the server is there.
    Comment,
}

/// One dispatched event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The `event` field, `message` when there was none.
    pub kind: String,
    /// The `data` fields, joined by LF.
    pub data: String,
    /// The last `id` that the stream has named up to here.
    pub last_event_id: String,
}

/// A line or a block was longer than the bound given to [`Parser::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// The state between two pieces of a stream, which may be cut anywhere.
#[derive(Debug)]
pub struct Parser {
    limit: usize,
    line: Vec<u8>,
    after_cr: bool,
    first_line: bool,
    kind: String,
    data: String,
    last_event_id: String,
    reconnection_time: Option<Duration>,
    parsed: VecDeque<Parsed>,
}

impl Parser {
    /// A parser at the beginning of a stream, for lines and blocks of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Parser {
            limit,
            line: Vec::new(),
            after_cr: false,
            first_line: true,
            kind: String::new(),
            data: String::new(),
            last_event_id: String::new(),
            reconnection_time: None,
            parsed: VecDeque::new(),
        }
    }

    /// Takes the next bytes of the stream. What a stream leaves incomplete at its end is never
    /// dispatched: there is nothing to call then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        for &byte in bytes {
            let second_of_crlf = self.after_cr && byte == b'\n';
            self.after_cr = byte == b'\r';
            match byte {
                _ if second_of_crlf => {}
                b'\r' | b'\n' => self.end_line(),
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.len() > self.limit {
                return Err(TooLong);
            }
        }
        Ok(())
    }

    /// What was found next.
    pub fn pop(&mut self) -> Option<Parsed> {
        self.parsed.pop_front()
    }

    /// Whether [`pop`](Self::pop) has nothing to give.
    pub fn is_empty(&self) -> bool {
        self.parsed.is_empty()
    }

    /// The last `retry` that the stream has named.
    pub fn reconnection_time(&self) -> Option<Duration> {
        self.reconnection_time
    }

    fn end_line(&mut self) {
        let bytes = std::mem::take(&mut self.line);
        let mut line = bytes.as_slice();
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        // A line break is never a part of a longer UTF-8 sequence, so decoding by the line gives
        // what decoding the whole stream would.
        let line = String::from_utf8_lossy(line);
        match line.split_once(':') {
            None if line.is_empty() => self.dispatch(),
            None => self.field(&line, ""),
            Some(("", _)) => self.parsed.push_back(Parsed::Comment),
            Some((name, value)) => self.field(name, value.strip_prefix(' ').unwrap_or(value)),
        }
    }

    fn field(&mut self, name: &str, value: &str) {
        match name {
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.last_event_id),
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => {
                if let Ok(milliseconds) = value.parse() {
                    self.reconnection_time = Some(Duration::from_millis(milliseconds));
                }
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        let mut kind = std::mem::take(&mut self.kind);
        let mut data = std::mem::take(&mut self.data);
        if data.pop().is_none() {
            return;
        }
        if kind.is_empty() {
            kind.push_str("message");
        }
        self.parsed.push_back(Parsed::Message(Message {
            kind,
            data,
            last_event_id: self.last_event_id.clone(),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: &str, data: &str, id: &str) -> Parsed {
        Parsed::Message(Message {
            kind: kind.to_owned(),
            data: data.to_owned(),
            last_event_id: id.to_owned(),
        })
    }

    fn parsed(parser: &mut Parser) -> Vec<Parsed> {
        std::iter::from_fn(|| parser.pop()).collect()
    }

    /// Parses `stream` cut in two at every place, and byte by byte: all must come to the same.
    fn parse(stream: &[u8]) -> (Vec<Parsed>, Option<Duration>) {
        let mut whole = Parser::new(1 << 20);
        whole.push(stream).unwrap();
        let expected = parsed(&mut whole);
        for cut in 0..=stream.len() {
            let mut parser = Parser::new(1 << 20);
            parser.push(&stream[..cut]).unwrap();
            parser.push(&stream[cut..]).unwrap();
            assert_eq!(parsed(&mut parser), expected, "cut at {cut}");
            assert_eq!(parser.reconnection_time(), whole.reconnection_time());
        }
        let mut parser = Parser::new(1 << 20);
        for byte in stream.chunks(1) {
            parser.push(byte).unwrap();
        }
        assert_eq!(parsed(&mut parser), expected, "byte by byte");
        (expected, whole.reconnection_time())
    }

    #[test]
    fn lines_end_with_lf_cr_or_both() {
        for stream in [
            "data: a\ndata: b\n\n",
            "data: a\rdata: b\r\r",
            "data: a\r\ndata: b\r\n\r\n",
        ] {
            assert_eq!(
                parse(stream.as_bytes()).0,
                [message("message", "a\nb", "")],
                "{stream:?}"
            );
        }
    }

    #[test]
    fn the_examples_of_the_standard_come_out_as_it_says() {
        assert_eq!(
            parse(b"data: YHOO\ndata: +2\ndata: 10\n\n").0,
            [message("message", "YHOO\n+2\n10", "")]
        );
        assert_eq!(
            parse(b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\ndata: lost").0,
            [
                Parsed::Comment,
                message("message", "first event", "1"),
                message("message", "second event", ""),
                message("message", " third event", ""),
            ]
        );
        assert_eq!(
            parse(b"data\n\ndata\ndata\n\ndata:\n").0,
            [message("message", "", ""), message("message", "\n", "")]
        );
        assert_eq!(
            parse(b"data:test\n\ndata: test\n\n").0,
            [
                message("message", "test", ""),
                message("message", "test", "")
            ]
        );
    }

    #[test]
    fn one_byte_order_mark_is_dropped_and_a_second_is_not() {
        assert_eq!(
            parse(b"\xef\xbb\xbfdata: a\n\n").0,
            [message("message", "a", "")]
        );
        assert_eq!(parse(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n").0, []);
        assert_eq!(parse(b"\n\xef\xbb\xbfdata: a\n\n").0, []);
    }

    #[test]
    fn an_id_with_nul_is_ignored_and_an_id_stays_until_the_next() {
        assert_eq!(
            parse(b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\nid: 3\n\ndata: c\n\n").0,
            [
                message("message", "a", "1"),
                message("message", "b", "1"),
                message("message", "c", "3"),
            ]
        );
    }

    #[test]
    fn a_type_counts_for_its_own_block_only() {
        assert_eq!(
            parse(b"event: gap\n\nevent: bye\ndata: a\n\ndata: b\n\n").0,
            [message("bye", "a", ""), message("message", "b", "")]
        );
    }

    #[test]
    fn retry_takes_digits_alone() {
        for (stream, expected) in [
            ("retry: 3000\n", Some(3000)),
            ("retry:7\n", Some(7)),
            ("retry: 1\nretry: x\n", Some(1)),
            ("retry: +5\n", None),
            ("retry: 1.5\n", None),
            ("retry:  5\n", None),
            ("retry\n", None),
            ("retry: 99999999999999999999\n", None),
            ("retry: 3000", None),
        ] {
            let expected = expected.map(Duration::from_millis);
            assert_eq!(parse(stream.as_bytes()).1, expected, "{stream:?}");
        }
    }

    #[test]
    fn what_is_unknown_or_not_utf8_harms_nothing() {
        assert_eq!(
            parse(b"foo: bar\n data: no\nDATA: no\ndata: \xff\xc3\n\n").0,
            [message("message", "\u{fffd}\u{fffd}", "")]
        );
    }

    #[test]
    fn a_stream_without_line_breaks_does_not_fill_the_memory() {
        let mut parser = Parser::new(16);
        assert_eq!(parser.push(b"data: 0123456789012345"), Err(TooLong));
        let mut parser = Parser::new(16);
        assert_eq!(parser.push(&b"data: 01234\n".repeat(9)), Err(TooLong));
        let mut parser = Parser::new(16);
        assert_eq!(parser.push(&b"data: 0123\n\n".repeat(9)), Ok(()));
    }
}
