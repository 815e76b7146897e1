//! The memory through which the parser reads and writes: the socket stays with the connection's thread.

use std::io::{self, Read, Write};

/// Bytes that came in and were not parsed, and bytes that the parser wants to send.
#[derive(Default)]
pub(super) struct Pipe {
    input: Vec<u8>,
    read: usize,
    output: Vec<u8>,
}

impl Pipe {
    /// Adds bytes from the socket.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Takes what the parser wants to send: whole frames.
    pub(super) fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }
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
