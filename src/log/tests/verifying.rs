//! What `verify` finds, and what it finds nothing wrong with.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;

use super::*;
use crate::log::segment::Header;
use crate::log::verify::{Patience, Signatures, verify_signed};

fn key() -> SigningKey {
    SigningKey::new("log.example", &[7; 32]).unwrap()
}

/// A stopped log need not be waited for.
const AT_ONCE: Patience = Patience {
    looks: 1,
    every: Duration::ZERO,
};

fn looked_at(path: &Path, options: &VerifyOptions) -> Result<Verified, VerifyError> {
    let signatures = Signatures::read(path, options)?;
    verify_signed(path, signatures, &|_| {}, AT_ONCE)
}

fn whole(home: &Path) -> Verified {
    looked_at(&home.join("log"), &VerifyOptions::default()).unwrap()
}

fn found_with(home: &Path, options: &VerifyOptions) -> Finding {
    match looked_at(&home.join("log"), options) {
        Err(VerifyError::Damaged(finding)) => *finding,
        other => panic!("{other:?}"),
    }
}

fn found(home: &Path) -> Finding {
    found_with(home, &VerifyOptions::default())
}

fn newest(home: &Path) -> SignedNote {
    let text = std::fs::read_to_string(home.join("log/checkpoint")).unwrap();
    SignedNote::parse(&text).unwrap()
}

fn keeping(note: SignedNote) -> VerifyOptions {
    VerifyOptions {
        key: None,
        checkpoint: Some(note),
    }
}

/// A log of some segments, stopped.
async fn stopped(batches: u64, per_batch: u64) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    write_batches(&log, batches, per_batch).await;
    log.close();
    home
}

/// The frames of a segment: for each entry its offset and its bytes.
fn frames(path: &Path) -> (Header, Vec<(u64, Vec<u8>)>) {
    let bytes = std::fs::read(path).unwrap();
    let header = Header::decode(&bytes).unwrap();
    let mut offset = segment::HEADER_BYTES;
    let mut frames = Vec::new();
    while let segment::Parsed::Frame(frame) = segment::parse(&bytes[offset..], header.seed()) {
        frames.push((offset as u64, frame.bytes.to_vec()));
        offset += segment::frame_bytes(frame.bytes.len());
    }
    (header, frames)
}

/// Writes a segment anew from entries, with good checksums, as an intruder would who knows the format.
fn forge(path: &Path, header: &Header, entries: &[Vec<u8>]) {
    let length = std::fs::metadata(path).unwrap().len();
    let mut bytes = header.encode();
    for (n, entry) in entries.iter().enumerate() {
        let start = bytes.len();
        segment::start_frame(&mut bytes, u16::try_from(entry.len()).unwrap());
        bytes.extend(entry);
        segment::pad(&mut bytes);
        let n = n as u64;
        let (index, batch) = (header.first_index + n, header.first_batch + n);
        segment::seal(&mut bytes[start..], header.seed(), index, batch, true);
    }
    if (bytes.len() as u64) < length {
        bytes.resize(usize::try_from(length).unwrap(), 0);
    }
    std::fs::write(path, bytes).unwrap();
}

/// All entries in order.
fn stored(home: &Path) -> Vec<Vec<u8>> {
    all(&LogReader::open_directory(home.join("log")).unwrap())
}

#[tokio::test]
async fn a_log_that_was_stopped_is_whole() {
    let home = stopped(70, 7).await;
    let verified = whole(home.path());
    let spans = LogReader::open_directory(home.path().join("log"))
        .unwrap()
        .segments();
    assert_eq!(verified.entries, 490);
    assert_eq!(verified.root, naive_root(&stored(home.path())));
    assert_eq!(verified.checkpoint.size, 490);
    assert!(spans.len() > 3);
    assert_eq!(verified.segments, spans.len() as u64);
    assert_eq!(verified.checkpoints, spans.len() as u64);
    assert!(verified.key_from_directory);
    assert_eq!(&verified.key, key().verifier_key());
}

