//! The walk through the life of an account in README.md, run as it stands there: a reader who pastes it gets what it says.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::dev_house::House;
use crate::support::repository;

/// What stands before an expectation.
const EXPECTED: &str = "#=> ";

fn walk() -> String {
    let text = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let (_, section) = text
        .split_once("### The life of an account, with grpcurl")
        .expect("the section of the walk");
    let (_, block) = section.split_once("```sh\n").expect("its commands");
    let (block, _) = block.split_once("```").expect("their end");
    block.to_owned()
}

#[test]
fn the_walk_in_the_readme_prints_what_it_says() {
    let house = House::open();
    let data = house.daemon.data().display().to_string();
    let walk = walk();
    let expected: Vec<&str> = walk
        .lines()
        .filter_map(|line| line.strip_prefix(EXPECTED))
        .collect();
    assert!(expected.len() >= 12, "{expected:?}");
    let script: String = walk
        .replace("sekisho-data", &data)
        .replace("127.0.0.1:7443", &house.daemon.grpc)
        .lines()
        .map(|line| match line.strip_prefix(EXPECTED) {
            Some(_) => "echo @@expected\n".to_owned(),
            None => format!("{line}\n"),
        })
        .collect();
    let sekisho = Path::new(env!("CARGO_BIN_EXE_sekisho")).parent().unwrap();
    let grpcurl = std::env::var_os("GRPCURL")
        .and_then(|path| Some(Path::new(&path).parent()?.display().to_string()))
        .unwrap_or_default();
    let path = std::env::var("PATH").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("bash")
        .args(["-c", &format!("exec 2>&1\n{script}")])
        .current_dir(folder.path())
        .env("PATH", format!("{}:{grpcurl}:{path}", sekisho.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let parts: Vec<&str> = printed.split("@@expected\n").collect();
    assert_eq!(parts.len(), expected.len() + 1, "{printed}");
    for (part, expected) in parts.iter().zip(expected) {
        assert!(
            part.contains(expected),
            "{expected:?} is not in what was printed:\n{part}\nof\n{printed}"
        );
    }
}
