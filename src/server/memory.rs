//! The budget of memory: what clients have the server hold is reserved before it is held, and whoever would go beyond is
//! refused early. That is the first line; the second is a look at what the process, and its control group, really have.

mod group;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::param::page_size;

use self::group::{Charge, Group};
use crate::config::Config;
use crate::refusal::{Kind, Refusal};
use crate::seldom::Seldom;

/// What a connection takes: the stack that its thread touches (20 KiB), its buffers, and a body that is not large.
pub const CONNECTION: usize = 32 * 1024;
/// What TLS adds to it: a record that is not whole yet, one whose reader is slow, and the library's state.
/// A message of the handshake that its peer leaves unfinished may take 64 KiB instead, a little more than is reserved for
/// a connection without requests; that, and what the doormen hold, is left to the second line.
pub const SESSION: usize = 40 * 1024;
/// Bytes of a body, a message or an answer that a connection's own reservation covers.
pub const SMALL: usize = 16 * 1024;
/// The least that clients have where the operator named no budget.
const LEAST_ROOM: usize = 64 * 1024 * 1024;
/// The part of their room that clients have while the process has more than it should. It is not none: what was freed may
/// lie in the allocator for good, which uses it again, and a server that has nothing to do would refuse all that comes.
const CROWDED_PART: usize = 4;
/// How often the process is looked at. Sockets of slow readers can fill by 30 MiB a second.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

static CROWDED: Seldom = Seldom::new();
static GROUP_FULL: Seldom = Seldom::new();

/// The budget of one server; its clones are the same.
#[derive(Clone)]
pub struct Memory {
    shared: Arc<Shared>,
}

struct Shared {
    /// All that the server may have.
    budget: AtomicUsize,
    /// What is there without clients.
    standing: AtomicUsize,
    reserved: AtomicUsize,
    /// Where it is looked up what the kernel holds for the process besides.
    group: Option<Group>,
    begun: Instant,
    /// When the process is to be looked at again, in milliseconds since the beginning.
    next_look: AtomicU64,
    /// Whether it had more than the budget, and has not come down since.
    is_crowded: AtomicBool,
    /// Whether it has so much more that nobody is given anything large, however little is reserved.
    is_overfull: AtomicBool,
    /// Whether its control group had hardly anything left, and has not come down since: nobody new is let in, whose socket
    /// would take more of it.
    is_group_full: AtomicBool,
}

/// Memory that somebody holds; given back when it is dropped.
pub struct Reservation {
    memory: Memory,
    bytes: usize,
}

impl Memory {
    /// The budget that `config` names, or what this host has.
    pub fn new(config: &Config) -> Self {
        let memory = Memory {
            shared: Arc::new(Shared {
                budget: AtomicUsize::new(usize::MAX),
                standing: AtomicUsize::new(0),
                reserved: AtomicUsize::new(0),
                group: Group::tightest(),
                begun: Instant::now(),
                next_look: AtomicU64::new(0),
                is_crowded: AtomicBool::new(false),
                is_overfull: AtomicBool::new(false),
                is_group_full: AtomicBool::new(false),
            }),
        };
        memory.obey(config);
        memory
    }

    /// Lets the budget of `config` count from now on. What is reserved stays so.
    pub fn obey(&self, config: &Config) {
        let standing = config.standing_bytes();
        let (budget, standing) = match config.limits.memory {
            Some(budget) => (budget, standing),
            None => automatic(of_this_host(), standing),
        };
        self.shared.standing.store(standing, Ordering::Relaxed);
        self.shared.budget.store(budget, Ordering::Relaxed);
    }

    /// All that the server may have, in bytes; `None`: nobody knows what there is.
    pub fn budget(&self) -> Option<usize> {
        let budget = self.shared.budget.load(Ordering::Relaxed);
        (budget < usize::MAX).then_some(budget)
    }

    /// What of it is taken: by what is there without clients, and by what is reserved for them.
    pub fn taken(&self) -> usize {
        let standing = self.shared.standing.load(Ordering::Relaxed);
        standing.saturating_add(self.shared.reserved.load(Ordering::Relaxed))
    }

    /// Reserves so many bytes; never waits.
    ///
    /// # Errors
    /// 503 when they are not there, or the process has more than it should.
    pub fn reserve(&self, bytes: usize) -> Result<Reservation, Refusal> {
        self.look_if_due(Instant::now());
        let mut reservation = self.nothing();
        reservation.grow_to(bytes)?;
        Ok(reservation)
    }

    /// Nothing yet, to grow.
    pub fn nothing(&self) -> Reservation {
        Reservation {
            memory: self.clone(),
            bytes: 0,
        }
    }

