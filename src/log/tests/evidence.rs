//! What the keeper signs, and what it refuses to sign.

use super::*;
use crate::log::proof::{InclusionProof, verify_consistency};
use std::os::unix::fs::FileExt as _;
use tokio::sync::watch;

fn key() -> SigningKey {
    SigningKey::new("log.example", &[7; 32]).unwrap()
}

/// Waits until a checkpoint commits to `size` entries.
async fn signed(log: &AccessLog, size: u64) -> Arc<Signed> {
    let mut checkpoints: watch::Receiver<Arc<Signed>> = log.checkpoints();
    let waiting = checkpoints.wait_for(|signed| signed.checkpoint.size >= size);
    let found = tokio::time::timeout(SOON, waiting).await;
    Arc::clone(&found.unwrap().unwrap())
}

fn on_disk(home: &Path) -> Checkpoint {
    let text = std::fs::read_to_string(home.join("log/checkpoint")).unwrap();
    let note = SignedNote::parse(&text).unwrap();
    note.checkpoint(key().verifier_key()).unwrap()
}

fn refused(home: &Path) -> String {
    AccessLog::open(config(home), "log.example")
        .unwrap_err()
        .to_string()
}

#[tokio::test]
async fn a_checkpoint_commits_within_a_second_and_at_the_stop_and_is_on_the_disk() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    assert_eq!(on_disk(home.path()).size, 0);
    let mut soonest = SOON;
    for _ in 0..TRIES {
        let began = std::time::Instant::now();
        write_batches(&log, 5, 3).await;
        let told = signed(&log, log.len()).await;
        soonest = soonest.min(began.elapsed());
        assert_eq!(on_disk(home.path()), told.checkpoint);
        let all = bytes_of(&entries(0..log.len()));
        assert_eq!(told.checkpoint.root, naive_root(&all));
        if soonest < Duration::from_secs(1) {
            break;
        }
    }
    assert!(soonest < Duration::from_secs(1), "{soonest:?}");
    let size = log.len() + 2;
    write_batches(&log, 1, 2).await;
    log.close();
    assert_eq!(on_disk(home.path()).size, size);
    assert_eq!(
        std::fs::read_to_string(home.path().join("log/log.vkey"))
            .unwrap()
            .trim_end(),
        key().verifier_key().to_string()
    );
}

#[tokio::test]
async fn every_closed_segment_has_a_checkpoint_and_proofs_hold_across_segments_and_starts() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    write_batches(&log, 60, 7).await;
    log.close();
    let log = open(home.path());
    write_batches(&log, 20, 4).await;
    let told = signed(&log, 500).await;
    let stored = all(&log.reader());
    assert_eq!(told.checkpoint.root, naive_root(&stored));
    let spans = log.reader().segments();
    assert!(spans.len() > 3);
    for span in spans.iter().filter(|span| span.closed) {
        let path = home
            .path()
            .join("log")
            .join(format!("{:020}.checkpoint", span.first));
        let note = SignedNote::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
        let closing = note.checkpoint(key().verifier_key()).unwrap();
        assert_eq!(closing.size, span.next);
        let proof = log.consistency_proof(span.next).unwrap().unwrap();
        verify_consistency(
            (closing.size, &closing.root),
            (told.checkpoint.size, &told.checkpoint.root),
            &proof.path,
        )
        .unwrap();
    }
    for (index, bytes) in stored.iter().enumerate().step_by(13) {
        let index = LogIndex(index as u64);
        let text = log.inclusion_proof(index).unwrap().unwrap();
        let proof = InclusionProof::parse(&text).unwrap();
        let leaf = merkle::leaf_hash(bytes);
        let proved = proof.verify(&leaf, key().verifier_key()).unwrap();
        assert_eq!(proved, told.checkpoint);
        assert!(proof.verify(&[0; 32], key().verifier_key()).is_err());
    }
    assert_eq!(log.inclusion_proof(LogIndex(500)).unwrap(), None);
    assert!(log.consistency_proof(501).unwrap().is_none());
}

