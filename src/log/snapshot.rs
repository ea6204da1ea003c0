//! What a whole copy of a log is made of, while its writer goes on: which files, and how much of each.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::cosigned;
use super::error::OpenError;
use super::keeper;
use super::open;
use super::segment;

/// A checkpoint is a few lines; cosignatures of many witnesses stay far below.
const CHECKPOINT_MAX_BYTES: u64 = 64 * 1024;
const HASH_BYTES: u64 = 32;
/// A node of one level of the tree's files stands for 256 of the level below.
const LEVEL_BITS: u32 = 8;

/// A log as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The log's name.
    pub name: String,
    /// How many entries it has; all are durable.
    pub len: u64,
    /// The newest checkpoint (a signed note): over no more than `len` entries. `None` where there is none yet.
    pub checkpoint: Option<Vec<u8>>,
    /// The newest checkpoint that witnesses have signed too, where there is one: over no more than `len` entries either.
    pub cosigned: Option<Vec<u8>>,
    /// What to copy besides.
    pub parts: Vec<Part>,
    /// Names in the directory that this version doesn't know, and that are no part of it.
    pub left_out: Vec<String>,
}

/// A file of a [`Snapshot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Within the log's directory.
    pub path: PathBuf,
    /// How many bytes of it, from its start; `None` for all of it.
    pub bytes: Option<u64>,
}

/// The name of the newest cosigned checkpoint.
pub const COSIGNED: &str = cosigned::FILE;
/// The name of the newest checkpoint.
pub const CHECKPOINT: &str = keeper::CHECKPOINT;
const TREE: &str = "tree";

/// Looks at the log in `directory`, which another process may be writing to: takes no lock and changes nothing. A file of it
/// may be disposed of before it is copied; then look anew.
///
/// Everything up to `len` is durable when this returns: what the writer wrote and has not synced yet is synced here, so that a
/// copy never holds an entry that the log itself may still lose.
///
/// # Errors
/// When the directory holds no log, or one that is damaged, or it can't be read.
pub fn snapshot(directory: &Path) -> Result<Snapshot, OpenError> {
    // First, so that they are over no more than what is looked at next.
    let cosigned = read_checkpoint(&directory.join(COSIGNED))?;
    let checkpoint = read_checkpoint(&directory.join(CHECKPOINT))?;
    let found = open::look(directory)?;
    found
        .file
        .sync_data()
        .map_err(|source| OpenError::io(&found.path, source))?;
    let (live, end) = (found.header.first_index, found.tail.blocks.end());
    let len = found.tail.blocks.next_index();
    let mut parts = Vec::new();
    let mut left_out = Vec::new();
    for name in names(directory)? {
        let bytes = match kind(&name) {
            // Rolled since: it belongs to what came after.
            Kind::Segment(first) | Kind::Of(first) if first > live => continue,
            Kind::Segment(first) if first == live => Some(end),
            // Of a segment that was closed since.
            Kind::Closed(first) if first >= live => continue,
            Kind::Segment(_) | Kind::Of(_) | Kind::Closed(_) | Kind::Whole => None,
            Kind::Tree => {
                parts.extend(tree(directory, len)?);
                continue;
            }
            Kind::NotOfIt => continue,
            Kind::Unknown => {
                left_out.push(name);
                continue;
            }
        };
        parts.push(Part {
            path: name.into(),
            bytes,
        });
    }
    Ok(Snapshot {
        name: found.header.name,
        len,
        checkpoint,
        cosigned,
        parts,
        left_out,
    })
}

/// The files of a log's directory by their names.
enum Kind {
    /// A segment that starts at this index.
    Segment(u64),
    /// Goes with the segment that starts at this index, or stands in its place.
    Of(u64),
    /// The same, once that segment was closed.
    Closed(u64),
    /// Never changes.
    Whole,
    Tree,
    /// Of the running writer, or told otherwise.
    NotOfIt,
    Unknown,
}

fn kind(name: &str) -> Kind {
    if let Some(first) = segment::first_index_of(name) {
        return Kind::Segment(first);
    }
    let first = name
        .split_once('.')
        .filter(|(digits, _)| digits.len() == 20)
        .and_then(|(digits, rest)| Some((digits.parse().ok()?, rest)));
    match (name, first) {
        (TREE, _) => Kind::Tree,
        (keeper::VERIFIER_KEY, _) => Kind::Whole,
        (CHECKPOINT | COSIGNED | "lock" | "lost+found", _) => Kind::NotOfIt,
        (_, Some((first, "checkpoint"))) => Kind::Closed(first),
        (_, Some((first, "disposed"))) => Kind::Of(first),
        (_, Some((first, rest))) if rest.starts_with("torn-") && !rest.ends_with(".new") => {
            Kind::Of(first)
        }
        (name, _) if name.ends_with(".new") => Kind::NotOfIt,
        _ => Kind::Unknown,
    }
}

