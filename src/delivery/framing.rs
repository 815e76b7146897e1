//! How a stream puts events and control objects into bytes; each way implements it in its own file.

use super::control::Control;
use super::outbox::errand::Errand;
use crate::hub::tail::Form;

/// The bytes of one kind of stream. Everything returned is whole frames.
pub trait Framing: Send + Sync {
    /// The form of its events.
    fn form(&'static self) -> &'static Form;

    /// A control object; nothing where this kind of stream does not say such a thing.
    fn control(&self, control: &Control) -> Option<Vec<u8>>;

    /// What takes away, at its place in the stream, what the subscriber may not read any more, where there is a word for
    /// that; else the stream ends.
    fn restriction(&self) -> Option<Box<dyn Errand>> {
        None
    }

    /// The last bytes of the stream: `bye` and whatever ends it in order. `detail` is for people.
    fn farewell(&self, bye: &Control, detail: &str) -> Vec<u8>;
}