    /// Checks that the process has no more than it should: before anything new begins that may grow.
    ///
    /// # Errors
    /// 503, until it has come down to 95 % of the budget, or clients hold less than a quarter of what they may; and its
    /// control group to 85 % of its bound.
    pub fn check(&self) -> Result<(), Refusal> {
        self.look_if_due(Instant::now());
        self.shared.check()
    }

    /// Looks at the process now and then, on the thread that happens to ask then: nobody is woken for it.
    fn look_if_due(&self, now: Instant) {
        let now = millis(now.saturating_duration_since(self.shared.begun));
        let due = self.shared.next_look.load(Ordering::Relaxed);
        let next = now.saturating_add(millis(BETWEEN_LOOKS));
        let is_ours = || {
            let next_look = &self.shared.next_look;
            let order = Ordering::Relaxed;
            next_look.compare_exchange(due, next, order, order).is_ok()
        };
        if now >= due
            && is_ours()
            && let Some(resident) = resident_bytes()
        {
            let group = self.shared.group.as_ref();
            self.see(resident, group.and_then(Group::charge));
        }
    }

    /// Notes what the process has, and what its group is charged.
    fn see(&self, resident: usize, charge: Option<Charge>) {
        self.see_process(resident);
        if let Some(charge) = charge {
            self.see_group(charge);
        }
    }

    fn see_process(&self, resident: usize) {
        let shared = &self.shared;
        let budget = shared.budget.load(Ordering::Relaxed);
        // The budget is three quarters of what there is, if nobody named another.
        let is_overfull = resident > budget.saturating_add(budget / 4);
        shared.is_overfull.store(is_overfull, Ordering::Relaxed);
        if resident > budget {
            shared.is_crowded.store(true, Ordering::Relaxed);
            CROWDED.say(|more| {
                log::warn!(
                    "the process has {} MiB of memory, more than limits.memory allows ({} MiB): clients get a quarter of \
                     what they may have until it has less{more}",
                    resident >> 20,
                    budget >> 20
                );
            });
        } else if resident < budget / 100 * 95 {
            // Not at once below it: else the two would follow each other for every connection.
            shared.is_crowded.store(false, Ordering::Relaxed);
        }
    }

    fn see_group(&self, charge: Charge) {
        let is_full = &self.shared.is_group_full;
        if charge.bytes > charge.bound / 100 * 90 {
            is_full.store(true, Ordering::Relaxed);
            GROUP_FULL.say(|more| {
                log::warn!(
                    "the control group has {} MiB of memory, with what the kernel holds for it, of {} MiB that it may have: \
                     new connections and large bodies are refused until it has less{more}",
                    charge.bytes >> 20,
                    charge.bound >> 20
                );
            });
        } else if charge.bytes < charge.bound / 100 * 85 {
            is_full.store(false, Ordering::Relaxed);
        }
    }

    /// Has the process seen with so much for as long as a test takes.
    #[cfg(test)]
    pub(super) fn pretend(&self, resident: usize) {
        self.shared.next_look.store(u64::MAX, Ordering::Relaxed);
        self.see(resident, None);
    }
}

impl Shared {
    /// Checks what was seen last.
    fn check(&self) -> Result<(), Refusal> {
        let is_crowded = self.is_crowded.load(Ordering::Relaxed);
        let has_room = !is_crowded || self.reserved.load(Ordering::Relaxed) < self.room();
        match has_room && !self.is_group_full.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(refused()),
        }
    }

    /// What clients may have together at the moment.
    fn room(&self) -> usize {
        let budget = self.budget.load(Ordering::Relaxed);
        let room = budget.saturating_sub(self.standing.load(Ordering::Relaxed));
        match self.is_crowded.load(Ordering::Relaxed) {
            true => room / CROWDED_PART,
            false => room,
        }
    }
}

impl Reservation {
    /// Reserves what something takes that grows to so many bytes, unless it is small.
    ///
    /// # Errors
    /// As of [`Memory::reserve`].
    pub fn hold(&mut self, bytes: usize) -> Result<(), Refusal> {
        if bytes > SMALL {
            self.memory.look_if_due(Instant::now());
        }
        self.hold_at_once(bytes)
    }

    /// The same without a look at the process, which reads files: under a lock, and where others wait for the thread.
    ///
    /// # Errors
    /// As of [`Memory::reserve`].
    pub fn hold_at_once(&mut self, bytes: usize) -> Result<(), Refusal> {
        if bytes <= SMALL {
            return Ok(());
        }
        match self.memory.shared.is_overfull.load(Ordering::Relaxed) {
            true => Err(refused()),
            false => self.grow_to(bytes),
        }
    }

