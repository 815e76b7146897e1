//! 2: bytes become a request and an answer becomes bytes: HTTP/1.1 (RFC 9110, RFC 9112) without a socket,
//! a thread or a clock.
//!
//! In walking order: [`head`] reads a request's head, which `scan` refuses as early as its bytes allow,
//! [`fields`] reads the values of single fields, [`forwarded`] those of proxies, [`body`] decodes what follows, [`response`] writes the
//! answer. Every no is a [`Refusal`](crate::refusal::Refusal).

pub mod body;
pub mod fields;
pub mod forwarded;
pub mod head;
pub mod response;
mod scan;

/// A request method that RFC 9110, section 9, or RFC 5789 defines. Any other is refused with 501.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Patch,
    Trace,
    Connect,
}

impl Method {
    const ALL: [Method; 9] = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Delete,
        Method::Options,
        Method::Patch,
        Method::Trace,
        Method::Connect,
    ];

    /// The method that `token` names; methods are case-sensitive (RFC 9110, section 9.1).
    pub fn from_token(token: &[u8]) -> Option<Method> {
        let mut all = Method::ALL.into_iter();
        all.find(|method| method.as_str().as_bytes() == token)
    }

    /// The method as it stands in a request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Patch => "PATCH",
            Method::Trace => "TRACE",
            Method::Connect => "CONNECT",
        }
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The versions of HTTP that are spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Version {
    Http10,
    #[default]
    Http11,
}

/// Whether `byte` may stand in a token, such as a method or a field name (RFC 9110, section 5.6.2).
#[inline]
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}
