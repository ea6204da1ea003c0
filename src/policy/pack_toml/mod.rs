//! pack.toml to a rule set, but for the grants. Every id is declared before any is looked up, so that one fault is told once
//! and sections may stand in any order.

pub(super) mod basis;
pub(super) mod callers;
mod conditions;
mod data;
mod detectors;
mod incident;
mod log_retention;
mod measure;
pub(super) mod recipients;
mod references;
mod reviews;
mod systems;

use std::time::Duration;

use time::UtcOffset;

use super::accepted::{self, Accepted};
use super::entry::{At, Broken, Choice, Document, Entry, Places};
use super::faults::{FileFaults, shown};
use super::kinds::{Kind as Fault, Sort, Words, words as both};
use super::recover::readable;
use super::words;
use crate::decision::rules::{
    Actions, ExceptionRule, Exceptions, Grants, Id, IdSet, IncidentRules, LogRetention, PackWords,
    Promises, RuleSet, SessionRule, StandingRule, Table, TableError,
};
use crate::domain::access::{Action, LegalException};
use crate::domain::ids::{Name, NameError};

/// The role that every pack has: it administers people, holds and packs.
pub(super) const ADMINISTRATOR: &str = "administrator";
/// The longest notice of monitoring, in each language.
const NOTICE_MAX_BYTES: usize = 8 * 1_024;
/// Ids of services that the program itself is; no pack may claim them.
const RESERVED_SERVICES: &str = "sekisho-";

// Bounds on what "all" can mean, so that the grants that a pack resolves to stay countable.
const ROLES_MAX: usize = 1_000;
const KINDS_MAX: usize = 1_000;
const CATEGORIES_MAX: usize = 10_000;
const PURPOSES_MAX: usize = 1_000;
const OTHERS_MAX: usize = 10_000;

/// What pack.toml says, and how far it is known.
#[derive(Debug)]
pub(super) struct PackToml {
    /// Good only when no fault was told; its grants and the closures of its roles are still empty.
    pub(super) rules: RuleSet,
    pub(super) broken: Broken,
    pub(super) places: Places,
    /// The warnings that the pack accepts.
    pub(super) accepted: Vec<Accepted>,
}

/// Reads the text as far as it is TOML.
pub(super) fn read(text: &str, faults: FileFaults<'_>) -> PackToml {
    let text = readable(text, faults);
    let document = Document::parse(&text);
    let (rules, accepted) = read_document(&document, faults);
    PackToml {
        rules,
        broken: document.broken(),
        places: document.places(),
        accepted,
    }
}

/// The document, once all of it was asked for.
#[cfg(test)]
pub(super) fn asked<'t>(text: &'t str, faults: FileFaults<'_>) -> Document<'t> {
    let document = Document::parse(text);
    read_document(&document, faults);
    document
}

