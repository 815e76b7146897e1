//! A server of one test, on a port of its own, and the few requests that every test makes.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fourcast::config::{Config, ConfigError, JournalKind, Listen, Retention};
use fourcast::event::Data;
use fourcast::{Draft, Leaving, Refusal, Server};

use super::http::{Response, exchange, request};
use super::listener::{Listener, Way};
use super::tls::{self, Speaking};
use super::websocket::WebSocket;
use super::wire::{Wire, deadline};

/// A running server; dropping it stops the server.
pub struct Fixture {
    server: Server,
    /// Where it listens.
    pub address: SocketAddr,
    /// That it speaks TLS, if it does.
    pub speaking: Option<Speaking>,
}

impl Fixture {
    /// Starts a server with the defaults, a journal in memory, a port that the system chooses, none for an
    /// operator, TLS where that is [usual](tls::is_usual), and what `change` changes.
    pub fn start(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_with(|config| {
            if tls::is_usual() {
                tls::secure(config);
            }
            change(config);
        })
    }

    /// The same over TLS in any case.
    pub fn secured(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_with(|config| {
            tls::secure(config);
            change(config);
        })
    }

    /// The same without TLS in any case.
    pub fn bare() -> Self {
        Self::start_with(|_| {})
    }

    fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()],
            ..Config::default()
        };
        config.admin.listen = None;
        config.journal.kind = JournalKind::Memory;
        config.timeouts.drain = Duration::from_secs(5);
        config.timeouts.close = Duration::from_secs(1);
        change(&mut config);
        let is_secured = config.listen.iter().any(|listen| listen.tls);
        let server = Server::start(config).expect("a server");
        let address = server.address().expect("an address with a port");
        Fixture {
            server,
            address,
            speaking: is_secured.then(|| Speaking::at(address)),
        }
    }

    /// Starts a server without any changes.
    pub fn plain() -> Self {
        Self::start(|_| {})
    }

    /// Starts a server that keeps `max_events` events of each channel.
    pub fn keeping(max_events: usize) -> Self {
        Self::start(|config| {
            config.channels = vec![Retention {
                max_events,
                ..Retention::default()
            }];
        })
    }

    /// Where its operator's port is, which must be there.
    pub fn admin(&self) -> SocketAddr {
        self.server.admin_address().expect("an operator's port")
    }

    /// Says where its configuration comes from when it is to be read again.
    pub fn reread_from(
        &self,
        source: impl Fn() -> Result<Config, ConfigError> + Send + Sync + 'static,
    ) {
        self.server.reread_from(source);
    }

    /// Has its configuration read again, and waits for nothing.
    pub fn reread(&self) {
        self.server.reread();
    }

    /// The origin of its own pages, by the `Host` of requests that name none.
    pub fn origin(&self) -> &'static str {
        match self.speaking {
            Some(_) => "https://localhost",
            None => "http://localhost",
        }
    }

    /// Where it listens, everywhere.
    pub fn addresses(&self) -> &[Listen] {
        self.server.addresses()
    }

    /// A new connection.
    pub fn connect(&self) -> Wire {
        Wire::connect(self.address)
    }

    /// One request on a connection of its own.
    pub fn send(
        &self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        exchange(self.address, method, target, fields, body)
    }

    /// A GET.
    pub fn get(&self, target: &str, fields: &[(&str, &str)]) -> Response {
        self.send("GET", target, fields, b"")
    }

    /// A POST.
    pub fn post(&self, target: &str, fields: &[(&str, &str)], body: impl AsRef<[u8]>) -> Response {
        self.send("POST", target, fields, body.as_ref())
    }

    /// Asks for `target` by `way` and reads an answer that is no stream.
    pub fn ask(&self, way: Way, target: &str, fields: &[(&str, &str)]) -> Response {
        let fields = [&way.fields()[..], fields].concat();
        let bytes = request("GET", target, &fields, b"");
        if way == Way::WebSocket {
            return match WebSocket::ask(self.connect(), &bytes) {
                Ok(_) => panic!("{target} was upgraded"),
                Err(response) => *response,
            };
        }
        let mut wire = self.connect();
        wire.send(bytes);
        Response::read(&mut wire, "GET")
    }

    /// Publishes a text; its id.
    pub fn publish(&self, channel: &str, text: &str) -> String {
        self.publish_as(&format!("/{channel}"), &[], text)
    }

    /// Publishes with parameters and fields; the id.
    pub fn publish_as(
        &self,
        target: &str,
        fields: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> String {
        let response = self.post(target, fields, body);
        assert_eq!(response.status(), 201, "{:?}", response.text());
        let id = response.json()["id"].as_str().map(str::to_owned);
        id.expect("an id")
    }

    /// Publishes several texts; their ids.
    pub fn publish_all(&self, channel: &str, texts: &[&str]) -> Vec<String> {
        texts
            .iter()
            .map(|text| self.publish(channel, text))
            .collect()
    }

    /// Publishes from within the program that embeds the server; the id.
    pub fn publish_embedded(&self, channel: &str, text: &str) -> String {
        let channel = channel.parse().expect("a channel");
        let draft = Draft::new(channel, Data::Text(text.into()));
        self.try_publish_embedded(draft).expect("a receipt")
    }

    /// The same with any draft, which may be refused.
    pub fn try_publish_embedded(&self, draft: Draft) -> Result<String, Refusal> {
        let receipt = self.server.publish(draft)?;
        Ok(receipt.id.to_string())
    }

    /// Forgets a channel.
    pub fn delete(&self, channel: &str) {
        let response = self.send("DELETE", &format!("/{channel}"), &[], b"");
        assert_eq!(response.status(), 204, "{:?}", response.text());
    }

    /// The cursor of the newest event.
    pub fn head_cursor(&self) -> String {
        let response = self.get("/any?after=now", &[]);
        response.json()["cursor"]
            .as_str()
            .expect("a cursor")
            .to_owned()
    }

    /// Stops the server on a thread of its own; joining tells that it has stopped.
    pub fn stop(self, leaving: Leaving) -> JoinHandle<()> {
        thread::spawn(move || {
            // Whoever still comes finds it as it was.
            let fixture = self;
            fixture.server.stop(leaving);
        })
    }

    /// Fails the test unless an honest subscriber and an honest publisher are served as ever.
    pub fn assert_serves(&self) {
        let mut honest = Listener::open(Way::Sse, self, "/honest");
        self.publish("honest", "still here");
        assert_eq!(honest.next_event().text(), "still here");
    }

    /// Asks again and again until the answer has `status`.
    pub fn wait_for_status(&self, target: &str, status: u16) -> Response {
        let end = deadline();
        loop {
            let mut wire = self.connect();
            // Until it is so, not even a handshake may be granted.
            let _ = wire.try_send(request("GET", target, &[("Connection", "close")], b""));
            match Response::try_read(&mut wire, "GET") {
                Some(response) if response.status() == status => return response,
                other => assert!(Instant::now() < end, "{status} was due, not {other:?}"),
            }
            wire.pause();
        }
    }
}
