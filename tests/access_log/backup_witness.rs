//! The runbook with witnesses: a disk is lost that others were told of.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use sekisho::log::VerifierKey;

use super::backup::{
    ADMINISTRATORS, Ended, Office, both, command, early_in_a_step, sekisho, sekisho_at,
};
use super::support::daemon::MovedClock;
use super::support::pack;
use super::support::people::People;
use super::support::witness::Witness;

/// A debug build on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// A data directory that `init` made, and who is told of its log.
struct House {
    office: Office,
    clock: MovedClock,
    witness: Witness,
}

/// Killed when dropped.
struct Serving {
    child: Child,
    http: String,
}

impl House {
    fn make() -> Self {
        let office = Office::new();
        let clock = MovedClock::new(office.folder.path()).unwrap();
        let (data, pack) = (office.path("data"), pack());
        let mut arguments = vec!["init", "--data", &data, "--pack", pack.to_str().unwrap()];
        for id in &ADMINISTRATORS {
            arguments.extend(["--administrator", id]);
        }
        arguments.extend(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        sekisho(&arguments).with(0, "made");
        fs::create_dir(office.at("kept")).unwrap();
        let witness = Witness::open("witness.example/1");
        let house = Self {
            office,
            clock,
            witness,
        };
        house.serve().stop();
        house.witness.trust(&house.key());
        house.tell_witnesses("");
        house
    }

    fn people(&self) -> People {
        // No backup holds it.
        fs::create_dir_all(self.office.at("first/dev")).unwrap();
        let to = self.office.at("first/dev/people.json");
        if !to.exists() {
            fs::copy(self.office.at("data/init/people.json"), to).unwrap();
        }
        People::read(&self.office.at("first"))
    }

    fn key(&self) -> VerifierKey {
        let line = fs::read_to_string(self.office.at("data/log/log.vkey")).unwrap();
        VerifierKey::parse(line.trim_end()).unwrap()
    }

    /// Replaces the section of the configuration.
    fn tell_witnesses(&self, more: &str) {
        let section = format!(
            "every_seconds = 1\ndirectories = [\"{}\"]\n{more}[[witness.endpoint]]\nurl = \"{}\"\nkey = \"{}\"\n",
            self.office.path("kept"),
            self.witness.url(),
            self.witness.key(),
        );
        self.configure(&format!("\n[witness]\n{section}"));
    }

    fn configure(&self, section: &str) {
        let path = self.office.at("data/sekisho.toml");
        let text = fs::read_to_string(&path).unwrap();
        let before = text.split("\n[witness]").next().unwrap();
        fs::write(&path, format!("{before}{section}")).unwrap();
    }

    fn kept_file(&self) -> PathBuf {
        let mut files = fs::read_dir(self.office.at("kept")).unwrap();
        files.next().unwrap().unwrap().path()
    }

    fn serve(&self) -> Serving {
        let config = self.office.path("data/sekisho.toml");
        let said = self.office.at("served.txt");
        let out = fs::File::create(&said).unwrap();
        let mut child = command(&["serve", "--config", &config], Some(&self.clock))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(out)
            .spawn()
            .unwrap();
        let until = Instant::now() + SOON;
        loop {
            let text = fs::read_to_string(&said).unwrap();
            let ended = child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < until,
                "{ended:?}\n{text}"
            );
            if let Some(line) = text.lines().find(|line| line.contains(" serving ")) {
                let plain: String = without_colours(line);
                let http = plain.split("http=").nth(1).unwrap();
                let http = http.split(' ').next().unwrap().to_owned();
                return Serving { child, http };
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Starts where it must not.
    fn refused(&self) -> Ended {
        let config = self.office.path("data/sekisho.toml");
        sekisho_at(Some(&self.clock), &["serve", "--config", &config], "")
    }

    /// Two administrators, each with a code that was never shown before.
    fn declare(&mut self, more: &[&str]) -> Ended {
        self.clock.advance(Duration::from_secs(90));
        let now = early_in_a_step(|| self.clock.now());
        let input = both(&self.people(), now);
        self.office.declare(Some(&self.clock), "data", more, &input)
    }

    fn restore(&self) {
        fs::remove_dir_all(self.office.at("data")).unwrap();
        self.office
            .restore("backup", "data", &[])
            .with(0, "restored");
    }
}

impl Serving {
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn stop(mut self) {
        // Told at the start before it listens to signals.
        sleep(Duration::from_millis(100));
        let pid = self.child.id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status();
        assert!(sent.unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn without_colours(line: &str) -> String {
    let mut plain = String::new();
    let mut within = false;
    for character in line.chars() {
        match character {
            '\u{1b}' => within = true,
            'm' if within => within = false,
            other if !within => plain.push(other),
            _ => {}
        }
    }
    plain
}

#[test]
fn witnesses_that_saw_the_lost_part_are_settled_by_what_the_gap_names_and_by_nothing_else() {
    let mut house = House::make();
    let first = house.people();
    assert_eq!(first.ids().count(), 2);
    house.office.back_up("data", "backup").with(0, "backed up");
    let origin = house.key().name().to_owned();
    // What came after, and was told to both; more than what the first declaration writes.
    for _ in 0..3 {
        house.serve().stop();
    }
    let lost = house.witness.saw(&origin).unwrap();
    let lost_file = fs::read(house.kept_file()).unwrap();
    let kept = house.office.path("kept-by-an-auditor");
    fs::copy(house.office.at("data/log/checkpoint.cosigned"), &kept).unwrap();

    // Declared where the configuration names no witness, the gap names nothing: both contradict.
    house.restore();
    let section = fs::read_to_string(house.office.at("data/sekisho.toml")).unwrap();
    house.configure("");
    house.declare(&[]).with(0, "the gap is declared");
    fs::write(house.office.at("data/sekisho.toml"), &section).unwrap();
    let refused = house.refused();
    let knows = format!("knows {} entries of this log", lost.size);
    refused.with(65, &knows);
    // Nor is anything named that this log's key did not sign.
    let forged = house.office.path("forged");
    let text = fs::read_to_string(&kept).unwrap();
    let larger = text.replacen(
        &format!("\n{}\n", lost.size),
        &format!("\n{}\n", lost.size + 1),
        1,
    );
    assert_ne!(text, larger);
    fs::write(&forged, larger).unwrap();
    house
        .declare(&["--checkpoint", &forged])
        .with(65, "no gap can name it");
    house.refused().with(65, &knows);

    // Declared once more, with what somebody kept.
    house.configure("");
    house
        .declare(&["--checkpoint", &kept])
        .with(0, "the declaration names it as lost")
        .with(0, "the gap is declared");
    house
        .declare(&["--checkpoint", &kept])
        .with(0, "is declared already");
    fs::write(house.office.at("data/sekisho.toml"), &section).unwrap();
    let before = format!(
        "holds a state of {} entries from before a declared gap",
        lost.size
    );
    let settled = |ready: &str| {
        assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
        assert_eq!(ready.matches(&before).count(), 2, "{ready}");
        assert!(!ready.contains("ALARM"), "{ready}");
    };
    // Also when the log has grown beyond what was lost, and the mark of the restored directory is gone.
    for _ in 0..4 {
        let serving = house.serve();
        sleep(Duration::from_millis(1_500));
        settled(&serving.get("/readyz"));
        assert!(
            !serving
                .get("/metrics")
                .contains("sekisho_witness_alarm{witness=\"witness.example/1\"} 1")
        );
        serving.stop();
    }
    assert_eq!(house.witness.saw(&origin), Some(lost.clone()));
    assert_eq!(fs::read(house.kept_file()).unwrap(), lost_file);

    // A start that needs them all waits for those who run them.
    house.tell_witnesses("required = true\n");
    house.refused().with(75, &before);
    house.witness.forget(&origin);
    house.refused().with(75, "aside, and keep it");
    fs::rename(house.kept_file(), house.office.at("kept-as-evidence")).unwrap();
    let serving = house.serve();
    let ready = serving.get("/readyz");
    assert!(ready.ends_with("\r\n\r\nready\n"), "{ready}");
    serving.stop();
    let now = house.witness.saw(&origin).unwrap();
    assert!(now.size > lost.size && now.root != lost.root);

    // Another copy that was put back after that is one that nobody declared.
    house.restore();
    house.configure("");
    house.declare(&[]).with(0, "the gap is declared");
    house.tell_witnesses("");
    house.refused().with(65, "entries of this log");
}

#[test]
fn what_lies_in_the_directories_of_witnesses_is_named_by_itself() {
    let mut house = House::make();
    let _ = house.people();
    house.office.back_up("data", "backup").with(0, "backed up");
    house.serve().stop();
    house.restore();
    // It can't be read: said, and not named.
    let (kept, away) = (house.office.at("kept"), house.office.at("unmounted"));
    fs::rename(&kept, &away).unwrap();
    house
        .declare(&[])
        .with(0, "can't be read, so the declaration doesn't name")
        .with(0, "the gap is declared");
    fs::rename(&away, &kept).unwrap();
    house.refused().with(65, "entries of this log");
    house
        .declare(&[])
        .with(0, "the declaration names it as lost")
        .with(0, "the gap is declared");
    let serving = house.serve();
    let ready = serving.get("/readyz");
    assert_eq!(
        ready.matches("from before a declared gap").count(),
        2,
        "{ready}"
    );
    serving.stop();
}
