//! A witness over HTTP (C2SP `tlog-witness`): it is sent a checkpoint with the proof that it goes on from the one that the
//! witness saw last, and answers with its signature. An answer proves nothing but by that signature; a witness that lies about
//! a size can raise an alarm, and refuse a start, which is what it is trusted with.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{HeaderValue, StatusCode};

use super::compare::{Contradiction, Trouble};
use super::{EndpointConfig, WitnessError};
use crate::http_client::{HttpAnswer, HttpClient};
use crate::log::{
    AccessLog, CosignError, NoteError, Signed, VerifierKey, decimal, verify_consistency,
};
use crate::tls_client::{TlsClient, TlsFiles};

/// The most hashes that a witness has to take.
const HASHES_MAX: usize = 63;
/// Of an answer: a few signature lines.
const ANSWER_MAX_BYTES: usize = 64 << 10;
/// Of what a witness says when it refuses.
const WORDS_MAX: usize = 200;
/// What the size in a 409 is sent as.
const SIZE_TYPE: &str = "text/x.tlog.size";

/// One witness.
#[derive(Debug)]
pub(super) struct Endpoint {
    name: String,
    key: VerifierKey,
    client: HttpClient,
    /// The size of the checkpoint that it saw last, as far as we know.
    knows: u64,
    /// States that declared gaps name.
    lost: Arc<[Signed]>,
}

/// What came back, as the protocol means it.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// 200: signature lines.
    Signed(String),
    /// 409: another size than we thought is the last that it saw. None where it says no size, as it may when the sizes are
    /// equal and the roots are not.
    Knows(Option<u64>),
    /// 422: the proof does not lead on from what it saw.
    NotConsistent,
    /// Anything else.
    Refused(String),
}

