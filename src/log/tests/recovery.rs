use std::os::unix::fs::FileExt as _;

use super::*;
use crate::log::segment::{FRAME_HEADER_BYTES, HEADER_BYTES};

/// A closed log of one segment and the offset of each batch's end, which starts with that of the header.
async fn small_log(home: &Path, batches: u64, per_batch: u64) -> (PathBuf, Vec<u64>) {
    let log = open(home);
    let mut ends = vec![HEADER_BYTES as u64];
    for _ in 0..batches {
        write_batches(&log, 1, per_batch).await;
        ends.push(log.shared.catalog.live().blocks(catalog::Blocks::end));
    }
    log.close();
    let paths = segments(home);
    assert_eq!(paths.len(), 1);
    (paths[0].clone(), ends)
}

fn edit(path: &Path, bytes: &[u8], offset: u64) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, offset).unwrap();
}

/// How many entries are whole when the log of `small_log` is cut at `cut`.
fn whole(ends: &[u64], per_batch: u64, cut: u64) -> u64 {
    ends[1..].iter().filter(|end| **end <= cut).count() as u64 * per_batch
}

#[tokio::test]
async fn a_log_cut_at_any_byte_opens_to_its_last_whole_batch() {
    let home = tempfile::tempdir().unwrap();
    let (path, ends) = small_log(home.path(), 30, 3).await;
    let end = *ends.last().unwrap();
    let whole_file = std::fs::read(&path).unwrap();
    let log = home.path().join("log");
    for cut in end - 4096..=end {
        let length = usize::try_from(cut).unwrap();
        let mut zeroed = whole_file.clone();
        zeroed[length..].fill(0);
        for content in [&whole_file[..length], &zeroed] {
            edit(&path, content, 0);
            File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(content.len() as u64)
                .unwrap();
            // Where a batch ends in zeros, as its padding, it can lose them to zeros.
            let kept_until = ends.iter().rev().find(|end| {
                let end = usize::try_from(**end).unwrap();
                content.len() >= end && content[..end] == whole_file[..end]
            });
            let kept_until = *kept_until.unwrap();
            let entries = whole(&ends, 3, kept_until);
            assert_eq!(
                LogReader::open_directory(&log).unwrap().len(),
                entries,
                "cut at {cut}"
            );
            // Each open for writing syncs six times: a tenth of them will do.
            if cut % 10 == 0 || cut == end {
                forget_checkpoints(home.path());
                let opened = AccessLog::open(config(home.path()), "").unwrap();
                let lost = &content[usize::try_from(kept_until).unwrap()..];
                let lost = &lost[..lost
                    .iter()
                    .rposition(|byte| *byte != 0)
                    .map_or(0, |at| at + 1)];
                match opened.torn_tails.first() {
                    Some(torn) => {
                        assert_eq!((&torn.segment, torn.offset), (&path, kept_until));
                        assert_eq!(torn.bytes, lost.len() as u64);
                        assert_eq!(std::fs::read(&torn.kept_in).unwrap(), lost);
                        std::fs::remove_file(&torn.kept_in).unwrap();
                    }
                    None => assert!(lost.is_empty()),
                }
                write_batches(&opened.log, 1, 2).await;
                assert_eq!(opened.log.len(), entries + 2);
                drop(opened);
                let again = AccessLog::open(config(home.path()), "").unwrap();
                assert!(again.torn_tails.is_empty());
                assert_eq!(again.log.len(), entries + 2);
            }
        }
    }
    check_tree(home.path());
}

#[tokio::test]
async fn a_flipped_bit_before_the_last_batch_is_refused_with_its_place() {
    let home = tempfile::tempdir().unwrap();
    let (path, ends) = small_log(home.path(), 6, 2).await;
    let whole_file = std::fs::read(&path).unwrap();
    let log = home.path().join("log");
    let last = ends[ends.len() - 2];
    for offset in 0..last {
        let at = usize::try_from(offset).unwrap();
        for bit in 0..8 {
            edit(&path, &[whole_file[at] ^ (1 << bit)], offset);
            match super::super::open::list(&log).map(|_| super::super::open::look(&log)) {
                Ok(Err(OpenError::Damaged {
                    path: named,
                    offset: told,
                    ..
                })) => {
                    assert_eq!(named, path);
                    if offset < HEADER_BYTES as u64 {
                        assert_eq!(told, 0);
                    } else {
                        // The frame that the bit is in, not merely somewhere after.
                        assert!(told <= offset && offset < told + 100, "{told} for {offset}");
                    }
                }
                other => panic!(
                    "bit {bit} of {offset}: {other:?}",
                    other = other.map(|_| ())
                ),
            }
        }
        edit(&path, &whole_file[at..=at], offset);
    }
    edit(&path, &[whole_file[4_200] ^ 1], 4_200);
    assert!(last > 4_200);
    let before = std::fs::read(&path).unwrap();
    let refused = AccessLog::open(config(home.path()), "").unwrap_err();
    assert_eq!(refused.exit_code(), 65);
    assert_eq!(std::fs::read(&path).unwrap(), before, "nothing is changed");
}

