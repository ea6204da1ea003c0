//! `sekisho subjects import` and `match`: files that are sent piece by piece.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::error::{CliError, Fault};
use super::output::print;
use super::progress::{Bar, of};
use super::subjects::{Asking, ImportArgs, MatchArgs};
use super::words::{Language, Word};
use crate::domain::subject::Pseudonym;
use crate::proto::import_subjects_response::What;
use crate::proto::subject_service_client::SubjectServiceClient;
use crate::proto::{
    ImportPhase, ImportProgress, ImportSubjectsRequest, ImportSubjectsSummary,
    ImportedSubjectError, MatchRequest,
};

/// How much of a file one message has; a message has at most 64 KiB.
const PIECE_BYTES: usize = 48 * 1_024;
/// The longest line of a list of ids.
const LINE_MAX: u64 = 1_024;
/// Pseudonyms in one message.
const PSEUDONYMS: usize = 500;
/// Messages that wait to be sent.
const WAITING: usize = 4;

type Source = Box<dyn Read + Send>;

/// Opens a file or standard input, and tells how long it is: 0 where nobody knows.
fn open(path: &Path, language: Language) -> Result<(Source, u64), CliError> {
    if path == Path::new("-") {
        return Ok((Box::new(std::io::stdin()), 0));
    }
    let opened = std::fs::File::open(path).and_then(|file| {
        let length = file.metadata()?.len();
        Ok((file, length))
    });
    match opened {
        Ok((file, length)) => Ok((Box::new(file), length)),
        Err(error) => Err(unreadable(path, &error, language)),
    }
}

fn unreadable(path: &Path, error: &std::io::Error, language: Language) -> CliError {
    let values = [&*path.to_string_lossy(), &*error.to_string()];
    CliError::new(Fault::Usage, Word::CantRead, language, &values)
}

/// What is sent, and what became of reading it.
struct Sending<T> {
    messages: ReceiverStream<T>,
    reading: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl<T: Send + 'static> Sending<T> {
    /// Reads off the threads that speak with the daemon.
    fn begin(
        read: impl FnOnce(&mut dyn FnMut(T) -> bool) -> std::io::Result<()> + Send + 'static,
    ) -> Self {
        let (send, messages) = mpsc::channel(WAITING);
        let reading = tokio::task::spawn_blocking(move || {
            read(&mut |message| send.blocking_send(message).is_ok())
        });
        Self {
            messages: ReceiverStream::new(messages),
            reading,
        }
    }
}

/// Sends a file of rows, and tells what becomes of it.
pub(super) async fn import(args: ImportArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let (mut source, length) = open(&args.file, language)?;
    let mut asking = Asking::open(&args.connection, SubjectServiceClient::new).await?;
    let sent = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&sent);
    let first = ImportSubjectsRequest {
        csv: Vec::new(),
        dry_run: args.dry_run,
        reference: args.reference.clone(),
    };
    let sending = Sending::begin(move |send: &mut dyn FnMut(ImportSubjectsRequest) -> bool| {
        let mut next = first;
        loop {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            let limit = u64::try_from(PIECE_BYTES).unwrap_or(u64::MAX);
            (&mut source).take(limit).read_to_end(&mut piece)?;
            let end = piece.is_empty();
            counting.fetch_add(u64::try_from(piece.len()).unwrap_or(0), Ordering::Relaxed);
            next.csv = piece;
            // Also of an empty file one is sent: the daemon says what is wrong with it.
            if !send(std::mem::take(&mut next)) || end {
                return Ok(());
            }
        }
    });
    let request = asking.request(sending.messages)?;
    let answer = asking.service.import(request);
    let mut answers = asking.target.answer(answer).await?.into_inner();
    let mut telling = Telling {
        bar: Bar::default(),
        phase: ImportPhase::Unspecified,
        rows: 0,
        errors: 0,
        whole: false,
        json: args.json,
        dry_run: args.dry_run,
        language,
    };
    let done = loop {
        match asking.target.answer(answers.message()).await {
            Ok(Some(message)) => {
                let sent = sent.load(Ordering::Relaxed);
                telling.tell(message.what, (sent, length))?;
            }
            Ok(None) if telling.whole => break Ok(()),
            // A daemon that ended meanwhile: whether anything is in force is not known.
            Ok(None) => {
                let word = Word::ImportCutShort;
                break Err(CliError::new(Fault::Unavailable, word, language, &[]));
            }
            Err(error) => break Err(error),
        }
    };
    telling.bar.end();
    if let Ok(Err(error)) = sending.reading.await {
        return Err(unreadable(&args.file, &error, language));
    }
    if telling.errors > 0 && telling.whole {
        let errors = telling.errors.to_string();
        let word = Word::ImportHasErrors;
        return Err(CliError::new(Fault::Refused, word, language, &[&errors]));
    }
    done
}