fn read_document(document: &Document<'_>, faults: FileFaults<'_>) -> (RuleSet, Vec<Accepted>) {
    let root = document.root(faults);
    root.require(&[
        "pack", "session", "standing", "service", "network", "role", "kind", "category", "purpose",
    ]);
    let mut rules = blank();
    general(&root, &mut rules);

    let networks = declare(&root, "network", &mut rules.networks, OTHERS_MAX);
    let roles = declare(&root, "role", &mut rules.roles, ROLES_MAX);
    let systems = declare(&root, "system", &mut rules.systems, OTHERS_MAX);
    let services = declare(&root, "service", &mut rules.services, OTHERS_MAX);
    let kinds = declare(&root, "kind", &mut rules.kinds, KINDS_MAX);
    let purposes = declare(&root, "purpose", &mut rules.purposes, PURPOSES_MAX);
    let recipients = declare_with(&root, "recipient", &mut rules.recipients, |line| {
        recipients::blank(line)
    });
    let holds = declare(&root, "hold", &mut rules.holds, OTHERS_MAX);
    let dates = declare(&root, "date", &mut rules.dates, OTHERS_MAX);

    callers::networks(&networks, &mut rules);
    callers::roles(&roles, &mut rules);
    callers::incompatible_roles(&root, &mut rules);
    systems::systems(&systems, &mut rules);
    callers::services(&services, &mut rules);
    systems::coverage_is_true(&systems, &rules);
    callers::every_person_works_from_somewhere(&roles, &rules);
    data::kinds(&kinds, &mut rules);
    data::categories(&root, &mut rules);
    data::purposes(&purposes, &mut rules);
    recipients::holds(&holds, &mut rules);
    let abroad = recipients::abroad(&root);
    recipients::recipients(&recipients, &abroad, &mut rules);
    conditions::dates(&dates, &mut rules);
    conditions::second_steps(&root, &mut rules);
    conditions::break_glass(&root, &mut rules);
    conditions::limits(&root, &mut rules);
    conditions::retention(&root, &mut rules);
    basis::keep(&root, &mut rules);
    basis::consents(&root, &mut rules);
    basis::suspensions(&root, &mut rules);
    references::references(&root, &mut rules);
    basis::never_together(&root, &mut rules);
    basis::collected(&root, &mut rules);
    basis::confidential(&root, &mut rules);
    basis::safeguards(&root, &mut rules);
    log_retention::log_retention(&root, &mut rules);
    incident::incident(&root, &mut rules);
    measure::measures(&root, &mut rules);
    conditions::outcomes(&root, &mut rules);
    detectors::detectors(&root, &mut rules);
    reviews::reviews(&root, &mut rules);
    let accepted = accepted::read(&root, &rules);
    root.finish();
    rules.promises = document.promises(faults);
    (rules, accepted)
}

/// Why a section has no promise.
pub(super) const NO_RULE: Words = both("is for rules", "規則に付けるものです");
const OFFSET: Words = both("an offset like \"+09:00\"", "\"+09:00\" のような時差");
pub(super) const COUNTRY: Words = both(
    "a country of ISO 3166-1 alpha-2 (two capital letters)",
    "ISO 3166-1 alpha-2 の国コード(大文字二字)",
);
/// Where the pack doesn't say.
const SESSIONS_OF_ONE: u32 = 16;

fn blank() -> RuleSet {
    RuleSet {
        pack: "".into(),
        revision: [0; 32],
        words: PackWords::default(),
        utc_offset: UtcOffset::UTC,
        session: SessionRule {
            absolute: Duration::ZERO,
            idle: Duration::ZERO,
            max_concurrent: SESSIONS_OF_ONE,
            line: 0,
        },
        standing: StandingRule::default(),
        exceptions: ExceptionRule::default(),
        systems: Table::default(),
        services: Table::default(),
        networks: Table::default(),
        roles: Table::default(),
        incompatible_roles: Vec::new(),
        kinds: Table::default(),
        categories: Table::default(),
        purposes: Table::default(),
        recipients: Table::default(),
        holds: Table::default(),
        dates: Table::default(),
        second_step: Vec::new(),
        break_glass: Vec::new(),
        limits: Vec::new(),
        retention: Vec::new(),
        keep: Vec::new(),
        consents: Vec::new(),
        suspensions: Vec::new(),
        references: Vec::new(),
        never_together: Vec::new(),
        collected: Vec::new(),
        confidential: Vec::new(),
        safeguards: Vec::new(),
        log_retention: LogRetention::default(),
        measures: Vec::new(),
        incident: IncidentRules::default(),
        outcomes: Vec::new(),
        review_schedules: Vec::new(),
        detectors: Vec::new(),
        grants: Grants::default(),
        promises: Promises::default(),
    }
}

