//! Who publishes: over HTTP, on a WebSocket, and from within the program.

use std::time::Duration;

use fourcast::Data;
use serde_json::{Value, json};

use super::channels::CHANNELS;
use super::random::Random;
use crate::support::{Fixture, Response, WebSocket, Wire, request};

/// An event to be.
#[derive(Debug, Clone)]
pub struct Draft {
    /// An index of [`CHANNELS`].
    pub channel: usize,
    pub text: String,
    /// Its life in seconds.
    pub ttl: Option<u32>,
}

/// What is published together.
#[derive(Debug, Clone)]
pub struct Publication {
    pub drafts: Vec<Draft>,
    /// Its idempotency key.
    pub key: Option<String>,
}

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A POST of one event.
    Post,
    /// A POST of lines to one channel.
    Lines,
    /// A POST of lines to any channels.
    Many,
    /// An operation on a WebSocket.
    Socket,
    /// A call.
    Embedded,
}

/// What a publication came to: its ids, or the code of a refusal.
pub type Outcome = Result<Vec<String>, String>;

/// Publishes on connections that it keeps.
pub struct Publisher {
    wire: Wire,
    socket: WebSocket,
}

impl Publication {
    /// One event that lives as long as it can.
    pub fn of(draft: Draft) -> Self {
        Publication {
            drafts: vec![draft],
            key: None,
        }
    }

    /// A door that it fits through, and where its key means the same as at `known`.
    pub fn door(&self, random: &mut Random, known: Option<Door>) -> Door {
        let one_channel = self.drafts.windows(2).all(|d| d[0].channel == d[1].channel);
        let fits = |door: &Door| match door {
            Door::Post | Door::Socket => self.drafts.len() == 1,
            Door::Lines => one_channel,
            Door::Many => true,
            Door::Embedded => self.drafts.len() == 1 && self.key.is_none(),
        };
        let all = [
            Door::Post,
            Door::Lines,
            Door::Many,
            Door::Socket,
            Door::Embedded,
        ];
        let knows = |door: &Door| match known {
            None => true,
            Some(known) => (*door == Door::Many) == (known == Door::Many),
        };
        let doors: Vec<Door> = all.into_iter().filter(fits).filter(knows).collect();
        random.pick(&doors)
    }

    fn lines(&self) -> String {
        let line = |draft: &Draft| format!("{}\n", draft.members());
        self.drafts.iter().map(line).collect()
    }
}

impl Draft {
    fn embedded(&self) -> fourcast::Draft {
        let channel = CHANNELS[self.channel].parse().expect("a channel");
        let draft = fourcast::Draft::new(channel, Data::Text(self.text.as_str().into()));
        match self.ttl {
            Some(ttl) => draft.with_ttl(Duration::from_secs(ttl.into())),
            None => draft,
        }
    }

    fn members(&self) -> Value {
        let mut members = json!({"channel": CHANNELS[self.channel], "data": self.text});
        if let Some(ttl) = self.ttl {
            members["ttl"] = json!(ttl);
        }
        members
    }
}

impl Publisher {
    /// Connects to a server.
    pub fn connect(server: &Fixture) -> Self {
        let mut socket = WebSocket::open(server.address, "/-/socket");
        socket.next_op("welcome");
        Publisher {
            wire: server.connect(),
            socket,
        }
    }

    /// Publishes through a door.
    pub fn publish(&mut self, server: &Fixture, publication: &Publication, door: Door) -> Outcome {
        let draft = &publication.drafts[0];
        let channel = CHANNELS[draft.channel];
        match door {
            Door::Post => {
                let ttl = draft.ttl.map(|ttl| format!("?ttl={ttl}"));
                let target = format!("/{channel}{}", ttl.unwrap_or_default());
                let answer = self.post(&target, None, publication, &draft.text)?;
                Ok(vec![id_of(&answer)])
            }
            Door::Lines => self.post_lines(&format!("/{channel}"), publication),
            Door::Many => self.post_lines("/-/publish", publication),
            Door::Socket => self.operate(publication),
            Door::Embedded => {
                let published = server.try_publish_embedded(draft.embedded());
                let id = published.map_err(|refusal| refusal.row().code.to_owned())?;
                Ok(vec![id])
            }
        }
    }

    /// Forgets a channel.
    pub fn forget(&mut self, channel: usize) {
        let target = format!("/{}", CHANNELS[channel]);
        self.wire.send(request("DELETE", &target, &[], b""));
        let answer = Response::read(&mut self.wire, "DELETE");
        assert_eq!(answer.status(), 204, "{}", answer.text());
    }

    fn post_lines(&mut self, target: &str, publication: &Publication) -> Outcome {
        let lines = publication.lines();
        let answer = self.post(target, Some("application/x-ndjson"), publication, &lines)?;
        let events = answer["events"].as_array().expect("a list");
        Ok(events.iter().map(id_of).collect())
    }

    fn post(
        &mut self,
        target: &str,
        media_type: Option<&str>,
        publication: &Publication,
        body: &str,
    ) -> Result<Value, String> {
        let media_type = media_type.map(|media_type| ("Content-Type", media_type));
        let key = publication.key.as_deref();
        let key = key.map(|key| ("Idempotency-Key", key));
        let fields: Vec<_> = media_type.into_iter().chain(key).collect();
        self.wire
            .send(request("POST", target, &fields, body.as_bytes()));
        let answer = Response::read(&mut self.wire, "POST");
        match answer.status() {
            201 => Ok(answer.json()),
            _ => Err(answer.refusal()),
        }
    }

    fn operate(&mut self, publication: &Publication) -> Outcome {
        let mut operation = publication.drafts[0].members();
        operation["op"] = json!("publish");
        if let Some(key) = &publication.key {
            operation["key"] = json!(key);
        }
        self.socket.operate(operation);
        let answer = self.socket.next_json();
        match answer["op"].as_str() {
            Some("ack") => Ok(vec![id_of(&answer)]),
            _ => Err(answer["code"].as_str().expect("a code").to_owned()),
        }
    }
}

fn id_of(receipt: &Value) -> String {
    receipt["id"].as_str().expect("an id").to_owned()
}
