//! Syslog (RFC 5424) over TCP with octet counting (RFC 6587, 3.4.1) or over TLS (RFC 5425): one message for each entry, facility 13
//! (log audit), the log's name and the index as structured data, the entry as the message.
//!
//! TCP tells nobody that a receiver has kept what it was sent. Here a message counts as arrived when the connection was still
//! whole [`CONFIRMED_AFTER`] after the system took it; whatever is younger when a connection ends is sent again over the next.
//! A receiver that takes bytes, keeps the connection and loses them all the same can lose entries: for evidence use HTTP or a
//! file.
//!
//! A message is ASCII: what JSON has beyond it is escaped, so that no receiver has to know the encoding (RFC 5424, 6.4). It is as long
//! as its entry; a receiver that cuts long messages has to be told to take 512 KiB.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf,
};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::batch::{Batch, Line, Weight};
use crate::export::escape_beyond_ascii;
use crate::proto::EntryKind;
use crate::tls_client::{TlsClient, connect_tcp};

/// How long a connection has to stay whole after a write for the write to count.
const CONFIRMED_AFTER: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_secs(10);
/// How long a batch may take to be taken by the system.
const WRITE: Duration = Duration::from_secs(30);
/// How many writes are told apart; the youngest stand together past it.
const UNCONFIRMED_MAX: usize = 1_024;
/// Log audit (RFC 5424, 6.2.1).
const FACILITY: u8 = 13;

/// The receiver of one sink.
pub(super) struct SyslogTarget {
    host: String,
    port: u16,
    tls: Option<(TlsClient, String)>,
    frame: Frame,
    open: Option<Open>,
    /// When it was written, and the index after its last entry.
    unconfirmed: VecDeque<(Instant, u64)>,
}

impl std::fmt::Debug for SyslogTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SyslogTarget")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

struct Open {
    write: WriteHalf<Box<dyn Stream>>,
    /// The other side closed, or the connection broke.
    ended: Arc<AtomicBool>,
    watching: AbortHandle,
}

impl Open {
    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// Why messages have not arrived.
#[derive(Debug, thiserror::Error)]
pub(super) enum SyslogTrouble {
    #[error("can't connect to {to}: {source}")]
    Connect { to: String, source: std::io::Error },
    #[error("{to} gave no connection within {} s", CONNECT.as_secs())]
    ConnectTooSlow { to: String },
    #[error("{to} takes nothing: {source}")]
    Write { to: String, source: std::io::Error },
    #[error("{to} took nothing for {} s", WRITE.as_secs())]
    WriteTooSlow { to: String },
    #[error("{to} ended the connection")]
    Ended { to: String },
}

impl SyslogTarget {
    pub(super) fn new(
        host: &str,
        port: u16,
        tls: Option<(TlsClient, String)>,
        enterprise_number: u32,
        log: &str,
    ) -> Self {
        Self {
            host: host.to_owned(),
            port,
            tls,
            frame: Frame::new(enterprise_number, log),
            open: None,
            unconfirmed: VecDeque::new(),
        }
    }

