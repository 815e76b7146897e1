//! Closed loops: each worker does the next thing when it has done the last.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often in a second one does it alone.
pub fn alone(span: Duration, mut work: impl FnMut()) -> f64 {
    let begin = Instant::now();
    let mut done = 0_u64;
    while begin.elapsed() < span {
        work();
        done += 1;
    }
    done as f64 / begin.elapsed().as_secs_f64()
}

/// How often in a second so many do it, all together; `worker` makes each of them.
pub fn together<W: FnMut()>(
    workers: usize,
    span: Duration,
    worker: impl Fn(usize) -> W + Sync,
) -> f64 {
    let (ready, over) = (Barrier::new(workers + 1), AtomicBool::new(false));
    let run = |number| {
        let mut work = worker(number);
        let mut done = 0_u64;
        ready.wait();
        while !over.load(Ordering::Relaxed) {
            work();
            done += 1;
        }
        done
    };
    let run = &run;
    thread::scope(|scope| {
        let workers = (0..workers).map(|number| scope.spawn(move || run(number)));
        let workers: Vec<_> = workers.collect();
        ready.wait();
        let begin = Instant::now();
        thread::sleep(span);
        over.store(true, Ordering::Relaxed);
        let done = workers
            .into_iter()
            .map(|worker| worker.join().expect("a count"));
        done.sum::<u64>() as f64 / begin.elapsed().as_secs_f64()
    })
}
