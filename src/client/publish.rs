//! Publishing over HTTP: messages, batches of them, and what the server says about them.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::connection::{Answer, Connection, Exchange};
use super::error::{Error, Problem};
use super::event;
use super::http::{self, Request};
use super::place::seconds_up;
use super::retry::Backoff;
use super::stop::Stopper;
use super::{Client, random, selectors};
use crate::event::{Data, Id};

/// The longest idempotency key, in bytes.
const MAX_KEY: usize = 255;

/// One event to be published.
#[derive(Debug, Clone)]
pub struct Message {
    channel: String,
    payload: Payload,
    kind: Option<String>,
    ttl: Option<Duration>,
    content_type: Option<String>,
    key: Option<String>,
}

#[derive(Debug, Clone)]
enum Payload {
    Text(String),
    Json(String),
    Bytes(Vec<u8>),
}

/// What the server says about an event that it took.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The event's id, which is also the cursor behind it.
    pub id: Id,
    /// The channel it was published to.
    pub channel: String,
    /// When the server took it, in milliseconds since 1970-01-01 UTC.
    pub time: u64,
}

impl Message {
    /// A text.
    pub fn text(channel: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(channel.into(), Payload::Text(text.into()))
    }

    /// JSON, given as text; the server refuses what is not JSON, or nested beyond
    /// [`Data::MAX_DEPTH`].
    pub fn json(channel: impl Into<String>, json: impl Into<String>) -> Self {
        Self::new(channel.into(), Payload::Json(json.into()))
    }

    /// Bytes; without a [`content_type`](Self::content_type) they are `application/octet-stream`.
    pub fn bytes(channel: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(channel.into(), Payload::Bytes(bytes.into()))
    }

    fn new(channel: String, payload: Payload) -> Self {
        Message {
            channel,
            payload,
            kind: None,
            ttl: None,
            content_type: None,
            key: None,
        }
    }

    /// The event's type. Default: `message`.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// How long the event is kept, in whole seconds, rounded up; nothing at all means that it is
    /// delivered live and never stored. Default: as long as its channel keeps events.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The media type, where the payload's form does not say enough.
    pub fn content_type(mut self, media_type: impl Into<String>) -> Self {
        self.content_type = Some(media_type.into());
        self
    }

    /// The key by which the server knows the same message again, at most 255 printable ASCII characters.
    /// With one, a publish whose connection was lost is tried again. Default: none, and no retry.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// A random [`idempotency_key`](Self::idempotency_key), for a message that must arrive once.
    pub fn random_idempotency_key(self) -> Self {
        let key = u128::from_be_bytes(random::sixteen_bytes());
        self.idempotency_key(format!("{key:032x}"))
    }

    fn media_type(&self) -> Option<&str> {
        match (&self.content_type, &self.payload) {
            (Some(media_type), _) => Some(media_type),
            (None, Payload::Text(_)) => None,
            (None, Payload::Json(_)) => Some("application/json"),
            (None, Payload::Bytes(_)) => Some("application/octet-stream"),
        }
    }

    fn body(&self) -> Vec<u8> {
        match &self.payload {
            Payload::Text(text) | Payload::Json(text) => text.clone().into_bytes(),
            Payload::Bytes(bytes) => bytes.clone(),
        }
    }

    /// The POST of this message alone.
    fn request(&self, client: &Client) -> Result<Request, Error> {
        let channel = selectors::channel(&self.channel)?;
        let kind = self.kind.clone().map(|kind| ("type", kind));
        let ttl = self.ttl.map(|ttl| ("ttl", seconds_up(ttl).to_string()));
        let parameters: Vec<_> = kind.into_iter().chain(ttl).collect();
        let mut request = client.request("POST", channel.as_str(), &parameters);
        if let Some(media_type) = self.media_type() {
            request = request.with("Content-Type", checked("content type", media_type)?);
        }
        if let Some(key) = &self.key {
            request = request.with("Idempotency-Key", checked_key(key)?);
        }
        Ok(request.with_body(self.body()))
    }