    fn to(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Hands a batch to the system; whether it arrived is known later, if ever.
    pub(super) async fn send(&mut self, batch: &Batch) -> Result<(), SyslogTrouble> {
        let mut open = match self.open.take() {
            Some(open) if !open.has_ended() => open,
            Some(_) if !self.unconfirmed.is_empty() => {
                return Err(SyslogTrouble::Ended { to: self.to() });
            }
            // None, or one that ended with nothing under way.
            _ => self.connect().await?,
        };
        let mut bytes = String::new();
        for line in &batch.lines {
            self.frame.write(&mut bytes, line);
        }
        let writing = async {
            open.write.write_all(bytes.as_bytes()).await?;
            open.write.flush().await
        };
        match tokio::time::timeout(WRITE, writing).await {
            Ok(Ok(())) => {}
            Ok(Err(source)) => {
                return Err(SyslogTrouble::Write {
                    to: self.to(),
                    source,
                });
            }
            Err(_) => return Err(SyslogTrouble::WriteTooSlow { to: self.to() }),
        }
        self.open = Some(open);
        if self.unconfirmed.len() >= UNCONFIRMED_MAX {
            self.unconfirmed.pop_back();
        }
        self.unconfirmed.push_back((Instant::now(), batch.next));
        Ok(())
    }

    /// The index after what counts as arrived by now, where that is news.
    pub(super) fn arrived(&mut self) -> Result<Option<u64>, SyslogTrouble> {
        let Some(open) = &self.open else {
            return Ok(None);
        };
        if open.has_ended() && !self.unconfirmed.is_empty() {
            return Err(SyslogTrouble::Ended { to: self.to() });
        }
        let mut arrived = None;
        while let Some((at, next)) = self.unconfirmed.front().copied()
            && at.elapsed() >= CONFIRMED_AFTER
        {
            self.unconfirmed.pop_front();
            arrived = Some(next);
        }
        Ok(arrived)
    }

    /// Forgets the connection and what it was told.
    pub(super) fn reset(&mut self) {
        self.open = None;
        self.unconfirmed.clear();
    }

    /// Ends the connection in order.
    pub(super) async fn close(&mut self) {
        if let Some(mut open) = self.open.take() {
            // A receiver that doesn't take the end of it has lost nothing.
            let _ = tokio::time::timeout(CONFIRMED_AFTER, open.write.shutdown()).await;
        }
    }

    async fn connect(&self) -> Result<Open, SyslogTrouble> {
        let connecting = async {
            let tcp = connect_tcp(&self.host, self.port).await?;
            let stream: Box<dyn Stream> = match &self.tls {
                Some((tls, name)) => Box::new(tls.connect(tcp, name).await?),
                None => Box::new(tcp),
            };
            Ok(stream)
        };
        let stream = tokio::time::timeout(CONNECT, connecting)
            .await
            .map_err(|_| SyslogTrouble::ConnectTooSlow { to: self.to() })?
            .map_err(|source| SyslogTrouble::Connect {
                to: self.to(),
                source,
            })?;
        let (read, write) = tokio::io::split(stream);
        let ended = Arc::new(AtomicBool::new(false));
        let watching = tokio::spawn(watch(read, Arc::clone(&ended))).abort_handle();
        Ok(Open {
            write,
            ended,
            watching,
        })
    }
}

/// Reads what a receiver should not send, until the end, which is what it is about.
async fn watch(mut read: ReadHalf<Box<dyn Stream>>, ended: Arc<AtomicBool>) {
    let mut ignored = [0_u8; 512];
    while let Ok(1..) = read.read(&mut ignored).await {}
    ended.store(true, Ordering::Release);
}

/// What is the same in every message.
#[derive(Debug)]
struct Frame {
    host: String,
    /// The structured data up to the index.
    data: String,
}

impl Frame {
    fn new(enterprise_number: u32, log: &str) -> Self {
        let name = rustix::system::uname();
        let host = name.nodename().to_string_lossy();
        let plain = (1..=255).contains(&host.len()) && host.bytes().all(|b| b.is_ascii_graphic());
        Self {
            host: if plain {
                host.into_owned()
            } else {
                "-".to_owned()
            },
            data: format!(
                "[sekisho@{enterprise_number} log=\"{}\" index=\"",
                parameter(log)
            ),
        }
    }

    /// Adds one message with its length before it.
    fn write(&self, to: &mut String, line: &Line) {
        let severity = match line.weight {
            Weight::Usual => 6,
            Weight::Refused => 5,
            Weight::Grave => 4,
        };
        let kind = EntryKind::try_from(line.kind).map_or("", |kind| kind.as_str_name());
        let kind = match kind.strip_prefix("ENTRY_KIND_") {
            Some(kind) if !kind.is_empty() => kind,
            _ => "-",
        };
        // Beyond the years that RFC 3339 can write there is none.
        let time = line.time.to_string();
        let time = if time.ends_with('Z') { &time } else { "-" };
        let mut message = String::with_capacity(line.text.len().saturating_add(256));
        // Writing to a string does not fail.
        let _ = write!(
            message,
            "<{}>1 {time} {} sekisho {} {kind} {}{}\"] ",
            FACILITY * 8 + severity,
            self.host,
            std::process::id(),
            self.data,
            line.index,
        );
        message.push_str(&escape_beyond_ascii(line.text.trim_end()));
        let _ = write!(to, "{} {message}", message.len());
    }
}

/// A parameter's value (RFC 5424, 6.3.3), in ASCII.
fn parameter(value: &str) -> String {
    let mut text = String::new();
    for character in value.chars() {
        match character {
            '"' | '\\' | ']' => {
                text.push('\\');
                text.push(character);
            }
            ' '..='~' => text.push(character),
            _ => text.push('?'),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn line(text: &str) -> Line {
        Line {
            index: 42,
            time: Timestamp::from_micros(1_780_000_000_005_000),
            kind: EntryKind::LogRead.into(),
            weight: Weight::Refused,
            text: format!("{text}\n"),
        }
    }

    #[test]
    fn a_message_has_the_form_of_rfc_5424_and_its_length_before_it() {
        let mut frame = Frame::new(32_473, "a.test/log/1");
        frame.host = "host".to_owned();
        let mut sent = String::new();
        frame.write(&mut sent, &line(r#"{"person":"高橋"}"#));
        let (length, message) = sent.split_once(' ').unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), message.len());
        let process = std::process::id();
        assert_eq!(
            message,
            format!(
                r#"<109>1 2026-05-28T20:26:40.005Z host sekisho {process} LOG_READ [sekisho@32473 log="a.test/log/1" index="42"] {{"person":"\u9ad8\u6a4b"}}"#
            )
        );
    }

    #[test]
    fn a_logs_name_cannot_break_out_of_its_parameter() {
        assert_eq!(parameter("a\"]\\b\nあ"), "a\\\"\\]\\\\b??");
    }
}
