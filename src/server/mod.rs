pub mod permit;
pub mod stream;