/// The tree's files, as far as they are of the first `len` entries.
fn tree(directory: &Path, len: u64) -> Result<Vec<Part>, OpenError> {
    let folder = directory.join(TREE);
    let mut parts = Vec::new();
    for name in names(&folder)? {
        let Ok(level) = name.parse::<u32>() else {
            continue;
        };
        let path = folder.join(&name);
        let there = fs::metadata(&path)
            .map_err(|source| OpenError::io(&path, source))?
            .len();
        let nodes = len
            .checked_shr(level.saturating_mul(LEVEL_BITS))
            .unwrap_or(0);
        let bytes = nodes.min(there / HASH_BYTES).saturating_mul(HASH_BYTES);
        parts.push(Part {
            path: Path::new(TREE).join(name),
            bytes: Some(bytes),
        });
    }
    Ok(parts)
}

fn names(directory: &Path) -> Result<Vec<String>, OpenError> {
    let failed = |source| OpenError::io(directory, source);
    let mut names = Vec::new();
    for item in fs::read_dir(directory).map_err(failed)? {
        let item = item.map_err(failed)?;
        names.push(item.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

fn read_checkpoint(path: &Path) -> Result<Option<Vec<u8>>, OpenError> {
    use io::Read as _;
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OpenError::io(path, error)),
    };
    let mut content = Vec::new();
    file.take(CHECKPOINT_MAX_BYTES)
        .read_to_end(&mut content)
        .map_err(|source| OpenError::io(path, source))?;
    Ok(Some(content))
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "files of a test need not survive"
)]
mod tests {
    use super::*;
    use crate::log::{AccessLog, LogConfig, SigningSeed};
    use crate::proto::StoredEntry;

    fn config(directory: &Path) -> LogConfig {
        LogConfig {
            segment_bytes: 8 << 10,
            ..LogConfig::new(directory.to_owned(), SigningSeed::new(&[7; 32]))
        }
    }

    async fn write(log: &AccessLog, count: usize) {
        for n in 0..count {
            let entry = StoredEntry {
                time_us: i64::try_from(n).unwrap() + 1,
                purpose: "x".repeat(500),
                ..StoredEntry::default()
            };
            log.append(&[entry]).unwrap().await.unwrap();
        }
    }

    fn part<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Part> {
        snapshot
            .parts
            .iter()
            .find(|part| part.path == Path::new(name))
    }

    #[tokio::test]
    async fn a_copy_of_a_snapshot_is_a_log_of_its_length_although_more_was_written_since() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("log"), folder.path().join("copy"));
        let opened = AccessLog::open(config(&from), "test/log").unwrap();
        write(&opened.log, 20).await;
        let taken = snapshot(&from).unwrap();
        assert_eq!((taken.name.as_str(), taken.len), ("test/log", 20));
        write(&opened.log, 30).await;
        for part in &taken.parts {
            let bytes = fs::read(from.join(&part.path)).unwrap();
            let end = part
                .bytes
                .map_or(bytes.len(), |bytes| usize::try_from(bytes).unwrap());
            let target = to.join(&part.path);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(target, &bytes[..end]).unwrap();
        }
        fs::write(to.join(CHECKPOINT), taken.checkpoint.as_ref().unwrap()).unwrap();
        assert!(part(&taken, "lock").is_none());
        let copy = AccessLog::open(config(&to), "other").unwrap();
        assert!(copy.torn_tails.is_empty());
        assert_eq!(copy.log.name(), "test/log");
        assert_eq!(copy.log.len(), 20);
        write(&copy.log, 1).await;
    }

    #[tokio::test]
    async fn the_tree_and_the_checkpoints_are_never_of_more_than_the_entries() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("log");
        let opened = AccessLog::open(config(&from), "test/log").unwrap();
        write(&opened.log, 20).await;
        let live = opened.log.reader().segments().last().unwrap().first;
        opened.log.close();
        fs::write(from.join("tree/0"), vec![1; 32 * 25 + 7]).unwrap();
        fs::write(from.join("tree/1"), vec![1; 32]).unwrap();
        for (first, name) in [
            (0, "checkpoint"),
            (live, "checkpoint"),
            (0, "torn-4096-0"),
            (99, "x"),
        ] {
            fs::write(from.join(format!("{first:020}.{name}")), b"note").unwrap();
        }
        fs::write(from.join(COSIGNED), b"note").unwrap();
        let taken = snapshot(&from).unwrap();
        let bytes = |name: &str| part(&taken, name).unwrap().bytes;
        assert_eq!(bytes("tree/0"), Some(32 * 20));
        assert_eq!(taken.cosigned.as_deref(), Some(b"note".as_slice()));
        assert_eq!(bytes("tree/1"), Some(0));
        assert!(part(&taken, &format!("{:020}.checkpoint", 0)).is_some());
        assert!(part(&taken, &format!("{:020}.torn-4096-0", 0)).is_some());
        let disposed = kind(&format!("{:020}.disposed", 7));
        assert!(matches!(disposed, Kind::Of(7)));
        assert!(part(&taken, &format!("{live:020}.checkpoint")).is_none());
        assert_eq!(taken.left_out, [format!("{:020}.x", 99)]);
    }
}
