//! The sockets that wait to be refused: few, and few of them of one client, so that a flood from one place leaves
//! doormen for everyone else.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::access::shares::Client;

/// How many may wait in all.
const MOST: usize = 64;
/// How many of them may be of one client.
const OF_ONE: usize = 16;

/// Those who wait; `T` is what is known of each.
pub(super) struct Waiting<T> {
    state: Mutex<State<T>>,
    called: Condvar,
    /// How many of one client are attended to at once.
    at_once: usize,
}

struct State<T> {
    queue: VecDeque<(Option<Client>, T)>,
    attended: Vec<Client>,
    is_over: bool,
}

/// One who is attended to, until this is dropped.
pub(super) struct Turn<'a, T> {
    waiting: &'a Waiting<T>,
    client: Option<Client>,
}

impl<T> Waiting<T> {
    /// Nobody yet; of one client so many are attended to at once.
    pub(super) fn new(at_once: usize) -> Self {
        Waiting {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                attended: Vec::new(),
                is_over: false,
            }),
            called: Condvar::new(),
            at_once,
        }
    }

    /// Has somebody wait; given back when too many do already. `None` is a client that is not counted. Does not wait.
    pub(super) fn push(&self, client: Option<Client>, what: T) -> Result<(), T> {
        let mut state = self.state();
        let of_client = || {
            let others = state.queue.iter();
            let like = others.filter(|(other, _)| other.is_some() && *other == client);
            like.count()
        };
        if state.is_over || state.queue.len() >= MOST || of_client() >= OF_ONE {
            return Err(what);
        }
        state.queue.push_back((client, what));
        drop(state);
        self.called.notify_one();
        Ok(())
    }

    /// The first whose turn it is, as soon as there is one; `None` once it is over.
    pub(super) fn next(&self) -> Option<(Turn<'_, T>, T)> {
        let mut state = self.state();
        loop {
            if let Some((client, what)) = state.take(self.at_once) {
                let waiting = self;
                return Some((Turn { waiting, client }, what));
            }
            if state.is_over {
                return None;
            }
            state = self
                .called
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets all go who wait, and who wait for them.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.is_over = true;
        let left = std::mem::take(&mut state.queue);
        drop(state);
        drop(left);
        self.called.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Every change is one of the queue or of the list, so a panic leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn take(&mut self, at_once: usize) -> Option<(Option<Client>, T)> {
        let attended = &self.attended;
        let has_turn = |client: &Option<Client>| {
            let of_client = |other: &&Client| client.as_ref() == Some(*other);
            attended.iter().filter(of_client).count() < at_once
        };
        let index = self.queue.iter().position(|(client, _)| has_turn(client))?;
        let (client, what) = self.queue.remove(index)?;
        self.attended.extend(client.clone());
        Some((client, what))
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        let Some(client) = &self.client else {
            return;
        };
        let mut state = self.waiting.state();
        if let Some(index) = state.attended.iter().position(|other| other == client) {
            state.attended.swap_remove(index);
        }
        drop(state);
        // Another one of this client may have its turn now.
        self.waiting.called.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;

    fn client(address: &str) -> Option<Client> {
        Client::at(address.parse().ok()?, &Limits::default())
    }

    #[test]
    fn a_flood_from_one_address_leaves_doormen_and_places_for_others() {
        let waiting = Waiting::new(2);
        let flood = client("192.0.2.1");
        let let_in = (0..1_000).filter(|number| waiting.push(flood.clone(), *number).is_ok());
        assert_eq!(let_in.count(), OF_ONE);
        let _two = (waiting.next().unwrap(), waiting.next().unwrap());
        assert!(waiting.push(client("192.0.2.2"), 2_000).is_ok());
        let (_turn, next) = waiting.next().unwrap();
        assert_eq!(next, 2_000, "the third doorman is for somebody else");
    }

    #[test]
    fn the_next_of_one_address_has_its_turn_when_one_before_is_done_with() {
        let waiting = Waiting::new(1);
        for number in 0..3 {
            assert!(waiting.push(client("192.0.2.1"), number).is_ok());
        }
        for number in 0..3 {
            let (_turn, next) = waiting.next().unwrap();
            assert_eq!(next, number);
        }
    }

    #[test]
    fn those_who_are_not_counted_have_every_place_and_no_more() {
        let waiting = Waiting::new(1);
        let let_in = (0..1_000).filter(|number| waiting.push(None, *number).is_ok());
        assert_eq!(let_in.count(), MOST);
        let _two = (waiting.next().unwrap(), waiting.next().unwrap());
        assert!(waiting.push(client("192.0.2.1"), 0).is_ok());
    }

    #[test]
    fn when_it_is_over_nobody_waits_any_more() {
        let waiting = Waiting::new(1);
        assert!(waiting.push(None, 0).is_ok());
        std::thread::scope(|scope| {
            let doorman = scope.spawn(|| while waiting.next().is_some() {});
            waiting.end();
            doorman.join().unwrap();
        });
        assert!(waiting.push(None, 1).is_err());
    }
}
