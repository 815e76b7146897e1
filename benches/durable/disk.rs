//! How often in a second the disk makes 4 KiB safe, without a journal.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use super::fixture::Scratch;
use super::load;

/// What is written before each sync, a page of the journal.
const BLOCK: [u8; 4096] = [b'x'; 4096];
/// Blocks of the file that is overwritten from its beginning to its end, and again.
const BLOCKS: u64 = 1024;

/// Syncs a second.
pub struct SyncRates {
    /// Of a file that grows with each.
    pub append: f64,
    /// Of a file that stays as long as it is.
    pub overwrite: f64,
}

impl SyncRates {
    pub fn measure(scratch: &Scratch, span: Duration) -> Self {
        let directory = scratch.within("disk");
        let file = |name| create(&directory, name);
        SyncRates {
            append: append(file("append"), span),
            overwrite: overwrite(file("overwrite"), span),
        }
    }
}

fn append(mut file: File, span: Duration) -> f64 {
    load::alone(span, || {
        file.write_all(&BLOCK).expect("room");
        file.sync_data().expect("a disk");
    })
}

fn overwrite(file: File, span: Duration) -> f64 {
    let write = |block: u64| {
        let place = block % BLOCKS * BLOCK.len() as u64;
        file.write_all_at(&BLOCK, place).expect("room");
    };
    (0..BLOCKS).for_each(write);
    file.sync_all().expect("a disk");
    let mut blocks = 0..;
    load::alone(span, || {
        blocks.next().into_iter().for_each(write);
        file.sync_data().expect("a disk");
    })
}

fn create(directory: &Scratch, name: &str) -> File {
    let mut options = OpenOptions::new();
    let file = options.create_new(true).write(true);
    file.open(directory.path().join(name)).expect("a file")
}
