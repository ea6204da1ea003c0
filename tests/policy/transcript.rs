//! A change of the policy from its first mistake to the first answer by it, as somebody at a terminal sees it, while services ask all the
//! time. `cargo test --test policy transcript -- --nocapture` prints it.

use std::collections::HashSet;

use crate::support::play;
use crate::support::scenario::{OFFICE, SESSION};

use super::*;

/// Asks for a clerk.
const BILLING: &str = "billing";

/// What is shown: commands as they are typed, what they print, and nothing of where the test has its files.
struct Terminal<'a> {
    house: &'a House,
    shown: Vec<String>,
}

impl Terminal<'_> {
    fn say(&mut self, text: &str) {
        let home = self.house.home().to_str().unwrap();
        let text = text.replace(&format!("{home}/"), "");
        self.shown
            .extend(text.lines().map(|line| line.trim_end().to_owned()));
    }

    /// A command of the binary; what it printed, and whether it ended well.
    fn sekisho(&mut self, arguments: &[&str]) -> (String, bool) {
        let quoted = |word: &&str| match word.contains(' ') {
            true => format!("'{word}'"),
            false => (*word).to_owned(),
        };
        let typed: Vec<String> = arguments.iter().map(quoted).collect();
        self.say(&format!("\n$ sekisho {}", typed.join(" ")));
        let data = ["--data", self.house.data()];
        let needs_data = !matches!(arguments, ["policy", "diff", ..]);
        let all = [arguments, if needs_data { &data[..] } else { &[] }].concat();
        let output = run(self.house.home(), "", &all);
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        self.say(&said);
        (said, output.status.success())
    }

    /// Edits policy.csv, and shows how.
    fn edit(&mut self, from: &str, to: &str) {
        self.say("\n$ $EDITOR pack/policy.csv");
        let one_line = |sign: &str, text: &str| format!("{sign} {}", text.trim_end());
        self.say(&one_line("-", from));
        if !to.is_empty() {
            self.say(&one_line("+", to));
        }
        edit(self.house, |text| text.replace(from, to));
    }

    fn get(&mut self, path: &str, what: &str) -> String {
        self.say(&format!(
            "\n$ curl -s http://127.0.0.1:7480{path} | grep {what}"
        ));
        let answer = self.house.daemon.get(path);
        let lines = answer
            .lines()
            .filter(|line| line.contains(what) && !line.starts_with('#'));
        let found = lines.collect::<Vec<_>>().join("\n");
        self.say(&found);
        found
    }

    fn check(&mut self, by: &Session, subject: u64) -> (String, String) {
        self.say(&format!(
            "\n$ grpcurl … -d '{{… \"action\": \"ACTION_READ\", \"subjectRef\": \"candidate-{subject:06}\", \"categories\": [\"contact.email\"] …}}' {CHECK}"
        ));
        let (decision, revision) = check(self.house, by, subject);
        self.say(&format!(
            "{{ \"decision\": \"{decision}\", \"policyRevision\": \"{revision}\" }}"
        ));
        (decision, revision)
    }
}

/// What the change is not about: it is allowed before and after.
fn unaffected(by: &Session, subject: u64) -> Value {
    let mut asked = request(by, subject);
    asked["data"]["categories"] = json!(["identity.name"]);
    if by.service == BILLING {
        asked["data"]["system"] = "ledger".into();
        asked["purpose"] = "settlement".into();
    }
    asked
}

/// What one of those saw who ask all the time.
struct Seen {
    asked: u64,
    /// Answered with an error.
    failed: Vec<String>,
    denied: u64,
    revisions: Vec<String>,
}

fn ask_on(house: &House, by: &Session, ended: &AtomicBool, asked: &AtomicU64) -> Seen {
    let own = of_service(house.daemon.data(), &by.service);
    let mut seen = Seen {
        asked: 0,
        failed: Vec::new(),
        denied: 0,
        revisions: Vec::new(),
    };
    for subject in (500..560).cycle() {
        if ended.load(Ordering::Relaxed) {
            break;
        }
        match house
            .grpcurl
            .call(Some(&own), CHECK, &unaffected(by, subject), &Vec::new())
        {
            Ok(answer) if answer["decision"] == "DECISION_ALLOW" => {
                let revision = answer["policyRevision"].as_str().unwrap();
                if seen.revisions.last().is_none_or(|last| last != revision) {
                    seen.revisions.push(revision.to_owned());
                }
            }
            Ok(_) => seen.denied += 1,
            Err(error) => seen.failed.push(error.to_string()),
        }
        seen.asked += 1;
        asked.fetch_add(1, Ordering::Relaxed);
    }
    seen
}

