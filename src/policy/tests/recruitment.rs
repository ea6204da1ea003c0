//! The pack `recruitment` says what its policy promises.

use std::time::Duration;

use time::macros::{date, offset};

use super::*;
use crate::decision::rules::{
    Category, Coverage, GrantKey, IdSet, Promise, Reviews, Role, Route, Table,
};
use crate::domain::access::{Action, LegalException};
use crate::domain::person::Pledge;
use crate::domain::time::Timestamp;

fn names<T>(set: &IdSet<T>, table: &Table<T>) -> Vec<String> {
    table
        .iter()
        .filter(|(id, _, _)| set.contains(*id))
        .map(|(_, name, _)| name.to_owned())
        .collect()
}

impl RuleSet {
    fn asks(&self, role: &str, kind: &str, category: &str, action: Action, purpose: &str) -> bool {
        let key = GrantKey {
            role: self.roles.id(role).unwrap(),
            kind: self.kinds.id(kind).unwrap(),
            category: self.categories.id(category).unwrap(),
            purpose: self.purposes.id(purpose).unwrap(),
        };
        self.grants.allows(key, action, false).is_some()
    }

    fn category(&self, name: &str) -> &Category {
        self.categories
            .get(self.categories.id(name).unwrap())
            .unwrap()
    }

    fn role(&self, name: &str) -> &Role {
        self.roles.get(self.roles.id(name).unwrap()).unwrap()
    }
}

#[test]
fn recruitment_says_who_calls_from_where() {
    let rules = recruitment().rules;
    assert_eq!(&*rules.pack, "recruitment");
    assert_eq!(rules.utc_offset, offset!(+9));
    assert_eq!(rules.session.absolute, Duration::from_secs(8 * 3600));
    assert_eq!(rules.session.idle, Duration::from_secs(900));
    assert!(rules.standing.training && rules.standing.pledge);
    let crm = rules
        .services
        .get(rules.services.id("career-crm").unwrap())
        .unwrap();
    assert_eq!(crm.blocks, ["10.1.0.0/16".parse().unwrap()]);
    assert!(crm.acts_for_people && crm.registers_subjects);
    assert_eq!(crm.workload_role, None);
    assert_eq!(crm.exchanges_with, [rules.services.id("billing").unwrap()]);
    let mailer = rules
        .services
        .get(rules.services.id("notice-mailer").unwrap())
        .unwrap();
    assert!(!mailer.acts_for_people && !mailer.registers_subjects);
    assert_eq!(mailer.workload_role, rules.roles.id("notice-mailer"));
    let office = rules.networks.id("office").unwrap();
    let vpn = rules.networks.id("vpn").unwrap();
    assert_eq!(rules.role("career-adviser").networks, [office, vpn]);
    assert_eq!(rules.role("information-manager").networks, [office]);
    assert_eq!(
        rules.role("information-manager").reviews,
        Reviews::Department
    );
    assert_eq!(rules.role("security-manager").networks, [office]);
    assert_eq!(rules.role("security-manager").reviews, Reviews::Everything);
    assert!(rules.role("notice-mailer").networks.is_empty());
    let administrator = rules.role("administrator");
    assert!(administrator.administers);
    assert_eq!(administrator.networks, [office, vpn]);
    assert_eq!(
        rules
            .roles
            .iter()
            .filter(|(_, _, role)| role.administers)
            .count(),
        1
    );
}

#[test]
fn a_role_has_the_grants_of_those_it_inherits_nearest_first() {
    let rules = recruitment().rules;
    let closure: Vec<_> = rules
        .role("information-manager")
        .closure
        .iter()
        .map(|id| rules.roles.name(*id))
        .collect();
    assert_eq!(
        closure,
        ["information-manager", "career-adviser", "reception"]
    );
    assert_eq!(
        rules.role("administrator").closure,
        [rules.roles.id("administrator").unwrap()]
    );
}

