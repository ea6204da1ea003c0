use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::decision::entitlements::{Use, could_be_allowed};
use crate::decision::rules::RuleSet;
use crate::domain::access::Action;
use crate::domain::ids::Name;
use crate::domain::person::{Person, Pledge, RoleAssignment};
use crate::domain::time::Timestamp;
use crate::policy::{Pack, load};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shipped() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(root().join("policies")).unwrap();
    let mut folders: Vec<PathBuf> = folders.map(|folder| folder.unwrap().path()).collect();
    folders.push(root().join("tests/packs/registered-first"));
    folders
}

/// The pack of a folder with other texts, where it loads.
#[allow(clippy::disallowed_methods)]
fn changed(folder: &Path, file: &str, text: &str) -> Option<Pack> {
    let copy = tempfile::tempdir().unwrap();
    for one in ["pack.toml", "model.conf", "policy.csv", "people.csv"] {
        std::fs::copy(folder.join(one), copy.path().join(one)).unwrap();
    }
    std::fs::write(copy.path().join(file), text).unwrap();
    load(copy.path()).ok()
}

fn read(folder: &Path, file: &str) -> String {
    std::fs::read_to_string(folder.join(file)).unwrap()
}

fn recruitment() -> PathBuf {
    root().join("policies/recruitment")
}

/// The pack with rows more in its policy.csv.
fn with_rows(folder: &Path, rows: &str) -> Pack {
    let text = format!("{}{rows}", read(folder, "policy.csv"));
    changed(folder, "policy.csv", &text).expect("in order")
}

#[test]
fn a_pack_means_what_it_means() {
    for folder in shipped() {
        let (one, two) = (load(&folder).unwrap(), load(&folder).unwrap());
        let grants = grant_changes(&one.rules, &two.rules);
        assert!(grants.is_empty() && grants.tuples.is_empty());
        assert_eq!(other_changes(&one.rules, &two.rules), Vec::new());
        // Lines move, comments are nothing.
        let toml = format!("# a comment\n\n{}", read(&folder, "pack.toml"));
        let moved = changed(&folder, "pack.toml", &toml).unwrap();
        assert_ne!(moved.rules.revision, one.rules.revision);
        assert!(grant_changes(&one.rules, &moved.rules).is_empty());
        assert_eq!(other_changes(&one.rules, &moved.rules), Vec::new());
    }
}

/// Every word of pack.toml that can be another is told when it is: each number, each flag, each quoted text that the pack takes in
/// another form.
#[test]
fn no_change_of_pack_toml_goes_untold() {
    let registered = root().join("tests/packs/registered-first");
    // With few rows, since it is loaded over and over.
    let few = tempfile::tempdir().unwrap();
    for file in ["pack.toml", "model.conf", "people.csv"] {
        std::fs::copy(recruitment().join(file), few.path().join(file)).unwrap();
    }
    let csv = read(&recruitment(), "policy.csv");
    let (mut rules, mut others): (Vec<&str>, Vec<&str>) =
        csv.lines().partition(|row| row.starts_with("p,"));
    rules.truncate(5);
    others.extend(rules);
    #[allow(clippy::disallowed_methods)]
    std::fs::write(few.path().join("policy.csv"), others.join("\n")).unwrap();
    let mut looked_at = 0;
    for folder in [few.path().to_path_buf(), registered] {
        let old = load(&folder).unwrap();
        let text = read(&folder, "pack.toml");
        // Which warnings are accepted decides nothing.
        let rules = text.split("[[accept_warning]]").next().unwrap();
        let rules = rules.lines().count();
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate().take(rules) {
            let said = line.split_once(" = ").filter(|_| !line.starts_with('#'));
            let Some((key, value)) = said else {
                continue;
            };
            let key = key.trim();
            let other = match value.split('#').next().unwrap().trim() {
                "true" => value.replacen("true", "false", 1),
                "false" => value.replacen("false", "true", 1),
                whole if whole.parse::<u64>().is_ok() => {
                    value.replacen(whole, &(whole.parse::<u64>().unwrap() + 1).to_string(), 1)
                }
                whole if whole.starts_with('"') && key != "id" => {
                    let inner = whole.trim_matches('"');
                    let longer = match inner {
                        "8h" => "9h",
                        "15m" | "5m" | "60m" => "7m",
                        "enforced" => "recorded",
                        "JP" => "KR",
                        "3y" => "4y",
                        "+09:00" => "+08:00",
                        "PRIOR" => "EXPLICIT",
                        _ => "another text",
                    };
                    value.replacen(inner, longer, 1)
                }
                whole if whole.starts_with("[\"") && whole.ends_with(']') => {
                    // One item less.
                    match whole.split_once(", ") {
                        Some((_, rest)) => format!("[{rest}"),
                        None => continue,
                    }
                }
                _ => continue,
            };
            let mut changed_lines: Vec<String> = lines.iter().map(|&line| line.into()).collect();
            changed_lines[number] = format!("{key} = {other}");
            let Some(new) = changed(&folder, "pack.toml", &changed_lines.join("\n")) else {
                continue;
            };
            looked_at += 1;
            let told = other_changes(&old.rules, &new.rules);
            assert!(!told.is_empty(), "{number}: {line} became {other}");
        }
    }
    assert!(looked_at > 100, "{looked_at}");
}