    /// Reserves more, up to so many bytes in all, without a look at the process. What is reserved stays so if there are
    /// not enough.
    ///
    /// # Errors
    /// As of [`Memory::reserve`].
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Refusal> {
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else {
            return Ok(());
        };
        let shared = &self.memory.shared;
        shared.check()?;
        let room = shared.room();
        let grown = |reserved: usize| reserved.checked_add(more).filter(|sum| *sum <= room);
        let counted = shared
            .reserved
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown);
        counted.map_err(|_| refused())?;
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory
            .shared
            .reserved
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What an operator should know who named no budget, where this host has less than the server takes without clients and a
/// little for them.
pub fn advice(config: &Config) -> Option<String> {
    advice_for(config, of_this_host()?)
}

fn advice_for(config: &Config, host: usize) -> Option<String> {
    let least = config.standing_bytes().saturating_add(LEAST_ROOM);
    let is_short = config.limits.memory.is_none() && three_quarters(host) < least;
    let mebibytes = |bytes: usize| bytes.div_ceil(1 << 20);
    is_short.then(|| {
        format!(
            "this machine, or this container, has {} MiB, of which three quarters are less than the {} MiB that the server \
             may take with hardly a client: the system might end it. In the config fanout.tail_bytes = \"8 MiB\" and \
             fanout.replay_bytes = \"4 MiB\" lower that (and journal.max_bytes where the journal is in memory)",
            mebibytes(host),
            mebibytes(least)
        )
    })
}

/// The budget where the operator named none, and what of it is taken without clients: never more than there is, and so
/// that there is some room for clients also where what stands could fill it.
fn automatic(host: Option<usize>, standing: usize) -> (usize, usize) {
    let Some(host) = host else {
        return (usize::MAX, standing);
    };
    let least = standing.saturating_add(LEAST_ROOM);
    let budget = three_quarters(host).max(least).min(host);
    let room = LEAST_ROOM.min(budget / 2);
    (budget, standing.min(budget.saturating_sub(room)))
}

const fn three_quarters(bytes: usize) -> usize {
    (bytes / 4).saturating_mul(3)
}

fn refused() -> Refusal {
    let detail = "this would take more memory than the server may use; come back later";
    Refusal::new(Kind::OutOfMemory, detail)
}

/// What this process may have at most on this host, in bytes: its RAM, or what the tightest control group allows.
fn of_this_host() -> Option<usize> {
    let host = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| total_bytes(&text));
    let group = Group::tightest().and_then(|group| group.bound());
    host.into_iter().chain(group).min()
}

/// The RAM of the host, as `/proc/meminfo` has it.
fn total_bytes(meminfo: &str) -> Option<usize> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// What of this process is in RAM, without pages of files, which the system takes back when it needs them.
fn resident_bytes() -> Option<usize> {
    own_pages(&fs::read_to_string("/proc/self/statm").ok()?)?.checked_mul(page_size())
}

