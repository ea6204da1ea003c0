//! An HTTP(S) endpoint that takes batches of JSON lines (`application/x-ndjson`). A status of 2xx says that the batch has arrived;
//! whatever else is told, and the batch is sent again, never skipped.
//!
//! Each request names the log, its first and its last index, and carries an `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header)
//! made of them, which a repeat of the same batch has too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use sha2::{Digest as _, Sha256};

use super::SinkError;
use super::batch::Batch;
use crate::export::is_unsafe;
use crate::files;
use crate::http_client::{Endpoint, HttpClient, HttpError};
use crate::tls_client::TlsClient;

/// How long a batch may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(30);
/// Nobody reads it but to tell why a batch was refused.
const ANSWER_MAX_BYTES: usize = 64 * 1024;
/// How much of a refusal is told.
const TOLD_CHARACTERS: usize = 200;
const TOKEN_MAX_BYTES: u64 = 4_096;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LOG: HeaderName = HeaderName::from_static("sekisho-log");
const FIRST_INDEX: HeaderName = HeaderName::from_static("sekisho-first-index");
const LAST_INDEX: HeaderName = HeaderName::from_static("sekisho-last-index");

/// The endpoint of one sink.
#[derive(Debug)]
pub(super) struct HttpTarget {
    client: HttpClient,
    token_file: Option<PathBuf>,
    /// Percent-encoded: a log's name may hold what a header can't.
    log: HeaderValue,
    /// What stands for the log's name in keys.
    log_key: String,
}

/// Why a batch has not arrived.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpTrouble {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("the receiver answered {status}{told}")]
    Refused {
        status: http::StatusCode,
        told: String,
    },
    #[error("{0}")]
    Token(String),
}

impl HttpTarget {
    pub(super) fn open(
        id: &str,
        endpoint: &Endpoint,
        tls: Option<TlsClient>,
        token_file: Option<&Path>,
        log: &str,
    ) -> Result<Self, SinkError> {
        let client = HttpClient::new(endpoint.clone(), tls, PATIENCE, ANSWER_MAX_BYTES).map_err(
            |source| SinkError::Http {
                id: id.to_owned(),
                source,
            },
        )?;
        let token = |what: String| SinkError::Token {
            id: id.to_owned(),
            what,
        };
        if let Some(path) = token_file {
            bearer(path).map_err(token)?;
        }
        Ok(Self {
            client,
            token_file: token_file.map(Path::to_owned),
            log: HeaderValue::from_str(&encoded(log)).map_err(|error| token(error.to_string()))?,
            log_key: data_encoding::HEXLOWER
                .encode(Sha256::digest(log).get(..16).unwrap_or_default()),
        })
    }

    /// Sends a batch; it has arrived when this returns.
    pub(super) async fn send(&mut self, batch: &Batch) -> Result<(), HttpTrouble> {
        let last = batch.next.saturating_sub(1);
        let key = format!("\"{}-{}-{last}\"", self.log_key, batch.first);
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-ndjson"),
        );
        headers.insert(USER_AGENT, HeaderValue::from_static("sekisho"));
        headers.insert(LOG, self.log.clone());
        headers.insert(FIRST_INDEX, HeaderValue::from(batch.first));
        headers.insert(LAST_INDEX, HeaderValue::from(last));
        if let Ok(key) = HeaderValue::from_str(&key) {
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        if let Some(path) = self.token_file.clone() {
            // Read each time, so that it can be changed without a restart.
            let token = tokio::task::spawn_blocking(move || bearer(&path))
                .await
                .map_err(|error| HttpTrouble::Token(error.to_string()))?;
            headers.insert(AUTHORIZATION, token.map_err(HttpTrouble::Token)?);
        }
        let body = Bytes::from(batch.text());
        let answer = self.client.post(&headers, &body).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(HttpTrouble::Refused {
            status: answer.status,
            told: told(&answer.body),
        })
    }
}

/// The start of what a receiver said, harmless wherever it is shown.
fn told(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let start: String = text
        .trim()
        .chars()
        .map(|character| if is_unsafe(character) { ' ' } else { character })
        .take(TOLD_CHARACTERS)
        .collect();
    if start.is_empty() {
        start
    } else {
        format!(": {start}")
    }
}

/// `Bearer` and the token in a private file (RFC 6750).
fn bearer(path: &Path) -> Result<HeaderValue, String> {
    let bytes = files::read_private(path, TOKEN_MAX_BYTES).map_err(|error| error.to_string())?;
    let token = bytes.trim_ascii();
    let plain = !token.is_empty() && token.iter().all(u8::is_ascii_graphic);
    if !plain {
        return Err(format!(
            "{}: is not one token of printable ASCII characters",
            path.display()
        ));
    }
    let mut value = b"Bearer ".to_vec();
    value.extend_from_slice(token);
    let header = HeaderValue::from_bytes(&value);
    zeroize::Zeroize::zeroize(&mut value);
    let mut header = header.map_err(|error| format!("{}: {error}", path.display()))?;
    header.set_sensitive(true);
    Ok(header)
}

fn encoded(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'%' => "%25".to_owned(),
            byte if byte.is_ascii_graphic() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_private_word() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        files::write_private(&path, b"abc.DEF-1\n").unwrap();
        let header = bearer(&path).unwrap();
        assert_eq!(header, "Bearer abc.DEF-1");
        assert!(!format!("{header:?}").contains("abc"));
        for bad in [&b""[..], b"two words", b"a\nb", "あ".as_bytes()] {
            files::write_private(&path, bad).unwrap();
            assert!(bearer(&path).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_a_receiver_says_cannot_steer_a_terminal() {
        assert_eq!(told(b" no\x1b[2J\nmore "), ": no [2J more");
        assert_eq!(told(b""), "");
        assert!(told(&[b'x'; 5_000]).len() < 300);
    }

    #[test]
    fn any_name_of_a_log_fits_a_header() {
        assert_eq!(encoded("a.test/log/1 あ%"), "a.test/log/1%20%E3%81%82%25");
    }
}
