//! `SubjectService.Import`: a file comes in piece by piece, and what becomes of it goes out as it is known.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::read::Fields;
use super::subjects_csv::Lines;
use super::{errors, peer, taken};
use crate::gate::{
    Gate, GateError, SubjectImport, SubjectImportNews, SubjectImportOutcome, SubjectImportPhase,
    SubjectImportWish, SubjectRow, Violation,
};
use crate::proto::import_subjects_response::What;
use crate::proto::{
    ImportPhase, ImportProgress, ImportSubjectsRequest, ImportSubjectsResponse,
    ImportSubjectsSummary, ImportedSubjectError,
};

/// The largest file.
const FILE_MAX_BYTES: usize = 256 << 20;
/// How long the next piece may take.
const PIECE: Duration = Duration::from_secs(30);
/// How long all of them may.
const FILE: Duration = Duration::from_secs(15 * 60);
/// How many bytes are read at once: what their lines say takes a few MiB at most, and others have their turn after a
/// few milliseconds.
const AT_ONCE: usize = 16 * 1_024;
/// How many messages wait for a caller who doesn't read them; then the import waits too, for as long as a piece may take.
const WAITING: usize = 256;
const CALL: &str = "Import";
const UNTOLD: &str = "what is wrong was not read within 30 s, so not all of it was told";

/// What goes out.
pub(super) type Told = Pin<Box<dyn Stream<Item = Result<ImportSubjectsResponse, Status>> + Send>>;

pub(super) async fn import(
    gate: &Arc<Gate>,
    request: Request<Streaming<ImportSubjectsRequest>>,
) -> Result<Response<Told>, Status> {
    let peer = peer::of(&request)?;
    let mut fields = Fields::default();
    let credentials = fields.credentials(request.metadata());
    let mut pieces = request.into_inner();
    let first = next(&mut pieces).await;
    let first = match first {
        Ok(first) => first.unwrap_or_default(),
        Err(Unread::Refused(status)) => return Err(status),
        Err(Unread::TooSlow) => {
            return Err(errors::status(
                gate.refuse_unheard(&peer, CALL, too_slow()).await,
            ));
        }
    };
    let reference = fields.name("reference", &first.reference);
    let reference = taken(gate, &peer, CALL, fields.finish(Some(reference))).await?;
    let wish = SubjectImportWish {
        reference,
        dry_run: first.dry_run,
    };
    let (tell, mut news) = mpsc::channel(WAITING);
    let import = gate
        .begin_subject_import(&peer, &credentials, wish, tell)
        .await
        .map_err(errors::status)?;
    let (send, told) = mpsc::channel(WAITING);
    let offset = gate.rules().utc_offset;
    // Goes on to its end whoever hangs up, once all has come.
    let working = tokio::spawn(async move {
        let import = read_all(import, first.csv, &mut pieces, Lines::new(offset)).await?;
        import.finish().await
    });
    tokio::spawn(async move {
        let mut all_told = true;
        while let Some(one) = news.recv().await {
            // Nobody listens any more, or nobody reads: the work goes on without being told.
            let message = Ok(message(one));
            all_told = matches!(
                tokio::time::timeout(PIECE, send.send(message)).await,
                Ok(Ok(()))
            );
            if !all_told {
                break;
            }
        }
        drop(news);
        let done = match working.await {
            // Only of a dry run: otherwise it is refused for them.
            Ok(Ok(outcome)) if outcome.faults > 0 && !all_told => Err(Status::aborted(UNTOLD)),
            Ok(Ok(outcome)) => Ok(summary(outcome)),
            Ok(Err(error)) => Err(errors::status(error)),
            Err(_) => Err(errors::status(GateError::Internal("an import ended early"))),
        };
        let _ = tokio::time::timeout(PIECE, send.send(done)).await;
    });
    let told = tokio_stream::wrappers::ReceiverStream::new(told);
    Ok(Response::new(Box::pin(told)))
}