#[tokio::test]
async fn a_log_without_entries_is_whole() {
    let home = stopped(0, 0).await;
    assert_eq!(whole(home.path()).entries, 0);
}

#[tokio::test]
async fn a_segment_that_closed_after_a_pause_has_its_checkpoint() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    let mut checkpoints = log.checkpoints();
    // The newest checkpoint commits to exactly what the segment ends with when the next day begins.
    for day in 0..3_i64 {
        let entry = StoredEntry {
            time_us: (1_700_000_000 + day * 86_400) * 1_000_000,
            ..entry(0)
        };
        log.append(&[entry]).unwrap().await.unwrap();
        let size = log.len();
        let reached = checkpoints.wait_for(|signed| signed.checkpoint.size == size);
        reached.await.unwrap();
    }
    log.close();
    let verified = whole(home.path());
    assert_eq!((verified.segments, verified.checkpoints), (3, 3));
}

#[tokio::test]
async fn a_log_is_whole_while_it_is_written_to() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    let writing = {
        let log = log.clone();
        tokio::spawn(async move { write_batches(&log, 600, 5).await })
    };
    let path = home.path().join("log");
    let mut looks = 0;
    while !writing.is_finished() {
        let path = path.clone();
        let verified =
            tokio::task::spawn_blocking(move || verify(&path, &VerifyOptions::default(), &|_| {}));
        let verified = verified.await.unwrap().unwrap();
        assert!(verified.entries >= verified.checkpoint.size);
        looks += 1;
    }
    writing.await.unwrap();
    assert!(looks > 1, "{looks}");
    log.close();
    assert_eq!(whole(home.path()).entries, 3000);
}

#[tokio::test]
async fn a_kept_checkpoint_is_proved_a_prefix() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    let mut kept = vec![newest(home.path())];
    for _ in 0..6 {
        write_batches(&log, 9, 5).await;
        log.checkpoints()
            .wait_for(|signed| signed.checkpoint.size == log.len())
            .await
            .unwrap();
        kept.push(newest(home.path()));
    }
    log.close();
    for note in kept {
        let size = note.checkpoint(key().verifier_key()).unwrap().size;
        let verified = looked_at(&home.path().join("log"), &keeping(note)).unwrap();
        assert_eq!(verified.kept.unwrap().size, size);
    }
}

/// The first bad entry must be the one that was changed, whatever the intruder put right again.
#[tokio::test]
async fn an_entry_that_was_edited_deleted_inserted_or_moved_is_named() {
    for (attack, bad) in [
        ("edit", 40),
        ("delete", 40),
        ("insert", 40),
        ("reorder", 40),
    ] {
        let home = stopped(300, 1).await;
        let path = segments(home.path()).remove(0);
        let (header, frames) = frames(&path);
        assert!(frames.len() > 50 && frames.len() < 300);
        let mut entries: Vec<Vec<u8>> = frames.into_iter().map(|(_, bytes)| bytes).collect();
        match attack {
            "edit" => entries[40] = entry(1_000).encode_to_vec(),
            "delete" => drop(entries.remove(40)),
            "insert" => entries.insert(40, entry(1_000).encode_to_vec()),
            _ => entries.swap(40, 41),
        }
        forge(&path, &header, &entries);
        let finding = found(home.path());
        assert_eq!(finding.entry, Some(bad), "{attack}: {finding}");
        assert_eq!(finding.path, path, "{attack}");
    }
}