#[test]
fn recruitment_grants_its_table_and_nothing_else() {
    use Action::{Create, Delete, Export, Provide, Read, Search, Update};
    let rules = recruitment().rules;
    for (role, kind, category, action, purpose) in [
        (
            "reception",
            "inquirer",
            "inquiry.text",
            Read,
            "inquiry-response",
        ),
        (
            "reception",
            "inquirer",
            "contact",
            Provide,
            "affiliate-referral",
        ),
        (
            "career-adviser",
            "job-seeker",
            "career",
            Read,
            "recruitment-service",
        ),
        (
            "career-adviser",
            "job-seeker",
            "career.history",
            Provide,
            "recruitment-service",
        ),
        (
            "career-adviser",
            "inquirer",
            "identity",
            Create,
            "inquiry-response",
        ),
        (
            "occupational-health",
            "job-seeker",
            "special.medical",
            Read,
            "recruitment-service",
        ),
        (
            "accounting",
            "client-contact",
            "payment.bank-account",
            Update,
            "settlement",
        ),
        (
            "accounting",
            "job-seeker",
            "identity.name",
            Read,
            "settlement",
        ),
        (
            "information-manager",
            "client-contact",
            "payment",
            Export,
            "legal-duty",
        ),
        (
            "information-manager",
            "job-seeker",
            "career",
            Update,
            "recruitment-service",
        ),
        ("legal", "job-seeker", "special", Provide, "legal-duty"),
        (
            "notice-mailer",
            "job-seeker",
            "contact.email",
            Read,
            "recruitment-service",
        ),
    ] {
        assert!(
            rules.asks(role, kind, category, action, purpose),
            "{role} {category} {action}"
        );
    }
    for (role, kind, category, action, purpose) in [
        (
            "reception",
            "job-seeker",
            "identity",
            Read,
            "inquiry-response",
        ),
        (
            "reception",
            "inquirer",
            "identity",
            Search,
            "inquiry-response",
        ),
        (
            "career-adviser",
            "job-seeker",
            "special.medical",
            Read,
            "recruitment-service",
        ),
        (
            "career-adviser",
            "job-seeker",
            "career",
            Delete,
            "recruitment-service",
        ),
        (
            "occupational-health",
            "job-seeker",
            "special",
            Read,
            "recruitment-service",
        ),
        ("accounting", "job-seeker", "identity", Read, "settlement"),
        (
            "accounting",
            "job-seeker",
            "career",
            Read,
            "recruitment-service",
        ),
        (
            "information-manager",
            "job-seeker",
            "special.medical",
            Read,
            "legal-duty",
        ),
        ("legal", "job-seeker", "identity", Export, "legal-duty"),
        (
            "notice-mailer",
            "job-seeker",
            "contact",
            Read,
            "recruitment-service",
        ),
        (
            "security-manager",
            "job-seeker",
            "identity",
            Read,
            "legal-duty",
        ),
        (
            "administrator",
            "job-seeker",
            "identity",
            Read,
            "legal-duty",
        ),
    ] {
        assert!(
            !rules.asks(role, kind, category, action, purpose),
            "{role} {category} {action}"
        );
    }
}

#[test]
fn what_restricts_a_category_reaches_what_covers_it() {
    let rules = recruitment().rules;
    for special in ["special", "special.medical", "special.criminal-record"] {
        assert!(rules.category(special).special_care, "{special}");
    }
    assert!(!rules.category("contact").special_care);
    let account = rules.categories.id("payment.bank-account").unwrap();
    for (category, masks) in [
        ("payment", 1),
        ("payment.bank-account", 1),
        ("payment.invoice", 0),
    ] {
        let found = &rules.category(category).masks;
        assert_eq!(found.len(), masks, "{category}");
        for mask in found {
            assert_eq!(mask.category, account);
            assert_eq!(names(&mask.except_to, &rules.roles), ["accounting"]);
        }
    }
    let [special, leaving] = rules.second_step.as_slice() else {
        panic!()
    };
    assert_eq!(special.max_age, Duration::from_secs(300));
    assert!(special.actions.is_empty());
    assert_eq!(
        names(&special.categories, &rules.categories),
        ["special", "special.medical", "special.criminal-record"]
    );
    assert_eq!(leaving.max_age, Duration::from_secs(900));
    assert!(leaving.categories.is_empty());
    assert!(leaving.actions.contains(Action::Export) && leaving.actions.contains(Action::Provide));
    assert!(!leaving.actions.contains(Action::Read));
}