/// `[pack]`, `[session]`, `[standing]`, `[exceptions]`.
fn general(root: &Entry<'_>, rules: &mut RuleSet) {
    if let Some(pack) = root.section("pack") {
        pack.require(&["id", "title", "title_ja", "utc_offset"]);
        if let Some(id) = id_of(&pack) {
            rules.pack = id.value.into();
        }
        for key in ["title", "title_ja"] {
            let Some(title) = pack.text(key) else {
                continue;
            };
            if let Err(error) = Name::parse(title.value) {
                pack.fault(title, Fault::BadName, &[&key, &name_error(error)]);
            }
            let kept = match key {
                "title" => &mut rules.words.title,
                _ => &mut rules.words.title_ja,
            };
            *kept = title.value.into();
        }
        pack.refuse("promise", NO_RULE);
        pack.refuse("promise_ja", NO_RULE);
        if let Some(offset) = pack.text("utc_offset") {
            match words::utc_offset(offset.value) {
                Some(offset) => rules.utc_offset = offset,
                None => pack.wrong_word("utc_offset", offset, OFFSET),
            }
        }
        pack.finish();
    }
    if let Some(notice) = root.section("monitoring_notice") {
        notice.require(&["en", "ja"]);
        notice.refuse("promise", NO_RULE);
        notice.refuse("promise_ja", NO_RULE);
        let text = |key| {
            let text = notice.text(key)?;
            if text.value.trim().is_empty() || text.value.len() > NOTICE_MAX_BYTES {
                notice.fault(text, Fault::BadText, &[&key, &NOTICE_MAX_BYTES]);
            }
            Some(text.value)
        };
        if let (Some(en), Some(ja)) = (text("en"), text("ja")) {
            rules.words.monitoring_notice = Some((en.into(), ja.into()));
        }
        notice.finish();
    }
    if let Some(session) = root.section("session") {
        session.require(&["absolute", "idle"]);
        let absolute = session.duration("absolute");
        let idle = session.duration("idle");
        let max_concurrent = session
            .number("max_concurrent", 1..=1_000)
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(SESSIONS_OF_ONE);
        if let (Some(absolute), Some(idle)) = (absolute, idle) {
            if idle > absolute {
                session.fault(session.place_of("idle"), Fault::IdleOverAbsolute, &[]);
            }
            rules.session = SessionRule {
                absolute,
                idle,
                max_concurrent,
                line: session.line,
            };
        }
        session.finish();
    }
    if let Some(standing) = root.section("standing") {
        standing.require(&["training", "pledge"]);
        rules.standing = StandingRule {
            training: standing.flag("training"),
            pledge: standing.flag("pledge"),
            line: standing.line,
        };
        standing.finish();
    }
    if let Some(exceptions) = root.section("exceptions") {
        exceptions.require(&["accepted"]);
        let accepted = exceptions_of(&exceptions, "accepted", None);
        rules.exceptions = ExceptionRule {
            accepted,
            consent_difficult: exceptions_of(&exceptions, "consent_difficult", Some(accepted)),
            line: exceptions.line,
        };
        exceptions.finish();
    }
}

/// What people are told by that key, on one line; empty where it is missing, which is told elsewhere.
fn name(entry: &Entry<'_>, key: &'static str) -> Box<str> {
    let Some(text) = entry.text(key) else {
        return "".into();
    };
    if let Err(error) = Name::parse(text.value) {
        entry.fault(text, Fault::BadName, &[&key, &name_error(error)]);
    } else if text.value.chars().any(char::is_control) {
        let why = both("has a control character", "に制御文字があります");
        entry.fault(text, Fault::BadName, &[&key, &why]);
    }
    text.value.into()
}

/// What is wrong with a name.
fn name_error(error: NameError) -> Words {
    match error {
        NameError::Missing => both("is missing", "がありません"),
        NameError::TooLong => both("is over 128 bytes", "が 128 バイトを超えています"),
        NameError::Nul => both("holds the character U+0000", "に U+0000 があります"),
    }
}

/// The id of a table, checked for its form.
fn id_of<'a>(entry: &Entry<'a>) -> Option<At<&'a str>> {
    let id = entry.text("id")?;
    if !words::is_id(id.value) {
        entry.fault(id, Fault::BadId, &[&"id", &shown(id.value)]);
    }
    Some(id)
}

/// A section with the place in its table that its id has.
type Declared<'a, T> = Vec<(Id<T>, Entry<'a>)>;

