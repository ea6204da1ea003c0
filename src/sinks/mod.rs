//! Streams of the access log out: to a file, to syslog, over HTTP. Each sink gets every entry in the order of the log, at least
//! once, from a position that is kept; what was sent since the position was last kept is sent again after a restart, so whoever
//! receives tells copies apart by log name and index.
//!
//! | file | job |
//! |---|---|
//! | `config` | `[[sink]]` of the configuration, checked whole |
//! | `position` | the kept position, bound to the log's name |
//! | `batch` | the next entries as text, bounded |
//! | `run` | the loop of one sink: read, send, confirm, keep; wait longer after each failure |
//! | `file`, `syslog`, `http` | where it goes, and when what was sent counts as arrived |
//! | `command` | the operator's hook: run for the entries that people should be told of, from when it was configured on |
//!
//! A sink looks at the log five times a second and never waits in the writer's way; it reads as anyone reads what is durable. It
//! holds one batch in memory, however far behind it is.
//!
//! What this room never does: hold up an append; skip an entry (what was disposed of before it was sent is told as a gap); send
//! in clear what is sealed.

mod batch;
mod command;
mod config;
mod file;
mod http;
mod position;
mod run;
mod syslog;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use command::CommandConfig;
pub use config::{SinkConfig, TargetConfig};
pub(crate) use config::{SinkTable, read_tables};

use crate::domain::time::Clock;
use crate::files::{self, FileError};
use crate::http_client::HttpError;
use crate::log::LogReader;
use crate::tls_client::TlsFileError;
use crate::vitals::{Metric, Vitals};
use position::Position;
use run::{Sink, Target};

/// Why the daemon is not started with its sinks: the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A position or its folder can't be used.
    #[error("sink {id}: {source}")]
    File {
        /// Which sink.
        id: String,
        /// What is wrong.
        source: FileError,
    },
    /// The file is no position.
    #[error("sink {id}: {}: is no position: {what}; remove it to send the whole log again", path.display())]
    NotAPosition {
        /// Which sink.
        id: String,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The position is one in another log.
    #[error(
        "sink {id}: {} is a position in the log {theirs}, and this is {ours}; remove it to send this whole log",
        path.display()
    )]
    OtherLog {
        /// Which sink.
        id: String,
        /// The file.
        path: PathBuf,
        /// The log that it is of.
        theirs: String,
        /// The log that is open.
        ours: String,
    },
    /// The log is an older copy of the one that was streamed.
    #[error(
        "sink {id}: {sent} entries were sent and the access log has {entries}: it is an older copy; restore a newer one, or remove {} when the rest is known to be lost",
        path.display()
    )]
    LogOlder {
        /// Which sink.
        id: String,
        /// The file.
        path: PathBuf,
        /// How many were sent.
        sent: u64,
        /// How many there are.
        entries: u64,
    },
    /// A certificate or key can't be used.
    #[error("sink {id}: {source}")]
    Tls {
        /// Which sink.
        id: String,
        /// What is wrong.
        source: TlsFileError,
    },
    /// The token can't be used.
    #[error("sink {id}: {what}")]
    Token {
        /// Which sink.
        id: String,
        /// What is wrong.
        what: String,
    },
    /// The endpoint can't be called.
    #[error("sink {id}: {source}")]
    Http {
        /// Which sink.
        id: String,
        /// What is wrong.
        source: HttpError,
    },
}

impl SinkError {
    /// The code that the process ends with (sysexits).
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::LogOlder { .. } | Self::OtherLog { .. } | Self::NotAPosition { .. } => 65,
            Self::File { .. } => 72,
            Self::Tls { .. } | Self::Token { .. } | Self::Http { .. } => 78,
        }
    }
}

/// How a sink is doing, for metrics and health.
#[derive(Debug)]
struct Status {
    id: String,
    /// Index of the first entry that is not known to have arrived.
    arrived: AtomicU64,
    errors: AtomicU64,
    /// Why it fails now.
    failing: Mutex<Option<String>>,
}

impl Status {
    fn failing(&self) -> Option<String> {
        self.failing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Gives back what was there before.
    fn set_failing(&self, what: Option<String>) -> Option<String> {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut failing, what)
    }
}

/// What operators see of all sinks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SinkStates {
    states: Arc<[Arc<Status>]>,
    reader: LogReader,
}

impl Vitals for SinkStates {
    /// One for each sink that fails now, with why and how far it is behind.
    fn warnings(&self) -> Vec<String> {
        let failing = |state: &Arc<Status>| {
            let behind = self.behind(state);
            state
                .failing()
                .map(|why| format!("sink {} is {behind} entries behind: {why}", state.id))
        };
        self.states.iter().filter_map(failing).collect()
    }

    fn metrics(&self) -> Vec<Metric> {
        let of = |state: &Arc<Status>| {
            let errors = state.errors.load(Ordering::Relaxed);
            [
                Metric::gauge(
                    "sekisho_sink_lag_entries",
                    "Entries that are not known to have arrived yet.",
                    self.behind(state),
                ),
                Metric::counter(
                    "sekisho_sink_errors_total",
                    "Attempts to send that failed.",
                    errors,
                ),
            ]
            .map(|metric| metric.of("sink", &state.id))
        };
        self.states.iter().flat_map(of).collect()
    }
}

impl SinkStates {
    fn behind(&self, state: &Status) -> u64 {
        let arrived = state.arrived.load(Ordering::Relaxed);
        self.reader.len().saturating_sub(arrived)
    }
}

/// All sinks, ready to run.
#[derive(Debug)]
pub struct Sinks {
    sinks: Vec<Sink>,
    reader: LogReader,
}

impl Sinks {
    /// Takes up the kept positions in `<data>/sinks` and reads certificates. Connects nowhere: a sink that is down holds up no
    /// start. Blocks on the disk.
    ///
    /// # Errors
    /// When a position is one of another log or beyond this one's end, or a file can't be used.
    pub fn open(
        configs: &[SinkConfig],
        data: &Path,
        reader: &LogReader,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, SinkError> {
        let folder = data.join("sinks");
        let mut sinks = Vec::with_capacity(configs.len());
        for config in configs {
            let id = &config.id;
            files::make_private_directory(&folder).map_err(|source| SinkError::File {
                id: id.clone(),
                source,
            })?;
            // A hook that is new tells nobody of what is long past.
            let begin = match &config.target {
                TargetConfig::Command(_) => reader.len(),
                _ => 0,
            };
            let position = Position::take_up(&folder, id, reader.name(), begin..=reader.len())?;
            let status = Arc::new(Status {
                id: id.clone(),
                arrived: AtomicU64::new(position.next()),
                errors: AtomicU64::new(0),
                failing: Mutex::new(None),
            });
            let target = Target::open(config, reader.name())?;
            let (reader, clock) = (reader.clone(), Arc::clone(clock));
            sinks.push(Sink::new(
                config.format,
                target,
                reader,
                clock,
                position,
                status,
            ));
        }
        Ok(Self {
            sinks,
            reader: reader.clone(),
        })
    }

    /// What operators see.
    #[must_use]
    pub fn states(&self) -> SinkStates {
        SinkStates {
            states: self.sinks.iter().map(Sink::status).collect(),
            reader: self.reader.clone(),
        }
    }

    /// Runs each sink in a task of its own until a stop is asked for.
    #[must_use]
    pub fn start(self, stopping: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
        self.sinks
            .into_iter()
            .map(|sink| tokio::spawn(sink.run(stopping.clone())))
            .collect()
    }
}
