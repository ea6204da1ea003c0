//! Streams out of the shipped daemon: every entry arrives at least once, in order, whoever is down or killed in between; nothing
//! that a receiver does is felt by a check.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sekisho::files::write_private;
use tempfile::TempDir;

use super::load::{checks, metric, workload};
use super::ocsf_schema::Schema;
use super::receivers::{Receiver, Speaks, header, index_of, tls, tls_of};
use super::support::daemon::{Daemon, refused_start};
use super::support::{pack, say};

/// A debug build on a busy machine.
const SOON: Duration = Duration::from_secs(60);
const TOKEN: &str = "a-token-that-nobody-logs";

/// A data directory as `dev` makes it, with nobody serving it.
struct House {
    _folder: TempDir,
    data: PathBuf,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        Daemon::start(&data, None).kill();
        write_private(&data.join("token"), TOKEN.as_bytes()).unwrap();
        Self {
            _folder: folder,
            data,
        }
    }

    fn sink(&self, id: &str, kind: &str, format: &str, rest: &str) {
        let mut file = OpenOptions::new()
            .append(true)
            .open(self.data.join("sekisho.toml"))
            .unwrap();
        writeln!(
            file,
            "\n[[sink]]\nid = \"{id}\"\nkind = \"{kind}\"\nformat = \"{format}\"\n{rest}"
        )
        .unwrap();
    }

    fn start(&self) -> Daemon {
        Daemon::start(&self.data, None)
    }
}

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !is() {
        assert!(Instant::now() < end, "not within {SOON:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Entries that are durable now.
fn entries(daemon: &Daemon) -> u64 {
    metric(daemon, "sekisho_log_entries")
}

/// Every index below `entries` came, and none before all that are before it: a repeat goes back, nothing leaps ahead.
fn whole_and_in_order(order: &[u64], entries: u64) -> Result<(), String> {
    let mut next = 0;
    for index in order {
        if *index > next {
            return Err(format!("{index} came before {next}"));
        }
        next = next.max(index + 1);
    }
    if next < entries {
        return Err(format!("{next} of {entries}"));
    }
    Ok(())
}

async fn all_arrive(what: &str, entries: u64, order: impl Fn() -> Vec<u64>) {
    until(what, || {
        let came = whole_and_in_order(&order(), entries);
        assert!(
            !came.as_ref().is_err_and(|why| why.contains("before")),
            "{what}: {came:?}"
        );
        came.is_ok()
    })
    .await;
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    // The last may not be whole yet, and a kill may have cut one whose entry comes again.
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    whole
        .lines()
        .filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_arrives_in_order_though_receivers_and_daemon_are_killed() {
    let house = House::new();
    let tls = tls(&house.data);
    let mut receivers = [
        ("plain-syslog", Receiver::new(Speaks::Syslog, None)),
        (
            "tls-syslog",
            Receiver::new(Speaks::Syslog, Some(tls.clone())),
        ),
        ("plain-http", Receiver::new(Speaks::Http, None)),
        ("tls-http", Receiver::new(Speaks::Http, Some(tls))),
    ];
    let copy = house.data.with_extension("copy.jsonl");
    let rotated = house.data.with_extension("copy.jsonl.1");
    house.sink("copy", "file", "ocsf", &format!("path = {copy:?}"));
    for (id, receiver) in &receivers {
        let port = receiver.port;
        let (kind, format, rest) = match *id {
            "plain-syslog" => (
                "syslog",
                "jsonl",
                format!("address = \"127.0.0.1:{port}\"\ntransport = \"tcp\""),
            ),
            "tls-syslog" => (
                "syslog",
                "ocsf",
                format!("address = \"127.0.0.1:{port}\"\nca = \"tls/ca.pem\""),
            ),
            "plain-http" => (
                "http",
                "jsonl",
                format!("url = \"http://127.0.0.1:{port}/in\""),
            ),
            _ => (
                "http",
                "ocsf",
                format!(
                    "url = \"https://127.0.0.1:{port}/in\"\nca = \"tls/ca.pem\"\ntoken_file = \"token\""
                ),
            ),
        };
        house.sink(id, kind, format, &rest);
    }

    // Down at first: nobody is held up, and operators are told.
    let daemon = house.start();
    let mut access = workload(&daemon).await;
    checks(&mut access, 60).await;
    until("the failures are told", || {
        receivers.iter().all(|(id, _)| {
            metric(
                &daemon,
                &format!("sekisho_sink_errors_total{{sink=\"{id}\"}}"),
            ) > 0
                && metric(
                    &daemon,
                    &format!("sekisho_sink_lag_entries{{sink=\"{id}\"}}"),
                ) >= 60
        })
    })
    .await;
    let ready = daemon.get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
    for (id, _) in &receivers {
        assert!(ready.contains(&format!("sink {id} is ")), "{id}: {ready}");
    }
    assert!(!ready.contains("sink copy"), "{ready}");

    // They come, and get all.
    for (_, receiver) in &mut receivers {
        receiver.start();
    }
    let first = entries(&daemon);
    for (id, receiver) in &receivers {
        all_arrive(id, first, || receiver.indexes()).await;
    }
    all_arrive("copy", first, || {
        lines(&copy).iter().map(|line| index_of(line)).collect()
    })
    .await;
    until("the lag is gone", || {
        receivers.iter().all(|(id, _)| {
            metric(
                &daemon,
                &format!("sekisho_sink_lag_entries{{sink=\"{id}\"}}"),
            ) == 0
        })
    })
    .await;

    let kept = |id: &str| {
        let path = house.data.join(format!("sinks/{id}.position"));
        // Not there before the first second is over.
        let text = fs::read(path).unwrap_or_else(|_| b"{\"next\":0}".to_vec());
        let kept: serde_json::Value = serde_json::from_slice(&text).unwrap();
        kept["next"].as_u64().unwrap()
    };
    until("the positions are kept", || {
        receivers.iter().all(|(id, _)| kept(id) >= first)
    })
    .await;

    // The file is rotated; receivers go in the middle of things, then the daemon is killed.
    fs::rename(&copy, &rotated).unwrap();
    checks(&mut access, 60).await;
    for (_, receiver) in &mut receivers {
        receiver.stop();
    }
    checks(&mut access, 60).await;
    for (_, receiver) in &mut receivers {
        receiver.start();
    }
    checks(&mut access, 60).await;
    let before: Vec<_> = receivers
        .iter()
        .map(|(_, receiver)| receiver.indexes().len())
        .collect();
    tokio::task::spawn_blocking(move || daemon.kill())
        .await
        .unwrap();

    let daemon = house.start();
    let mut access = workload(&daemon).await;
    checks(&mut access, 30).await;
    let last = entries(&daemon);
    for ((id, receiver), before) in receivers.iter().zip(before) {
        all_arrive(id, last, || receiver.indexes()).await;
        // From the position that was kept, not from the beginning.
        let resumed = receiver.indexes()[before..]
            .iter()
            .min()
            .copied()
            .unwrap_or(0);
        assert!(
            resumed >= first,
            "{id} was sent {resumed} again, after {first} was kept"
        );
    }
    let copied = || {
        let mut all = lines(&rotated);
        all.extend(lines(&copy));
        all.iter().map(|line| index_of(line)).collect()
    };
    all_arrive("copy", last, copied).await;

    // One log, told alike by all.
    let schema = Schema::read();
    let texts = |id: &str| {
        let (_, receiver) = receivers.iter().find(|(other, _)| *other == id).unwrap();
        receiver.received.lock().unwrap().texts.clone()
    };
    let (json, events) = (texts("plain-http"), texts("tls-http"));
    for index in 0..last {
        assert_eq!(index_of(&json[&index]), index);
        assert_eq!(texts("plain-syslog")[&index], json[&index]);
        assert_eq!(texts("tls-syslog")[&index], events[&index]);
        let event = serde_json::from_str(&events[&index]).unwrap();
        assert_eq!(schema.faults(&event), Vec::<String>::new(), "{event:#}");
    }
    for (id, receiver) in &receivers {
        let received = receiver.received.lock().unwrap();
        let head = &received.heads[0];
        match *id {
            "plain-syslog" | "tls-syslog" => {
                assert!(head.starts_with('<') && head.contains(">1 20"), "{head}");
                assert!(
                    head.contains("[sekisho@32473 log=\"dev.sekisho.internal/log/"),
                    "{head}"
                );
            }
            _ => {
                assert_eq!(
                    header(head, "content-type"),
                    Some("application/x-ndjson"),
                    "{head}"
                );
                let token = header(head, "authorization").map(str::to_owned);
                let expected = (*id == "tls-http").then(|| format!("Bearer {TOKEN}"));
                assert_eq!(token, expected);
            }
        }
    }
    let said = daemon.output();
    assert!(!said.contains(TOKEN));
    say(&format!(
        "sinks: {last} entries to 5 sinks, kept through a kill of the receivers and of the daemon"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_receiver_refuses_is_told_and_sent_again_never_skipped() {
    let house = House::new();
    let mut receiver = Receiver::new(Speaks::Http, None);
    receiver
        .status
        .store(422, std::sync::atomic::Ordering::SeqCst);
    receiver.start();
    let url = format!("url = \"http://127.0.0.1:{}/\"", receiver.port);
    house.sink("strict", "http", "jsonl", &url);
    let daemon = house.start();
    checks(&mut workload(&daemon).await, 5).await;
    let heads = || receiver.received.lock().unwrap().heads.clone();
    until("it was tried again", || heads().len() >= 3).await;
    let ready = daemon.get("/readyz");
    assert!(
        ready.contains("the receiver answered 422 Unprocessable Entity: told"),
        "{ready}"
    );
    assert_eq!(
        metric(&daemon, "sekisho_sink_lag_entries{sink=\"strict\"}"),
        entries(&daemon)
    );
    let key = |head: &String| header(head, "idempotency-key").unwrap().to_owned();
    let heads = heads();
    assert_eq!(
        key(&heads[0]),
        key(&heads[1]),
        "a repeat has the key of the first"
    );
    receiver
        .status
        .store(200, std::sync::atomic::Ordering::SeqCst);
    all_arrive("strict", entries(&daemon), || receiver.indexes()).await;
    assert!(!daemon.get("/readyz").contains("strict"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_impostor_is_sent_nothing() {
    let house = House::new();
    let stranger = House::new();
    let mut receivers = [
        // Of the authority that is trusted, but of another name.
        (
            "misnamed",
            Receiver::new(Speaks::Syslog, Some(tls_of(&house.data, "elsewhere.test"))),
        ),
        // Of the right name, but by nobody who is trusted.
        (
            "untrusted",
            Receiver::new(Speaks::Http, Some(tls(&stranger.data))),
        ),
    ];
    for (id, receiver) in &mut receivers {
        receiver.start();
        let port = receiver.port;
        let (kind, place) = match *id {
            "misnamed" => ("syslog", format!("address = \"127.0.0.1:{port}\"")),
            _ => ("http", format!("url = \"https://127.0.0.1:{port}/\"")),
        };
        house.sink(id, kind, "jsonl", &format!("{place}\nca = \"tls/ca.pem\""));
    }
    let daemon = house.start();
    until("both are refused", || {
        receivers.iter().all(|(id, _)| {
            metric(
                &daemon,
                &format!("sekisho_sink_errors_total{{sink=\"{id}\"}}"),
            ) >= 2
        })
    })
    .await;
    let ready = daemon.get("/readyz");
    for (id, receiver) in &receivers {
        let received = receiver.received.lock().unwrap();
        assert!(
            received.heads.is_empty() && received.order.is_empty(),
            "{id}"
        );
        let line = ready.lines().find(|line| line.contains(id)).unwrap();
        assert!(line.contains("certificate"), "{line}");
    }
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_takes_nothing_slows_no_check() {
    let (plain, house) = (House::new(), House::new());
    // Connections are taken by the system, and nobody reads or answers.
    let deaf = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [syslog, http] = [0, 1].map(|at: usize| deaf[at].local_addr().unwrap());
    let address = format!("address = \"{syslog}\"\ntransport = \"tcp\"");
    house.sink("deaf-syslog", "syslog", "jsonl", &address);
    house.sink(
        "deaf-http",
        "http",
        "ocsf",
        &format!("url = \"http://{http}/\""),
    );
    let (plain, daemon) = (plain.start(), house.start());
    let (mut without, mut with) = (workload(&plain).await, workload(&daemon).await);
    checks(&mut without, 50).await;
    checks(&mut with, 50).await;
    // By turns, so that a busy machine is busy for both; and once more where it was not.
    let mut tries = 0;
    loop {
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        for _ in 0..6 {
            alone.extend(checks(&mut without, 50).await);
            beside.extend(checks(&mut with, 50).await);
        }
        let (alone, beside) = (median(alone), median(beside));
        say(&format!(
            "sinks: a check takes {alone:?} alone, {beside:?} beside receivers that take nothing"
        ));
        if beside < alone * 3 + Duration::from_millis(5) {
            break;
        }
        tries += 1;
        assert!(tries < 4, "{beside:?} and {alone:?}");
    }
    assert!(metric(&daemon, "sekisho_sink_lag_entries{sink=\"deaf-http\"}") >= 350);
}

#[test]
fn a_position_of_another_or_a_longer_log_and_a_sink_that_cannot_be_refuse_the_start() {
    let house = House::new();
    let configuration = house.data.join("sekisho.toml");
    let plain = fs::read_to_string(&configuration).unwrap();
    let refused = |code: i32, words: &str| {
        let (exit, said) = refused_start(&pack(), &house.data);
        assert_eq!(exit, code, "{said}");
        assert!(said.contains(words), "{said}");
    };
    let copy = house.data.with_extension("copy.jsonl");
    house.sink("copy", "file", "jsonl", &format!("path = {copy:?}"));
    let position = house.data.join("sinks/copy.position");
    let daemon = house.start();
    let end = Instant::now() + SOON;
    while !position.exists() {
        assert!(Instant::now() < end, "no position");
        std::thread::sleep(Duration::from_millis(50));
    }
    daemon.kill();
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(&position).unwrap()).unwrap();
    for (bad, words) in [
        (
            serde_json::json!({"log": kept["log"], "next": 1_000_000}),
            "it is an older copy",
        ),
        (
            serde_json::json!({"log": "another/log/1", "next": 0}),
            "is a position in the log another/log/1",
        ),
        (serde_json::json!({"next": 0}), "is no position"),
    ] {
        write_private(&position, bad.to_string().as_bytes()).unwrap();
        refused(65, words);
    }
    write_private(&position, kept.to_string().as_bytes()).unwrap();
    house.start().kill();

    for (kind, rest, words) in [
        (
            "carrier-pigeon",
            "",
            "sink.bad.kind: \"carrier-pigeon\" is none of",
        ),
        (
            "syslog",
            "address = \"127.0.0.1:6514\"",
            "sink.bad.ca: is missing",
        ),
        (
            "syslog",
            "address = \"127.0.0.1:6514\"\nca = \"none.pem\"",
            "none.pem",
        ),
        (
            "http",
            "url = \"gopher://x/\"",
            "sink.bad.url: is not http://",
        ),
        (
            "http",
            "url = \"http://127.0.0.1/\"\ntoken_file = \"none\"",
            "none",
        ),
    ] {
        write_private(&configuration, plain.as_bytes()).unwrap();
        house.sink("bad", kind, "jsonl", rest);
        refused(78, words);
    }
}