#[tokio::test]
async fn a_log_that_lost_entries_which_its_checkpoint_commits_to_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    write_batches(&log, 10, 1).await;
    log.close();
    let path = segments(home.path()).pop().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 64], end as u64 - 63).unwrap();
    assert!(refused(home.path()).contains("its end was cut off"));
}

#[tokio::test]
async fn a_log_with_another_history_than_its_checkpoint_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    write_batches(&log, 10, 1).await;
    log.close();
    let other = tempfile::tempdir().unwrap();
    let log = open(other.path());
    for number in 100..110 {
        log.append(&[entry(number)]).unwrap().await.unwrap();
    }
    log.close();
    std::fs::copy(
        other.path().join("log/checkpoint"),
        home.path().join("log/checkpoint"),
    )
    .unwrap();
    let why = refused(home.path());
    assert!(why.contains("commits to other entries"), "{why}");
}

#[tokio::test]
async fn a_checkpoint_that_is_missing_altered_or_of_another_key_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    write_batches(&log, 3, 1).await;
    log.close();
    let path = home.path().join("log/checkpoint");
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, whole.replacen("\n3\n", "\n2\n", 1)).unwrap();
    assert!(refused(home.path()).contains("is not by its key"));
    std::fs::remove_file(&path).unwrap();
    assert!(refused(home.path()).contains("is missing"));
    std::fs::write(&path, &whole).unwrap();
    let other = LogConfig {
        signing_seed: SigningSeed::new(&[8; 32]),
        ..config(home.path())
    };
    assert!(AccessLog::open(other, "log.example").is_err());
    assert_eq!(open(home.path()).len(), 3);
}

#[tokio::test]
async fn hashes_of_the_tree_that_are_gone_or_altered_are_made_anew_from_the_entries() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    write_batches(&log, 60, 7).await;
    log.close();
    let hashes = home.path().join("log/tree/0");
    let whole = std::fs::read(&hashes).unwrap();
    for spoil in [
        Vec::new(),
        whole[..whole.len() / 2].to_vec(),
        whole.iter().map(|byte| byte ^ 1).collect(),
    ] {
        std::fs::write(&hashes, spoil).unwrap();
        let log = open(home.path());
        assert!(log.inclusion_proof(LogIndex(5)).unwrap().is_some());
        log.close();
        assert_eq!(std::fs::read(&hashes).unwrap(), whole);
    }
}

#[tokio::test]
async fn what_the_disk_holds_otherwise_than_written_is_not_signed_and_stops_the_log() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    write_batches(&log, 3, 1).await;
    signed(&log, 3).await;
    let path = segments(home.path()).pop().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64;
    let appended = log.append(&[entry(3)]).unwrap().await;
    appended.unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"spoilt", end + 40).unwrap();
    let mut watch = log.watch();
    let waiting = watch.wait_for(|state| matches!(state.health, LogHealth::Damaged(_)));
    tokio::time::timeout(SOON, waiting).await.unwrap().unwrap();
    assert!(log.append(&[entry(4)]).unwrap().await.is_err());
    assert_eq!(on_disk(home.path()).size, 3);
    // The log can still say so.
    log.append_reserved(&[entry(4)]).unwrap().await.unwrap();
}

/// A log of some closed segments, the first of which was changed by `spoil` behind its back.
async fn spoilt_and_scrubbed(spoil: impl FnOnce(&mut Vec<u8>)) -> LogHealth {
    let home = scratch();
    let often = LogConfig {
        scrub_every: Duration::ZERO,
        ..config(home.path())
    };
    let log = AccessLog::open(often, "log.example").unwrap().log;
    write_batches(&log, 300, 2).await;
    signed(&log, log.len()).await;
    let path = segments(home.path())[0].clone();
    let mut bytes = std::fs::read(&path).unwrap();
    spoil(&mut bytes);
    // At once: it is being read.
    let aside = home.path().join("aside");
    std::fs::write(&aside, bytes).unwrap();
    std::fs::rename(&aside, &path).unwrap();
    let mut watch = log.watch();
    // Every segment comes to its turn, and nobody has to ask for it.
    let waiting = watch.wait_for(|state| matches!(state.health, LogHealth::Damaged(_)));
    let state = tokio::time::timeout(SOON, waiting).await.unwrap().unwrap();
    let health = state.health.clone();
    drop(state);
    assert!(log.append(&[entry(0)]).unwrap().await.is_err());
    health
}