/// Tells an import as it goes on.
struct Telling {
    bar: Bar,
    phase: ImportPhase,
    /// Rows of the whole.
    rows: u64,
    errors: u64,
    /// The last message has come.
    whole: bool,
    json: bool,
    dry_run: bool,
    language: Language,
}

impl Telling {
    fn tell(&mut self, what: Option<What>, (sent, length): (u64, u64)) -> Result<(), CliError> {
        match what {
            None => Ok(()),
            Some(What::Progress(progress)) => {
                self.progress(&progress, (sent, length));
                Ok(())
            }
            Some(What::Error(error)) => {
                self.bar.end();
                self.errors = self.errors.saturating_add(1);
                self.print(&error_json(&error), || error_line(&error, self.language))
            }
            Some(What::Summary(summary)) => {
                self.bar.end();
                self.errors = summary.errors;
                self.whole = true;
                if summary.errors > 0 && !self.dry_run && !self.json {
                    return Ok(());
                }
                let line = || summary_line(&summary, self.dry_run, self.language);
                self.print(&summary_json(&summary), line)
            }
        }
    }

    fn print(&self, json: &Value, line: impl FnOnce() -> String) -> Result<(), CliError> {
        let line = if self.json { json.to_string() } else { line() };
        print(&[line], self.language)
    }

    fn progress(&mut self, progress: &ImportProgress, (sent, length): (u64, u64)) {
        let phase = progress.phase();
        if phase != self.phase {
            self.bar.end();
            self.phase = phase;
        }
        self.rows = self.rows.max(progress.of);
        let (rows, all) = (progress.rows, self.rows);
        let language = self.language;
        let fill = |word: Word, values: &[u64]| {
            let values: Vec<String> = values.iter().map(u64::to_string).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            word.fill(language, &values)
        };
        match phase {
            ImportPhase::Reading => self.bar.tell(sent, length, || {
                fill(Word::SubjectsReading, &[rows, of(sent, length, 100)])
            }),
            ImportPhase::Staging => self.bar.tell(rows, all, || {
                fill(Word::SubjectsStaging, &[rows, all, of(rows, all, 100)])
            }),
            ImportPhase::Placing => self.bar.tell(rows, all, || {
                fill(Word::SubjectsPlacing, &[rows, all, of(rows, all, 100)])
            }),
            ImportPhase::Unspecified => {}
        }
    }
}

fn error_json(error: &ImportedSubjectError) -> Value {
    json!({ "line": error.line, "field": error.field, "error": error.error })
}

fn error_line(error: &ImportedSubjectError, language: Language) -> String {
    let below = if error.field.is_empty() { "" } else { ": " };
    let what = format!("{}{below}{}", error.field, error.error);
    Word::SubjectsImportError.fill(language, &[&error.line.to_string(), &what])
}

fn summary_json(summary: &ImportSubjectsSummary) -> Value {
    json!({
        "holds": summary.holds,
        "dates": summary.dates,
        "references": summary.references,
        "errors": summary.errors,
        "logIndex": summary.log_index.to_string(),
    })
}

fn summary_line(summary: &ImportSubjectsSummary, dry_run: bool, language: Language) -> String {
    let (word, last) = if dry_run {
        (Word::SubjectsWouldImport, summary.errors)
    } else {
        (Word::SubjectsImported, summary.log_index)
    };
    let values = [summary.holds, summary.dates, summary.references, last];
    let values = values.map(|value| value.to_string());
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    word.fill(language, &values)
}