#[tokio::test]
async fn a_flipped_bit_in_the_last_batch_takes_the_whole_batch_and_no_more() {
    let home = tempfile::tempdir().unwrap();
    let (path, ends) = small_log(home.path(), 4, 3).await;
    let whole_file = std::fs::read(&path).unwrap();
    let log = home.path().join("log");
    for offset in ends[3]..ends[4] {
        let at = usize::try_from(offset).unwrap();
        edit(&path, &[whole_file[at] ^ 16], offset);
        assert_eq!(
            LogReader::open_directory(&log).unwrap().len(),
            9,
            "at {offset}"
        );
        edit(&path, &whole_file[at..=at], offset);
    }
    edit(&path, &[1], ends[4] + 777);
    let opened = AccessLog::open(config(home.path()), "").unwrap();
    assert_eq!(
        opened.log.len(),
        12,
        "what follows the last batch takes nothing with it"
    );
    assert_eq!(opened.torn_tails[0].bytes, 778);
}

#[tokio::test]
async fn a_batch_that_was_durable_and_is_zeros_now_is_damage() {
    let home = tempfile::tempdir().unwrap();
    let (path, ends) = small_log(home.path(), 5, 2).await;
    let hole = vec![0; usize::try_from(ends[3] - ends[2]).unwrap()];
    edit(&path, &hole, ends[2]);
    let refused = AccessLog::open(config(home.path()), "").unwrap_err();
    assert!(
        matches!(refused, OpenError::Damaged { offset, .. } if offset == ends[2]),
        "{refused}"
    );
}

#[tokio::test]
async fn bytes_inside_a_torn_entry_that_look_like_a_later_frame_are_not_believed() {
    let home = tempfile::tempdir().unwrap();
    let (path, ends) = small_log(home.path(), 2, 1).await;
    // A caller knows the format but not the log's id.
    let mut forged = Vec::new();
    segment::start_frame(&mut forged, 8);
    forged.extend(b"forged!!");
    segment::seal(&mut forged, 0, 3, 3, true);
    edit(&path, &[7; 8], ends[2]);
    edit(&path, &forged, ends[2] + 64);
    let opened = AccessLog::open(config(home.path()), "").unwrap();
    assert_eq!(opened.log.len(), 2);
    assert_eq!(
        opened.torn_tails[0].bytes,
        64 + (FRAME_HEADER_BYTES as u64) + 8
    );
}

#[tokio::test]
async fn a_torn_tail_is_told_by_each_start_until_something_is_written_after_it() {
    let home = tempfile::tempdir().unwrap();
    let (path, ends) = small_log(home.path(), 2, 1).await;
    let told = |torn: &[TornTail]| torn.iter().map(|torn| torn.bytes).collect::<Vec<_>>();
    let open = || AccessLog::open(config(home.path()), "").unwrap();
    edit(&path, &[1], ends[2] + 777);
    // The start ends before it writes anything.
    for _ in 0..2 {
        let opened = open();
        assert_eq!(told(&opened.torn_tails), [778]);
        assert_eq!(opened.log.len(), 2);
        opened.log.close();
    }
    // Another ends in the middle of its first write.
    edit(&path, &[1], ends[2] + 99);
    let opened = open();
    assert_eq!(told(&opened.torn_tails), [778, 100]);
    write_batches(&opened.log, 1, 1).await;
    drop(opened);
    assert!(open().torn_tails.is_empty());
    let kept = std::fs::read_dir(home.path().join("log")).unwrap();
    let kept = kept.filter(|item| {
        let name = item.as_ref().unwrap().file_name();
        name.to_string_lossy().contains(".torn-")
    });
    assert_eq!(kept.count(), 2);
}

#[tokio::test]
async fn a_torn_tail_is_told_also_when_what_said_so_was_torn_in_the_next_segment() {
    let home = tempfile::tempdir().unwrap();
    let (path, ends) = small_log(home.path(), 2, 1).await;
    edit(&path, &[1], ends[2] + 777);
    let disk = TestDisk::new();
    let log = open_on(&disk, &config(home.path())).unwrap().log;
    let mut writes = 0;
    disk.fail(move |call| {
        writes += usize::from(call == Call::Write);
        // The first is the header of the new segment.
        (call == Call::Write && writes == 2).then_some(io::ErrorKind::Other)
    });
    let tomorrow = StoredEntry {
        time_us: entry(0).time_us + 86_400_000_000,
        ..entry(2)
    };
    let refused = log.append(std::slice::from_ref(&tomorrow)).unwrap().await;
    assert!(matches!(refused, Err(AppendError::Stopped(_))));
    log.close();
    disk.heal();
    let opened = open_on(&disk, &config(home.path())).unwrap();
    let paths = segments(home.path());
    let torn: Vec<_> = opened.torn_tails.iter().map(|torn| &torn.segment).collect();
    assert_eq!(torn, [&paths[0], &paths[1]]);
    opened.log.append(&[tomorrow]).unwrap().await.unwrap();
    opened.log.close();
    drop(opened);
    let again = open_on(&disk, &config(home.path())).unwrap();
    assert!(again.torn_tails.is_empty());
}

