//! Checks that are taken out of the source, one at a time: a test must miss each. The short form sees to it that every one of
//! them is still where the list says; the long form takes them out, in a copy of the source with a target folder of its own.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::site::is_long;
use crate::support::{repository, say};

struct Mutant {
    file: &'static str,
    /// Exactly once in the file.
    check: &'static str,
    without: &'static str,
    /// What to run: the tests' binary (`lib` for those within the source) and a part of their names.
    tests: (&'static str, &'static str),
}

const MUTANTS: &[Mutant] = &[
    Mutant {
        file: "src/log/segment.rs",
        check: "if checksum != Some(crc32c::crc32c_append(seed, covered)) {",
        without: "if checksum.is_none() {",
        tests: ("lib", "log::tests::recovery"),
    },
    Mutant {
        file: "src/log/scan.rs",
        check: "Parsed::Frame(frame) => frame.batch > tail.next_batch,",
        without: "Parsed::Frame(_) => false,",
        tests: ("lib", "log::tests::recovery"),
    },
    Mutant {
        file: "src/log/scan.rs",
        check: "if frame.index != self.next_index || frame.batch != self.batch {",
        without: "if frame.index > u64::MAX - 1 {",
        tests: ("lib", "log::tests"),
    },
    Mutant {
        file: "src/log/writer.rs",
        check: "        self.check_linked()?;\n        self.seal();\n",
        without: "        self.seal();\n",
        tests: ("lib", "log::tests::faults"),
    },
    Mutant {
        file: "src/log/writer.rs",
        check: "        self.file\n            .sync_data()\n            .map_err(durable::at(Step::Sync, &self.path))?;\n",
        without: "",
        tests: ("lib", "log::tests::power::a_power"),
    },
    Mutant {
        file: "src/log/durable.rs",
        check: "Step::Sync => true,",
        without: "Step::Sync => false,",
        tests: ("lib", "log::tests::faults"),
    },
    Mutant {
        file: "src/log/durable.rs",
        check: "    disk.sync_directory(parent).map_err(at(Step::Sync, parent))\n",
        without: "    Ok(())\n",
        tests: ("lib", "log::tests::power::a_power"),
    },
    Mutant {
        file: "src/log/open.rs",
        check: "    durable::write_again(&found.file, file, last, &found.path)?;\n",
        without: "    drop(last);\n",
        tests: ("lib", "log::tests::power::a_power"),
    },
    Mutant {
        file: "src/log/open.rs",
        check: "        durable::erase(file, torn.clone(), &found.path)?;\n",
        without: "",
        tests: ("lib", "log::tests::recovery"),
    },
    Mutant {
        file: "src/log/keeper.rs",
        check: "if known.size > whole.size() {",
        without: "if known.size > u64::MAX - 1 {",
        tests: ("lib", "log::tests"),
    },
    Mutant {
        file: "src/log/keeper.rs",
        check: "if self.tree == *whole {",
        without: "if self.tree.size() == whole.size() {",
        tests: ("lib", "log::tests"),
    },
    Mutant {
        file: "src/log/footing.rs",
        check: "Ok(true) => self.space(disk, directory),",
        without: "Ok(_) => self.space(disk, directory),",
        tests: ("lib", "log::tests::footing"),
    },
    Mutant {
        file: "src/log/footing.rs",
        check: "if volume.free < self.tiers.refuse_below {",
        without: "if volume.free < 1 {",
        tests: ("lib", "log::tests::footing"),
    },
    Mutant {
        file: "src/log/queue.rs",
        check: "entries > self.entries_max || bytes > QUEUE_BYTES",
        without: "bytes > usize::MAX - 1",
        tests: ("lib", "log::tests::appending"),
    },
    Mutant {
        file: "src/gate/running/start.rs",
        check: "if applied > log.len() {",
        without: "if applied > u64::MAX - 1 {",
        tests: ("gate", ""),
    },
    Mutant {
        file: "src/gate/running/start.rs",
        check: "if known_starts < self.starts {",
        without: "if known_starts > u64::MAX - 1 {",
        tests: ("gate", ""),
    },
    Mutant {
        file: "src/gate/running/start.rs",
        check: "if known_writes < self.factor_writes {",
        without: "if known_writes > u64::MAX - 1 {",
        tests: ("faults", "older"),
    },
    Mutant {
        file: "src/gate/check.rs",
        check: "            Err(error) => {\n                self.take_back(&ready, &entries);\n                return Err(error.into());\n",
        without: "            Err(error) => {\n                return Err(error.into());\n",
        tests: ("gate", "failures"),
    },
];

/// All but what is built, and where the history is.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let path = item.unwrap().path();
        let name = path.file_name().unwrap();
        if name == "target" || name == ".git" {
            continue;
        }
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// How long the tests of one may take once they are built: whoever waits for what never comes has missed the check as well.
const AT_MOST: Duration = Duration::from_secs(600);

/// What became of the tests of a source without a check.
enum Outcome {
    Passed,
    Failed,
    Hung,
}

/// What the tests say of the source in `tree`.
fn run(tree: &Path, (binary, names): (&str, &str)) -> Outcome {
    let cargo = |last: &str| {
        let mut command = Command::new(env!("CARGO"));
        command
            .current_dir(tree)
            .arg("test")
            .env("CARGO_TARGET_DIR", tree.with_file_name("mutants-target"))
            .env_remove("SEKISHO_FAULTS");
        match binary {
            "lib" => command.arg("--lib"),
            other => command.args(["--test", other]),
        };
        command.arg(last);
        command
    };
    let built = cargo("--no-run").output().unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "does not build:\n{said}");
    // A group of its own, so that what hangs is ended with it.
    let mut running = cargo(names)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let until = Instant::now() + AT_MOST;
    while Instant::now() < until {
        if let Some(status) = running.try_wait().unwrap() {
            return if status.success() {
                Outcome::Passed
            } else {
                Outcome::Failed
            };
        }
        sleep(Duration::from_millis(100));
    }
    let group = format!("-{}", running.id());
    let ended = Command::new("kill").args(["-9", "--", &group]).status();
    assert!(ended.unwrap().success());
    running.wait().unwrap();
    Outcome::Hung
}

#[test]
fn every_check_that_is_taken_out_is_missed_by_a_test() {
    for mutant in MUTANTS {
        let text = fs::read_to_string(repository().join(mutant.file)).unwrap();
        let times = text.matches(mutant.check).count();
        assert_eq!(times, 1, "{}: {}", mutant.file, mutant.check);
    }
    if !is_long() {
        return;
    }
    let tree = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("mutants");
    let _ = fs::remove_dir_all(&tree);
    copy(&repository(), &tree);
    let mut survived = Vec::new();
    // A part of the list, for whoever works on it.
    let only = std::env::var("SEKISHO_MUTANTS").unwrap_or_default();
    for mutant in MUTANTS.iter().filter(|mutant| {
        only.is_empty() || format!("{}: {}", mutant.file, mutant.check).contains(&only)
    }) {
        let path = tree.join(mutant.file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(mutant.check, mutant.without)).unwrap();
        let outcome = run(&tree, mutant.tests);
        say(&format!(
            "{}: {}: {}",
            mutant.file,
            mutant.check.trim(),
            match outcome {
                Outcome::Passed => "SURVIVED",
                Outcome::Failed => "missed",
                Outcome::Hung => "missed: a test waits for it",
            }
        ));
        if matches!(outcome, Outcome::Passed) {
            survived.push(mutant.check);
        }
        fs::write(&path, text).unwrap();
    }
    assert!(survived.is_empty(), "nobody misses {survived:?}");
}
