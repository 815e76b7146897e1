//! The durable journal, from outside: servers as processes of their own that are killed, starved, damaged
//! and wiped. Whatever happens ends in a clear refusal or a told recovery, never in a wrong answer.
//!
//! The server is the binary that `SUITE_BINARY` names, else the one that was built with these tests.
//! `SUITE_SEED` repeats what a run drew; every failure prints the command that does.

mod dice;
mod history;
pub mod home;
mod payloads;
pub mod process;

mod commands;
mod crash;
mod damage;
mod faults;
mod lives;
mod upgrade;