#[test]
fn what_is_allowed_for_a_category_covers_its_items_and_not_the_reverse() {
    let rules = recruitment().rules;
    let [glass] = rules.break_glass.as_slice() else {
        panic!()
    };
    assert_eq!(
        names(&glass.categories, &rules.categories),
        ["special.medical"]
    );
    assert_eq!(
        names(&glass.roles, &rules.roles),
        ["career-adviser", "information-manager"]
    );
    assert_eq!(names(&glass.kinds, &rules.kinds), ["job-seeker"]);
    let purpose = |name| {
        rules
            .purposes
            .get(rules.purposes.id(name).unwrap())
            .unwrap()
    };
    let settlement = purpose("settlement");
    assert!(
        settlement
            .categories
            .contains(rules.categories.id("payment.invoice").unwrap())
    );
    assert!(
        !settlement
            .categories
            .contains(rules.categories.id("career").unwrap())
    );
    assert!(purpose("specified-at-acquisition").needs_case_ref);
    let duty = purpose("legal-duty");
    assert!(
        LegalException::ALL
            .iter()
            .all(|exception| duty.needs_exception.contains(*exception))
    );
    assert_eq!(names(&duty.kinds, &rules.kinds).len(), 3);
    assert_eq!(
        names(&duty.categories, &rules.categories).len(),
        rules.categories.len()
    );
    assert!(settlement.needs_exception.is_empty());
    let difficult = rules.exceptions.consent_difficult;
    assert!(difficult.contains(LegalException::PublicHealthChildren));
    assert!(!difficult.contains(LegalException::Law));
}

#[test]
fn recruitment_says_to_whom_data_may_go() {
    let rules = recruitment().rules;
    let recipient = |name| {
        rules
            .recipients
            .get(rules.recipients.id(name).unwrap())
            .unwrap()
    };
    let day = |date| Some(Timestamp::end_of(date, offset!(+9)));
    assert_eq!(recipient("group-domestic").route, Route::SharedUse);
    assert!(!recipient("group-domestic").abroad);
    assert_eq!(
        recipient("group-abroad").equivalent_until,
        day(date!(2099 - 01 - 31))
    );
    assert!(recipient("group-abroad-lapsed").abroad);
    assert_eq!(
        recipient("group-abroad-lapsed").equivalent_until,
        day(date!(2020 - 01 - 31))
    );
    assert_eq!(
        recipient("partner").contract_until,
        day(date!(2099 - 12 - 31))
    );
    assert_eq!(
        recipient("affiliate").stopped_by.as_deref(),
        Some("provision-stopped")
    );
    assert_eq!(recipient("employer").record_years, Some(3));
    let party = &recipient("employer").party;
    assert!(party.name.is_some() && party.address.is_some() && party.representative.is_some());
    assert_eq!(recipient("employer").stopped_by, None);
    assert_eq!(recipient("authority").route, Route::ThirdPartyByLaw);
    assert_eq!(
        names(&recipient("authority").items, &rules.categories).len(),
        rules.categories.len()
    );
    assert!(
        recipient("partner")
            .items
            .contains(rules.categories.id("career.history").unwrap())
    );
}

#[test]
fn recruitment_limits_keeps_and_asks_back() {
    let rules = recruitment().rules;
    let limits: Vec<_> = rules
        .limits
        .iter()
        .map(|limit| (&*limit.id, limit.people, limit.window.as_secs()))
        .collect();
    assert_eq!(
        limits,
        [("read-and-search", 200, 3600), ("export", 50, 3600)]
    );
    let retention: Vec<_> = rules
        .retention
        .iter()
        .map(|rule| (&*rule.id, &*rule.date, rule.years))
        .collect();
    assert_eq!(
        retention,
        [
            ("retention-expired", "last-contact", 3),
            ("retention-ended", "retention-end", 0)
        ]
    );
    let expired = rules.retention.first().unwrap();
    assert_eq!(
        names(&expired.except_purposes, &rules.purposes),
        ["legal-duty"]
    );
    assert!(expired.except_actions.contains(Action::Delete));
    let outcome = rules.outcomes.first().unwrap();
    assert!(outcome.break_glass && outcome.actions.contains(Action::Provide));
    assert_eq!(outcome.within, Duration::from_secs(24 * 3600));
}

#[test]
fn the_samples_are_thirteen_people_and_one_without_a_second_factor() {
    let pack = recruitment();
    assert_eq!(pack.people.len(), 13);
    let person = |id: &str| pack.people.iter().find(|person| &*person.id == id).unwrap();
    let day = |date| Some(Timestamp::end_of(date, offset!(+9)));
    assert_eq!(
        person("adviser-3").trained_until,
        day(date!(2020 - 01 - 31))
    );
    assert_eq!(
        person("adviser-4").employment_end,
        day(date!(2021 - 03 - 31))
    );
    assert!(person("adviser-5").pledge == Pledge::NotGiven);
    assert_eq!(person("security-2").department(), "security");
    assert!(
        pack.people
            .iter()
            .all(|person| !person.disabled && person.epoch == 0)
    );
    let without: Vec<_> = pack
        .people_without_second_factor
        .iter()
        .map(|id| &**id)
        .collect();
    assert_eq!(without, ["newcomer-1"]);
}

