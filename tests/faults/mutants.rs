//! Checks that are taken out of the source, one at a time: a test must miss each. The short form sees to it that every one of
//! them is still where the list says. The long form puts a switch beside each, in a copy of the source with a target folder of
//! its own, builds that once, and runs the tests with one check switched off at a time; with none switched off they must pass.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::site::is_long;
use crate::support::{repository, say};

/// What to run: the tests' binary (`lib` for those within the source) and a part of their names.
type Tests = (&'static str, &'static str);

/// What a check is.
enum Form {
    /// It is a value.
    Value,
    /// It is statements.
    Statements,
}
use Form::{Statements, Value};

struct Mutant {
    file: &'static str,
    /// What stands before the check, as far as that is needed to find it.
    after: &'static str,
    /// With `after` exactly once in the file.
    check: &'static str,
    without: &'static str,
    form: Form,
    tests: Tests,
}

const MUTANTS: &[Mutant] = &[
    Mutant {
        file: "src/log/segment.rs",
        after: "",
        check: "checksum != Some(crc32c::crc32c_append(seed, covered))",
        without: "checksum.is_none()",
        form: Value,
        tests: ("lib", "log::tests::recovery"),
    },
    Mutant {
        file: "src/log/scan.rs",
        after: "Parsed::Frame(frame) => ",
        check: "frame.batch > tail.next_batch",
        without: "false",
        form: Value,
        tests: ("lib", "log::tests::recovery"),
    },
    Mutant {
        file: "src/log/scan.rs",
        after: "if ",
        check: "frame.index != self.next_index || frame.batch != self.batch",
        without: "frame.index > u64::MAX - 1",
        form: Value,
        tests: ("lib", "log::tests::recovery"),
    },
    Mutant {
        file: "src/log/scan.rs",
        after: "if ",
        check: "tree != *until",
        without: "tree.size() != until.size()",
        form: Value,
        tests: ("lib", "log::tests::evidence"),
    },
    Mutant {
        file: "src/log/writer.rs",
        after: "",
        check: "self.check_linked()?;\n        self.seal();",
        without: "self.seal();",
        form: Statements,
        tests: ("lib", "log::tests::faults"),
    },
    Mutant {
        file: "src/log/writer.rs",
        after: "",
        check: "self.file\n            .sync_data()\n            .map_err(durable::at(Step::Sync, &self.path))?;",
        without: "",
        form: Statements,
        tests: ("lib", "log::tests::power::a_power"),
    },
    Mutant {
        file: "src/log/writer.rs",
        after: "",
        check: "self.at_the_disk.set(Some(Instant::now()));",
        without: "",
        form: Statements,
        tests: ("lib", "log::tests::appending"),
    },
    Mutant {
        file: "src/log/writer.rs",
        after: "let Err(trouble @ (Trouble::Failed(_) | Trouble::Damaged(_))) = ",
        check: "self.roll()",
        without: "Ok(())",
        form: Value,
        tests: ("lib", "log::tests::footing"),
    },
    Mutant {
        file: "src/log/durable.rs",
        after: "Step::Sync => ",
        check: "true",
        without: "false",
        form: Value,
        tests: ("lib", "log::tests::faults"),
    },
    Mutant {
        file: "src/log/durable.rs",
        after: "",
        check: "disk.sync_directory(parent).map_err(at(Step::Sync, parent))",
        without: "Ok(())",
        form: Value,
        tests: ("lib", "log::tests::power::a_power"),
    },
    Mutant {
        file: "src/log/durable.rs",
        after: "Ok(",
        check: "same && there.mode() & OWNER_MAY_WRITE != 0",
        without: "same",
        form: Value,
        tests: ("lib", "log::tests::footing"),
    },
    Mutant {
        file: "src/log/open.rs",
        after: "",
        check: "durable::write_again(&found.file, file, last, &found.path)?;",
        without: "drop(last);",
        form: Statements,
        tests: ("lib", "log::tests::power::a_power"),
    },
    Mutant {
        file: "src/log/open.rs",
        after: "",
        check: "durable::erase(file, torn.clone(), &found.path)?;",
        without: "",
        form: Statements,
        tests: ("lib", "log::tests::recovery"),
    },
    Mutant {
        file: "src/log/open.rs",
        after: "",
        check: "place == live",
        without: "place == (u64::MAX, 0)",
        form: Value,
        tests: ("lib", "log::tests::recovery"),
    },
    Mutant {
        file: "src/log/open.rs",
        after: "if ",
        check: "header.previous_first != previous",
        without: "previous == Some(u64::MAX)",
        form: Value,
        tests: ("lib", "log::tests::recovery"),
    },
    Mutant {
        file: "src/log/keeper.rs",
        after: "if ",
        check: "known.size > whole.size()",
        without: "known.size > u64::MAX - 1",
        form: Value,
        tests: ("lib", "log::tests::evidence"),
    },
    Mutant {
        file: "src/log/keeper.rs",
        after: "if ",
        check: "self.tree == *whole",
        without: "self.tree.size() == whole.size()",
        form: Value,
        tests: ("lib", "log::tests::evidence"),
    },
    Mutant {
        file: "src/log/keeper.rs",
        after: "Ok(()) if !last && ",
        check: "self.scrubbed.elapsed() >= scrub_every",
        without: "false",
        form: Value,
        tests: ("lib", "log::tests::evidence"),
    },
    Mutant {
        file: "src/log/dispose.rs",
        after: "if !span.disposed && ",
        check: "!self.is_committed(span)",
        without: "false",
        form: Value,
        tests: ("lib", "log::tests::disposing"),
    },
    Mutant {
        file: "src/log/footing.rs",
        after: "self.ground = match ",
        check: "file.is_at(path)",
        without: "file.is_at(path).map(|_| true)",
        form: Value,
        tests: ("lib", "log::tests::footing"),
    },
    Mutant {
        file: "src/log/footing.rs",
        after: "if ",
        check: "volume.free < self.tiers.refuse_below",
        without: "volume.free < 1",
        form: Value,
        tests: ("lib", "log::tests::footing"),
    },
    Mutant {
        file: "src/log/queue.rs",
        after: "",
        check: "entries > self.entries_max || bytes > QUEUE_BYTES",
        without: "bytes > usize::MAX - 1",
        form: Value,
        tests: ("lib", "log::tests::appending"),
    },
    Mutant {
        file: "src/gate/running/start.rs",
        after: "if ",
        check: "applied > log.len()",
        without: "applied > u64::MAX - 1",
        form: Value,
        tests: ("gate", ""),
    },
    Mutant {
        file: "src/gate/running/start.rs",
        after: "if ",
        check: "known_starts < self.starts",
        without: "known_starts > u64::MAX - 1",
        form: Value,
        tests: ("gate", ""),
    },
    Mutant {
        file: "src/gate/running/start.rs",
        after: "if ",
        check: "known_writes < self.factor_writes",
        without: "known_writes > u64::MAX - 1",
        form: Value,
        tests: ("faults", "older"),
    },
    Mutant {
        file: "src/gate/running/start.rs",
        after: "Some(found) if ",
        check: "found != root",
        without: "size == u64::MAX",
        form: Value,
        tests: ("lib", "gate::running::start"),
    },
    Mutant {
        file: "src/gate/check.rs",
        after: "            Err(error) => {\n                ",
        check: "self.take_back(&ready, &entries);\n                return Err(error.into());",
        without: "return Err(error.into());",
        form: Statements,
        tests: ("gate", "failures"),
    },
];

