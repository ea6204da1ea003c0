//! What the index decides is what casbin decides.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use casbin::{Adapter as _, CoreApi as _, DefaultModel, FileAdapter, Model as _};

use super::*;
use crate::decision::rules::{Category, GrantKey, Grants, Id, Kind, Purpose, Role, Table};
use crate::domain::access::Action;
use crate::policy::judge::Request;

#[tokio::test]
async fn casbins_own_tools_read_the_same_rows() {
    let directory = recruitment_directory();
    let mut model = DefaultModel::from_file(directory.join("model.conf"))
        .await
        .unwrap();
    let mut adapter = FileAdapter::new(directory.join("policy.csv"));
    adapter.load_policy(&mut model).await.unwrap();
    let text = std::fs::read_to_string(directory.join("policy.csv")).unwrap();
    let faults = Faults::without_text();
    let rows = rows::read(&text, faults.of(PackFile::Policy));
    assert!(!faults.any_error());
    let rules: Vec<Vec<&str>> = rows.rules.iter().map(|row| row.fields.to_vec()).collect();
    assert_eq!(rules.len(), 236);
    assert_eq!(model.get_policy("p", "p"), rules);
    let pairs = |rows: &[rows::PairRow<'_>]| -> Vec<Vec<String>> {
        rows.iter()
            .map(|row| vec![row.inner.into(), row.outer.into()])
            .collect()
    };
    assert_eq!(model.get_policy("g", "g"), pairs(&rows.inherits));
    assert_eq!(model.get_policy("g", "g2"), pairs(&rows.covered_by));
    let enforcer = casbin::Enforcer::new(model, adapter).await.unwrap();
    let request = (
        "legal",
        "inquirer",
        "special.medical",
        "READ",
        "legal-duty",
        "always",
    );
    assert!(enforcer.enforce(request).unwrap());
}

/// SplitMix64: the same numbers on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % bound as u64).unwrap()
    }

    fn one_of<T>(&mut self, table: &Table<T>) -> Id<T> {
        let position = self.below(table.len());
        table.iter().nth(position).unwrap().0
    }
}

/// A pack of random size with the text of its policy.csv: roles inherit in any acyclic way, categories are trees up to five deep.
fn random_pack(blank: &RuleSet, numbers: &mut Numbers) -> (RuleSet, String) {
    let mut pack = blank.clone();
    let mut text = String::new();
    let roles = 1 + numbers.below(7);
    for role in 0..roles {
        pack.roles
            .add(&format!("role-{role}"), Role::default())
            .unwrap();
        for outer in 0..role {
            if numbers.below(3) == 0 {
                text.push_str(&format!("g, role-{role}, role-{outer}\n"));
            }
        }
    }
    for kind in 0..=numbers.below(3) {
        pack.kinds
            .add(&format!("kind-{kind}"), Kind::default())
            .unwrap();
    }
    for purpose in 0..=numbers.below(2) {
        pack.purposes
            .add(&format!("purpose-{purpose}"), Purpose::default())
            .unwrap();
    }
    let mut depths: Vec<usize> = Vec::new();
    for position in 0..=numbers.below(9) {
        let parent = (position > 0)
            .then(|| numbers.below(position))
            .filter(|parent| depths[*parent] < 4 && numbers.below(4) > 0);
        depths.push(parent.map_or(0, |parent| depths[parent] + 1));
        let parent = parent.map(|parent| format!("category-{parent}"));
        if let Some(parent) = &parent {
            text.push_str(&format!("g2, category-{position}, {parent}\n"));
        }
        let category = Category {
            parent: parent.and_then(|parent| pack.categories.id(&parent)),
            ..Category::default()
        };
        pack.categories
            .add(&format!("category-{position}"), category)
            .unwrap();
    }
    let mut said = HashSet::new();
    for _ in 0..=numbers.below(12) {
        let role = numbers.one_of(&pack.roles);
        let kind = numbers.one_of(&pack.kinds);
        let kind = if numbers.below(4) == 0 {
            "*"
        } else {
            pack.kinds.name(kind)
        };
        let category = numbers.one_of(&pack.categories);
        let category = if numbers.below(6) == 0 {
            "*"
        } else {
            pack.categories.name(category)
        };
        let action = Action::ALL[numbers.below(3)];
        let purpose = numbers.one_of(&pack.purposes);
        let (condition, effect) = [
            ("always", "allow"),
            ("always", "allow"),
            ("on-request", "allow"),
            ("always", "deny"),
        ][numbers.below(4)];
        let (role, purpose) = (pack.roles.name(role), pack.purposes.name(purpose));
        let rule = format!("p, {role}, {kind}, {category}, {action}, {purpose}, {condition}");
        if said.insert(rule.clone()) {
            text.push_str(&format!("{rule}, {effect}\n"));
        }
    }
    (pack, text)
}