#[tokio::test]
async fn what_rots_in_a_closed_segment_is_found_while_serving_and_stops_the_log() {
    let health = spoilt_and_scrubbed(|bytes| bytes[segment::HEADER_BYTES + 40] ^= 1).await;
    let LogHealth::Damaged(why) = health else {
        unreachable!()
    };
    assert!(
        why.contains("at offset 4096: a frame's checksum does not match"),
        "{why}"
    );
}

#[tokio::test]
async fn an_entry_that_was_forged_in_a_closed_segment_is_found_while_serving() {
    let health = spoilt_and_scrubbed(|bytes| {
        let header = segment::Header::decode(bytes).unwrap();
        let frame = &mut bytes[segment::HEADER_BYTES..];
        let at = segment::FRAME_HEADER_BYTES + 10;
        frame[at] ^= 1;
        // Whoever can write to the disk can compute it.
        segment::seal(frame, header.seed(), 0, 0, false);
    })
    .await;
    let LogHealth::Damaged(why) = health else {
        unreachable!()
    };
    assert!(
        why.contains("not those that the next segment follows"),
        "{why}"
    );
}

#[tokio::test]
async fn another_entry_of_the_right_form_in_the_place_of_one_that_was_written_is_not_signed() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    write_batches(&log, 3, 1).await;
    signed(&log, 3).await;
    let path = segments(home.path()).pop().unwrap();
    let offset = log.shared.catalog.live().blocks(catalog::Blocks::end);
    log.append(&[entry(3)]).unwrap().await.unwrap();
    // Whoever can write to the disk knows the format and the log's id.
    let header = segment::Header::decode(&std::fs::read(&path).unwrap()).unwrap();
    let mut forged = Vec::new();
    let bytes = entry(7).encode_to_vec();
    segment::start_frame(&mut forged, u16::try_from(bytes.len()).unwrap());
    forged.extend(bytes);
    segment::seal(&mut forged, header.seed(), 3, 3, true);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&forged, offset).unwrap();
    let mut watch = log.watch();
    let waiting = watch.wait_for(|state| matches!(state.health, LogHealth::Damaged(_)));
    let state = tokio::time::timeout(SOON, waiting).await.unwrap().unwrap();
    let LogHealth::Damaged(why) = &state.health else {
        unreachable!()
    };
    assert!(why.contains("not what was written"), "{why}");
    drop(state);
    assert_eq!(on_disk(home.path()).size, 3);
}

#[tokio::test]
async fn the_newest_checkpoint_gathers_cosignatures_and_an_older_one_never_takes_its_place() {
    use crate::log::note::tests::witness;
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    write_batches(&log, 1, 3).await;
    let older = signed(&log, 3).await;
    let (one, line_of_one) = witness(1, &older.note, 100);
    log.add_cosignature(&older, &line_of_one, &one).unwrap();
    write_batches(&log, 1, 3).await;
    let newer = signed(&log, 6).await;
    assert!(log.add_cosignature(&newer, &line_of_one, &one).is_err());
    assert_eq!(log.cosigned().unwrap().checkpoint.size, 3);
    for seed in [1, 2] {
        let (key, line) = witness(seed, &newer.note, 200);
        log.add_cosignature(&newer, &line, &key).unwrap();
    }
    // One that was late.
    let (two, late) = witness(2, &older.note, 300);
    log.add_cosignature(&older, &late, &two).unwrap();
    let kept = log.cosigned().unwrap();
    assert_eq!(kept.checkpoint, newer.checkpoint);
    assert_eq!(kept.note.signatures().len(), 3);
    log.close();

    let log = open(home.path());
    assert_eq!(log.cosigned(), None);
    assert_eq!(log.read_cosigned().unwrap().unwrap(), newer.checkpoint);
    assert_eq!(log.cosigned().unwrap(), kept);
    std::fs::write(log.cosigned_path(), older.note.text()).unwrap();
    assert!(matches!(
        log.read_cosigned(),
        Err(ReadError::Damaged { .. })
    ));
}