/// By looking at every (role, kind, category, action, purpose) that either pack names: allowed under which, at request or not.
fn naively(old: &RuleSet, new: &RuleSet) -> BTreeMap<How, usize> {
    let mut found = BTreeMap::new();
    let state = |rules: &RuleSet, names: [&str; 4], action| {
        let [role, kind, category, purpose] = names;
        let role = rules.roles.id(role)?;
        let wanted = Use {
            kind: rules.kinds.id(kind)?,
            category: rules.categories.id(category)?,
            purpose: rules.purposes.id(purpose)?,
            action,
        };
        could_be_allowed(rules, &[role], wanted).map(|by| by.on_request)
    };
    let changes = grant_changes(old, new);
    for role in &changes.roles.names {
        for kind in &changes.kinds.names {
            for category in &changes.categories.names {
                for purpose in &changes.purposes.names {
                    for action in Action::ALL {
                        let names = [*role, *kind, *category, *purpose];
                        let was = state(old, names, *action);
                        let is = state(new, names, *action);
                        let how = match (was, is) {
                            (None, Some(false)) => How::Allowed,
                            (None, Some(true)) => How::AllowedOnRequest,
                            (Some(true), Some(false)) => How::AllowedAlways,
                            (Some(false), Some(true)) => How::OnRequestOnly,
                            (Some(_), None) => How::Denied,
                            _ => continue,
                        };
                        *found.entry(how).or_insert(0) += 1;
                    }
                }
            }
        }
    }
    found
}

