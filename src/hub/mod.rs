//! 5: the middle, where what is published meets those who listen.

pub mod channel;
pub mod selector;
