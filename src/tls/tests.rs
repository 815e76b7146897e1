//! Files of certificates and keys, right and wrong, and two sessions with each other over memory.

mod used_up;

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};

use super::*;
use crate::upkeep::tests::Directory;

fn certified() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

fn load(certificate: &str, key: &str) -> Result<Identity, String> {
    let directory = Directory::new();
    let certificate = directory.file("certificate.pem", certificate);
    let key = directory.file("key.pem", key);
    Identity::source(certificate, key).read()
}

/// One direction of a wire with so much room.
struct Direction {
    bytes: VecDeque<u8>,
    room: usize,
}

/// What one end sees of a wire.
struct End<'a> {
    from: &'a mut Direction,
    to: &'a mut Direction,
}

impl Read for End<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.from.bytes.is_empty() {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => self.from.bytes.read(buffer),
        }
    }
}

impl Write for End<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.to.room - self.to.bytes.len());
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.to.bytes.extend(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A server and a client that shook hands over memory.
struct Pair {
    server: Session,
    client: Session,
    to_client: Direction,
    to_server: Direction,
}

impl Pair {
    fn new() -> Self {
        let directory = Directory::new();
        let certified = certified();
        let certificate = directory.file("certificate.pem", &certified.cert.pem());
        let key = directory.file("key.pem", &certified.signing_key.serialize_pem());
        let connector = Connector::load(Some(&certificate)).unwrap();
        let identity = Identity::source(certificate, key).read().unwrap();
        Self::of(
            Session::accept(&identity).unwrap(),
            Session::connect(&connector, "localhost").unwrap(),
        )
    }

    fn of(server: Session, client: Session) -> Self {
        let direction = || Direction {
            bytes: VecDeque::new(),
            room: 1000,
        };
        let mut pair = Pair {
            server,
            client,
            to_client: direction(),
            to_server: direction(),
        };
        pair.shake_hands();
        pair
    }

    fn shake_hands(&mut self) {
        for _ in 0..100 {
            let client = self.client.shake_hands(&mut End {
                from: &mut self.to_client,
                to: &mut self.to_server,
            });
            let server = self.server.shake_hands(&mut End {
                from: &mut self.to_server,
                to: &mut self.to_client,
            });
            if (client.unwrap(), server.unwrap()) == (Shaken::Done, Shaken::Done) {
                return;
            }
        }
        panic!("no handshake");
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> Sent {
        let mut end = End {
            from: &mut self.to_server,
            to: &mut self.to_client,
        };
        self.server.send(&mut end, slices)
    }

    /// What the client reads until nothing is left on the wire.
    fn read(&mut self) -> Vec<u8> {
        let mut read = Vec::new();
        loop {
            let mut end = End {
                from: &mut self.to_client,
                to: &mut self.to_server,
            };
            let received = self.client.receive(&mut end, |plaintext| {
                let count = plaintext.len().min(7);
                read.extend_from_slice(&plaintext[..count]);
                count
            });
            match received {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    if self.to_client.bytes.is_empty() {
                        return read;
                    }
                }
            }
        }
    }
}

#[test]
fn a_certificate_counts_with_its_key_only() {
    let (one, other) = (certified(), certified());
    let key = one.signing_key.serialize_pem();
    assert!(load(&one.cert.pem(), &key).is_ok());
    let chain = one.cert.pem() + &other.cert.pem();
    assert!(load(&chain, &key).is_ok(), "the rest of the chain follows");
    let wrong = load(&other.cert.pem(), &key).err().unwrap();
    assert!(wrong.contains("does not fit"), "{wrong}");
    let turned = load(&(other.cert.pem() + &one.cert.pem()), &key);
    assert!(turned.err().unwrap().contains("comes first"));
}

#[test]
fn every_usual_form_of_a_key_is_read() {
    for key in [
        include_str!("tests/pkcs8.pem"),
        include_str!("tests/sec1.pem"),
    ] {
        assert_eq!(load(include_str!("tests/ecdsa.pem"), key).err(), None);
    }
    let rsa = include_str!("tests/pkcs1.pem");
    assert_eq!(load(include_str!("tests/rsa.pem"), rsa).err(), None);
}

#[test]
fn files_that_cannot_be_used_are_named_with_what_is_wrong() {
    let good = certified();
    let (certificate, key) = (good.cert.pem(), good.signing_key.serialize_pem());
    let mangled = certificate.replace("-----END", "-----");
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (certificate, key, part) in [
        ("", &*key, "there is no certificate in"),
        (&key, &key, "there is no certificate in"),
        (&mangled, &key, "is no PEM file"),
        (garbage, &key, "cannot be used"),
        (&certificate, "", "there is no key in"),
        (&certificate, &certificate, "there is no key in"),
    ] {
        let sentence = load(certificate, key).err().unwrap();
        assert!(sentence.contains(part), "{sentence}");
        assert!(sentence.contains(".pem"), "{sentence}");
    }
}

/// As it comes out of a variable or a store of secrets that has eaten its line ends.
#[test]
fn a_key_that_is_mangled_is_not_told() {
    let certified = certified();
    let certificate = certified.cert.pem();
    let key = certified.signing_key.serialize_pem();
    let lines: Vec<&str> = key.lines().collect();
    let [one_line, spaced] = ["", " "].map(|separator| lines.join(separator));
    let begun = spaced.trim_end_matches('-').to_owned();
    let endless = key.replace("-----END PRIVATE KEY-----", "");
    let holed = key.replacen(lines[1], &format!("!{}", lines[1]), 1);
    for key in [&one_line, &spaced, &begun, &endless, &holed] {
        for sentence in [load(&certificate, key), load(key, &certificate)] {
            let sentence = sentence.err().unwrap();
            let bytes = |text: &str| format!("{:?}", text.as_bytes()).replace(['[', ']'], "");
            let secret = &lines[1][..12];
            assert!(!sentence.contains(secret), "{sentence}");
            assert!(!sentence.contains(&bytes(secret)), "{sentence}");
            assert!(sentence.contains(".pem"), "{sentence}");
        }
    }
}

#[test]
fn a_client_without_an_authority_says_so() {
    let directory = Directory::new();
    let empty = directory.file("ca.pem", "");
    let error = Connector::load(Some(&empty)).err().unwrap().to_string();
    assert!(error.contains("there is no certificate in"), "{error}");
}

#[test]
fn a_narrow_wire_gets_every_byte_once_and_in_order() {
    let mut pair = Pair::new();
    let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut sent, mut read) = (0, Vec::new());
    while sent < bytes.len() {
        match pair.send(&[
            IoSlice::new(&bytes[sent..(sent + 5).min(bytes.len())]),
            IoSlice::new(bytes.get(sent + 5..).unwrap_or_default()),
        ]) {
            Sent::Some(count) => sent += count,
            Sent::Full => read.extend(pair.read()),
            Sent::Broken => panic!("broken"),
        }
    }
    while pair.server.owes() {
        read.extend(pair.read());
        assert_ne!(pair.send(&[]), Sent::Broken);
    }
    read.extend(pair.read());
    assert_eq!(read, bytes);
}

