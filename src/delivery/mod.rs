//! 4: a subscriber's loop, one for each way: what it is owed, and how it gets it.

pub mod catch_up;
pub mod control;
pub mod framing;
pub mod long_poll;
pub mod ndjson;
pub mod outbox;
pub mod poll;
pub mod sse;
pub mod stream;
pub mod websocket;

use std::sync::Arc;
use std::time::Duration;

use self::catch_up::CatchUp;
use self::control::Gap;
use self::outbox::pins::Pins;
use crate::access::pass::Pass;
use crate::access::rights::Action;
use crate::access::shares::Shares;
use crate::access::{self, Access};
use crate::config::{Config, Current};
use crate::event::Cursor;
use crate::hub::selector::{Selection, Selector};
use crate::hub::tail::Page;
use crate::hub::{Hub, random};
use crate::journal::{Start, StoreError};
use crate::refusal::Refusal;
use crate::roster::Roster;
use crate::server::memory::Memory;
use crate::server::reloader::Reloads;
use crate::shutdown::Shutdown;
use crate::upkeep::Upkeep;
use crate::web::lanes::Lanes;

/// What every connection of a server shares.
pub struct Context {
    /// What the server was told.
    pub told: Arc<Current>,
    /// How it is told something else.
    pub reloads: Reloads,
    /// What follows files, such as keys and certificates.
    pub upkeep: Upkeep,
    /// Who may do what now.
    pub access: Arc<access::current::Current>,
    /// Where events come from.
    pub hub: Hub,
    /// Who serves subscribers that are behind.
    pub catch_up: CatchUp,
    /// Who is connected.
    pub roster: Roster,
    /// How it all ends.
    pub shutdown: Shutdown,
    /// What each client has its share of.
    pub shares: Shares,
    /// How much memory there is for them.
    pub memory: Memory,
    /// The large frames of which some wait for the rest.
    pub pins: Pins,
    /// What the live page's lanes have carried.
    pub lanes: Lanes,
}

impl Context {
    /// What counts now. Whoever needs several values that belong together takes them from one of these.
    pub fn config(&self) -> Arc<Config> {
        self.told.get()
    }

    /// When a client is told to come back: anything from half to one and a half of `timeouts.retry`, so
    /// that those who were cut off together do not come back together.
    pub fn retry_after(&self) -> Duration {
        let middle = self.config().timeouts.retry;
        let spread = u128::from(random()) % (middle.as_millis() + 1);
        middle / 2 + Duration::from_millis(u64::try_from(spread).unwrap_or(0))
    }
}

/// A stream that was begun: what is left for its thread is to listen to the peer. Dropping it ends the
/// stream.
pub trait Listening: Send {
    /// Listens until either side ends the stream. Needs little stack, since as many threads as there are
    /// streams do nothing else.
    fn listen(self: Box<Self>);
}

/// What a subscriber asks for, whatever its way.
#[derive(Debug, Clone)]
pub struct Query {
    /// Who asks.
    pub pass: Pass,
    /// The channels and patterns.
    pub selectors: Vec<Selector>,
    /// Where it wants to begin; `None`: where its way begins.
    pub start: Option<Start>,
    /// Whether it wants payloads alone.
    pub raw: bool,
    /// The most events of one answer.
    pub limit: usize,
    /// The place to page backwards from, on polls.
    pub before: Option<Cursor>,
    /// Whether nothing new may be answered with 304.
    pub conditional: bool,
}

impl Query {
    /// Checks that whoever asks may still read it, where something else counts than when it was let in.
    ///
    /// # Errors
    /// 401 or 403 when it may not.
    pub fn check_access(&self, access: &Access) -> Result<(), Refusal> {
        if access.gave(&self.pass) {
            return Ok(());
        }
        let pass = access.renew(&self.pass)?;
        let mut selectors = self.selectors.iter();
        selectors.try_for_each(|selector| pass.check(Action::Subscribe, selector))
    }
}

/// Where a subscriber begins; by default, as one that asks for nothing.
#[derive(Default)]
pub struct Opening {
    /// What is examined.
    pub selection: Selection,
    /// The seq up to which it was examined.
    pub place: u64,
    /// The gap that it has to be told first.
    pub gap: Option<Gap>,
    /// Whether it came without a cursor, so that what was lost until it is first looked after was never
    /// owed to it.
    pub is_bare: bool,
}

impl Opening {
    /// Finds the place that `start` stands for, for these selectors.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn find(hub: &Hub, selectors: &[Selector], start: Start) -> Result<Self, StoreError> {
        let beginning = hub.begin(selectors.to_vec(), start)?;
        let from = match start {
            Start::After(cursor) => Some(cursor),
            _ => None,
        };
        let cursor = hub.cursor(beginning.place);
        let gap = beginning.gap.map(|reason| Gap {
            reason,
            from,
            cursor,
        });
        Ok(Opening {
            selection: beginning.selection,
            place: beginning.place,
            gap,
            is_bare: !matches!(start, Start::After(_) | Start::Unreadable),
        })
    }
}

/// The gap in a page that was read from `place`: delivery goes on before the first event that there is.
fn gap_in(hub: &Hub, place: u64, page: &Page) -> Option<Gap> {
    let loss = page.loss.as_ref()?;
    let next = page
        .entries
        .first()
        .map_or(page.cursor, |entry| entry.seq() - 1);
    Some(Gap {
        reason: loss.reason.into(),
        from: Some(hub.cursor(place)),
        cursor: hub.cursor(next),
    })
}
