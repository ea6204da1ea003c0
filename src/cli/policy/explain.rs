//! `sekisho policy explain`: why a request is allowed or denied.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};

use super::stages::Shown;
use crate::cli::client::Asking;
use crate::cli::client::Connection;
use crate::cli::error::{CliError, Fault};
use crate::cli::output::print;
use crate::cli::words::{Language, Word};
use crate::domain::reason::{ReasonCode, Stage};
use crate::proto::explain_service_client::ExplainServiceClient;
use crate::proto::{self, CheckRequest, Decision, ExplainRequest, ExplainResponse};

/// The largest request: what the daemon takes.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024 - 4 * 1024;

/// Arguments of `sekisho policy explain`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ExplainArgs {
    /// The request as JSON: a CheckRequest as grpcurl takes it; `-` is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// As if this person had passed both steps, at the request's actor.client_ip (administrators)
    #[arg(long = "as", value_name = "PERSON", default_value = "")]
    person: String,
    /// As if this service asked (administrators); without it sekisho's own command line asks, which is no service of the pack
    #[arg(long, value_name = "SERVICE", default_value = "")]
    service: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Asks the daemon why.
pub(super) async fn explain(args: ExplainArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let request = read(&args.file, language)?;
    let mut asking = Asking::open(&args.connection, ExplainServiceClient::new).await?;
    let request = asking.request(ExplainRequest {
        request: Some(request),
        as_person: args.person,
        as_service: args.service,
    })?;
    let answer = asking.service.explain(request);
    let answer = asking.target.answer(answer).await?.into_inner();
    let lines = if args.json {
        vec![as_json(&answer).to_string()]
    } else {
        told(&answer, language)
    };
    print(&lines, language)
}

/// A `CheckRequest` from a file or from standard input.
fn read(path: &Path, language: Language) -> Result<CheckRequest, CliError> {
    let name = path.to_string_lossy();
    let unread = |why: &str| {
        let values = [&*name, why];
        CliError::new(Fault::Usage, Word::CantRead, language, &values)
    };
    let mut text = String::new();
    let limit = FILE_MAX_BYTES.saturating_add(1);
    let read = if *name == *"-" {
        std::io::stdin().take(limit).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    read.map_err(|error| unread(&error.to_string()))?;
    if !u64::try_from(text.len()).is_ok_and(|bytes| bytes <= FILE_MAX_BYTES) {
        let values = [&*name, &*FILE_MAX_BYTES.to_string()];
        return Err(CliError::new(
            Fault::Usage,
            Word::FileTooLarge,
            language,
            &values,
        ));
    }
    check_request(&text).map_err(|why| {
        let values = [&*name, &*why];
        CliError::new(Fault::Usage, Word::NoRequest, language, &values)
    })
}

/// Reads proto3 JSON by the descriptors that the daemon serves by reflection, as grpcurl does.
fn check_request(text: &str) -> Result<CheckRequest, String> {
    let pool =
        DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).map_err(|error| error.to_string())?;
    let descriptor = pool
        .get_message_by_name("sekisho.v1.CheckRequest")
        .ok_or("no CheckRequest")?;
    let mut json = serde_json::Deserializer::from_str(text);
    let message =
        DynamicMessage::deserialize(descriptor, &mut json).map_err(|error| error.to_string())?;
    json.end().map_err(|error| error.to_string())?;
    CheckRequest::decode(&*message.encode_to_vec()).map_err(|error| error.to_string())
}

fn stage_of(number: i32) -> Option<Stage> {
    Some(match proto::Stage::try_from(number).ok()? {
        proto::Stage::Unspecified => return None,
        proto::Stage::Caller => Stage::Caller,
        proto::Stage::Network => Stage::Network,
        proto::Stage::TwoStep => Stage::TwoStep,
        proto::Stage::Person => Stage::Person,
        proto::Stage::Grant => Stage::Grant,
        proto::Stage::Subject => Stage::Subject,
        proto::Stage::Provision => Stage::Provision,
        proto::Stage::Limits => Stage::Limits,
    })
}

fn shown(stage: &proto::StageVerdict) -> Option<Shown> {
    let reasons = stage.reasons.iter().filter_map(|reason| {
        let code = ReasonCode::from_number(reason.code)?;
        Some((code, reason.about.clone()))
    });
    Some(Shown {
        stage: stage_of(stage.stage)?,
        passed: (!stage.not_evaluated).then_some(stage.passed),
        reasons: reasons.collect(),
        rule: stage.rule.clone(),
        promise: (!stage.promise.is_empty())
            .then(|| (stage.promise.clone(), stage.promise_ja.clone())),
    })
}

