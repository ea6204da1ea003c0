//! `sekisho log export`: entries for other programs. Over the daemon it reads as `log search` does, page by page, and is logged
//! as that; on a directory it needs no daemon and no ticket, only the right to read the files.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::client::{Connection, with_proof};
use super::error::{CliError, Fault};
use super::filter::FilterArgs;
use super::log::Reading;
use super::log_tiles;
use super::login::say;
use super::output::Destination;
use super::words::{Language, Word};
use crate::domain::ids::LogIndex;
use crate::domain::time::{Clock as _, SystemClock, Timestamp};
use crate::export::{ExportError, Format, instant, reading};
use crate::log::{LogReader, OpenError, Period, ReadError};
use crate::proto::{Entry, SearchRequest};

/// Entries that are asked for at once: the most that the daemon gives.
const PAGE: i32 = 1_000;
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// Arguments of `sekisho log export`.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// What entries are written as
    #[arg(long, value_enum, required_unless_present = "tlog_tiles")]
    format: Option<FormatArg>,
    /// Write the whole log of LOGDIR as tiles (C2SP tlog-tiles) into this new directory, up to its newest checkpoint, without
    /// a daemon: other transparency-log tools verify it. Takes no filter
    #[arg(
        long,
        value_name = "OUT",
        requires = "log_directory",
        conflicts_with_all = ["format", "output", "directory", "server", "data", "ca", "certificate", "key"]
    )]
    tlog_tiles: Option<PathBuf>,
    /// The log directory that --tlog-tiles reads
    #[arg(value_name = "LOGDIR", requires = "tlog_tiles")]
    log_directory: Option<PathBuf>,
    #[command(flatten)]
    filter: FilterArgs,
    /// The file to make, mode 0600; it is there when it is whole [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Read this log directory itself, without a daemon; takes --from and --until, and no other filter
    #[arg(long, value_name = "LOGDIR", conflicts_with_all = ["server", "data", "ca", "certificate", "key"])]
    directory: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// A format, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FormatArg {
    /// JSON lines, as `log search --json` prints them
    Jsonl,
    /// RFC 4180 in UTF-8 with a byte order mark, harmless in a spreadsheet
    Csv,
    /// Events of the Open Cybersecurity Schema Framework, a line each
    Ocsf,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Jsonl => Self::JsonLines,
            FormatArg::Csv => Self::Csv,
            FormatArg::Ocsf => Self::Ocsf,
        }
    }
}

/// Exports what fits. What is sealed stays sealed.
///
/// # Errors
/// As for `log search`; when entries of the time that is wanted were disposed of; when a directory is no log or is damaged; when the output can't be written. A file is not made then.
pub(super) async fn export(args: ExportArgs) -> Result<(), CliError> {
    let language = args.connection.language();
    let now = SystemClock.now();
    let mut wanted = args.filter.request(now, language)?;
    if let (Some(out), Some(directory)) = (args.tlog_tiles, args.log_directory) {
        if wanted != SearchRequest::default() {
            return Err(CliError::new(
                Fault::Usage,
                Word::TilesAreWhole,
                language,
                &[],
            ));
        }
        return log_tiles::export(out, directory, language).await;
    }
    let Some(format) = args.format.map(Format::from) else {
        return Err(CliError::new(Fault::Usage, Word::NoFormat, language, &[]));
    };
    let mut out = match &args.directory {
        Some(directory) => {
            let period = only_time(&wanted, language)?;
            // Opened first: what is no log makes no file.
            let log =
                LogReader::open_directory(directory).map_err(|error| of_open(&error, language))?;
            let out = Out::open(format, args.output.as_deref(), language)?;
            let offline = tokio::task::spawn_blocking(move || offline(&log, period, out));
            offline
                .await
                .map_err(|error| internal(&error, language))??
        }
        None => {
            // Without an end it would go on to its own reading, and after whoever else writes meanwhile.
            wanted.until = wanted.until.or_else(|| instant(now.micros()));
            wanted.oldest_first = true;
            wanted.page_size = PAGE;
            wanted.whole = true;
            let reading = Reading::open(&args.connection, language).await?;
            let out = Out::open(format, args.output.as_deref(), language)?;
            online(reading, wanted, out, language).await?
        }
    };
    out.progress(true);
    let count = out.count.to_string();
    out.finish()?;
    say(&Word::Exported.fill(language, &[&count]));
    Ok(())
}

async fn online(
    mut reading: Reading,
    mut wanted: SearchRequest,
    mut out: Out,
    language: Language,
) -> Result<Out, CliError> {
    loop {
        let request = with_proof(wanted.clone(), &reading.kept, language)?;
        let found = reading.service.search(request);
        let mut found = reading.target.answer(found).await?.into_inner();
        let mut next = String::new();
        while let Some(message) = reading.target.answer(found.message()).await? {
            if let Some(entry) = message.entry {
                out.take(entry)?;
            }
            next = message.next_page_token;
        }
        if next.is_empty() {
            return Ok(out);
        }
        wanted.page_token = next;
    }
}

