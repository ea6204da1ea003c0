//! A whole monthly campaign as people type it, in English and in Japanese; `--nocapture` prints it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::dev_house::{House, credentials, done, run, told};
use crate::support::say;
use crate::{reads, today};

struct Desk<'a> {
    /// Where this person's ticket is.
    home: PathBuf,
    person: &'a str,
    data: &'a str,
    language: &'a str,
}

impl<'a> Desk<'a> {
    fn open(house: &'a House, person: &'a str, language: &'a str) -> Self {
        let home = house.home().join(person);
        std::fs::create_dir(&home).unwrap();
        let data = house.data();
        let password = &house.people.get(person).password;
        let input = credentials(&home, data, person, password);
        done(&home, &input, &["login", "--data", data]);
        Self {
            home,
            person,
            data,
            language,
        }
    }

    fn output(&self, words: &[&str]) -> std::process::Output {
        let mut arguments = vec!["review"];
        arguments.extend(words);
        arguments.extend(["--data", self.data, "--lang", self.language]);
        run(&self.home, "", &arguments)
    }

    /// What a command printed; told with it.
    fn types(&self, words: &[&str]) -> String {
        let output = self.output(words);
        let typed: Vec<String> = words
            .iter()
            .map(|word| {
                if word.contains(' ') {
                    format!("'{word}'")
                } else {
                    (*word).to_owned()
                }
            })
            .collect();
        say(&format!(
            "{}$ sekisho review {}",
            self.person,
            typed.join(" ")
        ));
        assert!(output.status.success(), "{words:?}: {}", told(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        for line in text.lines().take(14) {
            say(line);
        }
        text
    }

    fn refused(&self, words: &[&str]) -> (i32, String) {
        let output = self.output(words);
        let text = told(&output);
        say(&format!(
            "{}$ sekisho review {}",
            self.person,
            words.join(" ")
        ));
        say(text.trim());
        (output.status.code().unwrap(), text)
    }
}

fn month(language: &str) {
    let mut house = House::open();
    let (adviser, other) = (house.log_in("adviser-1"), house.log_in("adviser-2"));
    reads(&house, &adviser, "seeker-1", None);
    reads(
        &house,
        &adviser,
        "seeker-2",
        Some("The candidate collapsed during the interview"),
    );
    reads(&house, &other, "seeker-3", None);
    // Each logs in once more at a terminal, with another code.
    std::thread::sleep(std::time::Duration::from_secs(31));
    let [lead, manager, person] =
        ["security-1", "manager-1", "adviser-1"].map(|who| Desk::open(&house, who, language));
    let day = today();
    let (from, until) = (
        (day - time::Duration::days(27)).to_string(),
        day.to_string(),
    );
    let opened = lead.types(&["open", "--from", &from, "--until", &until, "--due-in", "7"]);
    let listed = lead.output(&["list", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let number = listed["review"].as_str().unwrap().to_owned();
    assert!(opened.contains(&number), "{opened}");
    lead.types(&["list"]);
    lead.types(&["show", &number]);
    let items = manager.types(&["items", &number, "--mine"]);
    assert!(
        items.contains("adviser-1") && items.contains("break-glass"),
        "{items}"
    );
    manager.types(&["item", &number, "1"]);
    manager.types(&["ask", &number, "1", "--question", "Who asked for it?"]);
    let asked = person.output(&["questions", "--json"]);
    let asked: Value = serde_json::from_slice(&asked.stdout).unwrap();
    person.types(&["questions"]);
    let question = asked["questionLogIndex"].as_str().unwrap();
    person.types(&[
        "answer",
        &number,
        "1",
        "--question",
        question,
        "--answer",
        "I was curious",
    ]);
    // Their own, and before all are judged.
    let (code, _) = person.refused(&["judge", &number, "1", "--as", "justified", "--why", "mine"]);
    assert_eq!(code, 77);
    let (code, words) = lead.refused(&["sign", &number]);
    let expected = match language {
        "ja" => "未判断の項目があります",
        _ => "items of the campaign are not judged yet",
    };
    assert!(code == 77 && words.contains(expected), "{words}");
    manager.types(&["item", &number, "1"]);
    manager.types(&[
        "judge",
        &number,
        "1",
        "--as",
        "misuse",
        "--why",
        "nobody had asked for it",
    ]);
    let left = manager.output(&["items", &number, "--open", "--mine", "--json"]);
    let left = String::from_utf8(left.stdout).unwrap();
    let left: Vec<String> = left
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["item"].to_string())
        .collect();
    let mut words = vec!["judge", &number];
    words.extend(left.iter().map(String::as_str));
    words.extend(["--as", "justified", "--why", "an interview that day"]);
    manager.types(&words);
    let signed = lead.types(&["sign", &number]);
    assert!(signed.contains(&number), "{signed}");
    let (code, _) = lead.refused(&["sign", &number]);
    assert_ne!(code, 0);
    for (format, file) in [
        ("html", "report.html"),
        ("csv", "report.csv"),
        ("json", "report.json"),
    ] {
        let path = house.home().join(file);
        let output = path.to_str().unwrap();
        lead.types(&["report", &number, "--format", format, "--output", output]);
        assert!(Path::new(output).metadata().unwrap().len() > 100);
    }
    let drawn = lead.types(&["redraw", &number]);
    assert!(drawn.contains("career adviser-1"), "{drawn}");
    lead.types(&["show", &number]);
}

#[test]
fn a_whole_monthly_campaign_in_english() {
    month("en");
}

#[test]
fn a_whole_monthly_campaign_in_japanese() {
    month("ja");
}