fn declare<'a, T: Default>(
    root: &Entry<'a>,
    key: &'static str,
    table: &mut Table<T>,
    at_most: usize,
) -> Declared<'a, T> {
    let sections = declare_with(root, key, table, |_| T::default());
    if let Some((_, first_over)) = sections.get(at_most) {
        root.fault(first_over.place, Fault::TooManySections, &[&at_most, &key]);
    }
    sections
}

fn declare_with<'a, T>(
    root: &Entry<'a>,
    key: &'static str,
    table: &mut Table<T>,
    blank: impl Fn(u32) -> T,
) -> Declared<'a, T> {
    let mut declared = Vec::new();
    for entry in root.sections(key) {
        entry.require(&["id"]);
        let Some(id) = id_of(&entry) else { continue };
        entry.declared(key, id);
        if let Some(place) = add(&entry, id, table, blank(entry.line)) {
            declared.push((place, entry));
        }
    }
    declared
}

/// Puts a row into its table. A duplicate is told, and read on as the row that is there.
fn add<T>(entry: &Entry<'_>, id: At<&str>, table: &mut Table<T>, row: T) -> Option<Id<T>> {
    match table.add(id.value, row) {
        Ok(place) => Some(place),
        Err(error) => {
            let (fault, there) = match error {
                TableError::Duplicate => (Fault::DuplicateId, table.id(id.value)),
                TableError::Full => (Fault::TooManyRows, None),
            };
            entry.fault(id, fault, &[&shown(id.value)]);
            there
        }
    }
}

/// Looks an id up, or tells that it is unknown.
fn find<T>(entry: &Entry<'_>, sort: Sort, word: At<&str>, table: &Table<T>) -> Option<Id<T>> {
    let id = table.id(word.value);
    if id.is_none() {
        entry.unknown(sort, word, table.iter().map(|(_, name, _)| name));
    }
    id
}

/// The ids that a list names.
fn listed<T>(entry: &Entry<'_>, key: &'static str, sort: Sort, table: &Table<T>) -> Vec<Id<T>> {
    entry
        .words(key)
        .into_iter()
        .filter_map(|word| find(entry, sort, word, table))
        .collect()
}

/// The ids that a list names, or all.
pub(super) fn chosen<T>(
    entry: &Entry<'_>,
    key: &'static str,
    sort: Sort,
    table: &Table<T>,
) -> IdSet<T> {
    match entry.choice(key) {
        None => IdSet::default(),
        Some(Choice::All) => table.iter().map(|(id, _, _)| id).collect(),
        Some(Choice::These(words)) => words
            .into_iter()
            .filter_map(|word| find(entry, sort, word, table))
            .collect(),
    }
}

fn actions_of(entry: &Entry<'_>, key: &'static str) -> Actions {
    entry
        .words(key)
        .into_iter()
        .filter_map(|word| {
            let action = Action::from_name(word.value);
            if action.is_none() {
                let known = Action::ALL.iter().map(|action| action.name());
                entry.unknown(Sort::ACTION, word, known);
            }
            action
        })
        .collect()
}

/// The legal exceptions that a list names; each must be `among` those that the pack accepts.
fn exceptions_of(entry: &Entry<'_>, key: &'static str, among: Option<Exceptions>) -> Exceptions {
    entry
        .words(key)
        .into_iter()
        .filter_map(|word| exception_of(entry, key, word, among))
        .collect()
}

fn exception_of(
    entry: &Entry<'_>,
    key: &str,
    word: At<&str>,
    among: Option<Exceptions>,
) -> Option<LegalException> {
    let exception = LegalException::from_name(word.value);
    match exception {
        None => {
            let known = LegalException::ALL.iter().map(|exception| exception.name());
            entry.unknown(Sort::EXCEPTION, word, known);
        }
        Some(known) if among.is_some_and(|among| !among.contains(known)) => {
            entry.fault(word, Fault::ExceptionNotAccepted, &[&key, &known]);
        }
        Some(_) => {}
    }
    exception
}
