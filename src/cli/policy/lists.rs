//! `sekisho policy who` and `what`: of a running daemon, or of a pack's own samples.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::client::Asking;
use crate::cli::client::Connection;
use crate::cli::error::{CliError, Fault};
use crate::cli::output::print;
use crate::cli::table::{Cell, Column, Tone, drawn};
use crate::cli::words::{Language, Word};
use crate::decision::RuleLine;
use crate::decision::entitlements::{Use, all_allowed, could_be_allowed_all, names, working_roles};
use crate::decision::rules::{Id, Promise, Role, RuleSet, Table as Names};
use crate::domain::access::Action;
use crate::domain::time::{Clock as _, SystemClock};
use crate::policy::{self, Pack};
use crate::proto::explain_service_client::ExplainServiceClient;
use crate::proto::{
    AllowedAccess, AllowedActor, DataScope, ListAllowedAccessRequest, ListAllowedActorsRequest,
};

/// Asked for at once.
const PAGE: i32 = 1_000;

/// Arguments of `sekisho policy who`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct WhoArgs {
    /// The kind of person the data are about
    #[arg(long, value_name = "KIND")]
    kind: String,
    /// A category or an item; may be repeated, and then all of them are meant
    #[arg(long = "category", value_name = "CATEGORY", required = true)]
    categories: Vec<String>,
    /// What is done with the data: READ, SEARCH, EXPORT, CREATE, UPDATE, DELETE or PROVIDE
    #[arg(long, value_name = "ACTION", value_parser = action)]
    action: Action,
    /// The purpose of use
    #[arg(long, value_name = "PURPOSE")]
    purpose: String,
    /// The system, where one is meant
    #[arg(long, value_name = "SYSTEM", default_value = "")]
    system: String,
    #[command(flatten)]
    of: OfArgs,
}

/// Arguments of `sekisho policy what`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct WhatArgs {
    /// The person's id
    #[arg(value_name = "PERSON")]
    person: String,
    #[command(flatten)]
    of: OfArgs,
}

/// Whom to ask, and how it is told.
#[derive(Debug, clap::Args)]
struct OfArgs {
    /// Ask no daemon: the people.csv of this pack's folder
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["server", "data", "ca", "certificate", "key"])]
    pack: Option<PathBuf>,
    /// JSON, a line for each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

fn action(text: &str) -> Result<Action, String> {
    Action::from_name(text).ok_or_else(|| {
        let known: Vec<&str> = Action::ALL.iter().map(|action| action.name()).collect();
        format!("is none of {}", known.join(", "))
    })
}

/// Who could be allowed something.
pub(super) async fn who(args: WhoArgs) -> Result<(), CliError> {
    let language = args.of.connection.language();
    let actors = match &args.of.pack {
        Some(folder) => offline_who(folder, &args, language)?,
        None => asked_who(&args).await?,
    };
    let lines = if args.of.json {
        actors
            .iter()
            .map(|actor| actor_json(actor).to_string())
            .collect()
    } else {
        who_table(&actors, language)
    };
    print(&lines, language)
}

async fn asked_who(args: &WhoArgs) -> Result<Vec<AllowedActor>, CliError> {
    let mut asking = Asking::open(&args.of.connection, ExplainServiceClient::new).await?;
    let mut wanted = ListAllowedActorsRequest {
        data: Some(DataScope {
            system: args.system.clone(),
            subject_kind: args.kind.clone(),
            categories: args.categories.clone(),
            ..DataScope::default()
        }),
        action: args.action.number(),
        purpose: args.purpose.clone(),
        page_size: PAGE,
        page_token: String::new(),
    };
    let mut actors = Vec::new();
    loop {
        let request = asking.request(wanted.clone())?;
        let answer = asking.service.list_allowed_actors(request);
        let answer = asking.target.answer(answer).await?.into_inner();
        actors.extend(answer.actors);
        if answer.next_page_token.is_empty() {
            return Ok(actors);
        }
        wanted.page_token = answer.next_page_token;
    }
}