/// Sends the company's ids, and tells which of them are meant.
pub(super) async fn matching(args: MatchArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let pseudonyms = pseudonyms(&args, language)?;
    let wanted = pseudonyms.len();
    let (source, _) = open(&args.file, language)?;
    let mut asking = Asking::open(&args.connection, SubjectServiceClient::new).await?;
    let sending = Sending::begin(move |send: &mut dyn FnMut(MatchRequest) -> bool| {
        for some in pseudonyms.chunks(PSEUDONYMS) {
            let message = MatchRequest {
                pseudonyms: some.to_vec(),
                subject_refs: Vec::new(),
            };
            if !send(message) {
                return Ok(());
            }
        }
        send_lines(source, send)
    });
    let request = asking.request(sending.messages)?;
    let answer = asking.service.r#match(request);
    let mut answers = asking.target.answer(answer).await?.into_inner();
    // A million ids take longer than other calls do: as long as they are read and sent.
    let read = sending.reading.await;
    let answer = asking.target.answer(answers.message()).await;
    if let Ok(Err(error)) = read {
        return Err(unreadable(&args.file, &error, language));
    }
    let answer = answer?.unwrap_or_default();
    let mut lines: Vec<String> = answer
        .matches
        .iter()
        .map(|one| {
            if args.json {
                json!({ "pseudonym": one.pseudonym, "subject": one.subject_ref }).to_string()
            } else {
                format!("{} {}", one.pseudonym, one.subject_ref)
            }
        })
        .collect();
    if !args.json {
        let refs = answer.subject_refs.to_string();
        lines.push(if answer.matches.is_empty() {
            Word::NobodyMatched.fill(language, &[&refs])
        } else {
            let found = answer.matches.len().to_string();
            let values = [
                &*found,
                &wanted.to_string(),
                &*refs,
                &answer.log_index.to_string(),
            ];
            Word::MatchedOf.fill(language, &values)
        });
    }
    print(&lines, language)
}

/// Lines of a list, in messages that are not too large. Empty ones are passed over.
fn send_lines(source: Source, send: &mut dyn FnMut(MatchRequest) -> bool) -> std::io::Result<()> {
    let mut lines = BufReader::new(source);
    let (mut some, mut bytes) = (Vec::new(), 0_usize);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut lines).take(LINE_MAX).read_until(b'\n', &mut line)?;
        let text = std::str::from_utf8(&line)
            .map_err(|_| std::io::Error::other("is not UTF-8"))?
            .trim_start_matches('\u{feff}')
            .trim_end_matches(['\r', '\n']);
        if !text.trim().is_empty() {
            bytes = bytes.saturating_add(text.len()).saturating_add(4);
            some.push(text.to_owned());
        }
        if bytes >= PIECE_BYTES || (read == 0 && !some.is_empty()) {
            bytes = 0;
            let message = MatchRequest {
                pseudonyms: Vec::new(),
                subject_refs: std::mem::take(&mut some),
            };
            if !send(message) {
                return Ok(());
            }
        }
        if read == 0 {
            return Ok(());
        }
    }
}

fn pseudonyms(args: &MatchArgs, language: Language) -> Result<Vec<String>, CliError> {
    let mut all = Vec::new();
    let mut take = |name: &str, line: usize, text: &str| {
        if Pseudonym::from_hex(text).is_none() {
            let values = [name, &line.to_string()];
            let word = Word::BadPseudonym;
            return Err(CliError::new(Fault::Usage, word, language, &values));
        }
        all.push(text.to_owned());
        Ok(())
    };
    for (number, text) in (1..).zip(&args.pseudonyms) {
        take("--pseudonym", number, text)?;
    }
    if let Some(path) = &args.pseudonyms_file {
        let (source, _) = open(path, language)?;
        let name = path.to_string_lossy();
        for (number, line) in (1..).zip(BufReader::new(source.take(1 << 20)).lines()) {
            let line = line.map_err(|error| unreadable(path, &error, language))?;
            if !line.trim().is_empty() {
                take(&name, number, line.trim())?;
            }
        }
    }
    if all.is_empty() {
        return Err(CliError::new(
            Fault::Usage,
            Word::NoPseudonyms,
            language,
            &[],
        ));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_in_messages_that_are_not_too_large() {
        let text = (0..20_000).fold("\u{feff}".to_owned(), |text, n| {
            format!("{text}subject-{n}\r\n\r\n")
        });
        let mut sent = Vec::new();
        let source = Box::new(std::io::Cursor::new(text.into_bytes()));
        send_lines(source, &mut |message| {
            let bytes: usize = message.subject_refs.iter().map(|one| one.len() + 4).sum();
            assert!(bytes < 60 * 1_024);
            sent.extend(message.subject_refs);
            true
        })
        .unwrap();
        assert_eq!(sent.len(), 20_000);
        assert_eq!(
            (sent[0].as_str(), sent[19_999].as_str()),
            ("subject-0", "subject-19999")
        );
    }
}
