//! `ReviewService`: what stands out in the log.

use std::sync::Arc;

use time::Date;
use tonic::{Request, Response, Status};

use super::read::{Fields, page_size};
use super::{errors, peer, taken, write};
use crate::domain::calendar::parse_date;
use crate::domain::detector::Detector;
use crate::domain::ids::Name;
use crate::gate::{
    AfterCase, CaseSeen, CaseTold, CaseWish, FindingsTold, FindingsWish, Gate, Told, WentBy,
};
use crate::proto::{
    self, DetectorThresholds, ExplainFindingRequest, ExplainFindingResponse, FindingFact,
    FindingsProgress, ListFindingsRequest, ListFindingsResponse,
};
use crate::report::Language;
use crate::review::finding::{Actor, Case, Finding};
use crate::review::{Days, sentence};

/// Messages made of what the gate tells.
pub struct ToldStream<T, M> {
    told: Told<T>,
    to_message: Box<dyn Fn(T) -> M + Send>,
}

impl<T, M> std::fmt::Debug for ToldStream<T, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToldStream").finish_non_exhaustive()
    }
}

impl<T, M> tokio_stream::Stream for ToldStream<T, M> {
    type Item = Result<M, Status>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let told = std::task::ready!(std::pin::Pin::new(&mut self.told).poll_next(context));
        std::task::Poll::Ready(told.map(|told| match told {
            Ok(one) => Ok((self.to_message)(one)),
            Err(error) => Err(errors::status(error)),
        }))
    }
}

/// What `ListFindings` answers.
pub type CasesStream = ToldStream<FindingsTold, ListFindingsResponse>;
/// What `ExplainFinding` answers.
pub type CaseStream = ToldStream<CaseTold, ExplainFindingResponse>;

pub(super) async fn list(
    gate: &Arc<Gate>,
    request: Request<ListFindingsRequest>,
) -> Result<Response<CasesStream>, Status> {
    let peer = peer::of(&request)?;
    let mut fields = Fields::default();
    let credentials = fields.credentials(request.metadata());
    let request = request.into_inner();
    let wish = wish(&mut fields, &request);
    let wish = taken(gate, &peer, "ListFindings", fields.finish(wish)).await?;
    let told = gate
        .list_findings(&peer, &credentials, wish)
        .await
        .map_err(errors::status)?;
    Ok(Response::new(ToldStream {
        told,
        to_message: Box::new(|told| match told {
            FindingsTold::Progress(entries, of) => ListFindingsResponse {
                progress: Some(FindingsProgress { entries, of }),
                ..ListFindingsResponse::default()
            },
            FindingsTold::Case(seen) => listed(&seen),
        }),
    }))
}

pub(super) async fn explain(
    gate: &Arc<Gate>,
    request: Request<ExplainFindingRequest>,
) -> Result<Response<CaseStream>, Status> {
    let peer = peer::of(&request)?;
    let mut fields = Fields::default();
    let credentials = fields.credentials(request.metadata());
    let request = request.into_inner();
    let day = day(&mut fields, "day", &request.day);
    let person = fields.name("person", &request.person);
    let workload = fields.name("workload", &request.workload);
    let actor = match (person, workload) {
        (Some(person), None) => Some(Actor::Person(person)),
        (None, Some(workload)) => Some(Actor::Workload(workload)),
        (None, None) => {
            fields.wrong("person", "is missing, and so is workload");
            None
        }
        (Some(_), Some(_)) => {
            fields.wrong("workload", "is there besides person: one of both acted");
            None
        }
    };
    let wish = day.zip(actor).map(|(day, actor)| CaseWish {
        day,
        actor,
        log_size: Some(request.log_size).filter(|size| *size != 0),
    });
    let wish = taken(gate, &peer, "ExplainFinding", fields.finish(wish)).await?;
    let told = gate
        .explain_finding(&peer, &credentials, wish)
        .await
        .map_err(errors::status)?;
    let log = gate.log().name().to_owned();
    Ok(Response::new(ToldStream {
        told,
        to_message: Box::new(move |told| match told {
            CaseTold::Progress(entries, of) => ExplainFindingResponse {
                progress: Some(FindingsProgress { entries, of }),
                ..ExplainFindingResponse::default()
            },
            CaseTold::Case(case, went_by, log_size) => ExplainFindingResponse {
                case: Some(written(&case)),
                thresholds: went_by.iter().map(thresholds).collect(),
                log_size,
                ..ExplainFindingResponse::default()
            },
            CaseTold::Entry(entry) => ExplainFindingResponse {
                entry: Some(write::entry(*entry, &log)),
                ..ExplainFindingResponse::default()
            },
        }),
    }))
}

fn day(fields: &mut Fields, field: &str, text: &str) -> Option<Date> {
    let day = parse_date(text);
    if day.is_none() {
        let what = match text {
            "" => "is missing",
            _ => "is no day like 2026-11-30",
        };
        fields.wrong(field, what);
    }
    day
}