/// A rule set without anything, to be filled.
fn recruitment_blank() -> RuleSet {
    RuleSet {
        roles: Table::default(),
        kinds: Table::default(),
        categories: Table::default(),
        purposes: Table::default(),
        grants: Default::default(),
        ..recruitment().rules
    }
}

/// Over a million questions: every role, kind, category, action, purpose and condition of random packs, on two threads. Which packs
/// is told by the seed; `SEKISHO_SEED` chooses another.
#[test]
fn the_index_decides_what_casbin_decides() {
    let seed = std::env::var("SEKISHO_SEED").ok();
    let seed = seed.map_or(20_261_122, |seed| seed.parse().unwrap());
    let halves = std::thread::scope(|scope| {
        let half = |seed| scope.spawn(move || casbin_agrees(seed, 500_000));
        [half(seed), half(seed ^ 0x5eed)].map(|half| half.join().unwrap())
    });
    let [(asked, allowed), (others, others_allowed)] = halves;
    let (asked, allowed) = (asked + others, allowed + others_allowed);
    println!("seed {seed}: {asked} questions, {allowed} allowed, no difference");
    assert!(asked >= 1_000_000, "{asked}");
    // Neither answer may be so rare that agreeing on it means nothing.
    assert!(
        allowed > asked / 20 && allowed < asked / 2,
        "{allowed} of {asked}"
    );
}

/// Asks both everything about one random pack after the other; how many questions that were, and how many were allowed.
fn casbin_agrees(seed: u64, at_least: u32) -> (u32, u32) {
    let mut numbers = Numbers(seed);
    let model = model::expected();
    let blank = recruitment_blank();
    let (mut asked, mut allowed) = (0, 0);
    while asked < at_least {
        let (mut pack, text) = random_pack(&blank, &mut numbers);
        let faults = Faults::without_text();
        let rows = rows::read(&text, faults.of(PackFile::Policy));
        let rules = resolve::resolve(&rows, &mut pack, &faults);
        let grants = grants::build(&rules, &pack, faults.of(PackFile::Policy));
        assert!(!faults.any_error(), "{:?}", faults);
        let judge = Judge::new(&model, &text, &rows).unwrap();
        for request in all_requests(&pack) {
            let ours = grants
                .allows(request.key, request.action, request.on_request)
                .is_some();
            let casbins = judge.allows(request, &pack).unwrap();
            assert_eq!(ours, casbins, "seed {seed}: {request:?}\n{text}");
            asked += 1;
            allowed += u32::from(ours);
        }
    }
    (asked, allowed)
}

/// Everything that can be asked about a pack, by one action more than its rules name.
fn all_requests(pack: &RuleSet) -> Vec<Request> {
    let mut all = Vec::new();
    for (role, ..) in pack.roles.iter() {
        for (kind, ..) in pack.kinds.iter() {
            for (category, ..) in pack.categories.iter() {
                for (purpose, ..) in pack.purposes.iter() {
                    let key = GrantKey {
                        role,
                        kind,
                        category,
                        purpose,
                    };
                    for action in Action::ALL.iter().take(4) {
                        all.extend([false, true].map(|on_request| Request {
                            key,
                            action: *action,
                            on_request,
                        }));
                    }
                }
            }
        }
    }
    all
}

#[test]
fn a_grant_remembers_the_line_that_gives_it() {
    let rules = recruitment().rules;
    let text = std::fs::read_to_string(recruitment_directory().join("policy.csv")).unwrap();
    let key = GrantKey {
        role: rules.roles.id("legal").unwrap(),
        kind: rules.kinds.id("inquirer").unwrap(),
        category: rules.categories.id("special.medical").unwrap(),
        purpose: rules.purposes.id("legal-duty").unwrap(),
    };
    let line = rules.grants.allows(key, Action::Provide, false).unwrap();
    let line = text
        .lines()
        .nth(usize::try_from(line).unwrap() - 1)
        .unwrap();
    assert_eq!(line, "p, legal, *, *, PROVIDE, legal-duty, always, allow");
}

