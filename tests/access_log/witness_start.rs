//! Witnesses and the shipped binary: what `serve` refuses, with which code and words, and what it tells while it serves.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use sekisho::log::{SignedNote, VerifierKey, cosigned};
use sekisho::proto::GetCheckpointRequest;
use sekisho::proto::access_log_service_client::AccessLogServiceClient;
use tempfile::TempDir;

use crate::support::certificates::Identity;
use crate::support::dev_house::{done, sekisho};
use crate::support::witness::Witness;
use crate::support::{client, pack, until};

/// A debug build on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// What `init` made, and what is told to others.
struct House {
    folder: TempDir,
}

/// What `serve` serves; killed when dropped.
struct Serving {
    child: Child,
    grpc: String,
    http: String,
    said: PathBuf,
}

impl House {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let pack = pack();
        let arguments = [
            "init",
            "--data",
            data.to_str().unwrap(),
            "--pack",
            pack.to_str().unwrap(),
            "--administrator",
            "one",
            "--administrator",
            "two",
            "--listen",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--host",
            "localhost",
        ];
        done(folder.path(), "", &arguments);
        let house = Self { folder };
        // Where clients of the tests look for it.
        fs::create_dir(house.data().join("dev")).unwrap();
        fs::copy(
            house.data().join("tls/ca.pem"),
            house.data().join("dev/ca.pem"),
        )
        .unwrap();
        let text = house
            .configuration()
            .replace("segment_mib = 64", "segment_mib = 1");
        fs::write(house.data().join("sekisho.toml"), text).unwrap();
        house
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn configuration(&self) -> String {
        fs::read_to_string(self.data().join("sekisho.toml")).unwrap()
    }

    /// Replaces the section.
    fn witnesses(&self, section: &str) {
        let text = self.configuration();
        let before = text.split("\n[witness]").next().unwrap();
        let section = match section {
            "" => String::new(),
            section => format!("\n[witness]\nevery_seconds = 1\n{section}"),
        };
        fs::write(
            self.data().join("sekisho.toml"),
            format!("{before}{section}"),
        )
        .unwrap();
    }

    fn key(&self) -> VerifierKey {
        let line = fs::read_to_string(self.data().join("log/log.vkey")).unwrap();
        VerifierKey::parse(&line).unwrap()
    }

