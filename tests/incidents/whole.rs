//! A whole incident at a terminal, as a transcript: opened, scoped, judged, told, drafted, closed. In English and in Japanese; with
//! `--nocapture` it is printed.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::desk::read;
use crate::support::dev_house::{House, credentials, done, run, told};
use crate::support::postgres::Postgres;

/// A terminal of somebody who reviews, and what was typed and told there.
struct Terminal<'a> {
    house: &'a House,
    data: String,
    language: &'static str,
    transcript: String,
}

impl<'a> Terminal<'a> {
    fn log_in(house: &'a House, person: &str, language: &'static str) -> Self {
        let data = house.data().to_owned();
        let password = &house.people.get(person).password;
        let input = credentials(house.home(), &data, person, password);
        done(house.home(), &input, &["login", "--data", &data]);
        Self {
            house,
            data,
            language,
            transcript: String::new(),
        }
    }

    fn good(&mut self, words: &[&str]) -> String {
        let mut arguments = vec!["incident"];
        arguments.extend(words);
        let typed: Vec<String> = arguments
            .iter()
            .map(|word| match word.contains([' ', '、', '。']) {
                true => format!("'{word}'"),
                false => (*word).to_owned(),
            })
            .collect();
        arguments.extend(["--data", &self.data, "--lang", self.language]);
        let output = run(self.house.home(), "", &arguments);
        assert!(output.status.success(), "{words:?}: {}", told(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        let _ = writeln!(self.transcript, "$ sekisho {}", typed.join(" "));
        let _ = write!(self.transcript, "{text}");
        let _ = writeln!(
            self.transcript,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    fn fails(&mut self, words: &[&str]) -> String {
        let mut arguments = vec!["incident"];
        arguments.extend(words);
        arguments.extend(["--data", &self.data, "--lang", self.language]);
        let output = run(self.house.home(), "", &arguments);
        assert!(!output.status.success(), "{words:?}: {}", told(&output));
        told(&output)
    }
}

/// The number in "incident 12 is open".
fn number_in(text: &str) -> String {
    let digits: String = text
        .chars()
        .skip_while(|character| !character.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    assert!(!digits.is_empty(), "{text}");
    digits
}

/// What is said in a language.
struct Words {
    language: &'static str,
    summary: &'static str,
    cause: &'static str,
    damage: &'static str,
    publication: &'static str,
    prevention: &'static str,
    told: [&'static str; 6],
}

const ENGLISH: Words = Words {
    language: "en",
    summary: "A list of job seekers was attached to a mail to the wrong company.",
    cause: "The address was completed from an earlier mail.",
    damage: "None is known; the receiver deleted the mail.",
    publication: "Not published: everybody was told.",
    prevention: "Attachments go by the file service only.",
    told: [
        "applies",
        "Personal Information Protection Commission",
        "final report (draft)",
        "Number of people",
        "done",
        "closed",
    ],
};

const JAPANESE: Words = Words {
    language: "ja",
    summary: "求職者の一覧を、誤って別の会社あてのメールに添付した。",
    cause: "宛先の補完を確認しなかった。",
    damage: "確認されていない。受信者は削除した。",
    publication: "本人全員に通知したため、公表しない。",
    prevention: "添付はファイル共有サービスに限る。",
    told: [
        "該当",
        "個人情報保護委員会",
        "漏えい等報告書(確報・案)",
        "本人の数",
        "済み",
        "終結",
    ],
};

fn a_whole_incident(mut house: House, words: &Words) {
    let [adviser, health] = ["adviser-1", "health-1"].map(|id| house.log_in(id));
    read(
        &house,
        &adviser,
        &["s-1", "s-2", "s-3"],
        &["identity.name", "contact.email"],
    );
    read(&house, &health, &["s-2"], &["special.medical"]);
    let mut terminal = Terminal::log_in(&house, "security-1", words.language);
    let opened = terminal.good(&["open", "--summary", words.summary, "--about", "adviser-1"]);
    let number = &*number_in(&opened);

    let found = terminal.good(&[
        "scope",
        number,
        "--person",
        "adviser-1",
        "--person",
        "health-1",
    ]);
    assert!(
        found.contains("special.medical (1)") && found.contains("adviser-1 (1)"),
        "{found}"
    );
    terminal.good(&["list"]);
    let triggers = terminal.good(&["triggers", number]);
    assert!(
        triggers.contains(words.told[0]) && triggers.contains("special.medical"),
        "{triggers}"
    );
    terminal.good(&[
        "triggers",
        number,
        "--judge",
        "malice",
        "--verdict",
        "does-not-apply",
        "--why",
        words.cause,
    ]);
    terminal.good(&[
        "triggers",
        number,
        "--judge",
        "property-damage",
        "--verdict",
        "does-not-apply",
        "--why",
        words.damage,
    ]);
    terminal.good(&["note", number, "--at", "1m", "--text", words.damage]);
    let draft = house
        .home()
        .join(format!("preliminary-{}.html", words.language));
    let preliminary = draft.to_str().unwrap();
    terminal.good(&["draft", number, "--output", preliminary]);
    terminal.good(&[
        "filed",
        number,
        "--clock",
        "ppc-preliminary",
        "--at",
        "0m",
        "--reference",
        "R-2026-1",
        "--note",
        "by the form",
    ]);
    let still = terminal.fails(&["close", number, "--conclusion", words.damage]);
    assert!(still.contains("ppc-final, subjects"), "{still}");
    for (item, text) in [
        ("cause", words.cause),
        ("secondary-damage", words.damage),
        ("publication", words.publication),
        ("prevention", words.prevention),
    ] {
        terminal.good(&["update", number, "--item", item, "--text", text]);
    }
    terminal.good(&[
        "notified",
        number,
        "--at",
        "0m",
        "--people",
        "3",
        "--how",
        words.damage,
    ]);
    terminal.good(&[
        "filed",
        number,
        "--clock",
        "ppc-final",
        "--at",
        "0m",
        "--reference",
        "R-2026-2",
        "--note",
        "by the form",
    ]);
    let affected = terminal.good(&["affected", number]);
    assert_eq!(affected.lines().count(), 3, "{affected}");
    let shown = terminal.good(&["show", number]);
    for told in [
        words.told[0],
        words.told[1],
        words.told[4],
        "R-2026-2",
        words.summary,
    ] {
        assert!(shown.contains(told), "{told}: {shown}");
    }

    let page = house.home().join(format!("final-{}.html", words.language));
    let output = terminal.good(&[
        "draft",
        number,
        "--stage",
        "final",
        "--output",
        page.to_str().unwrap(),
    ]);
    assert_eq!(output, "");
    let html = fs::read_to_string(&page).unwrap();
    for told in [
        words.told[2],
        words.told[3],
        words.summary,
        words.prevention,
        "special.medical",
        "R-2026-1",
    ] {
        assert!(html.contains(told), "{told}: {html}");
    }
    assert!(!html.contains("<script"));
    if let Some(folder) = std::env::var_os("SEKISHO_SHOW") {
        fs::copy(
            &page,
            std::path::Path::new(&folder).join(page.file_name().unwrap()),
        )
        .unwrap();
    }
    let json: Value = serde_json::from_str(
        &terminal.good(&["draft", number, "--stage", "final", "--format", "json"]),
    )
    .unwrap();
    let items = json["items"].as_array().unwrap();
    assert_eq!(items.len(), 9);
    assert!(items.iter().all(|item| item["missing"] == false), "{json}");
    let csv = terminal.good(&["draft", number, "--format", "csv"]);
    assert!(
        csv.starts_with('\u{feff}') && csv.contains(words.prevention),
        "{csv}"
    );

    terminal.good(&["close", number, "--conclusion", words.prevention]);
    let listed = terminal.good(&["list", "--all"]);
    assert!(listed.contains(words.told[5]), "{listed}");
    let json = terminal.good(&["list", "--all", "--json"]);
    let json: Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!(json["incident"], number);
    assert_eq!(json["clocks"][1]["state"], "done", "{json}");
    println!("{}", terminal.transcript);
}

#[test]
fn a_whole_incident_in_english() {
    a_whole_incident(House::open(), &ENGLISH);
}

#[test]
fn a_whole_incident_in_japanese() {
    a_whole_incident(House::with_store(&Postgres::shared().database()), &JAPANESE);
}