    /// The JSON object that a line of a batch and a WebSocket's operation are; one line.
    pub(super) fn to_json(&self, operation: Option<u64>) -> Result<String, Error> {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let data = match &self.payload {
            Payload::Text(payload) => text(payload),
            Payload::Bytes(payload) => text(&BASE64.encode(payload)),
            Payload::Json(payload) => match Data::json(payload) {
                Ok(Data::Json(json)) => json.into(),
                Ok(_) => payload.clone(),
                Err(error) => {
                    let sentence = format!("cannot be published as JSON: {error}");
                    return Err(Error::invalid(sentence));
                }
            },
        };
        selectors::channel(&self.channel)?;
        let object = Object {
            op: operation.map(|_| "publish"),
            channel: &self.channel,
            kind: self.kind.as_deref(),
            ttl: self.ttl.map(seconds_up),
            content_type: self.content_type.as_deref(),
            encoding: matches!(self.payload, Payload::Bytes(_)).then_some("base64"),
            data: RawValue::from_string(data).map_err(not_serialized)?,
            key: self.key.as_deref().map(checked_key).transpose()?,
            reference: operation,
        };
        serde_json::to_string(&object).map_err(not_serialized)
    }
}

/// A message as JSON.
#[derive(Serialize)]
struct Object<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<&'static str>,
    channel: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    data: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<u64>,
}

fn not_serialized(error: serde_json::Error) -> Error {
    Error::invalid(format!("the message cannot be written as JSON: {error}"))
}

fn checked<'a>(what: &str, value: &'a str) -> Result<&'a str, Error> {
    if http::is_field_value(value) {
        return Ok(value);
    }
    Err(Error::invalid(format!(
        "{value:?} cannot be sent as a {what}"
    )))
}

fn checked_key(key: &str) -> Result<&str, Error> {
    if key.len() > MAX_KEY {
        return Err(Error::invalid("an idempotency key has 255 bytes at most"));
    }
    checked("key", key)
}

/// Messages that are published all or none.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    messages: Vec<Message>,
    key: Option<String>,
}

impl Batch {
    /// A batch of these messages. They cannot have keys of their own.
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Self {
        Batch {
            messages: messages.into_iter().collect(),
            key: None,
        }
    }

    /// As [`Message::idempotency_key`], for all of them together.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    fn request(&self, client: &Client) -> Result<Request, Error> {
        let mut body = String::new();
        for message in &self.messages {
            if message.key.is_some() {
                let sentence = "a message in a batch has no key of its own; give the batch one";
                return Err(Error::invalid(sentence));
            }
            body.push_str(&message.to_json(None)?);
            body.push('\n');
        }
        let mut request = client
            .request("POST", "-/publish", &[])
            .with("Content-Type", "application/x-ndjson");
        if let Some(key) = &self.key {
            request = request.with("Idempotency-Key", checked_key(key)?);
        }
        Ok(request.with_body(body.into_bytes()))
    }
}

impl Client {
    /// Publishes one event. Blocks until the server has it (on a durable journal: on disk), at most for
    /// the connect and answer timeouts; with a key, for each attempt and the waits between.
    ///
    /// # Errors
    /// [`Error::Refused`] says that it was not published. After [`Error::Connection`] it may have been:
    /// only a message with a key is tried again, since without one the event could come twice.
    pub fn publish(&self, message: &Message) -> Result<Receipt, Error> {
        let answer = self.send(&message.request(self)?, message.key.is_some())?;
        parsed::<ReceiptMembers>(&answer.body)?.receipt()
    }

