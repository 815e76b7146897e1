//! Who may do what. What somebody shows becomes a [`Pass`](pass::Pass), which has [`Rights`](rights::Rights); every
//! request and every operation is held against it before the first byte of an answer.

pub mod network;
pub mod pass;
pub mod rates;
pub mod rights;
pub mod shares;
pub mod tally;
