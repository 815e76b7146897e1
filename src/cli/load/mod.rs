//! The load that `bench` and `compare` put on a server: who publishes, who listens, what arrived, and what that
//! took. What either makes of it is its own.

pub(super) mod arguments;
pub(super) mod control;
pub(super) mod delays;
pub(super) mod frames;
pub(super) mod ledger;
pub(super) mod mark;
pub(super) mod own_journal;
pub(super) mod own_server;
pub(super) mod process;
pub(super) mod publishers;
pub(super) mod readiness;
pub(super) mod room;
pub(super) mod signals;
pub(super) mod subscriber;
pub(super) mod thread_times;