/// Why the next piece can't be had.
enum Unread {
    /// The caller's doing, or that of what is in front of all services, which has logged it.
    Refused(Status),
    TooSlow,
}

async fn next(
    pieces: &mut Streaming<ImportSubjectsRequest>,
) -> Result<Option<ImportSubjectsRequest>, Unread> {
    match tokio::time::timeout(PIECE, pieces.message()).await {
        Ok(Ok(piece)) => Ok(piece),
        Ok(Err(status)) => Err(Unread::Refused(status)),
        Err(_) => Err(Unread::TooSlow),
    }
}

fn too_slow() -> GateError {
    let what = "the next piece did not come within 30 s, or the whole not within 15 minutes";
    GateError::Malformed(vec![Violation::new("csv", what)])
}

async fn read_all(
    mut import: SubjectImport,
    mut piece: Vec<u8>,
    pieces: &mut Streaming<ImportSubjectsRequest>,
    mut lines: Lines,
) -> Result<SubjectImport, GateError> {
    let until = tokio::time::Instant::now() + FILE;
    let mut bytes = 0_usize;
    loop {
        bytes = bytes.saturating_add(piece.len());
        if bytes > FILE_MAX_BYTES {
            let what = format!("is over {FILE_MAX_BYTES} bytes");
            let error = GateError::Malformed(vec![Violation::new("csv", what)]);
            return Err(import.abandon(error).await);
        }
        for part in piece.chunks(AT_ONCE) {
            put(&mut import, |read| lines.take(part, read)).await;
            if lines.is_hopeless() {
                // The rest is not looked at; the caller may send it all the same.
                return Ok(import);
            }
        }
        let next = tokio::time::timeout_at(until, next(pieces)).await;
        match next.unwrap_or(Err(Unread::TooSlow)) {
            Ok(Some(next)) => piece = next.csv,
            Ok(None) => {
                put(&mut import, |read| lines.end(read)).await;
                return Ok(import);
            }
            Err(Unread::TooSlow) => return Err(import.abandon(too_slow()).await),
            Err(Unread::Refused(status)) => {
                let why = status.message();
                let what = format!("ended before the file did, so nothing was changed: {why}");
                let error = GateError::Malformed(vec![Violation::new("csv", what)]);
                return Err(import.abandon(error).await);
            }
        }
    }
}

async fn put(import: &mut SubjectImport, read: impl FnOnce(&mut Vec<SubjectRow>)) {
    let mut rows = Vec::new();
    read(&mut rows);
    for row in rows {
        import.take(row).await;
    }
    // Others have their turn, also where nobody had to be waited for.
    tokio::task::yield_now().await;
}

fn message(news: SubjectImportNews) -> ImportSubjectsResponse {
    let what = match news {
        SubjectImportNews::Progress(phase, rows, of) => {
            let phase = match phase {
                SubjectImportPhase::Reading => ImportPhase::Reading,
                SubjectImportPhase::Staging => ImportPhase::Staging,
                SubjectImportPhase::Placing => ImportPhase::Placing,
            };
            What::Progress(ImportProgress {
                phase: phase.into(),
                rows,
                of,
            })
        }
        SubjectImportNews::Fault(fault) => What::Error(ImportedSubjectError {
            line: fault.line,
            field: fault.field,
            error: fault.what,
        }),
        SubjectImportNews::Faults(errors) => What::Summary(ImportSubjectsSummary {
            errors,
            ..ImportSubjectsSummary::default()
        }),
    };
    ImportSubjectsResponse { what: Some(what) }
}

fn summary(outcome: SubjectImportOutcome) -> ImportSubjectsResponse {
    ImportSubjectsResponse {
        what: Some(What::Summary(ImportSubjectsSummary {
            holds: outcome.holds,
            dates: outcome.dates,
            references: outcome.references,
            errors: outcome.faults,
            log_index: outcome.index.map_or(0, |index| index.0),
        })),
    }
}