#[test]
fn what_is_told_is_what_looking_at_every_tuple_finds() {
    let folders = shipped();
    let packs: Vec<Pack> = folders.iter().map(|folder| load(folder).unwrap()).collect();
    let mut pairs: Vec<(RuleSet, RuleSet)> = vec![
        (packs[0].rules.clone(), packs[1].rules.clone()),
        (packs[2].rules.clone(), packs[2].rules.clone()),
    ];
    for folder in &folders {
        let old = load(folder).unwrap();
        let rows: Vec<String> = read(folder, "policy.csv")
            .lines()
            .map(str::to_owned)
            .collect();
        let (mut removed, mut denied, mut asked) = (Vec::new(), Vec::new(), Vec::new());
        for (number, row) in rows.iter().enumerate() {
            let is_rule = row.starts_with("p, ");
            if !is_rule || number % 7 != 3 {
                removed.push(row.clone());
            }
            let changed = is_rule && number % 5 == 1 && row.ends_with(", always, allow");
            denied.push(row.replace(
                ", always, allow",
                if changed {
                    ", always, deny"
                } else {
                    ", always, allow"
                },
            ));
            asked.push(row.replace(
                ", always, allow",
                if changed {
                    ", on-request, allow"
                } else {
                    ", always, allow"
                },
            ));
        }
        let others = [removed, denied, asked].map(|rows| {
            let new = changed(folder, "policy.csv", &rows.join("\n"))?;
            Some(new.rules)
        });
        let [removed, denied, asked] = others;
        pairs.extend(removed.clone().zip(asked.clone()));
        let others = [removed, denied, asked].into_iter().flatten();
        pairs.extend(others.map(|new| (old.rules.clone(), new)));
    }
    assert!(pairs.len() > 12, "{}", pairs.len());
    let mut seen = BTreeMap::new();
    for (old, new) in &pairs {
        for (old, new) in [(old, new), (new, old)] {
            let changes = grant_changes(old, new);
            let mut told: BTreeMap<How, usize> = changes.tuples.iter().copied().collect();
            told.remove(&How::RuledOut);
            told.remove(&How::NotRuledOut);
            let expected = naively(old, new);
            assert_eq!(told, expected);
            for (how, count) in expected {
                *seen.entry(how).or_insert(0) += count;
            }
        }
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
}

#[test]
fn a_category_stands_for_its_items_and_a_row_for_its_actions() {
    let old = load(&recruitment()).unwrap();
    let rows = "p, accounting, job-seeker, identity, EXPORT, settlement, always, allow\n\
                p, accounting, job-seeker, identity, DELETE, settlement, always, allow\n";
    let new = with_rows(&recruitment(), rows);
    let changes = grant_changes(&old.rules, &new.rules);
    let told: Vec<GrantChange> = changes.rows().collect();
    let [row] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(row.how, How::Allowed);
    assert_eq!((&*row.role, &*row.kind), ("accounting", "job-seeker"));
    assert_eq!((&*row.category, &*row.purpose), ("identity", "settlement"));
    assert_eq!(row.actions, [Action::Export, Action::Delete]);
    assert_eq!(row.old_rule, None);
    let line = row.new_rule.unwrap().to_string();
    assert!(line.starts_with("policy.csv:"), "{line}");
    let items = old.rules.categories.iter();
    let items = items
        .filter(|(_, name, _)| name.starts_with("identity"))
        .count();
    assert_eq!(changes.tuples, [(How::Allowed, 2 * items)]);
    let back = grant_changes(&new.rules, &old.rules);
    assert_eq!(back.tuples, [(How::Denied, 2 * items)]);
    assert_eq!(back.rows().count(), 1);
}

fn person(id: &str, roles: &[&str]) -> Person {
    let name = |text: &str| Name::parse(text).unwrap();
    Person {
        roles: roles
            .iter()
            .map(|role| RoleAssignment::for_good(name(role)))
            .collect(),
        pledge: Pledge::Given,
        trained_until: Some(Timestamp::from_seconds(4_000_000_000)),
        ..Person::new(name(id), name("office"))
    }
}

#[test]
fn it_touches_whom_it_makes_a_difference_for() {
    let old = load(&recruitment()).unwrap();
    // A row that denies one role reaches who has it together with one that is allowed.
    let rows = "p, accounting, job-seeker, career, READ, recruitment-service, always, deny\n\
                p, reception, inquirer, inquiry, DELETE, inquiry-response, always, allow\n";
    let new = with_rows(&recruitment(), rows);
    let changes = grant_changes(&old.rules, &new.rules);
    let people = [
        person("both-1", &["accounting", "career-adviser"]),
        person("accounting-1", &["accounting"]),
        person("reception-1", &["reception"]),
        person("adviser-1", &["career-adviser"]),
        person("twice-1", &["career-adviser", "reception"]),
        person("legal-1", &["legal"]),
    ];
    let pairs = people.iter().map(|person| PersonBefore {
        old: Some(person),
        new: Some(person),
    });
    let touched = affected(&changes, pairs, Timestamp::from_seconds(1_800_000_000));
    let told: Vec<(&str, u64, u64)> = touched
        .iter()
        .map(|one| (&*one.person, one.gains, one.loses))
        .collect();
    let items = old.rules.categories.iter();
    let careers = items
        .filter(|(_, name, _)| name.starts_with("career"))
        .count() as u64;
    let items = old.rules.categories.iter();
    let inquiries = items
        .filter(|(_, name, _)| name.starts_with("inquiry"))
        .count() as u64;
    assert_eq!(
        told,
        [
            // An adviser inherits reception.
            ("adviser-1", inquiries, 0),
            ("both-1", inquiries, careers),
            ("reception-1", inquiries, 0),
            ("twice-1", inquiries, 0),
        ]
    );
    assert_eq!(touched[1].lost[0].1, "career");
    // Whose roles are others is told for that, and who may not work any more.
    let before = person("p-1", &["reception"]);
    let after = person("p-1", &["legal"]);
    let lapsed = Person {
        trained_until: None,
        ..person("p-2", &["legal"])
    };
    let same = grant_changes(&old.rules, &old.rules);
    let pairs = [
        PersonBefore {
            old: Some(&before),
            new: Some(&after),
        },
        PersonBefore {
            old: Some(&after),
            new: Some(&lapsed),
        },
        PersonBefore {
            old: Some(&lapsed),
            new: Some(&lapsed),
        },
    ];
    let touched = affected(
        &same,
        pairs.into_iter(),
        Timestamp::from_seconds(1_800_000_000),
    );
    let roles: Vec<_> = touched
        .iter()
        .map(|one| (one.old_roles.len(), one.new_roles.len()))
        .collect();
    assert_eq!(roles, [(1, 1), (1, 0)]);
}

#[test]
fn what_else_changes_is_told_by_the_names_of_pack_toml() {
    let old = load(&recruitment()).unwrap();
    let text = read(&recruitment(), "pack.toml");
    let new = changed(
        &recruitment(),
        "pack.toml",
        &text.replace("idle = \"15m\"", "idle = \"20m\""),
    )
    .unwrap();
    let told = other_changes(&old.rules, &new.rules);
    let expected = FactChange {
        section: Section::Session,
        id: String::new(),
        change: Became::Changed {
            field: "idle",
            old: "15m".into(),
            new: "20m".into(),
        },
    };
    assert_eq!(told, [expected]);
    let more = format!("{text}\n[[network]]\nid = \"annex\"\nblocks = [\"198.51.100.0/24\"]\n");
    let new = changed(&recruitment(), "pack.toml", &more).unwrap();
    let told = other_changes(&old.rules, &new.rules);
    let [network, role] = &told[..] else {
        panic!("{told:?}");
    };
    let blocks = vec![("blocks", "198.51.100.0/24".to_owned())];
    assert_eq!((network.section, &*network.id), (Section::Network, "annex"));
    assert_eq!(network.change, Became::Added(blocks.clone()));
    // Who administers works from any network unless the pack says otherwise.
    assert_eq!((role.section, &*role.id), (Section::Role, "administrator"));
    let back = other_changes(&new.rules, &old.rules);
    assert_eq!(back[0].change, Became::Removed(blocks));
}

#[test]
fn a_hundred_thousand_rules_are_compared_in_bounded_time_and_space() {
    let (mut toml, mut csv) = (
        read(&recruitment(), "pack.toml"),
        read(&recruitment(), "policy.csv"),
    );
    for role in 0..500 {
        toml.push_str(&format!(
            "\n[[role]]\nid = \"extra-{role}\"\nnetworks = [\"vpn\"]\n"
        ));
        for action in Action::ALL {
            for category in ["identity", "contact", "career", "payment", "inquiry"] {
                for kind in ["job-seeker", "client-contact", "inquirer"] {
                    for purpose in ["legal-duty", "recruitment-service"] {
                        csv.push_str(&format!(
                            "p, extra-{role}, {kind}, {category}, {action}, {purpose}, always, allow\n"
                        ));
                    }
                }
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    for file in ["model.conf", "people.csv"] {
        std::fs::copy(recruitment().join(file), folder.path().join(file)).unwrap();
    }
    #[allow(clippy::disallowed_methods)]
    let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();
    write("pack.toml", &toml);
    write("policy.csv", &csv);
    let old = load(folder.path()).unwrap();
    // A tenth of the roles lose what they have; no row but theirs is another.
    let kept: Vec<&str> = csv
        .lines()
        .filter(|row| !row.contains("7, job-seeker"))
        .collect();
    write("policy.csv", &kept.join("\n"));
    let new = load(folder.path()).unwrap();
    assert!(old.rows.len() > 100_000 && kept.len() + 3_000 < csv.lines().count());
    let began = std::time::Instant::now();
    let changes = grant_changes(&old.rules, &new.rules);
    let shown = changes.rows().take(100).count();
    let others = other_changes(&old.rules, &new.rules);
    let took = began.elapsed();
    println!(
        "{} tuples against {}: {} rows in {took:?}",
        old.rules.grants.len(),
        new.rules.grants.len(),
        changes.len()
    );
    assert_eq!((shown, others.len()), (100, 0));
    assert_eq!(changes.tuples.len(), 1);
    // The categories that either purpose is for, of fifty roles.
    let of_one = changes.rows().filter(|row| row.role == "extra-7").count();
    assert_eq!(changes.len(), 50 * of_one);
    assert!(took < std::time::Duration::from_secs(60), "{took:?}");
}