/// The resident pages of `/proc/self/statm` (proc_pid_statm(5)) without the shared ones.
fn own_pages(statm: &str) -> Option<usize> {
    let mut fields = statm.split_ascii_whitespace().skip(1);
    let mut next = || fields.next()?.parse::<usize>().ok();
    Some(next()?.saturating_sub(next()?))
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// With so many bytes for clients, and a process that is small.
    fn with_room(bytes: usize) -> Memory {
        let mut config = Config::default();
        config.limits.memory = Some(config.standing_bytes() + bytes);
        let memory = Memory::new(&config);
        memory.pretend(0);
        memory
    }

    #[test]
    fn what_is_reserved_is_taken_until_it_is_dropped() {
        let memory = with_room(100);
        let standing = memory.taken();
        let first = memory.reserve(60).unwrap();
        assert_eq!(memory.taken(), standing + 60);
        let refusal = memory.reserve(41).err().unwrap();
        assert_eq!(refusal.kind, Kind::OutOfMemory);
        let second = memory.reserve(40).unwrap();
        drop(first);
        assert_eq!(memory.taken(), standing + 40);
        drop(second);
        assert_eq!(memory.taken(), standing);
    }

    #[test]
    fn a_reservation_grows_as_far_as_there_is_room_and_keeps_what_it_has() {
        let memory = with_room(100);
        let mut reservation = memory.reserve(10).unwrap();
        assert!(reservation.grow_to(90).is_ok());
        assert!(reservation.grow_to(50).is_ok(), "it has that already");
        assert!(reservation.grow_to(101).is_err());
        assert!(reservation.grow_to(usize::MAX).is_err());
        assert!(memory.reserve(11).is_err() && memory.reserve(10).is_ok());
    }

    #[test]
    fn in_a_process_beyond_its_budget_clients_have_a_quarter_until_it_is_well_below() {
        let memory = with_room(100 * MIB);
        let budget = memory.budget().unwrap();
        let takes = |resident| {
            memory.pretend(resident);
            assert!(memory.check().is_ok(), "nobody has anything");
            assert!(memory.reserve(25 * MIB).is_ok());
            memory.reserve(26 * MIB).is_ok()
        };
        assert!(takes(budget));
        assert!(!takes(budget + 1));
        assert!(!takes(budget / 100 * 96), "a little less is not enough");
        assert!(takes(budget / 100 * 94));
        assert!(takes(budget / 100 * 96), "and it may grow again");
        let held = memory.reserve(25 * MIB).unwrap();
        memory.pretend(budget + 1);
        assert!(memory.check().is_err() && memory.reserve(1).is_err());
        drop(held);
        assert!(memory.check().is_ok() && memory.reserve(1).is_ok());
    }

    #[test]
    fn nothing_large_is_taken_by_a_process_that_is_about_to_have_all_that_there_is() {
        let memory = with_room(100 * MIB);
        let budget = memory.budget().unwrap();
        for (resident, is_taken) in [(budget / 100 * 124, true), (budget / 100 * 126, false)] {
            memory.pretend(resident);
            assert!(memory.reserve(CONNECTION).is_ok() && memory.nothing().hold(SMALL).is_ok());
            assert_eq!(memory.nothing().hold(SMALL + 1).is_ok(), is_taken);
        }
    }

    #[test]
    fn a_control_group_that_is_nearly_full_takes_nothing_new_until_it_has_room() {
        let memory = with_room(100 * MIB);
        let takes = |percent| {
            let (bytes, bound) = (percent * MIB, 100 * MIB);
            memory.see_group(Charge { bytes, bound });
            memory.check().is_ok() && memory.reserve(1).is_ok()
        };
        assert!(takes(90));
        assert!(!takes(91));
        assert!(!takes(86), "a little less is not enough");
        assert!(takes(84));
    }

    #[test]
    fn a_reload_moves_the_budget() {
        let memory = with_room(MIB);
        let large = memory.reserve(MIB).unwrap();
        let mut config = Config::default();
        config.limits.memory = Some(config.standing_bytes() + 2 * MIB);
        memory.obey(&config);
        assert!(memory.reserve(MIB).is_ok());
        config.limits.memory = Some(config.standing_bytes());
        memory.obey(&config);
        assert!(memory.reserve(1).is_err());
        drop(large);
        assert!(memory.reserve(1).is_err());
    }

    #[test]
    fn the_files_of_the_system_are_read_as_its_manual_says() {
        assert_eq!(own_pages("5000 300 120 2 0 90 0\n"), Some(180));
        assert_eq!(own_pages("5000 300"), None);
        let meminfo = "MemTotal:        2048 kB\nMemFree:          1 kB\n";
        assert_eq!(total_bytes(meminfo), Some(2 * MIB));
        assert_eq!(total_bytes("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn a_small_container_is_given_no_more_than_it_has_and_its_operator_advice() {
        let config = Config::default();
        let standing = config.standing_bytes();
        for (host, expected) in [
            (100, (100, 50)),
            (128, (128, 64)),
            (256, (256, 192)),
            (512, (384, 233)),
            (2048, (1536, 233)),
        ] {
            let (budget, taken) = automatic(Some(host * MIB), standing);
            assert_eq!((budget / MIB, taken / MIB), expected, "{host} MiB");
            let is_short = advice_for(&config, host * MIB).is_some();
            assert_eq!(is_short, host <= 256, "{host} MiB");
        }
        assert_eq!(automatic(None, standing), (usize::MAX, standing));
        let mut named = config.clone();
        named.limits.memory = Some(standing + LEAST_ROOM);
        assert_eq!(advice_for(&named, 128 * MIB), None);
    }

    #[test]
    fn the_lines_that_are_advised_are_enough_for_a_container_of_256_mib() {
        let mut config = Config::default();
        config.fanout.tail_bytes = 8 * MIB;
        config.fanout.replay_bytes = 4 * MIB;
        assert_eq!(advice_for(&config, 256 * MIB), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_host_has_memory_and_this_process_some_of_it() {
        let (host, own) = (of_this_host().unwrap(), resident_bytes().unwrap());
        assert!(own > 100 * 1024 && own < host, "{own} of {host}");
        let memory = Memory::new(&Config::default());
        assert!(memory.budget().unwrap() >= Config::default().standing_bytes() + LEAST_ROOM);
    }
}