fn is_allowed(answer: &ExplainResponse) -> bool {
    answer.decision == i32::from(Decision::Allow)
}

fn told(answer: &ExplainResponse, language: Language) -> Vec<String> {
    let word = if is_allowed(answer) {
        Word::WouldBeAllowed
    } else {
        Word::WouldBeDenied
    };
    let index = answer.log_index.to_string();
    let mut lines = vec![word.fill(language, &[&answer.policy_revision, &index])];
    let stages = answer.stages.iter().filter_map(shown);
    lines.extend(stages.flat_map(|stage| stage.lines(language)));
    let code = |reason: &Option<proto::Reason>| {
        let code = reason
            .as_ref()
            .and_then(|reason| ReasonCode::from_number(reason.code));
        code.map_or("", ReasonCode::name)
    };
    for withheld in &answer.withheld_categories {
        let values = [&*withheld.category, code(&withheld.reason)];
        lines.push(Word::WithheldCategory.fill(language, &values));
    }
    for withheld in &answer.withheld_subjects {
        let values = [&*withheld.index.to_string(), code(&withheld.reason)];
        lines.push(Word::WithheldSubject.fill(language, &values));
    }
    lines
}

/// With the names that grpcurl shows.
fn as_json(answer: &ExplainResponse) -> Value {
    let reason = |reason: &Option<proto::Reason>| {
        let code = reason
            .as_ref()
            .and_then(|reason| ReasonCode::from_number(reason.code));
        json!({ "code": code.map(|code| format!("REASON_CODE_{code}")) })
    };
    json!({
        "decision": if is_allowed(answer) { "DECISION_ALLOW" } else { "DECISION_DENY" },
        "stages": answer.stages.iter().filter_map(shown).map(|stage| stage.json()).collect::<Vec<_>>(),
        "policyRevision": answer.policy_revision,
        "withheldCategories": answer.withheld_categories.iter().map(|withheld| json!({
            "category": withheld.category,
            "reason": reason(&withheld.reason),
        })).collect::<Vec<_>>(),
        "withheldSubjects": answer.withheld_subjects.iter().map(|withheld| json!({
            "index": withheld.index,
            "reason": reason(&withheld.reason),
        })).collect::<Vec<_>>(),
        "logIndex": answer.log_index.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_grpcurl_reads_it_and_nothing_else_is() {
        let text = r#"{"action":"ACTION_READ","data":{"subjectKind":"patient","categories":["contact"]},"purpose":"care"}"#;
        let request = check_request(text).unwrap();
        assert_eq!(request.purpose, "care");
        assert_eq!(request.data.unwrap().subject_kind, "patient");
        for bad in [
            "",
            "{",
            "{} {}",
            r#"{"porpose":"care"}"#,
            r#"{"action":"ACTION_LOOK"}"#,
        ] {
            assert!(check_request(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_explanation_tells_every_stage_with_rule_and_promise_in_both_languages() {
        let answer = ExplainResponse {
            decision: Decision::Deny.into(),
            stages: vec![
                proto::StageVerdict {
                    stage: proto::Stage::Person.into(),
                    reasons: vec![proto::Reason {
                        code: ReasonCode::EmploymentEnded.number(),
                        ..proto::Reason::default()
                    }],
                    rule: "pack.toml:7".into(),
                    promise: "only employees".into(),
                    promise_ja: "従業者に限る".into(),
                    ..proto::StageVerdict::default()
                },
                proto::StageVerdict {
                    stage: proto::Stage::Limits.into(),
                    not_evaluated: true,
                    ..proto::StageVerdict::default()
                },
            ],
            ..ExplainResponse::default()
        };
        for (language, words) in [
            (
                Language::English,
                ["person", "only employees", "pack.toml:7"],
            ),
            (
                Language::Japanese,
                ["person", "従業者に限る", "pack.toml:7"],
            ),
        ] {
            let told = told(&answer, language).join("\n");
            for word in words {
                assert!(told.contains(word), "{told}");
            }
            assert!(told.contains(Word::StageNotAsked.text(language)), "{told}");
        }
        let json = as_json(&answer);
        assert_eq!(
            json["stages"][0]["reasons"][0]["code"],
            "REASON_CODE_EMPLOYMENT_ENDED"
        );
        assert_eq!(json["stages"][1]["notEvaluated"], true);
    }
}