/// What somebody could be allowed.
pub(super) async fn what(args: WhatArgs) -> Result<(), CliError> {
    let language = args.of.connection.language();
    let accesses = match &args.of.pack {
        Some(folder) => offline_what(folder, &args.person, language)?,
        None => asked_what(&args).await?,
    };
    let lines = if args.of.json {
        let lines = accesses
            .iter()
            .map(|access| access_json(access).to_string());
        lines.collect()
    } else {
        what_table(&accesses, language)
    };
    print(&lines, language)
}

async fn asked_what(args: &WhatArgs) -> Result<Vec<AllowedAccess>, CliError> {
    let mut asking = Asking::open(&args.of.connection, ExplainServiceClient::new).await?;
    let mut wanted = ListAllowedAccessRequest {
        person: args.person.clone(),
        page_size: PAGE,
        page_token: String::new(),
    };
    let mut accesses = Vec::new();
    loop {
        let request = asking.request(wanted.clone())?;
        let answer = asking.service.list_allowed_access(request);
        let answer = asking.target.answer(answer).await?.into_inner();
        accesses.extend(answer.accesses);
        if answer.next_page_token.is_empty() {
            return Ok(accesses);
        }
        wanted.page_token = answer.next_page_token;
    }
}

/// The pack in a folder.
pub(super) fn pack_of(folder: &Path, language: Language) -> Result<Pack, CliError> {
    policy::load(folder).map_err(|errors| CliError::of_pack(&errors, language))
}

fn known<T>(
    table: &Names<T>,
    flag: &str,
    name: &str,
    language: Language,
) -> Result<Id<T>, CliError> {
    table.id(name).ok_or_else(|| {
        let values = [flag, name];
        CliError::new(Fault::Usage, Word::PackHasNone, language, &values)
    })
}

fn texts(promise: Option<&Promise>) -> (String, String) {
    promise.map_or_else(Default::default, |promise| {
        (promise.text().to_owned(), promise.text_ja().to_owned())
    })
}

fn offline_who(
    folder: &Path,
    args: &WhoArgs,
    language: Language,
) -> Result<Vec<AllowedActor>, CliError> {
    let pack = pack_of(folder, language)?;
    let rules = &pack.rules;
    if !args.system.is_empty() {
        let mut services = rules.services.iter();
        let asked = services.any(|(_, _, service)| {
            service.acts_for_people && service.systems.iter().any(|own| **own == *args.system)
        });
        if !asked {
            let values = ["--system", &*args.system];
            return Err(CliError::new(
                Fault::Usage,
                Word::PackHasNone,
                language,
                &values,
            ));
        }
    }
    let kind = known(&rules.kinds, "--kind", &args.kind, language)?;
    let purpose = known(&rules.purposes, "--purpose", &args.purpose, language)?;
    let mut wanted = Vec::new();
    for category in &args.categories {
        wanted.push(Use {
            kind,
            category: known(&rules.categories, "--category", category, language)?,
            purpose,
            action: args.action,
        });
    }
    let now = SystemClock.now();
    let actors = pack.people.iter().filter_map(|person| {
        let roles = working_roles(rules, person, false, now);
        let (by, counting) = could_be_allowed_all(rules, &roles, &wanted)?;
        let promise = rules.promise_of_grant(counting.first().copied(), purpose);
        let (promise, promise_ja) = texts(promise);
        Some(AllowedActor {
            person: person.id.to_string(),
            roles: counting
                .iter()
                .map(|role| rules.roles.name(*role).to_owned())
                .collect(),
            rule: RuleLine::Grants(by.line).to_string(),
            promise,
            promise_ja,
            on_request: by.on_request,
        })
    });
    let mut actors: Vec<AllowedActor> = actors.collect();
    actors.sort_by(|one, other| one.person.cmp(&other.person));
    Ok(actors)
}

fn offline_what(
    folder: &Path,
    person: &str,
    language: Language,
) -> Result<Vec<AllowedAccess>, CliError> {
    let pack = pack_of(folder, language)?;
    let found = pack.people.iter().find(|one| &*one.id == person);
    let Some(found) = found else {
        let values = ["PERSON", person];
        return Err(CliError::new(
            Fault::Usage,
            Word::PackHasNone,
            language,
            &values,
        ));
    };
    let roles = working_roles(&pack.rules, found, false, SystemClock.now());
    Ok(accesses(&pack.rules, &roles))
}

