//! What a client may ask on an open WebSocket, one method each; every operation is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::subscription::{Subscribe, Unsubscribe, check};
use super::wire::{self, Operation};
use crate::access::credential::Credential;
use crate::access::pass::Pass;
use crate::access::rights::Action;
use crate::access::shares::{Asker, TOO_FAST};
use crate::delivery::control::error_json;
use crate::delivery::outbox::Outbox;
use crate::event::Cursor;
use crate::hub::channel::ChannelName;
use crate::hub::selector::{Selector, SelectorError};
use crate::journal::{Batch, IdempotencyKey, Start};
use crate::refusal::{Kind, Refusal};

/// How often a ping is answered whatever else comes: those who only listen ping by themselves to find out whether the
/// server is there, and whoever is not answered ends the connection.
const FREE_PING: Duration = Duration::from_secs(1);

/// Obeys operations; the answers go to the outbox.
pub(super) struct Operations {
    outbox: Arc<Outbox>,
    /// The channel of a publish that names none.
    only: Option<ChannelName>,
    /// Operations that came too fast since the last one that was done.
    too_fast: usize,
    /// When a ping was answered without being counted.
    pinged: Option<Instant>,
}

impl Operations {
    pub(super) fn new(outbox: Arc<Outbox>, only: Option<ChannelName>) -> Self {
        Operations {
            outbox,
            only,
            too_fast: 0,
            pinged: None,
        }
    }

    /// Obeys one text message.
    pub(super) fn obey(&mut self, text: &str) {
        if let Err(refusal) = self.admit() {
            return self.refuse(wire::reference_in(text), &refusal);
        }
        let mut operation = match Operation::parse(text) {
            Ok(operation) => operation,
            Err(refusal) => return self.refuse(wire::reference_in(text), &refusal),
        };
        let obeyed = match &*operation.op {
            "publish" => self.publish(&mut operation),
            "subscribe" => self.subscribe(&operation),
            "unsubscribe" => self.unsubscribe(&operation),
            "ping" => {
                self.outbox.say(wire::ack(operation.reference(), None), 0);
                Ok(())
            }
            "auth" => self.authenticate(&operation),
            _ => Err(Refusal::new(
                Kind::BadParameter,
                "the operations are publish, subscribe, unsubscribe, auth and ping, as in {\"op\":\"publish\",\"data\":…}; \
                 ?format=raw publishes every message as it is",
            )),
        };
        match obeyed {
            Ok(()) => self.too_fast = 0,
            Err(refusal) => self.refuse(operation.reference(), &refusal),
        }
    }

    /// Counts an operation.
    fn admit(&self) -> Result<(), Refusal> {
        let (context, pass) = (self.outbox.context(), self.outbox.pass());
        let asker = self.asker(&pass);
        context.shares.request(&context.config(), asker)
    }

    /// Counts an event that is to be published.
    pub(super) fn admit_publish(&self) -> Result<(), Refusal> {
        let (context, pass) = (self.outbox.context(), self.outbox.pass());
        let asker = self.asker(&pass);
        context.shares.publishes(&context.config(), asker, 1)
    }

    /// Counts so many requests more, for what was done in vain.
    fn charge(&self, toll: u32) {
        let (context, pass) = (self.outbox.context(), self.outbox.pass());
        let asker = self.asker(&pass);
        context.shares.charge(&context.config(), asker, toll);
    }