#[tokio::test]
async fn an_entry_edited_in_segment_hashes_and_headers_alike_fails_the_next_checkpoint() {
    let home = stopped(300, 1).await;
    let paths = segments(home.path());
    let mut entries = stored(home.path());
    entries[40] = entry(1_000).encode_to_vec();
    let mut tree = TreeCopy::of(home.path());
    tree.0[40] = merkle::leaf_hash(&entries[40]);
    tree.write(home.path());
    let mut whole = merkle::CompactRange::default();
    for path in &paths {
        let (mut header, frames) = frames(path);
        let first = usize::try_from(header.first_index).unwrap();
        let own = &entries[first..first + frames.len()];
        header.tree = whole.clone();
        own.iter()
            .for_each(|entry| whole.push(merkle::leaf_hash(entry)));
        forge(path, &header, own);
    }
    let finding = found(home.path());
    let closing = paths[0].with_extension("checkpoint");
    assert_eq!((finding.entry, finding.path), (Some(0), closing));
    assert!(matches!(finding.wrong, Wrong::Checkpoint { .. }));
}

/// `tree/0`, which is all there is of a small tree but one hash.
struct TreeCopy(Vec<[u8; 32]>);

impl TreeCopy {
    fn of(home: &Path) -> Self {
        let bytes = std::fs::read(home.join("log/tree/0")).unwrap();
        Self(bytes.as_chunks::<32>().0.to_vec())
    }

    fn write(&self, home: &Path) {
        std::fs::write(home.join("log/tree/0"), self.0.as_flattened()).unwrap();
    }
}

#[tokio::test]
async fn a_tail_that_was_cut_is_noticed_by_the_checkpoint_or_a_kept_one() {
    let home = stopped(30, 1).await;
    let old = newest(home.path());
    let log = open(home.path());
    write_batches(&log, 20, 1).await;
    log.close();
    let kept = newest(home.path());
    let path = segments(home.path()).remove(0);
    let (header, frames) = frames(&path);
    let entries: Vec<Vec<u8>> = frames
        .into_iter()
        .take(30)
        .map(|(_, bytes)| bytes)
        .collect();
    forge(&path, &header, &entries);
    let finding = found(home.path());
    assert_eq!(finding.entry, Some(30));
    assert!(matches!(
        finding.wrong,
        Wrong::CutOff {
            entries: 30,
            committed: 50
        }
    ));
    // The intruder puts the older checkpoint back, too.
    std::fs::write(home.path().join("log/checkpoint"), old.to_string()).unwrap();
    whole(home.path());
    let finding = found_with(home.path(), &keeping(kept));
    assert_eq!(finding.entry, Some(30));
    assert!(matches!(
        finding.wrong,
        Wrong::KeptBeyond {
            size: 50,
            entries: 30
        }
    ));
}

#[tokio::test]
async fn another_log_in_its_place_is_noticed_by_a_kept_checkpoint() {
    let home = stopped(30, 1).await;
    let kept = newest(home.path());
    // One of the same length and name with another key, and one with the very key, which was stolen.
    for (seed, other_key) in [([9; 32], true), ([7; 32], false)] {
        let other = tempfile::tempdir().unwrap();
        let config = LogConfig {
            signing_seed: SigningSeed::new(&seed),
            ..config(other.path())
        };
        let log = AccessLog::open(config, "log.example").unwrap().log;
        for number in 500..540 {
            log.append(&[entry(number)]).unwrap().await.unwrap();
        }
        log.close();
        whole(other.path());
        let finding = found_with(other.path(), &keeping(kept.clone()));
        match finding.wrong {
            Wrong::KeptNote(_) => assert!(other_key),
            Wrong::KeptOther { size } => assert_eq!((size, other_key), (30, false)),
            other => panic!("{other}"),
        }
        let named = VerifyOptions {
            key: Some(key().verifier_key().clone()),
            checkpoint: None,
        };
        let outcome = looked_at(&other.path().join("log"), &named);
        assert_eq!(
            outcome.is_err(),
            other_key,
            "the key is not taken from the directory"
        );
    }
}