fn accesses(rules: &RuleSet, roles: &[Id<Role>]) -> Vec<AllowedAccess> {
    let all = all_allowed(rules, roles, None, usize::MAX)
        .unwrap_or_default()
        .into_iter();
    all.map(|(used, by)| {
        let (kind, category, action, purpose) = names(rules, used);
        let promise = rules.promise_of_grant(roles.first().copied(), used.purpose);
        let (promise, promise_ja) = texts(promise);
        AllowedAccess {
            subject_kind: kind.to_owned(),
            category: category.to_owned(),
            action: action.number(),
            purpose: purpose.to_owned(),
            rule: RuleLine::Grants(by.line).to_string(),
            promise,
            promise_ja,
            on_request: by.on_request,
        }
    })
    .collect()
}

fn action_name(number: i32) -> &'static str {
    Action::from_number(number).map_or("", Action::name)
}

fn promise<'a>(en: &'a str, ja: &'a str, language: Language) -> &'a str {
    match language {
        Language::English => en,
        Language::Japanese => ja,
    }
}

pub(super) fn table(
    columns: &[Column],
    rows: &[Vec<String>],
    none: Word,
    language: Language,
) -> Vec<String> {
    if rows.is_empty() {
        return vec![none.text(language).to_owned()];
    }
    let rows: Vec<Vec<Cell>> = rows
        .iter()
        .map(|row| {
            row.iter()
                .map(|text| Cell::new(text, Tone::Plain))
                .collect()
        })
        .collect();
    drawn(columns, &rows)
}

/// What is said beside a rule that counts only on request.
fn when(on_request: bool, language: Language) -> String {
    if on_request {
        Word::OnRequest.text(language).to_owned()
    } else {
        String::new()
    }
}

fn who_table(actors: &[AllowedActor], language: Language) -> Vec<String> {
    let columns = [
        Column::of(Word::HeadId, 8, language),
        Column::of(Word::HeadRoles, 10, language),
        Column::of(Word::HeadWhen, 6, language),
        Column::of(Word::HeadAt, 8, language),
        Column::of(Word::HeadPromise, 10, language),
    ];
    let rows: Vec<Vec<String>> = actors
        .iter()
        .map(|actor| {
            vec![
                actor.person.clone(),
                actor.roles.join(","),
                when(actor.on_request, language),
                actor.rule.clone(),
                promise(&actor.promise, &actor.promise_ja, language).to_owned(),
            ]
        })
        .collect();
    table(&columns, &rows, Word::NobodyFits, language)
}

fn what_table(accesses: &[AllowedAccess], language: Language) -> Vec<String> {
    let columns = [
        Column::of(Word::HeadSubjectKind, 8, language),
        Column::of(Word::HeadCategory, 10, language),
        Column::of(Word::HeadAction, 7, language),
        Column::of(Word::HeadPurpose, 8, language),
        Column::of(Word::HeadWhen, 6, language),
        Column::of(Word::HeadAt, 8, language),
        Column::of(Word::HeadPromise, 10, language),
    ];
    let rows: Vec<Vec<String>> = accesses
        .iter()
        .map(|access| {
            vec![
                access.subject_kind.clone(),
                access.category.clone(),
                action_name(access.action).to_owned(),
                access.purpose.clone(),
                when(access.on_request, language),
                access.rule.clone(),
                promise(&access.promise, &access.promise_ja, language).to_owned(),
            ]
        })
        .collect();
    table(&columns, &rows, Word::NothingAllowed, language)
}

fn actor_json(actor: &AllowedActor) -> serde_json::Value {
    json!({
        "person": actor.person,
        "roles": actor.roles,
        "rule": actor.rule,
        "promise": actor.promise,
        "promiseJa": actor.promise_ja,
        "onRequest": actor.on_request,
    })
}

fn access_json(access: &AllowedAccess) -> serde_json::Value {
    json!({
        "subjectKind": access.subject_kind,
        "category": access.category,
        "action": format!("ACTION_{}", action_name(access.action)),
        "purpose": access.purpose,
        "rule": access.rule,
        "promise": access.promise,
        "promiseJa": access.promise_ja,
        "onRequest": access.on_request,
    })
}