#[test]
fn the_revision_is_of_the_policy_and_not_of_the_samples() {
    let directory = copy_of_recruitment();
    let shipped = recruitment().rules.revision;
    assert_ne!(shipped, [0; 32]);
    std::fs::remove_file(directory.path().join("people.csv")).unwrap();
    let without_samples = load(directory.path()).unwrap();
    assert_eq!(without_samples.rules.revision, shipped);
    assert!(without_samples.people.is_empty());
    let text = std::fs::read_to_string(directory.path().join("pack.toml")).unwrap();
    write(directory.path(), "pack.toml", text + "\n");
    assert_ne!(load(directory.path()).unwrap().rules.revision, shipped);
}

#[test]
fn the_pack_that_the_readme_shows_loads() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let block = |start: &str| {
        let after = readme.split_once(start).unwrap().1;
        after.split_once("\n```").unwrap().0.to_owned()
    };
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let mut file = std::fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .open(folder.path().join(name))
            .unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    };
    put("pack.toml", &block("```toml\n# pack.toml\n"));
    put("policy.csv", &block("```csv\n"));
    std::fs::copy(
        root.join("policies/recruitment/model.conf"),
        folder.path().join("model.conf"),
    )
    .unwrap();
    let pack = crate::policy::load(folder.path()).unwrap();
    assert_eq!(&*pack.rules.pack, "clinic");
}

#[test]
fn a_rule_is_known_with_the_sentence_that_it_keeps() {
    let rules = recruitment().rules;
    let text = std::fs::read_to_string(recruitment_directory().join("pack.toml")).unwrap();
    let at = |line: u32| {
        let promise = rules.promises.at(line)?;
        Some((promise.text().to_owned(), promise.text_ja().to_owned()))
    };
    let told = |en: &str, ja: &str| Some((en.to_owned(), ja.to_owned()));
    assert_eq!(
        at(rules.session.line),
        told("setting two-step verification", "二段階認証の設定")
    );
    let partner = rules
        .recipients
        .get(rules.recipients.id("partner").unwrap());
    assert_eq!(at(partner.unwrap().line), told("inspected", "委託先の点検"));
    // What is ours is no promise of the policy.
    assert_eq!(at(rules.limits[0].line), None);
    let said = text
        .lines()
        .filter(|line| line.starts_with("promise = "))
        .count();
    assert_eq!(rules.promises.len(), said);
    // A row has nowhere to say it: its purpose does, else its role.
    let adviser = rules.roles.id("career-adviser");
    let of = |purpose: &str| {
        let purpose = rules.purposes.id(purpose).unwrap();
        rules.promise_of_grant(adviser, purpose).map(Promise::text)
    };
    assert_eq!(of("recruitment-service"), Some("carry out our Services"));
    assert_eq!(
        of("specified-at-acquisition"),
        Some(
            "limitation of employees who can view the information according to the type of information"
        )
    );
}

#[test]
fn a_promise_without_japanese_is_the_same_in_both_languages() {
    let directory = copy_of_recruitment();
    let path = directory.path();
    let text = std::fs::read_to_string(path.join("pack.toml")).unwrap();
    write(
        path,
        "pack.toml",
        text.replace("promise_ja = \"委託先の点検\"\n", ""),
    );
    let rules = load(path).unwrap().rules;
    let partner = rules
        .recipients
        .get(rules.recipients.id("partner").unwrap());
    let promise = rules.promises.at(partner.unwrap().line).unwrap();
    assert_eq!(
        (promise.text(), promise.text_ja()),
        ("inspected", "inspected")
    );
}

#[test]
fn recruitment_says_which_systems_are_under_it() {
    let rules = recruitment().rules;
    let systems: Vec<_> = rules
        .systems
        .iter()
        .map(|(_, id, system)| (id, &*system.department, system.coverage))
        .collect();
    assert_eq!(
        systems,
        [
            ("crm", "career", Coverage::Enforced),
            ("ledger", "finance", Coverage::Enforced),
            ("mail", "security", Coverage::Uncovered),
        ]
    );
}
