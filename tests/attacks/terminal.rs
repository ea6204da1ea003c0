//! The same at the terminal of the shipped binary.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::site::{Site, code_of};
use crate::support::dev_house::{done, run, sekisho, told};
use crate::support::play::Door;

const STEP: Duration = Duration::from_secs(30);
const NEWCOMER: &str = "newcomer-1";

/// Logs an administrator in at the terminal.
fn log_in(site: &mut Site) {
    site.advance(STEP);
    let person = crate::site::ADMINISTRATOR;
    let input = format!(
        "{person}\n{}\n{}\n",
        site.people.get(person).password,
        site.code(person)
    );
    done(site.home(), &input, &["login", "--data", site.data()]);
}

#[test]
fn a_newcomer_changes_the_password_enrols_and_draws_recovery_codes_at_a_terminal() {
    let mut site = Site::open();
    let data = site.data().to_owned();
    log_in(&mut site);
    let last_word = |text: &str| text.split_whitespace().last().unwrap().to_owned();
    let credentials = ["credentials", "set-password", NEWCOMER, "--data", &data];
    let first = last_word(&done(site.home(), "", &credentials));
    let issue = ["credentials", "enrollment-code", NEWCOMER, "--data", &data];
    let code = last_word(&done(site.home(), "", &issue));

    // First the password, then the second factor, then anything else.
    let input = format!("{NEWCOMER}\n{first}\n");
    for (command, expected) in [
        ("login", "sekisho password"),
        ("enroll", "sekisho password"),
    ] {
        let refused = run(site.home(), &input, &[command, "--data", &data]);
        assert_eq!(refused.status.code(), Some(77), "{}", told(&refused));
        assert!(told(&refused).contains(expected), "{}", told(&refused));
    }
    let weak = run(
        site.home(),
        &format!("{input}password1\n"),
        &["password", "--data", &data],
    );
    assert_eq!(weak.status.code(), Some(65), "{}", told(&weak));
    assert!(
        told(&weak).contains("new_password: is one of the most used"),
        "{}",
        told(&weak)
    );
    let new = "plum rain monday 47";
    done(
        site.home(),
        &format!("{input}{new}\n"),
        &["password", "--data", &data],
    );

    let mut child = sekisho(site.home())
        .args(["enroll", "--data", &data, NEWCOMER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut typed = child.stdin.take().unwrap();
    writeln!(typed, "{new}\n{code}").unwrap();
    let mut shown = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut notice = String::new();
    let uri = loop {
        let line = shown.next().expect("a URI before the end").unwrap();
        if line.starts_with("otpauth://") {
            break line;
        }
        notice.push_str(&line);
    };
    assert!(notice.contains("Who reads it"), "{notice}");
    writeln!(typed, "yes\n{}", code_of(&uri, site.now())).unwrap();
    let rest: Vec<String> = shown.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success());
    let is_code = |line: &&String| line.len() == 19 && line.matches('-').count() == 3;
    assert_eq!(rest.iter().filter(is_code).count(), 10, "{rest:?}");
    assert!(rest.iter().any(|line| line.contains('█')), "no QR code");

    // Two codes: one for the session, one for the change.
    site.advance(STEP);
    let mut child = sekisho(site.home())
        .args(["recovery-codes", "--data", &data, NEWCOMER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut typed = child.stdin.take().unwrap();
    writeln!(typed, "{new}\n{}", code_of(&uri, site.now())).unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(
        said.next()
            .unwrap()
            .unwrap()
            .contains("wait for the next one")
    );
    site.advance(STEP);
    writeln!(typed, "{}", code_of(&uri, site.now())).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let codes = String::from_utf8(output.stdout).unwrap();
    assert_eq!(codes.lines().count(), 10, "{codes}");
}

/// The ten codes among what a command printed.
fn recovery_codes(printed: &str) -> Vec<String> {
    let is_code = |line: &&str| line.len() == 19 && line.matches('-').count() == 3;
    printed.lines().filter(is_code).map(str::to_owned).collect()
}

#[test]
fn recovery_codes_stand_in_for_a_lost_authenticator_wherever_a_terminal_asks_for_a_code() {
    let mut site = Site::open();
    let data = site.data().to_owned();
    let challenge = site.first_step(NEWCOMER);
    let start = json!({ "challenge_id": challenge["challengeId"] });
    let begun = site.ask("StartEnrollment", &start).unwrap();
    let code = code_of(begun["otpauthUri"].as_str().unwrap(), site.now());
    let confirm = json!({ "enrollment_id": begun["enrollmentId"], "totp": code });
    let given = site.ask("ConfirmEnrollment", &confirm).unwrap();
    let of_enrolment: Vec<String> = serde_json::from_value(given["recoveryCodes"].clone()).unwrap();
    let password = site.people.get(NEWCOMER).password.clone();
    let typed = |password: &str, rest: &[&str]| {
        let lines = [&[NEWCOMER, password], rest].concat();
        lines.join("\n") + "\n"
    };

    let by_code = typed(&password, &[&of_enrolment[0].to_lowercase()]);
    done(site.home(), &by_code, &["login", "--data", &data]);
    let again = run(site.home(), &by_code, &["login", "--data", &data]);
    assert_eq!(again.status.code(), Some(77), "{}", told(&again));
    let two = typed(&password, &[&of_enrolment[1], &of_enrolment[2]]);
    let drawn = done(site.home(), &two, &["recovery-codes", "--data", &data]);
    let codes = recovery_codes(&drawn);
    assert_eq!(codes.len(), 10, "{drawn}");
    let gone = typed(&password, &[&of_enrolment[3]]);
    let gone = run(site.home(), &gone, &["login", "--data", &data]);
    assert_eq!(gone.status.code(), Some(77), "{}", told(&gone));
    let new = "plum rain monday 47";
    let change = typed(&password, &[&codes[0], new, &codes[1]]);
    done(site.home(), &change, &["password", "--data", &data]);

    // Another authenticator in place of the lost one.
    let mut child = sekisho(site.home())
        .args(["enroll", "--data", &data, NEWCOMER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{new}\n{}\n{}", codes[2], codes[3]).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let uri = lines
        .by_ref()
        .map(Result::unwrap)
        .find(|line| line.starts_with("otpauth://"))
        .expect("a URI before the end");
    writeln!(input, "yes\n{}", code_of(&uri, site.now())).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success());
    assert_eq!(recovery_codes(&rest.join("\n")).len(), 10, "{rest:?}");
    site.advance(STEP);
    let login = typed(new, &[&code_of(&uri, site.now())]);
    done(site.home(), &login, &["login", "--data", &data]);
}

#[test]
fn tokens_are_imported_at_a_terminal() {
    let mut site = Site::open();
    let data = site.data().to_owned();
    log_in(&mut site);
    let file = site.home().join("tokens.csv");
    let seed = "3132333435363738393031323334353637383930";
    std::fs::write(
        &file,
        format!("serial,algorithm,digits,period,seed\nT-1,SHA1,6,30,{seed}\n"),
    )
    .unwrap();
    let path = file.to_str().unwrap();
    let import = ["credentials", "import-tokens", path, "--data", &data];
    assert_eq!(done(site.home(), "", &import), "1 tokens imported:\nT-1\n");
    let again = run(site.home(), "", &import);
    assert_eq!(again.status.code(), Some(65));
    assert!(
        told(&again).contains("token T-1 is there already"),
        "{}",
        told(&again)
    );
    let assign = [
        "credentials",
        "assign-token",
        NEWCOMER,
        "T-1",
        "--data",
        &data,
    ];
    let wrong = run(site.home(), "000000\n", &assign);
    assert!(
        told(&wrong).contains("totp: is not a current code"),
        "{}",
        told(&wrong)
    );
    let uri = "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    let code = code_of(uri, site.now());
    let assigned = done(site.home(), &format!("{code}\n"), &assign);
    assert_eq!(assigned, "token T-1 is the second factor of newcomer-1\n");
}