    /// Who asks, by where the connection comes from and by what was shown.
    fn asker<'a>(&self, pass: &'a Pass) -> Asker<'a> {
        Asker {
            address: self.outbox.stream().peer().ip(),
            holder: Some(pass.holder()),
        }
    }

    /// Whether a ping is answered: one in a while in any case, and each more if it is granted as an operation. One that
    /// comes too fast is not, which RFC 6455 has no word for, and the next that does not is answered in its place
    /// (section 5.5.3).
    pub(super) fn admit_ping(&mut self) -> bool {
        let now = Instant::now();
        let is_free = |at: Instant| now.duration_since(at) >= FREE_PING;
        if self.pinged.is_none_or(is_free) {
            self.pinged = Some(now);
            return true;
        }
        match self.admit() {
            Ok(()) => {
                self.too_fast = 0;
                true
            }
            Err(refusal) => {
                self.count_if_too_fast(&refusal);
                false
            }
        }
    }

    /// Binary messages mean something on a raw socket only.
    pub(super) fn refuse_binary(&mut self) {
        if let Err(refusal) = self.admit() {
            return self.refuse(None, &refusal);
        }
        let detail = "a binary message is no operation; publish with {\"op\":\"publish\",\"encoding\":\"base64\",…}, or \
                      open the socket with ?format=raw";
        self.refuse(None, &Refusal::new(Kind::UnsupportedData, detail));
    }

    fn refuse(&mut self, reference: Option<&str>, refusal: &Refusal) {
        if self.count_if_too_fast(refusal) {
            return;
        }
        log::debug!(
            "{}: an operation is refused: {refusal}",
            self.outbox.stream().peer()
        );
        let metrics = self.outbox.context().hub.metrics();
        metrics.refusals(refusal.kind).count();
        self.outbox
            .say(wire::text_frame(&error_json(reference, refusal)), 0);
    }

    /// Counts what came too fast, and ends the connection if that was too often; whether it did. What is refused for
    /// something else is no sign that the client heeds it.
    fn count_if_too_fast(&mut self, refusal: &Refusal) -> bool {
        let is_too_fast = refusal.kind == Kind::RateLimited;
        self.too_fast = self.too_fast.saturating_add(usize::from(is_too_fast));
        let is_heedless = self.too_fast > TOO_FAST;
        if is_heedless {
            self.outbox.refuse(refusal);
        }
        is_heedless
    }

    fn publish(&self, operation: &mut Operation<'_>) -> Result<(), Refusal> {
        let event = operation.take_event();
        let only = self.only.as_ref().filter(|_| event.channel.is_none());
        let draft = event.draft(only)?;
        let pass = self.outbox.pass();
        pass.check_channel(Action::Publish, &draft.channel)?;
        let scope = pass.scope(draft.channel.as_str());
        let drafts = vec![draft];
        let key = operation
            .key
            .as_deref()
            .map(|key| IdempotencyKey::new(&scope, key, &drafts))
            .transpose()?;
        self.admit_publish()?;
        let batch = Batch { drafts, key };
        let appended = self.outbox.context().hub.publish(batch)?;
        let id = appended.receipts.first().map(|receipt| receipt.id);
        // Behind the event itself, so that an ack's id is a cursor.
        let ack = wire::ack(operation.reference(), id.map(|id| ("id", id)));
        self.outbox.say(ack, id.map_or(0, |id| id.seq));
        Ok(())
    }

    fn subscribe(&self, operation: &Operation<'_>) -> Result<(), Refusal> {
        let selectors = selectors(
            operation,
            self.outbox.context().config().limits.subscriptions,
        )?;
        check(&self.outbox.pass(), &selectors)?;
        let start = operation.after.as_deref().map(start).transpose()?.flatten();
        let reference = operation.reference().map(str::to_owned);
        self.outbox.run(Box::new(Subscribe {
            selectors,
            start,
            reference,
            replay: None,
        }));
        Ok(())
    }

    fn unsubscribe(&self, operation: &Operation<'_>) -> Result<(), Refusal> {
        let selectors = selectors(
            operation,
            self.outbox.context().config().limits.subscriptions,
        )?;
        let reference = operation.reference().map(str::to_owned);
        self.outbox.run(Box::new(Unsubscribe {
            selectors,
            reference,
        }));
        Ok(())
    }

    /// Takes a fresh token of the same holder; what it does not cover any more is taken away.
    fn authenticate(&self, operation: &Operation<'_>) -> Result<(), Refusal> {
        let Some(token) = operation.token.as_deref() else {
            return Err(Refusal::new(
                Kind::BadParameter,
                "'token' is missing, as in {\"op\":\"auth\",\"token\":\"…\"}",
            ));
        };
        let access = self.outbox.context().access.get();
        let pass = access.admit_with(&Credential::new(token));
        let pass = pass.inspect_err(|refusal| self.charge(refusal.toll))?;
        // A connection counts for whoever opened it.
        if pass.holder() != self.outbox.pass().holder() {
            return Err(Refusal::new(
                Kind::Forbidden,
                "this is of somebody else than the connection; open another one with it",
            ));
        }
        let answer = wire::admitted(operation.reference(), pass.expires());
        self.outbox.take_pass(pass);
        self.outbox.say(answer, 0);
        Ok(())
    }
}

fn selectors(operation: &Operation<'_>, most: usize) -> Result<Vec<Selector>, Refusal> {
    let Some(channels) = &operation.channels else {
        return Err(Refusal::new(
            Kind::BadParameter,
            "'channels' is missing, as in \"channels\":[\"rooms/*\",\"alerts\"]",
        ));
    };
    if channels.len() > most {
        let detail = format!("an operation names {most} channels and patterns at most");
        return Err(Refusal::new(Kind::TooManySubscriptions, detail));
    }
    let numbered = channels.iter().zip(1..);
    numbered
        .map(|(name, number)| name.parse().map_err(|error| refused_name(number, &error)))
        .collect()
}

/// Says which one is refused by its number: what was sent may be a token.
fn refused_name(number: usize, error: &SelectorError) -> Refusal {
    Refusal::new(
        Kind::BadChannel,
        format!("number {number} of 'channels': {error}"),
    )
}

/// The start that `after` names; now is no replay.
fn start(text: &str) -> Result<Option<Start>, Refusal> {
    match text {
        "now" => Ok(None),
        "earliest" => Ok(Some(Start::Earliest)),
        _ => match Cursor::parse(text) {
            Some(cursor) => Ok(Some(Start::After(cursor))),
            None => Err(Refusal::new(
                Kind::BadCursor,
                "'after' is a cursor, \"earliest\" or \"now\"",
            )),
        },
    }
}
