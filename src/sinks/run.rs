//! The loop of one sink: read, send, confirm, keep the position; after a failure wait, longer each time, and go on from what is
//! known to have arrived.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::batch::{self, Batch};
use super::command::{self, CommandTarget};
use super::config::{SinkConfig, TargetConfig};
use super::file::FileTarget;
use super::http::HttpTarget;
use super::position::Position;
use super::syslog::SyslogTarget;
use super::{SinkError, Status};
use crate::domain::time::Clock;
use crate::export::Format;
use crate::log::LogReader;
use crate::tls_client::{TlsClient, TlsFileError};

/// How often a sink that has sent everything looks at the log.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often what was sent is made sure of and the position kept, at most.
const CONFIRM_EVERY: Duration = Duration::from_secs(1);
/// The wait after the first failure; doubled after each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How often a sink that goes on failing says so in the daemon's own output.
const TELL_EVERY: Duration = Duration::from_secs(300);
/// How long a stop waits for what was sent to be made sure of.
const LAST_CONFIRM: Duration = Duration::from_secs(3);

/// Where the entries of one sink go.
#[derive(Debug)]
pub(super) enum Target {
    File(FileTarget),
    Syslog(Box<SyslogTarget>),
    Http(Box<HttpTarget>),
    Command(CommandTarget),
}

/// What is known of a batch that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// It arrived.
    Arrived,
    /// It was handed over; whether it arrived is asked later.
    HandedOver,
}

impl Target {
    pub(super) fn open(config: &SinkConfig, log: &str) -> Result<Self, SinkError> {
        let unusable = |source: TlsFileError| SinkError::Tls {
            id: config.id.clone(),
            source,
        };
        Ok(match &config.target {
            TargetConfig::File { path } => Self::File(FileTarget::new(path)),
            TargetConfig::Syslog {
                host,
                port,
                tls,
                enterprise_number,
            } => {
                let tls = match tls {
                    Some((files, name)) => {
                        Some((TlsClient::open(files).map_err(unusable)?, name.clone()))
                    }
                    None => None,
                };
                let target = SyslogTarget::new(host, *port, tls, *enterprise_number, log);
                Self::Syslog(Box::new(target))
            }
            TargetConfig::Http {
                endpoint,
                tls,
                token_file,
            } => {
                let tls = tls.as_ref().map(TlsClient::open).transpose();
                let tls = tls.map_err(unusable)?;
                let token_file = token_file.as_deref();
                let target = HttpTarget::open(&config.id, endpoint, tls, token_file, log)?;
                Self::Http(Box::new(target))
            }
            TargetConfig::Command(command) => Self::Command(CommandTarget::new(command)),
        })
    }

    async fn send(&mut self, batch: &Batch) -> Result<Sent, String> {
        match self {
            Self::File(file) => file
                .send(batch.text())
                .await
                .map(|()| Sent::HandedOver)
                .map_err(text),
            Self::Syslog(syslog) => syslog
                .send(batch)
                .await
                .map(|()| Sent::HandedOver)
                .map_err(text),
            Self::Http(http) => http.send(batch).await.map(|()| Sent::Arrived).map_err(text),
            Self::Command(command) => command.send(batch).await.map(|()| Sent::Arrived),
        }
    }

    /// Makes sure of what was handed over, up to `sent`: the index after what arrived, where that is news.
    async fn confirm(&mut self, sent: u64) -> Result<Option<u64>, String> {
        match self {
            Self::File(file) => file.sync().await.map(|()| Some(sent)).map_err(text),
            Self::Syslog(syslog) => syslog.arrived().map_err(text),
            Self::Http(_) | Self::Command(_) => Ok(None),
        }
    }

    fn reset(&mut self) {
        match self {
            Self::File(file) => file.reset(),
            Self::Syslog(syslog) => syslog.reset(),
            // Its client has let go of what failed, and a command has ended.
            Self::Http(_) | Self::Command(_) => {}
        }
    }