    fn spawn(&self, output: &str) -> (Child, PathBuf) {
        let said = self.folder.path().join(output);
        let _ = fs::remove_file(&said);
        let out: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&said)
            .unwrap();
        let child = sekisho(self.folder.path())
            .arg("serve")
            .arg("--config")
            .arg(self.data().join("sekisho.toml"))
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        (child, said)
    }

    fn serve(&self) -> Serving {
        let (mut child, said) = self.spawn("serve.txt");
        let until = Instant::now() + SOON;
        loop {
            let text = fs::read_to_string(&said).unwrap();
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}\n{text}");
            assert!(Instant::now() < until, "does not serve:\n{text}");
            if let Some(line) = text.lines().find(|line| line.contains(" serving ")) {
                let value = |name: &str| {
                    let rest = line.split(name).nth(1).unwrap();
                    rest.split(' ').next().unwrap().to_owned()
                };
                return Serving {
                    grpc: value("grpc="),
                    http: value("http="),
                    child,
                    said,
                };
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Starts where it must not: the code and the words.
    fn refused(&self) -> (i32, String) {
        let (mut child, said) = self.spawn("refused.txt");
        let code = wait(&mut child);
        (code, fs::read_to_string(said).unwrap())
    }

    fn save(&self, name: &str) -> PathBuf {
        let to = self.folder.path().join(name);
        copy(&self.data(), &to);
        to
    }

    /// Puts a saved copy in the place of the data, the configuration as it is.
    fn put_back(&self, saved: &Path) {
        let configuration = self.configuration();
        fs::remove_dir_all(self.data()).unwrap();
        copy(saved, &self.data());
        fs::write(self.data().join("sekisho.toml"), configuration).unwrap();
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

    fn stop(mut self) -> i32 {
        let pid = self.child.id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status();
        assert!(sent.unwrap().success());
        let code = wait(&mut self.child);
        assert_eq!(code, 0, "{}", fs::read_to_string(&self.said).unwrap());
        code
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait(child: &mut Child) -> i32 {
    let until = Instant::now() + SOON;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        if Instant::now() > until {
            let _ = child.kill();
            panic!("it does not end");
        }
        sleep(Duration::from_millis(20));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let path = item.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

/// The cosigned checkpoint as a service gets it.
fn cosigned_checkpoint(house: &House, serving: &Serving) -> String {
    let identity = Identity {
        certificate: house.data().join("tls/sekisho-cli.pem"),
        key: house.data().join("tls/sekisho-cli.key"),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let channel = client::connect(&house.data(), &identity, &serving.grpc)
            .await
            .unwrap();
        let answer = AccessLogServiceClient::new(channel)
            .get_checkpoint(GetCheckpointRequest { old_size: 0 })
            .await
            .unwrap();
        answer.into_inner().cosigned_checkpoint
    })
}

#[test]
fn a_data_directory_that_was_put_back_or_rewritten_is_refused_by_each_who_knows_better() {
    let house = House::make();
    let mut witness = Witness::open("witness.example/1");
    let kept = house.folder.path().join("kept");
    fs::create_dir(&kept).unwrap();
    let endpoint = format!(
        "[[witness.endpoint]]\nurl = \"{}\"\nkey = \"{}\"\n",
        witness.url(),
        witness.key()
    );
    let directory = format!("directories = [\"{}\"]\n", kept.display());
    let both = format!("{directory}{endpoint}");

    // The log is made, and the witness learns its key.
    house.serve().stop();
    let key = house.key();
    witness.trust(&key);
    let older = house.save("older");

    house.witnesses(&both);
    let serving = house.serve();
    assert!(
        serving.get("/readyz").ends_with("\r\n\r\nready\n"),
        "{}",
        serving.get("/readyz")
    );
    let vkey = VerifierKey::parse(&witness.key()).unwrap();
    until(SOON, "the cosigned checkpoint is told", || {
        let text = cosigned_checkpoint(&house, &serving);
        SignedNote::parse(&text)
            .is_ok_and(|note| note.checkpoint(&key).is_ok() && cosigned(&note, &vkey).is_ok())
    });
    let name = "{witness=\"witness.example/1\"}";
    until(SOON, "the metrics say that it has everything", || {
        let metrics = serving.get("/metrics");
        metrics.contains(&format!("sekisho_witness_behind_entries{name} 0\n"))
            && metrics.contains(&format!("sekisho_witness_errors_total{name} 0\n"))
            && metrics.contains("sekisho_log_writable 1\n")
    });
    serving.stop();
    let newer = house.save("newer");
    let knows = witness.saw(key.name()).unwrap().size;

    // The whole directory is an older copy.
    house.put_back(&older);
    for (section, who) in [
        (&endpoint, "witness.example/1"),
        (&directory, kept.to_str().unwrap()),
        (&both, kept.to_str().unwrap()),
    ] {
        house.witnesses(section);
        let (code, said) = house.refused();
        assert_eq!(code, 65, "{said}");
        assert!(
            said.contains(who) && said.contains(&format!("knows {knows} entries of this log")),
            "{said}"
        );
    }
    // Only the cosigned checkpoint is as new as it was.
    house.witnesses("");
    fs::copy(
        newer.join("log/checkpoint.cosigned"),
        house.data().join("log/checkpoint.cosigned"),
    )
    .unwrap();
    let (code, said) = house.refused();
    assert_eq!(code, 65, "{said}");
    assert!(said.contains("checkpoint.cosigned knows"), "{said}");

    // The older copy goes on with the same keys, for longer than the log that was seen.
    fs::remove_file(house.data().join("log/checkpoint.cosigned")).unwrap();
    house.serve().stop();
    house.serve().stop();
    for (section, who) in [
        (&endpoint, "witness.example/1"),
        (&directory, kept.to_str().unwrap()),
    ] {
        house.witnesses(section);
        let (code, said) = house.refused();
        assert_eq!(code, 65, "{said}");
        assert!(
            said.contains(who) && said.contains(&format!("other first {knows} entries")),
            "{said}"
        );
    }

    // The true one is served, also when the witness is down, and says so.
    house.put_back(&newer);
    house.witnesses(&both);
    witness.go_down();
    let serving = house.serve();
    let ready = serving.get("/readyz");
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
    assert!(
        ready.contains("\nwarning: witness witness.example/1: "),
        "{ready}"
    );
    // It comes back.
    witness.listen();
    until(SOON, "it is well again", || {
        serving.get("/readyz").ends_with("\r\n\r\nready\n")
    });
    serving.stop();

    witness.go_down();
    house.witnesses(&format!("required = true\n{both}"));
    let (code, said) = house.refused();
    assert_eq!(code, 75, "{said}");
    assert!(
        said.contains("witness.required: witness.example/1"),
        "{said}"
    );
    witness.listen();
    house.serve().stop();
}

#[test]
fn an_alarm_is_written_into_the_log_and_the_next_start_is_refused() {
    let house = House::make();
    let kept = house.folder.path().join("kept");
    fs::create_dir(&kept).unwrap();
    house.serve().stop();
    let older = house.save("older");
    house.serve().stop();
    let newer = fs::read(house.data().join("log/checkpoint")).unwrap();
    house.put_back(&older);
    house.witnesses(&format!("directories = [\"{}\"]\n", kept.display()));
    let serving = house.serve();
    until(SOON, "it is handed out", || {
        fs::read_dir(&kept).unwrap().count() == 1
    });
    let file = fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    // The other one has more entries than this one has yet, or others.
    fs::write(&file, &newer).unwrap();
    until(SOON, "the alarm is told", || {
        serving.get("/readyz").contains("ALARM")
    });
    until(SOON, "the alarm is in the log", || {
        let bytes = fs::read(house.data().join("log/00000000000000000000.segment")).unwrap();
        let words = b"contradicted by a witness";
        bytes.windows(words.len()).any(|found| found == words)
    });
    assert!(serving.get("/readyz").starts_with("HTTP/1.1 200 "));
    serving.stop();
    assert_eq!(fs::read(&file).unwrap(), newer);
    let (code, said) = house.refused();
    assert_eq!(code, 65, "{said}");
}
