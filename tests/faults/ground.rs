//! The ground under the log moves: it fills up, is removed, replaced, made read-only or unmounted while the daemon serves.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sekisho::proto::EntryKind;

use crate::answered::{Load, all_in_log, detail, entries};
use crate::site::{self, Site};
use crate::support::say;

/// A machine that is busy with other things makes one thing late, and not all of so many.
const TRIES: usize = 4;
const SOON: Duration = Duration::from_secs(60);

/// A file system in memory; unmounted when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn at(path: &Path, mib: u64) -> Self {
        let size = format!("size={mib}m,mode=700");
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "sekisho-test"])
            .arg(path)
            .output()
            .expect("mount is missing: install the Debian package mount");
        assert!(
            output.status.success(),
            "a tmpfs can't be mounted: this test needs root and CAP_SYS_ADMIN: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Self(path.to_owned())
    }

    fn unmount(&self) -> bool {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).output();
        unmounted.is_ok_and(|output| output.status.success())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.unmount();
    }
}

/// A site whose log is on a small file system of its own.
fn on_a_small_volume() -> (Site, Mounted) {
    let site = Site::fresh(&[
        ("segment_mib", "4"),
        ("warn_free_mib", "16"),
        ("read_only_free_mib", "8"),
    ]);
    fs::create_dir(site.log()).unwrap();
    let mounted = Mounted::at(&site.log(), 64);
    (site, mounted)
}

/// Takes space until less than `left` MiB are free.
fn fill(folder: &Path, left: u64) -> PathBuf {
    let path = folder.join("lost+found");
    fs::create_dir(&path).unwrap();
    let free = || {
        let output = Command::new("stat")
            .args(["-f", "-c", "%a %S"])
            .arg(folder)
            .output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        let numbers: Vec<u64> = text
            .split_whitespace()
            .map(|n| n.parse().unwrap())
            .collect();
        numbers[0] * numbers[1]
    };
    let mut number = 0;
    while free() > left << 20 {
        let bytes = (free() - (left << 20)).clamp(4096, 1 << 20);
        let _ = fs::write(
            path.join(number.to_string()),
            vec![1; usize::try_from(bytes).unwrap()],
        );
        number += 1;
    }
    path
}

fn median(of: &mut [Duration]) -> Duration {
    of.sort_unstable();
    of[of.len() / 2]
}

async fn until(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < within, "{what}: not within {within:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}

/// Nothing is allowed on a full disk; whether it was also refused, and served again, as soon as it should be.
async fn fills_up(site: &Site, load: &Load, left: u64) -> bool {
    let full = Instant::now();
    let filler = fill(&site.log(), left);
    let filled = Instant::now();
    until("refusals", SOON, || load.refusals_since(full).len() > 5).await;
    let refusing = Instant::now();
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(load.answered_since(refusing), 0, "answers on a full disk");
    until("refusals", SOON, || load.refusals_since(refusing).len() > 5).await;
    let mut refusals = load.refusals_since(refusing);
    let (usual, slowest) = (median(&mut refusals), *refusals.last().unwrap());
    say(&format!(
        "full ({left} MiB left, filled in {:?}): {} refusals, median {usual:?}, slowest {slowest:?}",
        filled - full,
        refusals.len()
    ));

    fs::remove_dir_all(&filler).unwrap();
    let freed = Instant::now();
    let took = until("answers again", SOON, || load.answered_since(freed) > 0).await;
    say(&format!("answers again {took:?} after there was space"));
    usual < Duration::from_millis(50) && took < Duration::from_secs(1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_that_fills_up_refuses_quickly_says_so_and_serves_again_by_itself() {
    let (site, _mounted) = on_a_small_volume();
    let serving = site::start(&site.data);
    let ticket = serving.log_in("adviser-1").await;
    let channel = serving.connect().await;
    let load = Load::start(&channel, &ticket, 4, true);
    until("answers", SOON, || load.count() > 20).await;

    // Within the tier that refuses; then to the last byte.
    for left in [6, 0] {
        let mut tries = 0;
        while !fills_up(&site, &load, left).await {
            tries += 1;
            assert!(tries < TRIES, "too late each time");
        }
    }
    let answered = load.end().await;
    serving.stop();
    all_in_log(&site.log(), &answered);
    let said = |state: &str| {
        let is_it = |entry: &sekisho::proto::StoredEntry| {
            entry.kind == i32::from(EntryKind::LogState) && detail(entry, "state").contains(state)
        };
        entries(&site.log()).into_iter().filter(is_it).count()
    };
    assert!(
        said("can't be written") >= 1,
        "no entry says that it was full"
    );
    assert!(said("written again") >= 1, "no entry says that it is over");
}

#[derive(Debug, Clone, Copy)]
enum Moved {
    Unlinked,
    Replaced,
    ReadOnly,
    Unmounted,
}

/// Nothing is allowed once it is noticed; whether that was within a second.
async fn noticed(moved: Moved) -> bool {
    let (site, mounted) = match moved {
        Moved::Unmounted => {
            let (site, mounted) = on_a_small_volume();
            (site, Some(mounted))
        }
        _ => (Site::new(), None),
    };
    let serving = site::start(&site.data);
    let ticket = serving.log_in("adviser-1").await;
    let channel = serving.connect().await;
    let load = Load::start(&channel, &ticket, 4, true);
    until("answers", SOON, || load.count() > 20).await;

    let segment = site.segment();
    let aside = site.data.join("aside.segment");
    match moved {
        Moved::Unlinked => {
            fs::hard_link(&segment, &aside).unwrap();
            fs::remove_file(&segment).unwrap();
        }
        Moved::Replaced => {
            fs::copy(&segment, &aside).unwrap();
            fs::rename(&aside, &segment).unwrap();
        }
        Moved::ReadOnly => {
            fs::set_permissions(&segment, fs::Permissions::from_mode(0o400)).unwrap();
        }
        Moved::Unmounted => assert!(mounted.as_ref().unwrap().unmount()),
    }
    let then = Instant::now();
    until("a refusal", SOON, || !load.refusals_since(then).is_empty()).await;
    let noticed = then.elapsed();
    until("refusals", SOON, || load.refusals_since(then).len() > 5).await;
    let refusing = Instant::now();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(load.answered_since(refusing), 0, "{moved:?}: answers go on");
    let answered = load.end().await;
    say(&format!(
        "{moved:?}: refused after {noticed:?}, {} answers before",
        answered.len()
    ));
    let mut soon = noticed < Duration::from_secs(1);
    if let Moved::ReadOnly = moved {
        all_in_log(&site.log(), &answered);
        fs::set_permissions(&segment, fs::Permissions::from_mode(0o600)).unwrap();
        let again = Load::start(&channel, &ticket, 1, true);
        let took = until("answers again", SOON, || again.count() > 0).await;
        soon &= took < Duration::from_secs(1);
        again.end().await;
    }
    serving.kill();
    soon
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_is_removed_replaced_read_only_or_unmounted_is_noticed_within_a_second() {
    for moved in [
        Moved::Unlinked,
        Moved::Replaced,
        Moved::ReadOnly,
        Moved::Unmounted,
    ] {
        let mut tries = 0;
        while !noticed(moved).await {
            tries += 1;
            assert!(tries < TRIES, "{moved:?}: too late each time");
        }
    }
}
