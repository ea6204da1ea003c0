//! `sekisho policy status`, `revisions`, `reload`, `activate` and `shadow`: the policy of a running daemon.

use serde_json::json;
use tonic::transport::Channel;

use super::diff::title;
use super::lists::table;
use crate::cli::client::{Asking, Connection};
use crate::cli::error::{CliError, Fault};
use crate::cli::output::print;
use crate::cli::requests::{Approving, told};
use crate::cli::sessions::time;
use crate::cli::table::{Column, neutralise};
use crate::cli::words::{Language, Word};
use crate::policy::diff::Section;
use crate::proto::policy_service_client::PolicyServiceClient;
use crate::proto::{
    ActivatePolicyRequest, GetPolicyRequest, GetPolicyResponse, GetShadowRequest,
    GetShadowResponse, ListRevisionsRequest, PolicyFolder, PolicyRevision, ReasonCode,
    ReloadPolicyRequest,
};

/// How much of a revision tables show; `activate` takes as little.
const SHORT: usize = 12;
/// The least that names a revision.
const SHORTEST: usize = 8;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LookArgs {
    /// JSON, a line for each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ReloadArgs {
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ActivateArgs {
    /// The revision, or the beginning of it: at least eight digits
    revision: String,
    /// Why; sealed in the log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    approving: Approving,
    #[command(flatten)]
    connection: Connection,
}

async fn open(connection: &Connection) -> Result<Asking<PolicyServiceClient<Channel>>, CliError> {
    Asking::open(connection, PolicyServiceClient::new).await
}

async fn kept(
    asking: &mut Asking<PolicyServiceClient<Channel>>,
) -> Result<Vec<PolicyRevision>, CliError> {
    let request = asking.request(ListRevisionsRequest {})?;
    let answer = asking.service.list_revisions(request);
    Ok(asking.target.answer(answer).await?.into_inner().revisions)
}

/// What is in force, and how the folder stands to it.
pub(super) async fn status(args: LookArgs) -> Result<(), CliError> {
    let mut asking = open(&args.connection).await?;
    let request = asking.request(GetPolicyRequest {})?;
    let answer = asking.service.get_policy(request);
    let seen = asking.target.answer(answer).await?.into_inner();
    let lines = if args.json {
        vec![status_json(&seen).to_string()]
    } else {
        status_lines(&seen, asking.language)
    };
    print(&lines, asking.language)
}

fn folder_of(number: i32) -> PolicyFolder {
    PolicyFolder::try_from(number).unwrap_or(PolicyFolder::Unspecified)
}

fn folder_word(folder: PolicyFolder) -> Word {
    match folder {
        PolicyFolder::Candidate => Word::FolderCandidate,
        PolicyFolder::SetAside => Word::FolderSetAside,
        PolicyFolder::Refused => Word::FolderRefused,
        PolicyFolder::InForce | PolicyFolder::Unspecified => Word::FolderInForce,
    }
}

fn status_lines(seen: &GetPolicyResponse, language: Language) -> Vec<String> {
    let nothing = PolicyRevision::default();
    let in_force = seen.in_force.as_ref().unwrap_or(&nothing);
    let by = match seen.activated_by.as_str() {
        "" => Word::TheDaemonItself.text(language).to_owned(),
        person => neutralise(person),
    };
    let since = time(seen.in_force_since.as_ref()).unwrap_or_default();
    let pack = neutralise(&in_force.pack);
    let mut lines =
        vec![Word::PolicyInForce.fill(language, &[&pack, &in_force.revision, &since, &by])];
    let signed = |revision: &PolicyRevision| {
        (!revision.signed_by.is_empty()).then(|| {
            let names = neutralise(&revision.signed_by.join(", "));
            Word::PolicySignedBy.fill(language, &[&names])
        })
    };
    lines.extend(signed(in_force));
    let folder = folder_of(seen.folder);
    lines.push(folder_word(folder).text(language).to_owned());
    lines.extend(
        seen.faults
            .iter()
            .map(|fault| format!("  {}", neutralise(fault))),
    );
    let told = u32::try_from(seen.faults.len()).unwrap_or(u32::MAX);
    if let Some(more) = seen.fault_count.checked_sub(told).filter(|more| *more > 0) {
        let more = more.to_string();
        lines.push(format!(
            "  {}",
            Word::PolicyFaultsMore.fill(language, &[&more])
        ));
    }
    if let Some(candidate) = &seen.candidate {
        lines.push(Word::PolicyCandidate.fill(
            language,
            &[&neutralise(&candidate.pack), &candidate.revision],
        ));
        lines.extend(signed(candidate));
    }
    for (is_so, word) in [
        (seen.by_hand, Word::PolicyByHand),
        (seen.needs_two, Word::PolicyNeedsTwo),
        (seen.signature_required, Word::PolicySignatureRequired),
    ] {
        if is_so {
            lines.push(word.text(language).to_owned());
        }
    }
    lines
}

fn status_json(seen: &GetPolicyResponse) -> serde_json::Value {
    json!({
        "in_force": seen.in_force.as_ref().map(revision_json),
        "in_force_since": time(seen.in_force_since.as_ref()),
        "activated_by": seen.activated_by,
        "folder": folder_of(seen.folder).as_str_name(),
        "candidate": seen.candidate.as_ref().map(revision_json),
        "faults": seen.faults,
        "fault_count": seen.fault_count,
        "by_hand": seen.by_hand,
        "needs_two": seen.needs_two,
        "signature_required": seen.signature_required,
    })
}

fn revision_json(revision: &PolicyRevision) -> serde_json::Value {
    json!({
        "revision": revision.revision,
        "pack": revision.pack,
        "loaded_at": time(revision.loaded_at.as_ref()),
        "in_force": revision.in_force,
        "candidate": revision.candidate,
        "signed_by": revision.signed_by,
    })
}

/// What is kept.
pub(super) async fn revisions(args: LookArgs) -> Result<(), CliError> {
    let mut asking = open(&args.connection).await?;
    let language = asking.language;
    let revisions = kept(&mut asking).await?;
    let lines = if args.json {
        let lines = revisions.iter().map(|one| revision_json(one).to_string());
        lines.collect()
    } else {
        let columns = [
            Column::of(Word::PolicyRevision, SHORT, language),
            Column::of(Word::PolicyPack, 8, language),
            Column::of(Word::PolicyLoadedAt, 20, language),
            Column::of(Word::PolicyState, 8, language),
        ];
        let rows: Vec<Vec<String>> = revisions
            .iter()
            .map(|one| {
                let state = match (one.in_force, one.candidate) {
                    (true, _) => Word::PolicyStateInForce.text(language),
                    (false, true) => Word::StateCandidate.text(language),
                    (false, false) => "",
                };
                vec![
                    short(&one.revision).to_owned(),
                    one.pack.clone(),
                    time(one.loaded_at.as_ref()).unwrap_or_default(),
                    state.to_owned(),
                ]
            })
            .collect();
        table(&columns, &rows, Word::NoRevisions, language)
    };
    print(&lines, language)
}

fn short(revision: &str) -> &str {
    revision.get(..SHORT).unwrap_or(revision)
}

/// Looks at the folder now.
pub(super) async fn reload(args: ReloadArgs) -> Result<(), CliError> {
    let mut asking = open(&args.connection).await?;
    let request = asking.request(ReloadPolicyRequest {})?;
    let answer = asking.service.reload_policy(request);
    let done = asking.target.answer(answer).await?.into_inner();
    let folder = folder_word(folder_of(done.folder)).text(asking.language);
    let revision = Word::PolicyRevisionInForce.fill(asking.language, &[&done.revision]);
    print(&[folder.to_owned(), revision], asking.language)
}

/// Puts a kept revision in force.
pub(super) async fn activate(args: ActivateArgs) -> Result<(), CliError> {
    let mut asking = open(&args.connection).await?;
    let language = asking.language;
    let given = args.revision.to_ascii_lowercase();
    let mut found = kept(&mut asking).await?;
    found.retain(|one| given.len() >= SHORTEST && one.revision.starts_with(&given));
    let revision = match found.as_slice() {
        [one] => one.revision.clone(),
        // Whole, it is the daemon that says that it isn't kept.
        _ if given.len() == 64 => given,
        _ => {
            let shown = neutralise(&args.revision);
            return Err(CliError::new(
                Fault::Usage,
                Word::NoSuchRevision,
                language,
                &[&shown],
            ));
        }
    };
    let request = asking.request(ActivatePolicyRequest {
        revision: revision.clone(),
        reason: args.reason,
        approve: args.approving.number(),
    })?;
    let answer = asking.service.activate_policy(request);
    let done = asking.target.answer(answer).await?.into_inner();
    let told = told!(done);
    let mut lines = Vec::new();
    match told.awaits(language) {
        Some(awaits) => lines.push(awaits),
        None => {
            let entry = done.log_index.to_string();
            lines.push(Word::PolicyActivated.fill(language, &[&revision, &entry]));
        }
    }
    lines.extend(told.marked(language).map(str::to_owned));
    print(&lines, language)
}

/// What the candidate would have decided otherwise.
pub(super) async fn shadow(args: LookArgs) -> Result<(), CliError> {
    let mut asking = open(&args.connection).await?;
    let language = asking.language;
    let request = asking.request(GetShadowRequest {})?;
    let answer = asking.service.get_shadow(request);
    let seen = asking.target.answer(answer).await?.into_inner();
    let lines = if args.json {
        vec![shadow_json(&seen).to_string()]
    } else {
        shadow_lines(&seen, language)
    };
    print(&lines, language)
}

fn shadow_lines(seen: &GetShadowResponse, language: Language) -> Vec<String> {
    if seen.revision.is_empty() {
        return vec![Word::NoShadow.text(language).to_owned()];
    }
    let since = time(seen.since.as_ref()).unwrap_or_default();
    let inexact = seen.not_exactly.iter().map(|one| one.count);
    let inexact = inexact.fold(0, u64::saturating_add);
    let numbers = [seen.decided, seen.differing, inexact].map(|n| n.to_string());
    let [decided, differing, inexact] = &numbers;
    let mut lines = vec![Word::ShadowCounts.fill(
        language,
        &[short(&seen.revision), &since, decided, differing, inexact],
    )];
    let lacking = seen.not_exactly.iter();
    lines.extend(lacking.map(|one| format!("  {}: {}", one.lacking, one.count)));
    let (from, next) = (
        seen.from_log_index.to_string(),
        seen.next_log_index.to_string(),
    );
    lines.push(Word::ShadowRead.fill(language, &[&from, &next]));
    if !seen.not_shown.is_empty() {
        let sections = seen.not_shown.iter().map(|name| {
            // One of a newer daemon is told by its name.
            Section::from_name(name).map_or_else(
                || neutralise(name),
                |section| title(section, language).to_owned(),
            )
        });
        let sections: Vec<String> = sections.collect();
        lines.push(Word::ReplayNotShown.fill(language, &[&sections.join(", ")]));
    }
    if seen.differences.is_empty() {
        return lines;
    }
    let columns = [
        Column::of(Word::ShadowCount, 5, language),
        Column::of(Word::ShadowChange, 7, language),
        Column::of(Word::HeadRoles, 10, language),
        Column::of(Word::ShadowWhat, 12, language),
        Column::of(Word::HeadPurpose, 8, language),
        Column::of(Word::PolicyStateInForce, 8, language),
        Column::of(Word::StateCandidate, 8, language),
        Column::of(Word::ShadowEntries, 6, language),
    ];
    let rows: Vec<Vec<String>> = seen
        .differences
        .iter()
        .map(|one| {
            let entries: Vec<String> = one.entries.iter().map(ToString::to_string).collect();
            vec![
                one.count.to_string(),
                one.change.clone(),
                one.roles.join(","),
                format!(
                    "{} {} {}",
                    one.action,
                    one.subject_kind,
                    one.categories.join(",")
                ),
                one.purpose.clone(),
                outcome(one.in_force, &one.in_force_rule),
                outcome(one.candidate, &one.candidate_rule),
                entries.join(" "),
            ]
        })
        .collect();
    lines.extend(table(&columns, &rows, Word::NoShadow, language));
    if seen.ungrouped > 0 {
        lines.push(Word::ShadowMore.fill(language, &[&seen.ungrouped.to_string()]));
    }
    lines
}

/// The first reason, and the rule that settled it.
fn outcome(code: i32, rule: &str) -> String {
    let code = match ReasonCode::try_from(code) {
        Ok(ReasonCode::Unspecified) | Err(_) => "ALLOW",
        Ok(code) => code.as_str_name().trim_start_matches("REASON_CODE_"),
    };
    format!("{code} {rule}").trim_end().to_owned()
}

fn shadow_json(seen: &GetShadowResponse) -> serde_json::Value {
    let differences: Vec<_> = seen
        .differences
        .iter()
        .map(|one| {
            json!({
                "change": one.change,
                "roles": one.roles,
                "subject_kind": one.subject_kind,
                "categories": one.categories,
                "action": one.action,
                "purpose": one.purpose,
                "in_force": outcome(one.in_force, ""),
                "candidate": outcome(one.candidate, ""),
                "in_force_rule": one.in_force_rule,
                "candidate_rule": one.candidate_rule,
                "count": one.count,
                "entries": one.entries,
            })
        })
        .collect();
    let not_exactly: serde_json::Map<_, _> = seen
        .not_exactly
        .iter()
        .map(|one| (one.lacking.clone(), one.count.into()))
        .collect();
    json!({
        "revision": seen.revision,
        "in_force": seen.in_force,
        "since": time(seen.since.as_ref()),
        "decided": seen.decided,
        "differing": seen.differing,
        "not_exactly": not_exactly,
        "differences": differences,
        "ungrouped": seen.ungrouped,
        "unreadable": seen.unreadable,
        "not_shown": seen.not_shown,
        "from_log_index": seen.from_log_index,
        "next_log_index": seen.next_log_index,
    })
}