#[test]
fn transcript_of_a_change_that_is_made_wrongly_then_rightly_while_services_ask() {
    let house = House::with_own_pack_on_the_machines_clock();
    let mut house = configured(house, "activation = \"by-hand\"");
    let adviser = house.log_in("adviser-1");
    let mut callers = vec![adviser.clone(), house.log_in("adviser-2")];
    let clerk = (BILLING, OFFICE, SESSION);
    callers.push(play::log_in(&mut house, "accounting-1", clerk).unwrap());
    let home = house.home().to_owned();
    let password = house.people.get("administrator-1").password.clone();
    let login = credentials(&home, house.data(), "administrator-1", &password);
    done(&home, &login, &["login", "--data", house.data()]);

    let (ended, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let (house, ended, asked) = (&house, &ended, &asked);
    let (shown, first, candidate, seen) = thread::scope(|scope| {
        let asking: Vec<_> = callers
            .iter()
            .map(|by| scope.spawn(move || ask_on(house, by, ended, asked)))
            .collect();
        let more = |what: &str| {
            let so_far = asked.load(Ordering::Relaxed);
            until(SOON, what, || asked.load(Ordering::Relaxed) > so_far + 20);
        };
        more("services ask");
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut terminal = Terminal {
                house,
                shown: Vec::new(),
            };
            let told = change(&mut terminal, &adviser);
            more("services ask on");
            (terminal.shown, told.0, told.1)
        }));
        ended.store(true, Ordering::Relaxed);
        let seen: Vec<Seen> = asking.into_iter().map(|one| one.join().unwrap()).collect();
        let (shown, first, candidate) =
            changed.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (shown, first, candidate, seen)
    });

    for one in &seen {
        assert!(one.failed.is_empty(), "{:?}", one.failed);
        assert_eq!(one.denied, 0);
        assert!(one.asked > 3, "{}", one.asked);
        // By the one, then by the other, and never back.
        assert_eq!(one.revisions, [first.clone(), candidate.clone()]);
    }
    println!("{}", shown.join("\n"));
    let by: HashSet<&str> = callers.iter().map(|by| by.service.as_str()).collect();
    println!(
        "\nMeanwhile {} checks of {} callers ({} services), all the time: {} failed, {} denied.",
        seen.iter().map(|one| one.asked).sum::<u64>(),
        seen.len(),
        by.len(),
        seen.iter().map(|one| one.failed.len()).sum::<usize>(),
        seen.iter().map(|one| one.denied).sum::<u64>(),
    );
}

/// The change itself; the revision before and the one after.
fn change(terminal: &mut Terminal<'_>, adviser: &Session) -> (String, String) {
    let (_, is_told) = terminal.sekisho(&["policy", "status"]);
    assert!(is_told);
    let (decision, first) = terminal.check(adviser, 1);
    assert_eq!(decision, "DECISION_ALLOW");

    // Wrongly: refused, with the reason, and the one before decides.
    let wrong = GRANT.replace("contact,", "contract,");
    terminal.edit(GRANT, &wrong);
    let (said, is_taken) = terminal.sekisho(&["policy", "reload"]);
    assert!(
        !is_taken && said.contains("pack/policy.csv:34:32") && said.contains("did you mean"),
        "{said}"
    );
    let (status, _) = terminal.sekisho(&["policy", "status"]);
    assert!(
        status.contains("policy.csv:34") && status.contains(&first),
        "{status}"
    );
    let ready = terminal.get("/readyz", "warning");
    assert!(
        ready.contains("is refused") && ready.contains("policy.csv:34"),
        "{ready}"
    );
    let metrics = terminal.get("/metrics", "sekisho_policy_folder");
    assert!(
        metrics.contains("sekisho_policy_folder_refused 1")
            && metrics.contains("sekisho_policy_folder_faults 1"),
        "{metrics}"
    );
    let decided = terminal.check(adviser, 2);
    assert_eq!(decided, ("DECISION_ALLOW".to_owned(), first.clone()));

    // Rightly: it waits, and decides in the shadow.
    terminal.edit(&wrong, "");
    let (said, is_taken) = terminal.sekisho(&["policy", "reload"]);
    assert!(is_taken && said.contains("holds a candidate"), "{said}");
    let status = done(
        terminal.house.home(),
        "",
        &[
            "policy",
            "status",
            "--json",
            "--data",
            terminal.house.data(),
        ],
    );
    let status: Value = serde_json::from_str(&status).unwrap();
    let candidate = status["candidate"]["revision"].as_str().unwrap().to_owned();
    for subject in [3, 4] {
        let decided = terminal.check(adviser, subject);
        assert_eq!(decided, ("DECISION_ALLOW".to_owned(), first.clone()));
    }
    let differing = || {
        let shadow = [
            "policy",
            "shadow",
            "--json",
            "--data",
            terminal.house.data(),
        ];
        let shadow = done(terminal.house.home(), "", &shadow);
        serde_json::from_str::<Value>(&shadow).unwrap()["differing"].clone()
    };
    until(SOON, "the shadow has followed", || differing() == 2);
    let (shadow, _) = terminal.sekisho(&["policy", "shadow"]);
    assert!(shadow.contains("denied"), "{shadow}");

    // What it changes, told from the packs alone.
    let kept = format!("data/policies/{first}");
    let (diff, _) = terminal.sekisho(&["policy", "diff", &kept, "pack"]);
    assert!(
        diff.contains("career-adviser") && diff.contains("recruitment-service"),
        "{diff}"
    );

    // In force.
    let reason = [
        "--reason",
        "advisers write to job seekers through reception",
    ];
    let activate = [&["policy", "activate", &candidate[..12]], &reason[..]].concat();
    let (said, is_done) = terminal.sekisho(&activate);
    assert!(is_done && said.contains(&candidate), "{said}");
    let decided = terminal.check(adviser, 5);
    assert_eq!(decided, ("DECISION_DENY".to_owned(), candidate.clone()));
    let (revisions, _) = terminal.sekisho(&["policy", "revisions"]);
    assert!(revisions.contains("in force"), "{revisions}");
    (first, candidate)
}
