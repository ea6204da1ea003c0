//! `SubjectService.Match` and `ListOverdue`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::read::Fields;
use super::subjects::{page_size, wire};
use super::{errors, peer, taken};
use crate::domain::access::SubjectRef;
use crate::domain::ids::Name;
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;
use crate::gate::{Gate, GateError, Matching, PSEUDONYMS_MAX, REFS_MAX, Violation};
use crate::proto::{
    ListOverdueRequest, ListOverdueResponse, MatchRequest, MatchResponse, OverdueSubject,
    SubjectMatch,
};

/// How long the next message may take.
const MESSAGE: Duration = Duration::from_secs(30);
/// How long all of them may.
const ALL: Duration = Duration::from_secs(15 * 60);
const TOKEN: &str = "after-";

/// What goes out: one message.
pub(super) type Told = Pin<Box<dyn Stream<Item = Result<MatchResponse, Status>> + Send>>;

pub(super) async fn matching(
    gate: &Arc<Gate>,
    request: Request<Streaming<MatchRequest>>,
) -> Result<Response<Told>, Status> {
    let peer = peer::of(&request)?;
    let mut fields = Fields::default();
    let credentials = fields.credentials(request.metadata());
    let messages = request.into_inner();
    taken(gate, &peer, "Match", fields.finish(Some(()))).await?;
    let matching = gate
        .begin_matching(&peer, &credentials)
        .await
        .map_err(errors::status)?;
    let (send, told) = mpsc::channel(1);
    // Goes on when the caller hangs up: its entry says how far it came.
    tokio::spawn(async move {
        let told = look_at_all(matching, messages).await;
        // Whoever hung up needs to be told nothing.
        let _ = tokio::time::timeout(MESSAGE, send.send(told.map_err(errors::status))).await;
    });
    Ok(Response::new(Box::pin(ReceiverStream::new(told))))
}

async fn look_at_all(
    mut matching: Matching,
    mut messages: Streaming<MatchRequest>,
) -> Result<MatchResponse, GateError> {
    let until = tokio::time::Instant::now() + ALL;
    loop {
        let next = tokio::time::timeout(MESSAGE, messages.message());
        let violations = match tokio::time::timeout_at(until, next).await {
            Ok(Ok(Ok(Some(message)))) => {
                // A message may have tens of thousands of ids: their pseudonyms are not computed on a thread that serves.
                let taken = tokio::task::spawn_blocking(move || {
                    let violations = take(&mut matching, message);
                    (matching, violations)
                });
                let violations;
                (matching, violations) = taken
                    .await
                    .map_err(|_| GateError::Internal("matching ended early"))?;
                violations
            }
            Ok(Ok(Ok(None))) if matching.pseudonyms() == 0 => {
                vec![Violation::new("pseudonyms", "are missing")]
            }
            Ok(Ok(Ok(None))) => break,
            Ok(Ok(Err(status))) => {
                let what = format!("the call ended early: {}", status.message());
                vec![Violation::new("(message)", what)]
            }
            Ok(Err(_)) | Err(_) => {
                let what = "did not come within 30 s, or all of them not within 15 minutes";
                vec![Violation::new("(message)", what)]
            }
        };
        if !violations.is_empty() {
            return Err(matching.abandon(GateError::Malformed(violations)).await);
        }
    }
    let refs = matching.refs();
    let (matched, index) = matching.finish().await?;
    let matches = matched.into_iter().map(|matched| SubjectMatch {
        pseudonym: matched.pseudonym.to_string(),
        subject_ref: matched.subject.expose().to_owned(),
    });
    Ok(MatchResponse {
        matches: matches.collect(),
        subject_refs: refs,
        log_index: index.0,
    })
}

/// Takes a message, or says what is wrong with it.
fn take(matching: &mut Matching, message: MatchRequest) -> Vec<Violation> {
    let mut fields = Fields::default();
    if !message.pseudonyms.is_empty() && matching.refs() > 0 {
        fields.wrong("pseudonyms", "come before the first of subject_refs");
    }
    let count = matching
        .pseudonyms()
        .saturating_add(message.pseudonyms.len());
    if count > PSEUDONYMS_MAX {
        let what = format!("are more than the {PSEUDONYMS_MAX} that one call looks for");
        fields.wrong("pseudonyms", what);
    }
    let refs = u64::try_from(message.subject_refs.len()).unwrap_or(u64::MAX);
    if matching.refs().saturating_add(refs) > REFS_MAX {
        let what = format!("are more than the {REFS_MAX} that one call looks at");
        fields.wrong("subject_refs", what);
    }
    for (position, text) in message.pseudonyms.iter().enumerate().take(PSEUDONYMS_MAX) {
        match Pseudonym::from_hex(text) {
            Some(pseudonym) => matching.want(pseudonym),
            None => fields.wrong(
                &format!("pseudonyms[{position}]"),
                "is none as the log shows them: 64 hexadecimal digits",
            ),
        }
    }
    let usable = fields.subjects("subject_refs", &message.subject_refs, usize::MAX);
    match fields.finish(Some(usable)) {
        Ok(subjects) => {
            let each = |subject: SubjectRef| matching.look_at(subject);
            subjects.into_iter().for_each(each);
            Vec::new()
        }
        Err(violations) => violations,
    }
}

fn page_start(fields: &mut Fields, token: &str) -> Option<(Name, Timestamp, Pseudonym)> {
    let start = token.strip_prefix(TOKEN).and_then(|token| {
        let mut parts = token.rsplitn(3, '/');
        let (subject, date, rule) = (parts.next()?, parts.next()?, parts.next()?);
        let date = Timestamp::from_micros(date.parse().ok()?);
        Some((Name::parse(rule).ok()?, date, Pseudonym::from_hex(subject)?))
    });
    if start.is_none() && !token.is_empty() {
        fields.wrong("page_token", "is no token that a page gave");
    }
    start
}

pub(super) async fn overdue(
    gate: &Arc<Gate>,
    request: Request<ListOverdueRequest>,
) -> Result<Response<ListOverdueResponse>, Status> {
    let peer = peer::of(&request)?;
    let mut fields = Fields::default();
    let credentials = fields.credentials(request.metadata());
    let request = request.into_inner();
    let retention = fields.name("retention", &request.retention);
    let start = page_start(&mut fields, &request.page_token);
    let size = page_size(&mut fields, request.page_size);
    let read = fields.finish(Some((retention, (size, start))));
    let (retention, page) = taken(gate, &peer, "ListOverdue", read).await?;
    let page = gate
        .list_overdue(&peer, &credentials, retention, page)
        .await
        .map_err(errors::status)?;
    let subjects = page.subjects.into_iter().map(|one| OverdueSubject {
        pseudonym: one.subject.to_string(),
        retention: one.retention.into(),
        date: Some(wire(one.date)),
        over: Some(wire(one.over)),
    });
    Ok(Response::new(ListOverdueResponse {
        subjects: subjects.collect(),
        next_page_token: page.next.map_or_else(String::new, |(rule, date, subject)| {
            format!("{TOKEN}{rule}/{}/{subject}", date.micros())
        }),
    }))
}
