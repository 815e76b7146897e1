//! Bytes become messages (RFC 6455, section 5): the parser reads and writes memory, and the socket stays with the
//! connection's thread.

use std::io::{self, Read, Write};

use tungstenite::Message;
use tungstenite::error::Error;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

/// What the parser reads at once, and keeps for a connection that says nothing.
const PARSER_BYTES: usize = 256;

/// What a client sends, frame by frame, and what it must be answered for its frames alone.
pub struct Frames {
    parser: WebSocketContext,
    pipe: Pipe,
}

impl Frames {
    /// For a connection whose handshake is done.
    pub fn new() -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(PARSER_BYTES)
            .write_buffer_size(0);
        Frames {
            parser: WebSocketContext::new(Role::Server, Some(config)),
            pipe: Pipe::default(),
        }
    }

    /// Bounds messages from now on, in bytes.
    pub fn bound(&mut self, most: usize) {
        let most = Some(most);
        if self.parser.get_config().max_message_size != most {
            self.parser.set_config(|config| {
                config.max_frame_size = most;
                config.max_message_size = most;
            });
        }
    }

    /// Adds bytes from the socket.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.pipe.input.extend_from_slice(bytes);
    }

    /// The next message and, in whole frames, the reply that it asks for by itself: a pong, or the close that answers
    /// one. `None` until more is fed.
    ///
    /// # Errors
    /// When the peer broke the protocol, or has closed; then nothing more comes.
    pub fn read(&mut self) -> Result<Option<(Message, Vec<u8>)>, Error> {
        let message = self.parser.read(&mut self.pipe);
        // After the peer's close the parser calls its own end an error; the reply is in the pipe.
        let _ = self.parser.flush(&mut self.pipe);
        let reply = std::mem::take(&mut self.pipe.output);
        match message {
            Ok(message) => Ok(Some((message, reply))),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Default for Frames {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes that came in and were not parsed, and bytes that the parser wants to send.
#[derive(Default)]
struct Pipe {
    input: Vec<u8>,
    read: usize,
    output: Vec<u8>,
}

impl Read for Pipe {
    /// Never `Ok(0)`, which the parser would take for the end of the connection.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let waiting = self.input.get(self.read..).unwrap_or_default();
        if waiting.is_empty() {
            self.input = Vec::new();
            self.read = 0;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = waiting.len().min(buffer.len());
        buffer[..count].copy_from_slice(&waiting[..count]);
        self.read += count;
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