/// Which check is out: a number in the list.
const SWITCH: &str = "WITHOUT_CHECK";
const SWITCHED: &str = "
#[allow(missing_docs, clippy::all, unreachable_pub)]
pub(crate) fn is_out(number: usize) -> bool {
    static OUT: std::sync::OnceLock<Option<usize>> = std::sync::OnceLock::new();
    let out = OUT.get_or_init(|| std::env::var(\"WITHOUT_CHECK\").ok()?.parse().ok());
    *out == Some(number)
}
";

impl Mutant {
    fn place(&self) -> String {
        format!("{}{}", self.after, self.check)
    }

    /// The check with a switch.
    fn switched(&self, number: usize) -> String {
        let (without, check) = (self.without, self.check);
        let choice = format!("if crate::is_out({number}) {{ {without} }} else {{ {check} }}");
        match self.form {
            Value => format!("{}({choice})", self.after),
            Statements => format!("{}{choice}", self.after),
        }
    }
}

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
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Hung,
}

/// What the tests of the source in `tree` say with a check out, or with none.
fn run(tree: &Path, (binary, names): Tests, out: Option<usize>) -> Outcome {
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let cargo = |last: &str| {
        let mut command = Command::new(env!("CARGO"));
        command
            .current_dir(tree)
            .arg("test")
            .env("CARGO_TARGET_DIR", tree.with_file_name("mutants-target"))
            // What it stands on is built already.
            .env("CARGO_BUILD_BUILD_DIR", built)
            .env_remove("SEKISHO_FAULTS")
            .env_remove(SWITCH);
        match binary {
            "lib" => command.arg("--lib"),
            other => command.args(["--test", other]),
        };
        command.arg(last);
        command
    };
    let made = cargo("--no-run").output().unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "does not build:\n{said}");
    let mut tests = cargo(names);
    if let Some(number) = out {
        tests.env(SWITCH, number.to_string());
    }
    // A group of its own, so that what hangs is ended with it.
    let mut running = tests
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

/// Puts the switches into the copy in `tree`.
fn switch(tree: &Path) {
    for (number, mutant) in MUTANTS.iter().enumerate() {
        let path = tree.join(mutant.file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(
            &path,
            text.replace(&mutant.place(), &mutant.switched(number)),
        )
        .unwrap();
    }
    let root = tree.join("src/lib.rs");
    let text = fs::read_to_string(&root).unwrap();
    fs::write(&root, format!("{text}{SWITCHED}")).unwrap();
    // Of another version: what is built of it is told from what is built of the source itself, in one folder.
    let manifest = tree.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let version = format!("\nversion = \"{}\"\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text.matches(&version).count(), 1);
    let other = format!("\nversion = \"{}-switched\"\n", env!("CARGO_PKG_VERSION"));
    fs::write(&manifest, text.replace(&version, &other)).unwrap();
}

#[test]
fn every_check_that_is_taken_out_is_missed_by_a_test() {
    for mutant in MUTANTS {
        let text = fs::read_to_string(repository().join(mutant.file)).unwrap();
        let times = text.matches(&mutant.place()).count();
        assert_eq!(times, 1, "{}: {}", mutant.file, mutant.place());
    }
    if !is_long() {
        return;
    }
    let tree = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("mutants");
    let _ = fs::remove_dir_all(&tree);
    copy(&repository(), &tree);
    switch(&tree);
    // A part of the list, for whoever works on it.
    let only = std::env::var("SEKISHO_MUTANTS").unwrap_or_default();
    let chosen = || {
        let all = MUTANTS.iter().enumerate();
        all.filter(|(_, mutant)| format!("{}: {}", mutant.file, mutant.check).contains(&only))
    };
    let tests: BTreeSet<Tests> = chosen().map(|(_, mutant)| mutant.tests).collect();
    for tests in tests {
        let whole = run(&tree, tests, None);
        assert_eq!(whole, Outcome::Passed, "{tests:?} with every check");
    }
    let mut survived = Vec::new();
    for (number, mutant) in chosen() {
        let began = Instant::now();
        let outcome = run(&tree, mutant.tests, Some(number));
        say(&format!(
            "{}: {}: {} ({} s)",
            mutant.file,
            mutant.check.trim(),
            match outcome {
                Outcome::Passed => "SURVIVED",
                Outcome::Failed => "missed",
                Outcome::Hung => "missed: a test waits for it",
            },
            began.elapsed().as_secs()
        ));
        if outcome == Outcome::Passed {
            survived.push(mutant.check);
        }
    }
    assert!(survived.is_empty(), "nobody misses {survived:?}");
}
