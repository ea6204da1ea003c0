//! Errors and kills at a call of the system that a test chooses: by strace.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A daemon has some twenty threads.
const ATTACHED_WITHIN: Duration = Duration::from_secs(60);
const MISSING: &str = "strace is missing: install the Debian package strace";

/// The words that start a command under strace, with `rules` (`-e inject=…`, `-P path`).
pub(crate) fn wrapper(rules: &[String]) -> Vec<String> {
    wrapper_into(Path::new("/dev/null"), rules)
}

/// The same; what is traced goes into `file`.
pub(crate) fn wrapper_into(file: &Path, rules: &[String]) -> Vec<String> {
    let output = Command::new("strace").arg("-V").output().expect(MISSING);
    assert!(output.status.success(), "{MISSING}");
    let traced = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output()
        .expect(MISSING);
    assert!(
        traced.status.success(),
        "strace is not permitted here (ptrace): {}",
        String::from_utf8_lossy(&traced.stderr)
    );
    let file = file.display().to_string();
    let mut words: Vec<String> = ["strace", "-f", "-qqq", "-o", &file]
        .map(str::to_owned)
        .into();
    words.extend_from_slice(rules);
    words
}

/// A rule for each thread together: `what` happens at call number `nth` of `call`.
pub(crate) fn rule(call: &str, what: &str, nth: usize) -> Vec<String> {
    vec![
        "-e".to_owned(),
        format!("trace={call}"),
        "-e".to_owned(),
        format!("inject={call}:{what}:when={nth}"),
    ]
}

/// strace, attached to a process that runs.
pub(crate) struct Attached(Child);

impl Attached {
    /// Attaches with `rules`, and waits until it has.
    pub(crate) fn to(process: u32, rules: &[String]) -> Self {
        let words = wrapper(&[]);
        let mut child = Command::new(&words[0])
            .args(["-f", "-o", "/dev/null"])
            .args(rules)
            .args(["-p", &process.to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .expect(MISSING);
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let attached = said.any(|line| line.unwrap().contains("attached"));
        assert!(attached, "strace did not attach to {process}");
        std::thread::spawn(move || said.for_each(drop));
        // Each thread, or none is left: what is to come may have come already.
        let traced = || {
            let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
                return true;
            };
            threads.flatten().all(|thread| {
                let status = fs::read_to_string(thread.path().join("status"));
                status.map_or(true, |status| {
                    !status.contains("TracerPid:\t0") || status.contains("State:\tZ")
                })
            })
        };
        let until = Instant::now() + ATTACHED_WITHIN;
        while !traced() {
            assert!(Instant::now() < until, "strace did not attach to {process}");
            std::thread::sleep(Duration::from_millis(2));
        }
        Self(child)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
