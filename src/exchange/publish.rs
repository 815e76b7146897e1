//! A POST becomes a batch: what its head says about the body, and the body itself.

use std::time::Duration;

use super::negotiate::Parameters;
use crate::access::Access;
use crate::access::pass::Pass;
use crate::access::rights::Action;
use crate::config::Limits;
use crate::event::{Data, EventType};
use crate::http::fields::MediaType;
use crate::http::head::{BodyFraming, Head};
use crate::http::response::Response;
use crate::hub::Hub;
use crate::hub::channel::ChannelName;
use crate::hub::draft::{Members, json_fault, media_type, not_json, parse_ttl, parse_type};
use crate::journal::{Batch, Draft, IdempotencyKey, Receipt};
use crate::refusal::{Kind, Refusal};

/// The most that the answer has for one event beside the name of its channel.
const RECEIPT_BYTES: usize = 128;

/// What a POST says before its body comes.
pub struct Publication {
    /// Who publishes.
    pass: Pass,
    body: Body,
    kind: EventType,
    ttl: Option<Duration>,
    key: Option<String>,
}

/// What the body will be.
enum Body {
    /// One payload for a channel.
    Payload(ChannelName, Option<MediaType>),
    /// One event a line, for one channel or for many.
    Batch(Option<ChannelName>),
}

impl Publication {
    /// Reads the head of a POST to `channel`, or to all channels at once.
    ///
    /// # Errors
    /// When its body could not be published, whatever it is.
    pub fn plan(
        head: &Head,
        parameters: &Parameters<'_>,
        pass: Pass,
        channel: Option<ChannelName>,
    ) -> Result<Self, Refusal> {
        if head.body == BodyFraming::None {
            let detail = "a publish has a body; send Content-Length, 0 for an empty event";
            return Err(Refusal::new(Kind::LengthRequired, detail));
        }
        check_coding(head)?;
        let content_type = head
            .fields
            .get_one("Content-Type")?
            .filter(|value| !value.is_empty());
        let body = Body::announced(channel, content_type.map(parse_media).transpose()?)?;
        let (kind, ttl) = (parameters.get("type")?, parameters.get("ttl")?);
        if matches!(body, Body::Batch(_)) && (kind.is_some() || ttl.is_some()) {
            let detail = "'type' and 'ttl' of a batch stand in its lines";
            return Err(Refusal::new(Kind::BadParameter, detail));
        }
        Ok(Publication {
            pass,
            body,
            kind: kind.map_or(Ok(EventType::message()), parse_type)?,
            ttl: ttl.map(parse_ttl).transpose()?,
            key: head
                .fields
                .get_one("Idempotency-Key")?
                .map(bare_key)
                .transpose()?,
        })
    }

    /// What the publisher was let in with.
    pub fn pass(&self) -> &Pass {
        &self.pass
    }

    /// Goes by what counts now. What the lines of a batch name is checked when they are read.
    ///
    /// # Errors
    /// 401 or 403 when its publisher may not publish there any more.
    pub fn confirm(&mut self, access: &Access) -> Result<(), Refusal> {
        self.pass = access.confirm(&self.pass)?;
        match &self.body {
            Body::Payload(channel, _) | Body::Batch(Some(channel)) => {
                self.pass.check_channel(Action::Publish, channel)
            }
            Body::Batch(None) => self.pass.check_any(Action::Publish),
        }
    }

    /// The most bytes that its body may have.
    pub fn most_bytes(&self, limits: &Limits) -> usize {
        match self.body {
            Body::Payload(..) => limits.event_bytes,
            Body::Batch(_) => limits.batch_bytes,
        }
    }

