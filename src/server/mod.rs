//! 1: a socket becomes a thread.

pub mod budget;