#[test]
fn casbin_lends_links_between_a_role_and_a_category_of_one_name() {
    // Why such a pack is refused: `clerk` may read `archive` because a category of the role's name is covered by it.
    let text = "p, archive, *, contact, READ, duty, always, allow\n\
                g, clerk, desk\ng2, desk, archive\n";
    let faults = Faults::without_text();
    let rows = rows::read(text, faults.of(PackFile::Policy));
    let judge = Judge::new(&model::expected(), text, &rows).unwrap();
    let mut pack = recruitment_blank();
    let role = pack.roles.add("clerk", Role::default()).unwrap();
    let kind = pack.kinds.add("client", Kind::default()).unwrap();
    let category = pack.categories.add("contact", Category::default()).unwrap();
    let purpose = pack.purposes.add("duty", Purpose::default()).unwrap();
    let key = GrantKey {
        role,
        kind,
        category,
        purpose,
    };
    let request = Request {
        key,
        action: Action::Read,
        on_request: false,
    };
    assert!(judge.allows(request, &pack).unwrap());
}

#[test]
fn a_disagreement_with_casbin_refuses_the_pack() {
    let directory = recruitment_directory();
    let text = std::fs::read_to_string(directory.join("policy.csv")).unwrap();
    let mut pack = recruitment().rules;
    let faults = Faults::without_text();
    let rows = rows::read(&text, faults.of(PackFile::Policy));
    let rules = resolve::resolve(&rows, &mut pack, &faults);
    let judge = Judge::new(&model::expected(), &text, &rows).unwrap();
    let disagrees = |grants: &Grants| {
        let faults = Faults::without_text();
        judge::cross_check(&judge, &rules, &pack, grants, faults.of(PackFile::Policy));
        faults.any_error()
    };
    let grants = grants::build(&rules, &pack, faults.of(PackFile::Policy));
    assert!(!disagrees(&grants));
    let (_, others) = rules.split_first().unwrap();
    let less = grants::build(others, &pack, faults.of(PackFile::Policy));
    assert!(disagrees(&less));
    // More than casbin allows: what the first rule says, of everybody.
    let mut more = rules.clone();
    more.first_mut().unwrap().kind = None;
    let grants = grants::build(&more, &pack, faults.of(PackFile::Policy));
    assert!(disagrees(&grants));
}

#[test]
fn casbin_that_reads_other_rows_refuses_the_pack() {
    let faults = Faults::without_text();
    let rows = rows::read(
        "p, a, *, *, READ, d, always, allow\n",
        faults.of(PackFile::Policy),
    );
    let other = "p, a, *, *, READ, d, always, deny\n";
    let error = Judge::new(&model::expected(), other, &rows).err().unwrap();
    assert!(
        matches!(error, judge::JudgeError::Row { line: 1 }),
        "{error}"
    );
}

#[test]
fn a_hundred_thousand_rules_load_in_bounded_time() {
    let directory = copy_of_recruitment();
    let mut toml = std::fs::read_to_string(recruitment_directory().join("pack.toml")).unwrap();
    let mut csv = std::fs::read_to_string(recruitment_directory().join("policy.csv")).unwrap();
    for role in 0..500 {
        toml.push_str(&format!(
            "\n[[role]]\nid = \"extra-{role}\"\nnetworks = [\"vpn\"]\n"
        ));
        for action in Action::ALL {
            for category in ["identity", "contact", "career", "payment", "inquiry"] {
                for (kind, purpose) in [
                    ("job-seeker", "recruitment-service"),
                    ("client-contact", "recruitment-service"),
                    ("inquirer", "inquiry-response"),
                    ("job-seeker", "legal-duty"),
                    ("inquirer", "legal-duty"),
                    ("client-contact", "legal-duty"),
                ] {
                    csv.push_str(&format!(
                        "p, extra-{role}, {kind}, {category}, {action}, {purpose}, always, allow\n"
                    ));
                }
            }
        }
    }
    write(directory.path(), "pack.toml", toml);
    write(directory.path(), "policy.csv", csv);
    let started = Instant::now();
    let pack = load(directory.path()).unwrap_or_else(|errors| panic!("{errors}"));
    let took = started.elapsed();
    assert_eq!(
        pack.rules.grants.len(),
        recruitment().rules.grants.len() + 500 * 108
    );
    // The goal is for an optimised build.
    let at_most = if cfg!(debug_assertions) { 20 } else { 2 };
    println!("loaded in {took:?}");
    assert!(took < Duration::from_secs(at_most), "{took:?}");
}

#[tokio::test]
async fn a_pack_loads_inside_a_runtime_too() {
    assert_eq!(recruitment().people.len(), 13);
}