    /// Publishes all messages of a batch or none, and says about each what [`publish`](Self::publish)
    /// does, in their order.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_batch(&self, batch: &Batch) -> Result<Vec<Receipt>, Error> {
        #[derive(Deserialize)]
        struct Members {
            events: Vec<ReceiptMembers>,
        }
        let answer = self.send(&batch.request(self)?, batch.key.is_some())?;
        let members: Members = parsed(&answer.body)?;
        members
            .events
            .into_iter()
            .map(ReceiptMembers::receipt)
            .collect()
    }

    /// Forgets all events of a channel; whoever comes back for them is told a gap.
    ///
    /// # Errors
    /// As [`publish`](Self::publish); sent once.
    pub fn delete(&self, channel: &str) -> Result<(), Error> {
        let channel = selectors::channel(channel)?;
        let request = self.request("DELETE", channel.as_str(), &[]);
        self.send(&request, false).map(|_| ())
    }

    /// Sends a request until it is answered; once, if a second time could do what the first has done.
    fn send(&self, request: &Request, repeatable: bool) -> Result<Answer, Error> {
        let options = self.options();
        let mut backoff = Backoff::new(options.backoff, options.backoff_ceiling);
        loop {
            let error = match self.exchange(request) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let last = backoff.failures() + 1 >= options.publish_attempts;
            let wait = backoff.failed(error.retry_after());
            // Who publishes waits for the answer: a server that is away for long is an error.
            if !repeatable || !error.may_pass() || last || wait > options.answer_timeout {
                return Err(error);
            }
            // A stopper that nobody holds is a wait for nothing but its end.
            Stopper::default().wait(Instant::now() + wait)?;
        }
    }

    /// Sends a request over the kept connection, if it still stands, or a new one, and reads the answer.
    fn exchange(&self, request: &Request) -> Result<Answer, Error> {
        let idle = self.idle().take();
        let connection = match idle.and_then(Connection::if_usable) {
            Some(connection) => connection,
            None => self.connect(None)?,
        };
        let deadline = Instant::now() + self.options().answer_timeout;
        let exchange = Exchange::begin(connection, request, self.endpoint(), deadline);
        let mut answer = exchange.finish(self.options().max_message, deadline)?;
        *self.idle() = answer.connection.take();
        if !(200..300).contains(&answer.head.status) {
            return Err(Error::Refused(Problem::of(&answer.head, &answer.body)));
        }
        Ok(answer)
    }
}

#[derive(Deserialize)]
struct ReceiptMembers {
    id: String,
    channel: String,
    time: u64,
}

impl ReceiptMembers {
    fn receipt(self) -> Result<Receipt, Error> {
        let id = event::id(Some(self.id))?;
        Ok(Receipt {
            id: id.ok_or_else(|| Error::protocol("an answer without an id"))?,
            channel: self.channel,
            time: self.time,
        })
    }
}

fn parsed<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(body)
        .map_err(|error| Error::protocol(format!("the answer to a publish: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_it_holds() {
        for (message, expected) in [
            (
                Message::text("a/b", "x\n\"y\"")
                    .kind("t")
                    .ttl(Duration::from_millis(1500)),
                r#"{"channel":"a/b","type":"t","ttl":2,"data":"x\n\"y\""}"#,
            ),
            (
                Message::json("a", "{\n \"b\": 1.0 }"),
                r#"{"channel":"a","data":{"b":1.0}}"#,
            ),
            (
                Message::bytes("a", [0xff, 0]).content_type("image/png"),
                r#"{"channel":"a","content_type":"image/png","encoding":"base64","data":"/wA="}"#,
            ),
        ] {
            assert_eq!(message.to_json(None).unwrap(), expected);
        }
        assert_eq!(
            Message::text("a", "b")
                .idempotency_key("k")
                .to_json(Some(7))
                .unwrap(),
            r#"{"op":"publish","channel":"a","data":"b","key":"k","ref":7}"#
        );
    }

    #[test]
    fn nothing_that_would_break_the_request_is_sent() {
        let client = Client::new("http://localhost").unwrap();
        for message in [
            Message::text("a b", "x"),
            Message::text("a\r\nX: y", "x"),
            Message::text("a/*", "x"),
            Message::text("a", "x").content_type("text/plain\r\nX: y"),
            Message::text("a", "x").idempotency_key("a\nb"),
            Message::text("a", "x").idempotency_key(""),
            Message::text("a", "x").idempotency_key("k".repeat(256)),
        ] {
            assert!(
                matches!(message.request(&client), Err(Error::Invalid(_))),
                "{message:?}"
            );
        }
        assert!(Message::json("a", "{").to_json(None).is_err());
        let keyed = Message::text("a", "x").random_idempotency_key();
        assert!(Batch::new([keyed]).request(&client).is_err());
    }

    #[test]
    fn json_may_be_nested_as_deep_as_the_server_takes_it() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let written = |depth| Message::json("a", nested(depth)).to_json(Some(1));
        let operation = written(Data::MAX_DEPTH).unwrap();
        assert!(operation.contains(&nested(Data::MAX_DEPTH)));
        let told = written(Data::MAX_DEPTH + 1).unwrap_err().to_string();
        assert!(
            told.starts_with("cannot be published as JSON: it is nested"),
            "{told}"
        );
    }

    #[test]
    fn random_keys_differ() {
        let key = || Message::text("a", "b").random_idempotency_key().key;
        assert_ne!(key(), key());
    }
}