    async fn close(&mut self) {
        if let Self::Syslog(syslog) = self {
            syslog.close().await;
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// One sink.
pub(super) struct Sink {
    format: Format,
    target: Target,
    reader: LogReader,
    clock: Arc<dyn Clock>,
    position: Position,
    status: Arc<Status>,
    /// Index of the first entry that was not sent.
    next: u64,
    /// Index of the first entry that is not known to have arrived.
    arrived: u64,
    /// A batch that failed and whose repeat has to be the same.
    pending: Option<Batch>,
    confirmed_at: Option<Instant>,
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink")
            .field("target", &self.target)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Sent,
    NothingToSend,
}

impl Sink {
    pub(super) fn new(
        format: Format,
        target: Target,
        reader: LogReader,
        clock: Arc<dyn Clock>,
        position: Position,
        status: Arc<Status>,
    ) -> Self {
        Self {
            format,
            target,
            reader,
            clock,
            next: position.next(),
            arrived: position.next(),
            position,
            status,
            pending: None,
            confirmed_at: None,
        }
    }

    pub(super) fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Runs until a stop is asked for.
    pub(super) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        let mut waits = Waits::default();
        let mut told: Option<Instant> = None;
        loop {
            let turn = tokio::select! {
                // A dropped sender is a stop too.
                _ = stopping.wait_for(|stop| *stop) => break,
                turn = self.turn() => turn,
            };
            let wait = match turn {
                Ok(turn) => {
                    if self.status.set_failing(None).is_some() {
                        tracing::info!(
                            sink = self.status.id,
                            next = self.next,
                            "the sink takes entries again"
                        );
                    }
                    told = None;
                    waits = Waits::default();
                    match turn {
                        Turn::Sent => continue,
                        Turn::NothingToSend => LOOK_EVERY,
                    }
                }
                Err(why) => {
                    self.status.errors.fetch_add(1, Ordering::Relaxed);
                    if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
                        tracing::warn!(sink = self.status.id, %why, next = self.arrived, "the sink fails; its entries wait");
                        told = Some(Instant::now());
                    }
                    self.status.set_failing(Some(why));
                    waits.next()
                }
            };
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        let last = async {
            // What is not confirmed now is sent again after the next start.
            drop(self.confirm().await);
            self.target.close().await;
        };
        drop(tokio::time::timeout(LAST_CONFIRM, last).await);
    }

    /// Sends the next batch, and now and then makes sure of what was sent.
    ///
    /// It can be cancelled anywhere: what is not confirmed is sent again.
    async fn turn(&mut self) -> Result<Turn, String> {
        let sent = self.send_next().await;
        let due = self
            .confirmed_at
            .is_none_or(|at| at.elapsed() >= CONFIRM_EVERY);
        if due {
            self.confirmed_at = Some(Instant::now());
            // Also after a failure: what arrived before it need not be sent again.
            self.confirm().await?;
        }
        sent
    }

    async fn send_next(&mut self) -> Result<Turn, String> {
        match self.batch().await? {
            None => Ok(Turn::NothingToSend),
            Some(batch) => self.send(batch).await.map(|()| Turn::Sent),
        }
    }

    async fn batch(&mut self) -> Result<Option<Batch>, String> {
        if let Some(pending) = self.pending.take() {
            return Ok(Some(pending));
        }
        let (reader, format, next) = (self.reader.clone(), self.format, self.next);
        if next >= reader.len() {
            return Ok(None);
        }
        let now = self.clock.now();
        let is_command = self.is_command();
        tokio::task::spawn_blocking(move || {
            if is_command {
                command::read(&reader, next)
            } else {
                batch::read(&reader, format, next, now)
            }
        })
        .await
        .map_err(text)?
        .map_err(text)
    }

    async fn send(&mut self, batch: Batch) -> Result<(), String> {
        match self.target.send(&batch).await {
            Ok(Sent::Arrived) => {
                self.next = batch.next;
                self.has_arrived(batch.next);
                // People are not to be told twice, and seldom are at all.
                if self.is_command() && !batch.lines.is_empty() {
                    self.keep().await?;
                }
                Ok(())
            }
            Ok(Sent::HandedOver) => {
                self.next = batch.next;
                Ok(())
            }
            Err(why) => {
                // What was handed over before may not have arrived either; when there is none, the same batch goes again.
                if batch.first == self.arrived {
                    self.pending = Some(batch);
                }
                self.go_back();
                Err(why)
            }
        }
    }

    /// Makes sure of what was sent, and keeps the position when it moved.
    async fn confirm(&mut self) -> Result<(), String> {
        if self.arrived == self.next {
            return self.keep().await;
        }
        match self.target.confirm(self.next).await {
            Ok(Some(arrived)) => self.has_arrived(arrived),
            Ok(None) => {}
            Err(why) => {
                self.go_back();
                return Err(why);
            }
        }
        self.keep().await
    }

    async fn keep(&mut self) -> Result<(), String> {
        if self.arrived == self.position.next() {
            return Ok(());
        }
        let (mut position, arrived) = (self.position.clone(), self.arrived);
        let kept = tokio::task::spawn_blocking(move || position.keep(arrived).map(|()| position));
        self.position = kept.await.map_err(text)?.map_err(text)?;
        Ok(())
    }

    const fn is_command(&self) -> bool {
        matches!(self.target, Target::Command(_))
    }

    fn has_arrived(&mut self, next: u64) {
        self.arrived = next;
        self.status.arrived.store(next, Ordering::Relaxed);
    }

    fn go_back(&mut self) {
        self.target.reset();
        self.next = self.arrived;
    }
}

/// How long to wait after each failure: up to twice as long as before, and somewhere between half of it and all of it, so that
/// many daemons don't come back to one receiver at once.
#[derive(Debug, Default)]
struct Waits(u32);

impl Waits {
    fn next(&mut self) -> Duration {
        let longest = FIRST_WAIT
            .saturating_mul(1_u32.checked_shl(self.0).unwrap_or(u32::MAX))
            .min(LONGEST_WAIT);
        self.0 = self.0.saturating_add(1).min(16);
        let mut random = [0_u8; 1];
        // Without a random number all wait the longest.
        let share = match getrandom::fill(&mut random) {
            Ok(()) => u32::from(u8::from_ne_bytes(random)),
            Err(_) => u32::from(u8::MAX),
        };
        (longest / 2).saturating_add((longest / 2).saturating_mul(share) / u32::from(u8::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_within_a_minute() {
        let mut waits = Waits::default();
        let mut longest = FIRST_WAIT;
        for _ in 0..40 {
            let wait = waits.next();
            assert!(
                longest / 2 <= wait && wait <= longest,
                "{wait:?} of {longest:?}"
            );
            longest = (longest * 2).min(LONGEST_WAIT);
        }
        assert_eq!(longest, LONGEST_WAIT);
    }
}