#[tokio::test]
async fn whatever_is_missing_or_foreign_is_named() {
    let home = stopped(300, 1).await;
    let log = home.path().join("log");
    let paths = segments(home.path());
    let closing = paths[0].with_extension("checkpoint");
    let gone = |path: &Path| {
        let aside = home.path().join("aside");
        std::fs::rename(path, &aside).unwrap();
        let finding = found(home.path());
        std::fs::rename(&aside, path).unwrap();
        finding
    };
    assert!(matches!(gone(&closing).wrong, Wrong::Missing));
    assert!(matches!(
        gone(&log.join("checkpoint")).wrong,
        Wrong::Missing
    ));
    assert!(matches!(gone(&log.join("log.vkey")).wrong, Wrong::Key(_)));
    assert!(matches!(gone(&log.join("tree/0")).wrong, Wrong::NoHash));
    let second = segment::first_index_of(paths[1].file_name().unwrap().to_str().unwrap());
    let finding = gone(&paths[1]);
    assert_eq!(finding.entry, second, "{finding}");
    let finding = gone(paths.last().unwrap());
    assert!(finding.entry >= second, "{finding}");
    assert_eq!(gone(&paths[0]).entry, Some(0));

    // A segment of another log in the place of the last.
    let other = stopped(300, 1).await;
    let last = paths.last().unwrap();
    std::fs::copy(
        other.path().join("log").join(last.file_name().unwrap()),
        last,
    )
    .unwrap();
    assert!(matches!(found(home.path()).wrong, Wrong::Header(_)));
}

#[tokio::test]
async fn a_stored_hash_that_was_changed_is_told_from_a_changed_entry() {
    let home = stopped(300, 1).await;
    for (file, hash, entry) in [("0", 77, 77), ("0", 299, 299), ("1", 0, 255)] {
        let path = home.path().join("log/tree").join(file);
        let before = std::fs::read(&path).unwrap();
        let mut bytes = before.clone();
        bytes[hash * 32 + 5] ^= 4;
        std::fs::write(&path, bytes).unwrap();
        let finding = found(home.path());
        std::fs::write(&path, before).unwrap();
        assert_eq!(finding.path, path);
        assert_eq!(finding.entry, Some(entry));
        assert_eq!(finding.offset, Some(hash as u64 * 32));
        assert_eq!(finding.wrong, Wrong::Hash);
    }
    whole(home.path());
}

#[tokio::test]
async fn what_is_not_a_log_is_not_called_damaged() {
    let home = tempfile::tempdir().unwrap();
    for path in [home.path().join("nothing"), home.path().to_owned()] {
        let error = verify(&path, &VerifyOptions::default(), &|_| {}).unwrap_err();
        assert_eq!(error.exit_code(), 66);
    }
}

/// A log of one segment of 64 KiB, nearly full, with entries of many sizes.
async fn segment_of_64_kib() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let config = LogConfig {
        segment_bytes: 64 << 10,
        ..config(home.path())
    };
    let log = AccessLog::open(config, "log.example").unwrap().log;
    for size in [1, 2_000, 30, 9_000, 7, 12_000, 300, 14_000, 3, 4_000, 8_000] {
        let entry = StoredEntry {
            request_id: "x".repeat(size),
            ..entry(size as u64)
        };
        log.append(&[entry]).unwrap().await.unwrap();
    }
    log.close();
    let path = segments(home.path()).pop().unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 64 << 10);
    (home, path)
}

/// How many of these bits are noticed when they are flipped.
fn noticed(home: &Path, segment: &Path, bits: impl Iterator<Item = u64>) -> u64 {
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(segment)
        .unwrap();
    let log = home.join("log");
    // They are not in the segment: it is enough to verify them once.
    let signatures = Signatures::read(&log, &VerifyOptions::default()).unwrap();
    let mut noticed = 0;
    for bit in bits {
        let (at, mask) = (bit / 8, 1 << (bit % 8));
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ mask], at).unwrap();
        match verify_signed(&log, signatures.clone(), &|_| {}, AT_ONCE) {
            Err(VerifyError::Damaged(finding)) => {
                assert_eq!(finding.path, segment, "bit {bit}: {finding}");
                noticed += 1;
            }
            other => println!("bit {bit}: {other:?}"),
        }
        file.write_all_at(&byte, at).unwrap();
    }
    noticed
}

