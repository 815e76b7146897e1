//! The server that `publish` and `subscribe` talk to, and what its trouble means for a shell.

use std::time::Duration;

use super::Failure;
use crate::client::{Client, Error};
use crate::hub::draft::parse_duration;

/// Where the server is.
#[derive(Debug, clap::Args)]
pub struct Remote {
    /// The server's URL
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// A header field for every request; may be given more than once
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = field)]
    headers: Vec<(String, String)>,
    /// A token or an API key to show; @FILE reads it from a file, which other users of this machine do not see in the
    /// list of processes
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
}

impl Remote {
    /// A client of that server. Does not connect yet.
    pub fn client(&self) -> Result<Client, Failure> {
        let builder = Client::builder(&self.url);
        let headers = self.headers.iter().cloned();
        let builder = headers.fold(builder, |builder, (name, value)| {
            builder.header(name, value)
        });
        let builder = match self.token()? {
            Some(token) => builder.header("Authorization", format!("Bearer {token}")),
            None => builder,
        };
        Ok(builder.build()?)
    }

    /// What is shown, without the line end of its file.
    fn token(&self) -> Result<Option<String>, Failure> {
        let Some(given) = &self.token else {
            return Ok(None);
        };
        let Some(file) = given.strip_prefix('@') else {
            return Ok(Some(given.clone()));
        };
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::Usage(format!("cannot read the token in {file}: {error}")))?;
        Ok(Some(text.trim().to_owned()))
    }

    /// What a client's trouble means for a shell; a server that is not there is named.
    pub fn failure(&self, error: Error) -> Failure {
        match error {
            Error::Connect(error) => Failure::Unavailable(format!(
                "cannot reach {}: {error}; is 'fourcast' running there? --url names another",
                self.url
            )),
            error => error.into(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Invalid(_) => Failure::Usage(message),
            Error::Connect(_) | Error::Connection(_) | Error::Silent(_) | Error::Ended => {
                Failure::Unavailable(message)
            }
            _ => Failure::Failed(message),
        }
    }
}

/// Reads a time as the wire has it: seconds, or a number with a unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .ok_or_else(|| "a number of seconds, or a time such as 90s, 10m, 2h, 7d".to_owned())
}

pub(super) fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("a header looks like 'Authorization: Bearer abc'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_seconds_or_has_a_unit() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert!(duration("soon").is_err() && duration("-1").is_err() && duration("").is_err());
    }

    #[test]
    fn a_server_that_is_not_there_is_named_and_has_its_own_exit_code() {
        let remote = Remote {
            url: "http://localhost:9".to_owned(),
            headers: Vec::new(),
            token: None,
        };
        let refused = std::io::ErrorKind::ConnectionRefused;
        let failure = remote.failure(Error::Connect(refused.into()));
        assert_eq!(failure.code(), 69);
        assert_eq!(
            failure.to_string(),
            "cannot reach http://localhost:9: connection refused; \
             is 'fourcast' running there? --url names another"
        );
    }

    #[test]
    fn what_cannot_be_sent_is_wrong_on_the_command_line() {
        let remote = Remote {
            url: "localhost:8080".to_owned(),
            headers: Vec::new(),
            token: None,
        };
        assert_eq!(remote.client().unwrap_err().code(), 2);
    }

    #[test]
    fn a_token_is_given_or_read_from_a_file() {
        let token = |given: &str| {
            let remote = Remote {
                url: String::new(),
                headers: Vec::new(),
                token: Some(given.to_owned()),
            };
            remote.token()
        };
        assert_eq!(token("a.b.c").unwrap().as_deref(), Some("a.b.c"));
        let file = "@tests/interop/config.toml";
        let text = token(file).unwrap().unwrap();
        assert!(text.contains("listen") && !text.ends_with('\n'));
        assert_eq!(token("@there-is-no-such-file").unwrap_err().code(), 2);
    }
}
