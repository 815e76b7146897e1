//! The large frames that peers have begun and do not take: each is in the budget of memory once, however many wait for the
//! rest of it, and until the last of them lets go.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::refusal::Refusal;
use crate::server::memory::{Memory, Reservation};

/// The frames that are pinned; its clones are the same.
#[derive(Clone)]
pub struct Pins {
    memory: Memory,
    /// By where their bytes are, which nothing else can be as long as the pin holds them.
    by_place: Arc<Mutex<HashMap<usize, Weak<Pin>>>>,
}

/// Holds a frame and its memory.
pub(super) struct Pin {
    pins: Pins,
    frame: Arc<[u8]>,
    _reserved: Reservation,
}

impl Pins {
    /// None yet.
    pub fn new(memory: Memory) -> Self {
        Pins {
            memory,
            by_place: Arc::default(),
        }
    }

    /// Pins a frame for one peer more. Does not wait.
    ///
    /// # Errors
    /// 503 when no peer holds it yet and there is no memory for it.
    pub(super) fn pin(&self, frame: &Arc<[u8]>) -> Result<Arc<Pin>, Refusal> {
        let mut by_place = self.lock();
        if let Some(pin) = by_place.get(&place(frame)).and_then(Weak::upgrade) {
            return Ok(pin);
        }
        let mut reserved = self.memory.nothing();
        reserved.grow_to(frame.len())?;
        let pin = Arc::new(Pin {
            _reserved: reserved,
            frame: frame.clone(),
            pins: self.clone(),
        });
        by_place.insert(place(frame), Arc::downgrade(&pin));
        Ok(pin)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Weak<Pin>>> {
        self.by_place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut by_place = self.pins.lock();
        let place = place(&self.frame);
        // Somebody may have pinned the same frame anew meanwhile.
        if by_place
            .get(&place)
            .is_some_and(|pin| pin.strong_count() == 0)
        {
            by_place.remove(&place);
        }
    }
}

fn place(frame: &Arc<[u8]>) -> usize {
    Arc::as_ptr(frame).cast::<u8>().addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const FRAME: usize = 1000;

    /// With room for so many frames. What stands is told to be so much that the tests around it do not matter.
    fn with_room_for(frames: usize) -> Pins {
        let mut config = Config::default();
        config.fanout.replay_bytes = 1 << 40;
        config.limits.memory = Some(config.standing_bytes() + frames * FRAME);
        Pins::new(Memory::new(&config))
    }

    fn frame() -> Arc<[u8]> {
        vec![b'x'; FRAME].into()
    }

    #[test]
    fn a_frame_that_many_have_begun_is_counted_once_and_until_the_last_lets_go() {
        let pins = with_room_for(2);
        let before = pins.memory.taken();
        let (common, other) = (frame(), frame());
        let mut held: Vec<_> = (0..10).map(|_| pins.pin(&common).unwrap()).collect();
        assert_eq!(pins.memory.taken(), before + FRAME);
        held.truncate(1);
        assert_eq!(
            pins.memory.taken(),
            before + FRAME,
            "all of it is there still"
        );
        held.push(pins.pin(&other).unwrap());
        assert_eq!(pins.memory.taken(), before + 2 * FRAME);
        drop(held);
        assert_eq!(pins.memory.taken(), before);
        assert!(pins.lock().is_empty());
    }

    #[test]
    fn a_frame_for_which_there_is_no_memory_is_pinned_only_where_it_is_held_already() {
        let pins = with_room_for(1);
        let (first, second) = (frame(), frame());
        let held = pins.pin(&first).unwrap();
        assert!(pins.pin(&second).is_err());
        assert!(pins.pin(&first).is_ok());
        drop(held);
        assert!(pins.pin(&second).is_ok());
    }
}