#[tokio::test]
async fn every_flipped_bit_of_a_segment_is_noticed() {
    const BITS: u64 = 8 * (64 << 10);
    let threads = 2;
    let logs: Vec<_> = {
        let mut logs = Vec::new();
        for _ in 0..threads {
            logs.push(segment_of_64_kib().await);
        }
        logs
    };
    whole(logs[0].0.path());
    let count: u64 = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .zip(&logs)
            .map(|(n, (home, path))| {
                let bits = (n..BITS).step_by(usize::try_from(threads).unwrap());
                scope.spawn(move || noticed(home.path(), path, bits))
            })
            .collect();
        running.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(count, BITS);
}

/// All files under a directory.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for item in std::fs::read_dir(next).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                files.insert(path.strip_prefix(directory).unwrap().to_owned(), bytes);
            }
        }
    }
    files
}

#[tokio::test]
async fn an_export_holds_what_the_log_holds_and_verifies_alike() {
    for entries in [0, 1, 255, 256, 300, 600] {
        let home = stopped(entries, 1).await;
        let out = home.path().join("out");
        let told = export_tiles(&home.path().join("log"), &out, &|_| {}).unwrap();
        assert_eq!(told.size, entries);
        let verified = verify(&out, &VerifyOptions::default(), &|_| {}).unwrap();
        let directory = whole(home.path());
        assert_eq!((verified.entries, verified.root), (entries, directory.root));
        let exported = files(&out);
        if entries == 600 {
            let names: Vec<_> = exported.keys().map(|path| path.to_str().unwrap()).collect();
            assert_eq!(
                names,
                [
                    "checkpoint",
                    "log.vkey",
                    "tile/0/000",
                    "tile/0/001",
                    "tile/0/002.p/88",
                    "tile/1/000.p/2",
                    "tile/entries/000",
                    "tile/entries/001",
                    "tile/entries/002.p/88",
                ]
            );
        }
        let again = export_tiles(&home.path().join("log"), &out, &|_| {});
        assert!(matches!(again, Err(ExportError::NotEmpty(_))));
        assert_eq!(files(&out), exported);
    }
}

#[tokio::test]
async fn every_changed_or_missing_file_of_an_export_is_noticed() {
    let home = stopped(300, 1).await;
    let out = home.path().join("out");
    export_tiles(&home.path().join("log"), &out, &|_| {}).unwrap();
    for (name, bytes) in files(&out) {
        let path = out.join(&name);
        for at in [0, bytes.len() / 2, bytes.len() - 2] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            std::fs::write(&path, changed).unwrap();
            let outcome = verify(&out, &VerifyOptions::default(), &|_| {});
            assert!(outcome.is_err(), "{} {at}", name.display());
        }
        for changed in [&bytes[..bytes.len() - 1], &[&bytes[..], &[0; 40]].concat()] {
            if changed.trim_ascii_end() == bytes.trim_ascii_end() {
                continue;
            }
            std::fs::write(&path, changed).unwrap();
            let outcome = verify(&out, &VerifyOptions::default(), &|_| {});
            assert!(outcome.is_err(), "{} cut or longer", name.display());
        }
        std::fs::remove_file(&path).unwrap();
        let outcome = verify(&out, &VerifyOptions::default(), &|_| {});
        assert!(outcome.is_err(), "{} missing", name.display());
        std::fs::write(&path, bytes).unwrap();
    }
    verify(&out, &VerifyOptions::default(), &|_| {}).unwrap();
}