    /// Publishes `bytes`, unless `admit` refuses so many events, or an answer of so many bytes at most; returns when the
    /// journal has kept them.
    ///
    /// # Errors
    /// Nothing was published.
    pub fn commit(
        self,
        hub: &Hub,
        limits: &Limits,
        bytes: Vec<u8>,
        admit: impl FnOnce(usize, usize) -> Result<(), Refusal>,
    ) -> Result<Response, Refusal> {
        let drafts = match &self.body {
            Body::Payload(channel, media) => {
                vec![self.draft(channel.clone(), media.as_ref(), bytes)?]
            }
            Body::Batch(channel) => lines(&bytes, channel.as_ref(), &self.pass, limits)?,
        };
        let key = self.key(&drafts)?;
        let answer_bytes = drafts
            .iter()
            .map(|draft| RECEIPT_BYTES + draft.channel.as_str().len())
            .sum();
        admit(drafts.len(), answer_bytes)?;
        let appended = hub.publish(Batch { drafts, key })?;
        let mut answer = Vec::with_capacity(answer_bytes);
        match self.body {
            Body::Payload(..) => write_receipts(&appended.receipts, &mut answer),
            Body::Batch(_) => {
                answer.extend_from_slice(br#"{"events":["#);
                write_receipts(&appended.receipts, &mut answer);
                answer.extend_from_slice(b"]}");
            }
        }
        answer.push(b'\n');
        Ok(Response::new(201).with_body("application/json", answer))
    }

    fn key(&self, drafts: &[Draft]) -> Result<Option<IdempotencyKey>, Refusal> {
        let scope = match &self.body {
            Body::Payload(channel, _) | Body::Batch(Some(channel)) => channel.as_str(),
            Body::Batch(None) => "-/publish",
        };
        self.key
            .as_deref()
            .map(|key| IdempotencyKey::new(&self.pass.scope(scope), key, drafts))
            .transpose()
    }

    /// The one event of a body that is a payload.
    fn draft(
        &self,
        channel: ChannelName,
        media: Option<&MediaType>,
        bytes: Vec<u8>,
    ) -> Result<Draft, Refusal> {
        let (data, says_all) = data(media, bytes)?;
        let named = media.filter(|_| !says_all).map(MediaType::as_str);
        Ok(Draft {
            channel,
            kind: self.kind.clone(),
            ttl: self.ttl,
            content_type: named.map(media_type).transpose()?,
            data,
        })
    }
}

impl Body {
    fn announced(channel: Option<ChannelName>, media: Option<MediaType>) -> Result<Self, Refusal> {
        if media
            .as_ref()
            .is_some_and(|media| media.is("application/x-ndjson"))
        {
            return Ok(Body::Batch(channel));
        }
        match channel {
            Some(channel) => Ok(Body::Payload(channel, media)),
            None => Err(unsupported(
                "/-/publish takes application/x-ndjson, one event a line",
            )),
        }
    }
}

/// A payload in its form, and whether that form says all that the media type said.
fn data(media: Option<&MediaType>, bytes: Vec<u8>) -> Result<(Data, bool), Refusal> {
    let Some(media) = media else {
        return Ok((text_or_bytes(bytes), true));
    };
    if media.is_json() {
        let data = Data::json(utf8(&bytes)?).map_err(not_json)?;
        return Ok((data, media.is("application/json")));
    }
    if media.is_binary() {
        let says_all = media.is("application/octet-stream");
        return Ok((Data::Binary(bytes.into()), says_all));
    }
    let is_utf8 = |charset: &str| charset.eq_ignore_ascii_case("utf-8");
    // What `curl -d` sends without being asked.
    let plain = media.is("application/x-www-form-urlencoded")
        || (media.is("text/plain") && media.charset().is_none_or(is_utf8));
    let data = text_or_bytes(bytes);
    let says_all = plain && matches!(data, Data::Text(_));
    Ok((data, says_all))
}

/// The events of a batch, one a line.
fn lines(
    bytes: &[u8],
    channel: Option<&ChannelName>,
    pass: &Pass,
    limits: &Limits,
) -> Result<Vec<Draft>, Refusal> {
    let mut drafts = Vec::new();
    let numbered = utf8(bytes)?.lines().zip(1..);
    for (line, number) in numbered.filter(|(line, _)| !line.trim().is_empty()) {
        if drafts.len() == limits.batch_events {
            let detail = format!("a batch has {} events at most", limits.batch_events);
            return Err(Refusal::new(Kind::TooLarge, detail));
        }
        let in_line = |refusal: Refusal| Refusal {
            detail: format!("line {number}: {}", refusal.detail).into(),
            ..refusal
        };
        let draft = event_of(line, channel, limits).and_then(|draft| {
            pass.check_channel(Action::Publish, &draft.channel)?;
            Ok(draft)
        });
        drafts.push(draft.map_err(in_line)?);
    }
    match drafts.is_empty() {
        true => Err(Refusal::new(
            Kind::BadPayload,
            "a batch has an event at least, one a line",
        )),
        false => Ok(drafts),
    }
}

fn event_of(line: &str, channel: Option<&ChannelName>, limits: &Limits) -> Result<Draft, Refusal> {
    let members: Members<'_> = serde_json::from_str(line).map_err(|error| {
        let fault = json_fault(&error);
        let detail = format!("not an event ({fault}), such as {{\"channel\":\"chat\",\"data\":1}}");
        Refusal::new(Kind::BadPayload, detail)
    })?;
    let draft = members.draft(channel)?;
    if draft.data.bytes().len() > limits.event_bytes {
        let detail = format!("an event has {} bytes at most", limits.event_bytes);
        return Err(Refusal::new(Kind::TooLarge, detail));
    }
    Ok(draft)
}

