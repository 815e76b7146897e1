//! A stand-in for a server: it plays one act a connection, says canned bytes, and drops the connection
//! when the act is over.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::client::{Builder, Client};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What the double does with one connection.
pub type Act = Box<dyn FnOnce(&mut Peer) + Send>;

/// The double, and the requests that it has been sent.
pub struct Double {
    address: SocketAddr,
    requests: Receiver<String>,
}

impl Double {
    /// Plays the acts, each on a connection of its own; connections beyond the last are refused.
    pub fn playing(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = channel();
        let mut acts = acts.into_iter().collect::<Vec<_>>().into_iter();
        let mut listener = (acts.len() > 0).then_some(listener);
        std::thread::spawn(move || {
            while let Some(act) = acts.next() {
                let (socket, _) = listener.as_ref().unwrap().accept().unwrap();
                if acts.len() == 0 {
                    listener = None;
                }
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                let requests = sender.clone();
                act(&mut Peer { socket, requests });
            }
        });
        Double { address, requests }
    }

    /// A client of it that does not wait long before it comes back.
    pub fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    /// The options of such a client.
    pub fn builder(&self) -> Builder {
        Client::builder(&format!("http://{}", self.address))
            .backoff(Duration::from_millis(1), Duration::from_millis(10))
            .poll_interval(Duration::from_millis(1))
    }

    /// The next request that it was sent, head and body.
    pub fn request(&self) -> String {
        self.requests.recv_timeout(PATIENCE).expect("a request")
    }
}

/// An act, as a closure.
pub fn act(play: impl FnOnce(&mut Peer) + Send + 'static) -> Act {
    Box::new(play)
}

/// The client, as the double sees it.
pub struct Peer {
    socket: TcpStream,
    requests: Sender<String>,
}

impl Peer {
    /// Reads the head of a request and the body that it announces.
    pub fn request(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push(char::from(self.bytes(1)[0]));
        }
        let body = self.bytes(content_length(&head));
        let request = head + &String::from_utf8(body).unwrap();
        let _ = self.requests.send(request.clone());
        request
    }

    /// Reads a request and answers it as a whole.
    pub fn answer(&mut self, status: &str, fields: &str, body: &str) {
        self.request();
        let length = body.len();
        self.send(&format!(
            "HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
        ));
    }

    /// Reads a WebSocket handshake and accepts it.
    pub fn accept_websocket(&mut self) {
        let request = self.request();
        let line = request
            .lines()
            .find(|line| line.starts_with("Sec-WebSocket-Key: "));
        let key = line
            .expect("a key")
            .trim_start_matches("Sec-WebSocket-Key: ");
        let accept = crate::client::websocket::accept_for(key);
        self.send(&format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        ));
    }

    /// Sends text as it is. A client that has gone already is the client's test to notice.
    pub fn send(&mut self, text: &str) {
        let _ = self.socket.write_all(text.as_bytes());
    }

    /// Sends a frame without a mask, as servers do.
    pub fn frame(&mut self, first_byte: u8, payload: &[u8]) {
        let length = u16::try_from(payload.len()).unwrap();
        let mut frame = vec![first_byte];
        match u8::try_from(length) {
            Ok(short @ 0..=125) => frame.push(short),
            _ => {
                frame.push(126);
                frame.extend(length.to_be_bytes());
            }
        }
        frame.extend(payload);
        let _ = self.socket.write_all(&frame);
    }

    /// Reads a frame with a mask: its first byte and what it says.
    pub fn read_frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.bytes(2);
        assert_eq!(head[1] & 0x80, 0x80, "a client masks");
        let length = match head[1] & 0x7f {
            126 => u16::from_be_bytes(self.bytes(2).try_into().unwrap()).into(),
            short => usize::from(short),
        };
        let mask = self.bytes(4);
        let masked = self.bytes(length);
        let payload = masked
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask);
        (head[0], payload.collect())
    }

    /// Waits until the client hangs up, and drops what it says until then.
    pub fn wait_for_hang_up(&mut self) {
        let mut rest = Vec::new();
        let _ = self.socket.read_to_end(&mut rest);
    }

    /// Hangs up.
    pub fn shut(&mut self) {
        self.socket.shutdown(Shutdown::Both).unwrap();
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.socket
            .read_exact(&mut bytes)
            .expect("what the client was to send");
        bytes
    }
}

fn content_length(head: &str) -> usize {
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    line.map_or(0, |length| length.parse().unwrap())
}