fn offline(log: &LogReader, period: Period, mut out: Out) -> Result<Out, CliError> {
    let language = out.language;
    // Says what went, when and under which rule: an export that left it out unsaid would pass for the whole.
    log.disposed_within(period)
        .map_err(|error| of_read(&error, language))?;
    for kept in log.forward_within(LogIndex(0), period) {
        let kept = kept.map_err(|error| of_read(&error, language))?;
        let time = kept.time();
        let wanted = period.from.is_none_or(|from| time >= from)
            && period.until.is_none_or(|until| time < until);
        if wanted {
            let stored = kept.entry().map_err(|error| of_read(&error, language))?;
            out.take(reading(stored, kept.index, &kept.leaf_hash(), log.name()))?;
        }
    }
    Ok(out)
}

/// The stretch of time, where nothing else was asked for.
fn only_time(wanted: &SearchRequest, language: Language) -> Result<Period, CliError> {
    let rest = SearchRequest {
        from: None,
        until: None,
        ..wanted.clone()
    };
    if rest != SearchRequest::default() {
        return Err(CliError::new(
            Fault::Usage,
            Word::OnlyTimeOffline,
            language,
            &[],
        ));
    }
    let at = |at: &prost_types::Timestamp| {
        let micros = Timestamp::from_seconds(at.seconds).micros();
        Timestamp::from_micros(micros.saturating_add(i64::from(at.nanos / 1_000)))
    };
    Ok(Period {
        from: wanted.from.as_ref().map(at),
        until: wanted.until.as_ref().map(at),
    })
}

fn of_open(error: &OpenError, language: Language) -> CliError {
    let fault = match error {
        OpenError::Damaged { .. } => Fault::Refused,
        OpenError::NotALog { .. } => Fault::NotFound,
        OpenError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Fault::NotFound,
        _ => Fault::Internal,
    };
    CliError::new(fault, Word::CantReadLog, language, &[&error.to_string()])
}

fn of_read(error: &ReadError, language: Language) -> CliError {
    let fault = match error {
        ReadError::Io { .. } => Fault::Internal,
        // Whatever else keeps an entry from being read is in the log itself.
        _ => Fault::Refused,
    };
    CliError::new(fault, Word::CantReadLog, language, &[&error.to_string()])
}

fn internal(error: &dyn std::fmt::Display, language: Language) -> CliError {
    CliError::new(
        Fault::Internal,
        Word::CantReadLog,
        language,
        &[&error.to_string()],
    )
}

struct Out {
    to: Destination,
    format: Format,
    language: Language,
    count: u64,
    /// Progress is told where it can be overwritten.
    terminal: bool,
    told: Option<Instant>,
}

impl Out {
    fn open(format: Format, path: Option<&Path>, language: Language) -> Result<Self, CliError> {
        let to = Destination::open(path)?;
        let mut out = Self {
            // On one terminal both would be written over each other.
            terminal: io::stderr().is_terminal() && !(path.is_none() && io::stdout().is_terminal()),
            to,
            format,
            language,
            count: 0,
            told: None,
        };
        out.write(&format.head())?;
        Ok(out)
    }

    fn take(&mut self, entry: Entry) -> Result<(), CliError> {
        let line = self
            .format
            .line(entry)
            .map_err(|error: ExportError| internal(&error, self.language))?;
        self.write(&line)?;
        self.count = self.count.saturating_add(1);
        self.progress(false);
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<(), CliError> {
        self.to.write(text, self.language)
    }

    /// Tells how many there are by now; `last` leaves the line empty for what is said next.
    fn progress(&mut self, last: bool) {
        let due = last || self.told.is_none_or(|at| at.elapsed() >= TELL_EVERY);
        if !self.terminal || !due {
            return;
        }
        self.told = Some(Instant::now());
        let words = if last {
            String::new()
        } else {
            Word::Exporting.fill(self.language, &[&self.count.to_string()])
        };
        // Nobody is to lose an export because progress can't be told.
        let _ = write!(io::stderr(), "\r\u{1b}[K{words}");
    }

    fn finish(self) -> Result<(), CliError> {
        self.to.finish(self.language)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_filtered_by_time_alone() {
        let only = |wanted: &SearchRequest| only_time(wanted, Language::English);
        let from = Some(prost_types::Timestamp {
            seconds: 7,
            nanos: 5_000,
        });
        let period = only(&SearchRequest {
            from,
            ..SearchRequest::default()
        });
        let expected = Period {
            from: Some(Timestamp::from_micros(7_000_005)),
            until: None,
        };
        assert_eq!(period.unwrap(), expected);
        let refused = only(&SearchRequest {
            person: "adviser-1".to_owned(),
            ..SearchRequest::default()
        });
        assert_eq!(refused.unwrap_err().exit_code(), 64);
    }
}
