//! The tail of a log, cut off or zeroed from any byte of its last 64 KiB on.

use std::os::unix::fs::FileExt as _;

use super::simulated_disk::Random;
use super::*;
use crate::log::segment::HEADER_BYTES;

const TAIL_BYTES: u64 = 64 << 10;

/// A closed log of one segment: its bytes, and the end of each batch with the number of entries up to there.
struct Whole {
    bytes: Vec<u8>,
    ends: Vec<(u64, u64)>,
    /// The newest, which commits to all.
    checkpoint: String,
}

async fn whole_log() -> Whole {
    let home = scratch();
    let roomy = LogConfig {
        segment_bytes: 96 << 10,
        ..config(home.path())
    };
    let log = AccessLog::open(roomy, "log.example").unwrap().log;
    let mut random = Random(64);
    let mut ends = vec![(HEADER_BYTES as u64, 0)];
    while ends.last().unwrap().0 < HEADER_BYTES as u64 + TAIL_BYTES {
        let batch: Vec<_> = (0..1 + random.below(5))
            .map(|_| StoredEntry {
                rule: "x".repeat(random.below(4_000)),
                ..entry(random.next() % 1_000)
            })
            .collect();
        log.append(&batch).unwrap().await.unwrap();
        let end = log.shared.catalog.live().blocks(catalog::Blocks::end);
        ends.push((end, log.len()));
    }
    log.close();
    let paths = segments(home.path());
    assert_eq!(paths.len(), 1);
    Whole {
        bytes: std::fs::read(&paths[0]).unwrap(),
        ends,
        checkpoint: std::fs::read_to_string(home.path().join("log/checkpoint")).unwrap(),
    }
}

impl Whole {
    fn end(&self) -> u64 {
        self.ends.last().unwrap().0
    }

    /// Entries up to the last batch of which nothing is missing when all from `at` on is.
    fn entries_before(&self, at: u64) -> u64 {
        let whole = self.ends.iter().rfind(|(end, _)| *end <= at);
        whole.unwrap().1
    }

    /// Where the last byte below `at` that is not zero ends: zeros that are zeroed are still there.
    fn used_before(&self, at: u64) -> u64 {
        let part = &self.bytes[..usize::try_from(at).unwrap()];
        part.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1
    }

    fn write(&self, home: &Path) -> (PathBuf, File) {
        let log = home.join("log");
        std::fs::create_dir_all(&log).unwrap();
        let path = segment::path_of(&log, 0);
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        file.write_all_at(&self.bytes, 0).unwrap();
        (log, file)
    }

    /// The entries that a log whose tail is missing from `at` on must have.
    fn expected(&self, at: u64, zeroed: bool) -> u64 {
        if !zeroed {
            return self.entries_before(at);
        }
        // A batch whose last bytes are zeros doesn't lose them to zeros.
        let whole = |end: u64| end <= at || self.used_before(end) <= at;
        let last = self.ends.iter().rfind(|(end, _)| whole(*end));
        last.unwrap().1
    }

    /// From the end towards the beginning, so that each step changes one byte.
    fn lose_byte_by_byte(&self, zeroed: bool) {
        let home = scratch();
        let (log, file) = self.write(home.path());
        let mut cuts = 0;
        for at in (self.end() - TAIL_BYTES..self.end()).rev() {
            if zeroed {
                file.write_all_at(&[0], at).unwrap();
            } else {
                file.set_len(at).unwrap();
            }
            let found = super::super::open::look(&log).unwrap();
            let entries = found.tail.blocks.next_index();
            assert_eq!(
                entries,
                self.expected(at, zeroed),
                "from {at} on, zeroed: {zeroed}"
            );
            cuts += 1;
        }
        assert_eq!(cuts, TAIL_BYTES);
    }

    /// Opens for writing what is left, goes on, and reads all of it again.
    async fn open_without(&self, at: u64, zeroed: bool) {
        let home = scratch();
        let (_, file) = self.write(home.path());
        if zeroed {
            let zeros = vec![0; usize::try_from(self.end() - at).unwrap()];
            file.write_all_at(&zeros, at).unwrap();
        } else {
            file.set_len(at).unwrap();
        }
        let entries = self.expected(at, zeroed);
        let lost = entries < self.ends.last().unwrap().1;
        std::fs::write(home.path().join("log/checkpoint"), &self.checkpoint).unwrap();
        if lost {
            // Below what was signed, it is no torn tail.
            let refused = AccessLog::open(config(home.path()), "").unwrap_err();
            assert_eq!(refused.exit_code(), 65, "{refused}");
            forget_checkpoints(home.path());
        }
        let opened = AccessLog::open(config(home.path()), "").unwrap();
        assert_eq!(opened.log.len(), entries);
        write_batches(&opened.log, 2, 2).await;
        drop(opened);
        let again = AccessLog::open(config(home.path()), "").unwrap();
        assert!(again.torn_tails.is_empty());
        assert_eq!(all(&again.log.reader()).len() as u64, entries + 4);
        again.log.close();
        check_tree(home.path());
    }
}

#[tokio::test]
async fn a_tail_that_is_missing_from_any_byte_of_64_kib_on_costs_no_whole_batch() {
    let whole = whole_log().await;
    std::thread::scope(|scope| {
        scope.spawn(|| whole.lose_byte_by_byte(false));
        whole.lose_byte_by_byte(true);
    });
    for (end, _) in whole.ends.iter().skip(1).step_by(5) {
        for at in [end - 1, *end, (end + 9).min(whole.end())] {
            whole.open_without(at, false).await;
            whole.open_without(at, true).await;
        }
    }
}