#[tokio::test]
async fn what_was_kept_aside_in_part_is_no_torn_tail() {
    let home = tempfile::tempdir().unwrap();
    let (path, ends) = small_log(home.path(), 2, 1).await;
    edit(&path, &[1], ends[2] + 777);
    let half = format!("{:020}.torn-{}-0.new", 0, ends[2]);
    let half = home.path().join("log").join(half);
    std::fs::write(&half, b"half").unwrap();
    let opened = AccessLog::open(config(home.path()), "").unwrap();
    assert_eq!(opened.torn_tails.len(), 1);
    assert!(!half.exists());
}

#[tokio::test]
async fn a_whole_frame_in_another_ones_place_is_not_taken_for_it() {
    let home = tempfile::tempdir().unwrap();
    let (path, ends) = small_log(home.path(), 3, 1).await;
    let content = std::fs::read(&path).unwrap();
    let [second, third] = [1, 2].map(|at| {
        let [from, until] = [ends[at], ends[at + 1]].map(|end| usize::try_from(end).unwrap());
        content[from..until].to_vec()
    });
    assert_eq!(second.len(), third.len());
    edit(&path, &second, ends[2]);
    forget_checkpoints(home.path());
    let opened = AccessLog::open(config(home.path()), "").unwrap();
    assert_eq!(opened.log.len(), 2);
    assert_eq!(
        std::fs::read(&opened.torn_tails[0].kept_in).unwrap().len(),
        {
            let zeros = second.iter().rev().take_while(|byte| **byte == 0).count();
            second.len() - zeros
        }
    );
}

#[tokio::test]
async fn segments_that_are_missing_or_swapped_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    write_batches(&log, 500, 2).await;
    log.close();
    let paths = segments(home.path());
    assert!(paths.len() > 3);
    let away = home.path().join("away");
    for missing in &paths[..paths.len() - 1] {
        std::fs::rename(missing, &away).unwrap();
        let refused = AccessLog::open(config(home.path()), "").unwrap_err();
        assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
        std::fs::rename(&away, missing).unwrap();
    }
    std::fs::copy(&paths[1], &away).unwrap();
    std::fs::copy(&paths[2], &paths[1]).unwrap();
    assert!(AccessLog::open(config(home.path()), "").is_err());
    std::fs::copy(&away, &paths[1]).unwrap();
    edit(&paths[0], b"x", 3);
    let refused = AccessLog::open(config(home.path()), "").unwrap_err();
    assert!(matches!(refused, OpenError::Damaged { path, offset: 0, .. } if path == paths[0]));
}

#[tokio::test]
async fn a_flipped_bit_in_a_closed_segment_is_refused_to_the_reader() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    write_batches(&log, 300, 2).await;
    log.close();
    let path = segments(home.path())[0].clone();
    let whole_file = std::fs::read(&path).unwrap();
    for offset in (HEADER_BYTES..12_000).step_by(97) {
        edit(&path, &[whole_file[offset] ^ 4], offset as u64);
        let log = open(home.path());
        let error = log
            .reader()
            .forward(LogIndex(0))
            .find_map(Result::err)
            .unwrap();
        assert!(
            matches!(&error, ReadError::Damaged { path: named, offset: told, .. }
                if *named == path && *told <= offset as u64 && (offset as u64) < told + 100),
            "{error}"
        );
        edit(&path, &whole_file[offset..=offset], offset as u64);
    }
}

#[test]
fn what_is_no_log_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("log");
    std::fs::File::options()
        .create_new(true)
        .write(true)
        .open(&file)
        .unwrap();
    let refused = AccessLog::open(config(home.path()), "x").unwrap_err();
    assert!(matches!(refused, OpenError::NotALog { .. }), "{refused}");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    std::fs::create_dir(file.join("photographs")).unwrap();
    let refused = AccessLog::open(config(home.path()), "x").unwrap_err();
    assert_eq!(refused.exit_code(), 66);
    assert_eq!(
        std::fs::read_dir(&file).unwrap().count(),
        1,
        "not even a lock is left"
    );
    std::fs::remove_dir(file.join("photographs")).unwrap();
    assert!(matches!(
        LogReader::open_directory(&file),
        Err(OpenError::NotALog { .. })
    ));
    for name in ["", " ", "a\nb", &"x".repeat(129)] {
        let refused = AccessLog::open(config(home.path()), name).unwrap_err();
        assert_eq!(refused.exit_code(), 78);
    }
    assert!(AccessLog::open(config(home.path()), "x").unwrap().created);
}

#[tokio::test]
async fn a_segment_that_was_never_finished_is_no_part_of_the_log() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    write_batches(&log, 2, 1).await;
    log.close();
    let leftover = home
        .path()
        .join("log")
        .join("00000000000000000002.segment.new");
    std::fs::File::options()
        .create_new(true)
        .write(true)
        .open(&leftover)
        .unwrap();
    assert_eq!(open(home.path()).len(), 2);
    assert!(!leftover.exists());
}
