//! Checkpoints that were seen, and whether each is still a prefix of the log: computed here anew, by RFC 6962 and the bytes of
//! the entries alone.

use std::fs;
use std::path::Path;

use data_encoding::BASE64;
use sekisho::domain::ids::LogIndex;
use sekisho::log::LogReader;
use sha2::{Digest as _, Sha256};

/// A checkpoint that somebody kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) size: u64,
    root: [u8; 32],
    /// As it was found.
    pub(crate) note: String,
}

/// The newest in a log's directory: the second line of a C2SP checkpoint is the size, the third the root.
pub(crate) fn newest(log: &Path) -> Kept {
    let note = fs::read_to_string(log.join("checkpoint")).unwrap();
    let mut lines = note.lines().skip(1);
    let size = lines.next().unwrap().parse().unwrap();
    let root = BASE64.decode(lines.next().unwrap().as_bytes()).unwrap();
    Kept {
        size,
        root: root.try_into().unwrap(),
        note,
    }
}

/// Panics when one of them commits to what the log doesn't begin with. They must not shrink.
pub(crate) fn all_are_prefixes(log: &Path, seen: &[Kept]) {
    assert!(
        seen.is_sorted_by_key(|kept| kept.size),
        "one is of fewer entries"
    );
    let reader = LogReader::open_directory(log).unwrap();
    let mut leaves = reader.forward(LogIndex(0));
    let (mut size, mut peaks) = (0_u64, Vec::new());
    for kept in seen {
        while size < kept.size {
            let leaf = leaves.next().expect("the log is shorter").unwrap();
            push(
                &mut peaks,
                size,
                Sha256::new().chain_update([0]).chain_update(&leaf.bytes),
            );
            size += 1;
        }
        assert_eq!(root(&peaks), kept.root, "not a prefix:\n{}", kept.note);
    }
}

fn push(peaks: &mut Vec<[u8; 32]>, size: u64, leaf: Sha256) {
    let mut hash: [u8; 32] = leaf.finalize().into();
    for _ in 0..size.trailing_ones() {
        hash = node(&peaks.pop().unwrap(), &hash);
    }
    peaks.push(hash);
}

fn root(peaks: &[[u8; 32]]) -> [u8; 32] {
    let mut peaks = peaks.iter().rev();
    let last = peaks.next().copied();
    let last = last.unwrap_or_else(|| Sha256::digest([]).into());
    peaks.fold(last, |right, left| node(left, &right))
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let both = Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right);
    both.finalize().into()
}
