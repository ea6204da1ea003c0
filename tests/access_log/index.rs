//! The index through the shipped daemon: searches are exact whatever becomes of it, and checks don't notice.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::load::{checks, done, log_in, metric, sekisho, workload};
use super::support::daemon::Daemon;
use super::support::until;

/// A debug build on a busy machine, and a look at the sidecars every few seconds.
const SOON: Duration = Duration::from_secs(120);
const AT_ONCE: usize = 100;

fn sidecars(data: &Path) -> Vec<PathBuf> {
    let Ok(items) = fs::read_dir(data.join("index")) else {
        return Vec::new();
    };
    let paths = items.map(|item| item.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "index"))
        .collect()
}

/// Decisions that a search finds: those about the one person, and those that were denied.
fn found(home: &Path) -> (usize, usize) {
    let search = |filter: &[&str]| {
        let mut arguments = vec!["log", "search", "--data", "data", "--json", "--limit", "0"];
        arguments.extend(["--kind", "decision"]);
        arguments.extend(filter);
        done(home, "", &arguments).lines().count()
    };
    (
        search(&["--subject", "seeker-streamed"]),
        search(&["--decision", "deny", "--caller", "notice-mailer"]),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_the_index_searches_are_exact_and_checks_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let data = home.join("data");
    Daemon::start(&data, None).stop();
    let configuration = data.join("sekisho.toml");
    let text = fs::read_to_string(&configuration).unwrap();
    let small = text.replace("segment_mib = 64", "segment_mib = 1");
    assert_ne!(text, small);
    fs::write(&configuration, small).unwrap();
    // The first segment was made as large as they were; what is behind its few entries is zeros.
    let first = data.join("log/00000000000000000000.segment");
    let first = fs::OpenOptions::new().write(true).open(first).unwrap();
    first.set_len(1 << 20).unwrap();

    let mut daemon = Daemon::start(&data, None);
    let mut access = workload(&daemon).await;
    let (mut asked, mut denied) = (0, 0);
    macro_rules! ask {
        () => {
            checks(&mut access, AT_ONCE).await;
            asked += AT_ONCE;
            denied += AT_ONCE.div_ceil(3);
        };
    }
    while sidecars(&data).is_empty() {
        ask!();
        assert!(asked < 20_000, "no sidecar:\n{}", daemon.output());
    }
    log_in(home, &data, "security-1");
    until(SOON, "the index knows all", || {
        metric(&daemon, "sekisho_index_lag_entries") == 0
    });
    assert_eq!(found(home), (asked, denied));
    assert_eq!(metric(&daemon, "sekisho_index_errors_total"), 0);

    // Damaged.
    let sidecar = sidecars(&data).remove(0);
    let length = fs::metadata(&sidecar).unwrap().len();
    fs::write(&sidecar, vec![7; usize::try_from(length).unwrap()]).unwrap();
    ask!();
    assert_eq!(found(home), (asked, denied));
    assert!(metric(&daemon, "sekisho_index_errors_total") > 0);
    until(SOON, "the damaged one is made anew", || {
        fs::read(&sidecar).unwrap().starts_with(b"SEKISHO")
    });
    assert_eq!(found(home), (asked, denied));

    // Removed.
    remove_while_written(&data.join("index"));
    ask!();
    assert_eq!(found(home), (asked, denied));
    until(SOON, "the removed ones are made anew", || sidecar.exists());

    // Can't be written, not by root either.
    remove_while_written(&data.join("index"));
    fs::write(data.join("index"), "in the way").unwrap();
    let errors = metric(&daemon, "sekisho_index_errors_total");
    until(SOON, "it is told", || {
        metric(&daemon, "sekisho_index_errors_total") > errors
    });
    ask!();
    assert_eq!(found(home), (asked, denied));
    let refused = sekisho(home, "", &["log", "reindex", "--data", "data"]);
    assert_eq!(refused.status.code(), Some(73), "{refused:?}");
    fs::remove_file(data.join("index")).unwrap();

    // Made anew beside the daemon.
    let made = sekisho(home, "", &["log", "reindex", "--data", "data"]);
    let said = String::from_utf8(made.stderr).unwrap();
    assert!(made.status.success(), "{said}");
    assert!(
        said.contains("(100 %)") && said.contains("closed segments anew"),
        "{said}"
    );
    assert!(sidecar.exists());
    assert_eq!(found(home), (asked, denied));

    // Killed, and taken up again.
    daemon.kill();
    daemon = Daemon::start(&data, None);
    access = workload(&daemon).await;
    // It listens elsewhere; a code of security-1 may have been used within this half minute.
    log_in(home, &data, "security-2");
    assert_eq!(found(home), (asked, denied));
    ask!();
    assert_eq!(found(home), (asked, denied));

    // All that concerns a person, in full.
    let shown = done(
        home,
        "",
        &[
            "log",
            "show",
            "--data",
            "data",
            "--subject",
            "seeker-streamed",
            "--limit",
            "3",
        ],
    );
    assert_eq!(shown.matches("leaf hash").count(), 3, "{shown}");
    let both = sekisho(
        home,
        "",
        &["log", "show", "--data", "data", "1", "--subject", "x"],
    );
    assert!(!both.status.success());
    assert_eq!(
        sekisho(home, "", &["log", "show", "--data", "data"])
            .status
            .code(),
        Some(64)
    );
}

/// The daemon may put a file into the directory that is just being emptied.
fn remove_while_written(directory: &Path) {
    let end = Instant::now() + SOON;
    while let Err(error) = fs::remove_dir_all(directory) {
        assert!(Instant::now() < end, "{error}");
    }
}