/// Appends receipts as they are answered, with commas between.
fn write_receipts(receipts: &[Receipt], out: &mut Vec<u8>) {
    for (index, receipt) in receipts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(br#"{"id":"#);
        out.extend_from_slice(receipt.id.text().quoted());
        // A name needs no escapes.
        out.extend_from_slice(br#","channel":""#);
        out.extend_from_slice(receipt.channel.as_str().as_bytes());
        out.extend_from_slice(br#"","time":"#);
        out.extend_from_slice(itoa::Buffer::new().format(receipt.time).as_bytes());
        out.push(b'}');
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes)
        .map_err(|_| Refusal::new(Kind::BadPayload, "JSON is UTF-8 (RFC 8259, section 8.1)"))
}

fn text_or_bytes(bytes: Vec<u8>) -> Data {
    match String::from_utf8(bytes) {
        Ok(text) => Data::Text(text.into()),
        Err(error) => Data::Binary(error.into_bytes().into()),
    }
}

fn check_coding(head: &Head) -> Result<(), Refusal> {
    let plain = |value: &str| value.is_empty() || value.eq_ignore_ascii_case("identity");
    match head.fields.get_all("Content-Encoding").all(plain) {
        true => Ok(()),
        false => Err(unsupported(
            "a payload is published as it is, without Content-Encoding",
        )),
    }
}

fn parse_media(value: &str) -> Result<MediaType, Refusal> {
    let media = MediaType::parse(value).ok_or_else(|| {
        unsupported("Content-Type is a media type such as text/plain or application/json")
    })?;
    match media.is_multipart() {
        true => Err(unsupported(
            "a form with files cannot be published; send the payload as the body",
        )),
        false => Ok(media),
    }
}

/// A key, bare or as a quoted string.
fn bare_key(value: &str) -> Result<String, Refusal> {
    let quoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let key = quoted.unwrap_or(value);
    // What was not UTF-8 arrives as U+FFFD, under which two keys could pass for one.
    match key.contains('\u{fffd}') {
        true => Err(Refusal::new(
            Kind::BadParameter,
            "an Idempotency-Key is made of ASCII characters",
        )),
        false => Ok(key.to_owned()),
    }
}

fn unsupported(detail: &'static str) -> Refusal {
    Refusal::new(Kind::UnsupportedType, detail)
}
