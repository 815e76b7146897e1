//! The far ends of an audience: one thread reads them all, and says whenever an event has reached everyone.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::{CHANNEL, MARK};

/// How long nothing may come before the far ends give up, in seconds.
const PATIENCE: u8 = 30;
/// Part of the `welcome` on every way: from here on the subscriber misses nothing.
const WELCOME: &[u8] = b"heartbeat_ms";
/// Sockets that are found ready at once.
const READY: usize = 1024;

/// How a subscriber asks for its stream.
#[derive(Clone, Copy)]
pub enum Way {
    Sse,
    Ndjson,
    WebSocket,
}

impl Way {
    const ALL: [Way; 3] = [Way::Sse, Way::Ndjson, Way::WebSocket];

    /// Its name, as one process tells it the other.
    pub fn name(self) -> &'static str {
        match self {
            Way::Sse => "sse",
            Way::Ndjson => "ndjson",
            Way::WebSocket => "websocket",
        }
    }

    fn fields(self) -> &'static str {
        match self {
            Way::Sse => "Accept: text/event-stream\r\n",
            Way::Ndjson => "Accept: application/x-ndjson\r\n",
            Way::WebSocket => {
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            }
        }
    }
}

/// Subscribes and reads until the server or this process ends; why it ended.
pub fn listen(address: &str, way: &str, size: &str) -> io::Error {
    let way = Way::ALL.into_iter().find(|known| known.name() == way);
    match (way, size.parse()) {
        (Some(way), Ok(size)) => match read_all(address, way, size) {
            Err(error) => error,
            Ok(never) => match never {},
        },
        _ => io::ErrorKind::InvalidInput.into(),
    }
}

fn read_all(address: &str, way: Way, size: usize) -> io::Result<std::convert::Infallible> {
    let sockets = (0..size)
        .map(|_| subscribe(address, way))
        .collect::<io::Result<Vec<_>>>()?;
    let readiness = epoll::create(CreateFlags::CLOEXEC)?;
    for (number, socket) in (0..).zip(&sockets) {
        epoll::add(
            &readiness,
            socket,
            EventData::new_u64(number),
            EventFlags::IN,
        )?;
    }
    say_all_have_it()?;
    let patience = Timespec {
        tv_sec: PATIENCE.into(),
        tv_nsec: 0,
    };
    let mut ready = Vec::with_capacity(READY);
    let mut arrived = 0;
    loop {
        ready.clear();
        if epoll::wait(&readiness, spare_capacity(&mut ready), Some(&patience))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        for event in &ready {
            arrived += read(&sockets[event.data.u64() as usize])?;
        }
        while arrived >= size {
            arrived -= size;
            say_all_have_it()?;
        }
    }
}

/// A subscriber that was told welcome.
fn subscribe(address: &str, way: Way) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(PATIENCE.into())))?;
    let fields = way.fields();
    let request = format!("GET /{CHANNEL} HTTP/1.1\r\nHost: {address}\r\n{fields}\r\n");
    socket.write_all(request.as_bytes())?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    while !answer.windows(WELCOME.len()).any(|part| part == WELCOME) {
        let count = read_some(&socket, &mut buffer)?;
        answer.extend_from_slice(&buffer[..count]);
    }
    Ok(socket)
}

/// Reads once from a socket that is ready; how many events that completed.
fn read(socket: &TcpStream) -> io::Result<usize> {
    let mut buffer = [0; 16 * 1024];
    let count = read_some(socket, &mut buffer)?;
    Ok(buffer[..count].iter().filter(|byte| **byte == MARK).count())
}

fn read_some(mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    match socket.read(buffer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => Ok(count),
    }
}

fn say_all_have_it() -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(&[0])?;
    out.flush()
}