#[test]
fn a_wire_that_takes_nothing_costs_one_record_and_no_more() {
    let mut pair = Pair::new();
    let page = vec![1; 1024 * 1024];
    assert_eq!(pair.send(&[IoSlice::new(&page)]), Sent::Some(16 * 1024));
    assert!(pair.server.owes());
    for _ in 0..3 {
        assert_eq!(pair.send(&[IoSlice::new(&page)]), Sent::Full);
    }
    // Something moves, and nothing is taken.
    pair.to_client.room += 1;
    assert_eq!(pair.send(&[IoSlice::new(&page)]), Sent::Some(0));
}

#[test]
fn an_end_that_was_said_is_told_from_one_that_was_not() {
    let mut pair = Pair::new();
    let received = |pair: &mut Pair| {
        let mut end = End {
            from: &mut pair.to_client,
            to: &mut pair.to_server,
        };
        pair.client.receive(&mut end, |plaintext| plaintext.len())
    };
    assert_eq!(
        received(&mut pair).unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
    pair.server.say_end(&mut End {
        from: &mut pair.to_server,
        to: &mut pair.to_client,
    });
    assert_eq!(received(&mut pair).unwrap(), 0);
    let pair = Pair::new();
    let mut cut = io::Cursor::new(Vec::new());
    let received = pair.client.receive(&mut cut, |plaintext| plaintext.len());
    assert_eq!(received.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}