#[tokio::test]
async fn a_log_that_is_not_what_was_signed_is_not_exported() {
    let home = stopped(60, 1).await;
    let path = segments(home.path()).remove(0);
    let (header, frames) = frames(&path);
    let mut entries: Vec<Vec<u8>> = frames.into_iter().map(|(_, bytes)| bytes).collect();
    entries[3] = entry(1_000).encode_to_vec();
    forge(&path, &header, &entries);
    let out = home.path().join("out");
    let error = export_tiles(&home.path().join("log"), &out, &|_| {}).unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(!out.join("checkpoint").exists());
}

/// A log whose first segment was disposed of, as its entry 450 says.
async fn disposed(home: &Path) -> DisposedRange {
    let log = open(home);
    write_batches(&log, 450, 1).await;
    let span = log.reader().segments()[0];
    let rule = "default 3y".to_owned();
    let change = crate::proto::StoredDisposal {
        segments: vec![crate::proto::StoredSpan {
            first: span.first,
            next: span.next,
        }],
        rule: rule.clone(),
        ..Default::default()
    };
    let said = StoredEntry {
        change: Some(crate::proto::StoredChange {
            kind: Some(crate::proto::stored_change::Kind::Dispose(change)),
        }),
        ..entry(450)
    };
    log.append(&[said]).unwrap().await.unwrap();
    log.checkpoints()
        .wait_for(|signed| signed.checkpoint.size == 451)
        .await
        .unwrap();
    let at = crate::domain::time::Timestamp::from_seconds(1_800_000_000);
    let disposal = Disposal {
        entry: LogIndex(450),
        at,
        rule: rule.clone(),
    };
    log.dispose(&[(span.first, span.next)], &disposal).unwrap();
    log.close();
    DisposedRange {
        first: span.first,
        next: span.next,
        at,
        rule,
    }
}

#[tokio::test]
async fn a_log_is_whole_without_what_was_disposed_of_and_says_what_that_was() {
    let home = tempfile::tempdir().unwrap();
    let range = disposed(home.path()).await;
    assert!(!segment::path_of(&home.path().join("log"), 0).exists());
    let verified = whole(home.path());
    assert_eq!((verified.entries, verified.disposed), (451, vec![range]));
}

#[tokio::test]
async fn hashes_of_what_was_disposed_of_must_be_those_that_were_signed() {
    let home = tempfile::tempdir().unwrap();
    let range = disposed(home.path()).await;
    let mut tree = TreeCopy::of(home.path());
    tree.0[5][0] ^= 1;
    tree.write(home.path());
    let finding = found(home.path());
    assert_eq!(finding.entry, Some(0));
    assert_eq!(finding.wrong, Wrong::Checkpoint { size: range.next });
    tree.0.truncate(10);
    tree.write(home.path());
    let finding = found(home.path());
    assert_eq!((finding.entry, finding.wrong), (Some(10), Wrong::NoHash));
}

#[tokio::test]
async fn entries_that_are_gone_without_an_entry_that_says_so_are_noticed() {
    let home = tempfile::tempdir().unwrap();
    let range = disposed(home.path()).await;
    let log = open(home.path());
    let span = log.reader().segments()[1];
    assert_eq!((span.first, span.closed), (range.next, true));
    // An intruder disposes of more, and names the entry that disposed of the first.
    let disposal = Disposal {
        entry: LogIndex(450),
        at: range.at,
        rule: range.rule,
    };
    log.dispose(&[(span.first, span.next)], &disposal).unwrap();
    log.close();
    let finding = found(home.path());
    assert_eq!(finding.entry, Some(span.first));
    assert!(matches!(finding.wrong, Wrong::Disposal(_)), "{finding}");
}

#[tokio::test]
async fn an_export_of_what_was_disposed_of_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let range = disposed(home.path()).await;
    let out = home.path().join("out");
    let error = export_tiles(&home.path().join("log"), &out, &|_| {}).unwrap_err();
    assert_eq!(error.exit_code(), 65);
    let told = error.to_string();
    let last = range.next - 1;
    assert!(told.contains(&format!(
        "entries 0 to {last} of the access log were disposed of"
    )));
    assert!(!out.join("checkpoint").exists());
}
