//! How often one client may ask and publish: `[rates]`, its values and its reading.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use super::reader::Section;
use super::units::duration;
use super::written::Written;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// How often anything may happen; `None`: as often as it likes.
#[derive(Debug, Clone, PartialEq)]
pub struct Rates {
    /// Requests, and operations on WebSockets, of one address.
    pub requests_per_address: Option<Rate>,
    /// The same with one API key.
    pub requests_per_key: Option<Rate>,
    /// The same of one subject of tokens.
    pub requests_per_subject: Option<Rate>,
    /// Events published from one address; each of a batch counts.
    pub publishes_per_address: Option<Rate>,
    /// The same with one API key.
    pub publishes_per_key: Option<Rate>,
    /// The same of one subject of tokens.
    pub publishes_per_subject: Option<Rate>,
    /// What was left unused in this long may come at once.
    pub burst: Duration,
}

/// So many in a unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In which time.
    pub per: Per,
}

/// The units of time in which something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
}

impl Per {
    const ALL: [Per; 3] = [Per::Second, Per::Minute, Per::Hour];

    /// How long it is.
    pub const fn length(self) -> Duration {
        Duration::from_secs(match self {
            Per::Second => 1,
            Per::Minute => 60,
            Per::Hour => 3600,
        })
    }

    const fn letter(self) -> &'static str {
        match self {
            Per::Second => "s",
            Per::Minute => "m",
            Per::Hour => "h",
        }
    }
}

impl Rate {
    /// The most that can be asked for.
    pub const MOST: u32 = 1_000_000;

    /// So many a second; 0 counts as 1.
    pub const fn a_second(count: u32) -> Self {
        Rate {
            count: match NonZeroU32::new(count) {
                Some(count) => count,
                None => NonZeroU32::MIN,
            },
            per: Per::Second,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (count, unit) = text.split_once('/')?;
        let per = Per::ALL.into_iter().find(|per| per.letter() == unit)?;
        let digits = count.bytes().all(|b| b.is_ascii_digit());
        let count = count.parse().ok().filter(|_| digits)?;
        (count <= Self::MOST).then_some(Rate {
            count: NonZeroU32::new(count)?,
            per,
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.per.letter())
    }
}

impl Default for Rates {
    fn default() -> Self {
        let (person, machine) = (Rate::a_second(100), Rate::a_second(10_000));
        let office = Rate::a_second(1_000);
        Rates {
            requests_per_address: Some(office),
            requests_per_key: Some(machine),
            requests_per_subject: Some(person),
            publishes_per_address: Some(office),
            publishes_per_key: Some(machine),
            publishes_per_subject: Some(person),
            burst: Duration::from_secs(10),
        }
    }
}

#[rustfmt::skip] // A table: one key a line.
pub(super) fn read(section: &mut Section<'_>, rates: &mut Rates) {
    section.set("requests_per_address", &mut rates.requests_per_address, rate_or_off);
    section.set("requests_per_key", &mut rates.requests_per_key, rate_or_off);
    section.set("requests_per_subject", &mut rates.requests_per_subject, rate_or_off);
    section.set("publishes_per_address", &mut rates.publishes_per_address, rate_or_off);
    section.set("publishes_per_key", &mut rates.publishes_per_key, rate_or_off);
    section.set("publishes_per_subject", &mut rates.publishes_per_subject, rate_or_off);
    section.set("burst", &mut rates.burst, duration(SECOND..=HOUR));
}

fn rate_or_off(written: &Written) -> Result<Option<Rate>, String> {
    match written.text() {
        Some("off") => Ok(None),
        text => text.and_then(Rate::parse).map(Some).ok_or_else(|| {
            let most = Rate::MOST;
            written.but_expected(format_args!(
                "\"off\", or how many from 1 to {most} in a second, a minute or an hour: \"100/s\", \"30/m\", \
                 \"500/h\""
            ))
        }),
    }
}
