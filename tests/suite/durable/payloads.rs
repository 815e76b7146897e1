//! Publications whose every byte follows from their name, so that a wrong one is recognized anywhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::dice::Dice;
use crate::support::{Event, Response};

/// Where these tests publish.
pub const CHANNELS: [&str; 4] = ["rooms/1", "rooms/2", "halls/1/door", "alerts"];

/// One event before it is published.
#[derive(Debug, Clone)]
pub struct Payload {
    /// Where it is published.
    pub channel: &'static str,
    /// What tells it from every other.
    pub name: String,
    form: Form,
    padding: usize,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Text,
    Json,
    Binary,
}

/// What an event is recognized by: its channel and its data as they stand on the wire.
pub type Likeness = (String, String);

impl Payload {
    /// One for a channel, a form and a length by chance; some fill several pages of a database.
    pub fn random(name: String, dice: &mut Dice) -> Self {
        let padding = match dice.within(0..20) {
            0 => dice.within(4_000..20_000),
            1..=4 => dice.within(200..2_000),
            _ => dice.within(0..100),
        };
        Payload {
            channel: dice.pick(&CHANNELS),
            name,
            form: dice.pick(&[Form::Text, Form::Text, Form::Json, Form::Binary]),
            padding: usize::try_from(padding).expect("a length"),
        }
    }

    /// The type and the body of a POST.
    fn body(&self) -> (&'static str, Vec<u8>) {
        match self.form {
            Form::Text => ("text/plain", self.text().into_bytes()),
            Form::Json => ("application/json", self.json().into_bytes()),
            Form::Binary => ("application/octet-stream", self.binary()),
        }
    }

    /// The line of a batch.
    fn line(&self) -> String {
        let encoding = match self.form {
            Form::Binary => r#""encoding":"base64","#,
            Form::Text | Form::Json => "",
        };
        let (channel, data) = (self.channel, self.data());
        format!("{{\"channel\":\"{channel}\",{encoding}\"data\":{data}}}\n")
    }

    /// What its event is recognized by.
    pub fn likeness(&self) -> Likeness {
        (self.channel.to_owned(), self.data())
    }

    fn data(&self) -> String {
        match self.form {
            Form::Text => format!("\"{}\"", self.text()),
            Form::Json => self.json(),
            Form::Binary => format!("\"{}\"", BASE64.encode(self.binary())),
        }
    }

    fn text(&self) -> String {
        format!("{} {}", self.name, "x".repeat(self.padding))
    }

    fn json(&self) -> String {
        let padding = "y".repeat(self.padding);
        format!(
            r#"{{"name":"{}","digits":12345678901234567890.10,"padding":"{padding}"}}"#,
            self.name
        )
    }

    fn binary(&self) -> Vec<u8> {
        [b"\xff\x00", self.name.as_bytes(), &vec![0xfe; self.padding]].concat()
    }
}

/// What an event that came is recognized by.
pub fn likeness(event: &Event) -> Likeness {
    (event.channel.clone(), event.data.clone())
}

/// What one request publishes: one event, or a batch of several that are kept all or not at all.
#[derive(Debug, Clone)]
pub struct Publication {
    /// What tells it from every other.
    pub name: String,
    /// Its events.
    pub payloads: Vec<Payload>,
    /// Its `Idempotency-Key`, with which it may be sent again.
    pub key: Option<String>,
    is_batch: bool,
}

impl Publication {
    /// The `number`th of a publisher: one in four is a batch, one in three has a key.
    pub fn random(publisher: usize, number: u64, dice: &mut Dice) -> Self {
        let name = format!("p{publisher}-{number}");
        let is_batch = dice.once_in(4);
        let payloads = if is_batch {
            let count = dice.within(1..20);
            let member = |n| Payload::random(format!("{name}.{n}"), dice);
            (0..count).map(member).collect()
        } else {
            vec![Payload::random(name.clone(), dice)]
        };
        Publication {
            key: dice.once_in(3).then(|| name.clone()),
            name,
            payloads,
            is_batch,
        }
    }

    /// The target, the fields and the body of its request.
    pub fn request(&self) -> (String, Vec<(&str, &str)>, Vec<u8>) {
        let key = self.key.as_deref().map(|key| ("Idempotency-Key", key));
        let (target, media_type, body) = if self.is_batch {
            let lines: String = self.payloads.iter().map(Payload::line).collect();
            let target = "/-/publish".to_owned();
            (target, "application/x-ndjson", lines.into_bytes())
        } else {
            let (media_type, body) = self.payloads[0].body();
            (format!("/{}", self.payloads[0].channel), media_type, body)
        };
        let fields = [("Content-Type", media_type)].into_iter().chain(key);
        (target, fields.collect(), body)
    }

    /// The ids in the answer, one for each event.
    pub fn ids(&self, response: &Response) -> Vec<String> {
        assert_eq!(response.status(), 201, "{:?}", response.text());
        let answer = response.json();
        let receipts = match answer["events"].as_array() {
            Some(list) if self.is_batch => list.clone(),
            _ => vec![answer],
        };
        assert_eq!(receipts.len(), self.payloads.len());
        let ids = receipts
            .iter()
            .zip(&self.payloads)
            .map(|(receipt, payload)| {
                assert_eq!(receipt["channel"], payload.channel, "{receipt}");
                receipt["id"].as_str().expect("an id").to_owned()
            });
        ids.collect()
    }
}