impl Endpoint {
    pub(super) fn open(
        config: EndpointConfig,
        timeout: Duration,
        lost: &Arc<[Signed]>,
    ) -> Result<Self, WitnessError> {
        let tls = match config.ca {
            Some(ca) => Some(TlsClient::open(&TlsFiles { ca, own: None })?),
            None => None,
        };
        Ok(Self {
            name: config.key.name().to_owned(),
            key: config.key,
            client: HttpClient::new(config.url, tls, timeout, ANSWER_MAX_BYTES)?,
            knows: 0,
            lost: Arc::clone(lost),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Sends a checkpoint of the log, and keeps the cosignature that comes back. A witness whose last word is a state that a
    /// declared gap names doesn't contradict.
    pub(super) async fn hand(
        &mut self,
        log: &AccessLog,
        newest: &Arc<Signed>,
    ) -> Result<(), Trouble> {
        let trouble = match self.hand_on(log, newest).await {
            Err(Trouble::Contradiction(found)) => found,
            other => return other,
        };
        let Some(size) = trouble.size() else {
            return Err(trouble.into());
        };
        let lost = Arc::clone(&self.lost);
        for state in lost.iter().filter(|lost| lost.checkpoint.size == size) {
            if self.knows_exactly(state).await? {
                let then = "have its operator reset what it holds of this log, or go on with a new log, whose origin is new to it";
                return Err(Trouble::before_gap(size, then));
            }
        }
        Err(trouble.into())
    }

    /// Whether the checkpoint that the witness saw last is this one. Its refusals tell a size and no root, so it is asked to sign
    /// it once more: it does when size and root are those of its last word, and not otherwise. The cosignature is let go.
    async fn knows_exactly(&mut self, state: &Signed) -> Result<bool, Trouble> {
        match self.send(state.checkpoint.size, &[], state).await? {
            Answer::Signed(lines) => match state.note.clone().add_cosignature(&lines, &self.key) {
                Ok(_) => Ok(true),
                Err(error) => Err(no_cosignature(&error)),
            },
            Answer::Knows(_) | Answer::NotConsistent => Ok(false),
            Answer::Refused(what) => Err(Trouble::Fault(what)),
        }
    }

    /// Asks a second time when the witness has seen another one last than we thought.
    async fn hand_on(&mut self, log: &AccessLog, newest: &Arc<Signed>) -> Result<(), Trouble> {
        let size = newest.checkpoint.size;
        let mut old = self.knows.min(size);
        for _ in 0..2 {
            match self.ask(log, newest, old).await? {
                Answer::Signed(lines) => {
                    self.keep(log, newest, lines).await?;
                    self.knows = size;
                    return Ok(());
                }
                // Of no entries there is only one tree, so nobody can know another.
                Answer::Knows(None) if old == size && old > 0 => {
                    return Err(self.other_history(old));
                }
                Answer::Knows(None) => {
                    return Err(Trouble::Fault(
                        "it answers 409 without the size that it knows".to_owned(),
                    ));
                }
                Answer::Knows(Some(known)) if known == old => {
                    // The sizes agree, so it is the root that does not.
                    if old == size && old > 0 {
                        return Err(self.other_history(old));
                    }
                    return Err(Trouble::Fault(format!(
                        "it knows {known} entries, and refuses to go on from there"
                    )));
                }
                Answer::Knows(Some(known)) if known > log.len() => {
                    return Err(Trouble::Contradiction(Contradiction::KnowsMore {
                        witness: self.name.clone(),
                        size: known,
                        log: log.len(),
                    }));
                }
                Answer::Knows(Some(known)) => {
                    if known < self.knows {
                        tracing::warn!(witness = %self.name, known, "the witness has forgotten checkpoints that it had signed");
                    }
                    self.knows = known;
                    if known > size {
                        // Anybody may hand it our checkpoints; the next one will be newer.
                        return Err(Trouble::Fault(format!(
                            "it was handed a newer checkpoint, of {known} entries, by somebody else"
                        )));
                    }
                    old = known;
                }
                Answer::NotConsistent => return Err(self.not_consistent(log, newest, old).await?),
                Answer::Refused(what) => return Err(Trouble::Fault(what)),
            }
        }
        Err(Trouble::Fault(
            "it knows another size each time that it is asked".to_owned(),
        ))
    }

    async fn ask(
        &mut self,
        log: &AccessLog,
        newest: &Arc<Signed>,
        old: u64,
    ) -> Result<Answer, Trouble> {
        let (reader, size) = (log.clone(), newest.checkpoint.size);
        let path =
            tokio::task::spawn_blocking(move || reader.consistency_path(old, size)).await??;
        let path = path.ok_or_else(|| Trouble::Fault("there is no proof".to_owned()))?;
        self.send(old, &path, newest).await
    }

    async fn send(
        &mut self,
        old: u64,
        path: &[[u8; 32]],
        newest: &Signed,
    ) -> Result<Answer, Trouble> {
        let body = Bytes::from(request(old, path, newest)?);
        let answer = self
            .client
            .post(&HeaderMap::new(), &body)
            .await
            .map_err(|error| Trouble::Fault(error.to_string()))?;
        Ok(read_answer(&answer))
    }

    async fn keep(
        &self,
        log: &AccessLog,
        newest: &Arc<Signed>,
        lines: String,
    ) -> Result<(), Trouble> {
        let (log, newest, key) = (log.clone(), Arc::clone(newest), self.key.clone());
        let kept =
            tokio::task::spawn_blocking(move || log.add_cosignature(&newest, &lines, &key)).await?;
        match kept {
            Ok(_) => Ok(()),
            Err(CosignError::Note(error)) => Err(no_cosignature(&error)),
            Err(error) => Err(Trouble::Fault(error.to_string())),
        }
    }

    fn other_history(&self, size: u64) -> Trouble {
        Trouble::Contradiction(Contradiction::OtherHistory {
            witness: self.name.clone(),
            size,
        })
    }

    /// It refused the proof. When the proof is right for the log as it is, what the witness saw was another one.
    async fn not_consistent(
        &self,
        log: &AccessLog,
        newest: &Arc<Signed>,
        old: u64,
    ) -> Result<Trouble, Trouble> {
        let (reader, newest) = (log.clone(), Arc::clone(newest));
        let right = tokio::task::spawn_blocking(move || {
            let (size, root) = (newest.checkpoint.size, &newest.checkpoint.root);
            let path = reader.consistency_path(old, size)?;
            let old_root = reader.root_at(old)?;
            Ok::<_, crate::log::ReadError>(path.zip(old_root).is_some_and(|(path, old_root)| {
                old == 0 || verify_consistency((old, &old_root), (size, root), &path).is_ok()
            }))
        });
        if right.await?? && old > 0 {
            return Ok(self.other_history(old));
        }
        Ok(Trouble::Fault(
            "it says that the proof is wrong (422)".to_owned(),
        ))
    }
}

fn no_cosignature(error: &NoteError) -> Trouble {
    Trouble::Fault(format!("its answer is no cosignature that counts: {error}"))
}

/// The body of `add-checkpoint`: the size that the proof starts from, the proof, an empty line, the checkpoint.
fn request(old: u64, path: &[[u8; 32]], newest: &Signed) -> Result<String, Trouble> {
    if path.len() > HASHES_MAX {
        return Err(Trouble::Fault(format!(
            "the proof has over {HASHES_MAX} hashes"
        )));
    }
    let mut body = format!("old {old}\n");
    for hash in path {
        // Writing to a string does not fail.
        let _ = writeln!(body, "{}", BASE64.encode(hash));
    }
    let _ = write!(body, "\n{}", newest.note);
    Ok(body)
}

fn read_answer(answer: &HttpAnswer) -> Answer {
    let text = std::str::from_utf8(&answer.body).ok();
    match answer.status {
        StatusCode::OK => match text {
            Some(lines) => Answer::Signed(lines.to_owned()),
            None => Answer::Refused("its answer is not text".to_owned()),
        },
        StatusCode::CONFLICT => {
            let is_size = answer
                .headers
                .get(CONTENT_TYPE)
                .map(HeaderValue::as_bytes)
                .is_some_and(|kind| kind.eq_ignore_ascii_case(SIZE_TYPE.as_bytes()));
            let Some(text) = text.filter(|_| is_size) else {
                return Answer::Knows(None);
            };
            match text.strip_suffix('\n').and_then(decimal) {
                Some(size) => Answer::Knows(Some(size)),
                None => Answer::Refused("the size in its answer (409) is no number".to_owned()),
            }
        }
        StatusCode::UNPROCESSABLE_ENTITY => Answer::NotConsistent,
        other => {
            let means = match other {
                StatusCode::NOT_FOUND => ": it does not know this log",
                StatusCode::FORBIDDEN => ": it does not know this log's key",
                StatusCode::TOO_MANY_REQUESTS => ": it is asked too often",
                _ => "",
            };
            Answer::Refused(format!(
                "it answers {}{means}{}",
                other.as_u16(),
                words(text.unwrap_or_default())
            ))
        }
    }
}

/// The first line of what a stranger says, made fit for a terminal and a log line.
fn words(text: &str) -> String {
    let line: String = text
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .take(WORDS_MAX)
        .collect();
    match line.trim() {
        "" => String::new(),
        line => format!(" ({line})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, kind: &str, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
        read_answer(&HttpAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
    }

    #[test]
    fn a_size_counts_only_as_c2sp_writes_it() {
        assert_eq!(answer(409, SIZE_TYPE, "12\n"), Answer::Knows(Some(12)));
        assert_eq!(answer(409, SIZE_TYPE, "0\n"), Answer::Knows(Some(0)));
        for bad in ["", "12", "012\n", "-1\n", "18446744073709551616\n", "1 \n"] {
            assert!(
                matches!(answer(409, SIZE_TYPE, bad), Answer::Refused(_)),
                "{bad:?}"
            );
        }
        assert_eq!(answer(409, "text/html", "12\n"), Answer::Knows(None));
    }

    #[test]
    fn what_a_witness_says_cannot_steer_a_terminal_or_fill_a_log() {
        let Answer::Refused(what) = answer(404, "text/plain", "no\u{1b}[2J log\nmore") else {
            panic!("not refused");
        };
        assert_eq!(
            what,
            "it answers 404: it does not know this log (no[2J log)"
        );
        let Answer::Refused(what) = answer(503, "text/plain", &"x".repeat(100_000)) else {
            panic!("not refused");
        };
        assert!(what.len() < 300);
    }
}