fn days(fields: &mut Fields, request: &ListFindingsRequest) -> Option<Days> {
    let (first, last) = match (&*request.month, &*request.first_day, &*request.last_day) {
        ("", "", "") => {
            fields.wrong("month", "is missing, and so is first_day");
            return None;
        }
        ("", first, last) => {
            let first = day(fields, "first_day", first)?;
            let last = match last {
                "" => first,
                last => day(fields, "last_day", last)?,
            };
            (first, last)
        }
        (month, "", "") => {
            let first = parse_date(&format!("{month}-01"));
            let Some(first) = first else {
                fields.wrong("month", "is no month like 2026-11");
                return None;
            };
            let length = first.month().length(first.year());
            (first, first.replace_day(length).unwrap_or(first))
        }
        (_, "", _) => {
            fields.wrong("last_day", "goes with first_day, not with month");
            return None;
        }
        _ => {
            fields.wrong("first_day", "is there besides month: one of both says it");
            return None;
        }
    };
    match Days::new(first, last) {
        Ok(days) => Some(days),
        Err(error) => {
            fields.wrong("last_day", error.to_string());
            None
        }
    }
}

fn wish(fields: &mut Fields, request: &ListFindingsRequest) -> Option<FindingsWish> {
    let days = days(fields, request);
    let person = fields.name("person", &request.person);
    let department = fields.name("department", &request.department);
    let detector = match &*request.detector {
        "" => None,
        word => {
            let detector = Detector::parse(word);
            if detector.is_none() {
                let known: Vec<&str> = Detector::ALL.into_iter().map(Detector::word).collect();
                let what = format!("is none of {}", known.join(", "));
                fields.wrong("detector", what);
            }
            detector
        }
    };
    let size = page_size(fields, request.page_size);
    let after = match &*request.page_token {
        "" => None,
        token => {
            let after = after(token);
            if after.is_none() {
                fields.wrong("page_token", "is no token that a page gave");
            }
            after
        }
    };
    Some(FindingsWish {
        days: days?,
        person,
        detector,
        department,
        size,
        after,
    })
}

/// What a page ended with, as a token: size of the log, day, which sort of actor, their id.
fn token(after: &AfterCase) -> String {
    let (sort, id) = match &after.actor {
        Actor::Person(id) => ("person", id),
        Actor::Workload(id) => ("workload", id),
    };
    format!("{}/{}/{sort}/{id}", after.log_size, after.day)
}

fn after(token: &str) -> Option<AfterCase> {
    let mut parts = token.splitn(4, '/');
    let mut next = || parts.next();
    let (size, day, sort, id) = (next()?, next()?, next()?, next()?);
    let id = Name::parse(id).ok()?;
    Some(AfterCase {
        log_size: size.parse().ok()?,
        day: parse_date(day)?,
        actor: match sort {
            "person" => Actor::Person(id),
            "workload" => Actor::Workload(id),
            _ => return None,
        },
    })
}

fn listed(seen: &CaseSeen) -> ListFindingsResponse {
    let mut case = written(&seen.case);
    case.own = seen.own;
    ListFindingsResponse {
        case: Some(case),
        progress: None,
        next_page_token: seen.next.as_ref().map_or_else(String::new, token),
        log_size: seen.log_size,
    }
}

/// A case on the wire, with its sentences.
pub(super) fn written(case: &Case) -> proto::Case {
    let (person, workload) = match &case.actor {
        Actor::Person(id) => (id.to_string(), String::new()),
        Actor::Workload(id) => (String::new(), id.to_string()),
    };
    proto::Case {
        person,
        workload,
        department: case.department.clone(),
        day: case.day.to_string(),
        findings: case.findings.iter().map(finding).collect(),
        own: false,
    }
}

fn finding(finding: &Finding) -> proto::Finding {
    let told = |language| sentence(finding.detector, &finding.facts, language);
    proto::Finding {
        detector: finding.detector.word().to_owned(),
        facts: finding
            .facts
            .iter()
            .map(|(name, value)| FindingFact {
                name: (*name).to_owned(),
                value: value.clone(),
            })
            .collect(),
        log_indexes: finding.entries.iter().map(|index| index.0).collect(),
        entries: finding.entries_in_all,
        sentence: told(Language::English),
        sentence_ja: told(Language::Japanese),
    }
}

fn thresholds(went_by: &WentBy) -> DetectorThresholds {
    DetectorThresholds {
        detector: went_by.detector.word().to_owned(),
        score: went_by
            .thresholds
            .score
            .map(|tenths| f64::from(tenths) / 10.0),
        least: went_by.thresholds.least,
        within_seconds: went_by
            .thresholds
            .within
            .map(|within| i64::try_from(within.as_secs()).unwrap_or(i64::MAX)),
        rule: went_by
            .line
            .map_or_else(String::new, |line| format!("pack.toml:{line}")),
    }
}
