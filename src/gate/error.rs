//! Why a use case could not be carried out, split by whose fault it is. A denial is none of these: it is an answer.

use std::time::Duration;

use crate::domain::reason::ReasonCode;
use crate::log::AppendError;
use crate::store::StoreError;

/// One field of a request that can't be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field in the message, e.g. `items[3].data.categories`.
    pub field: String,
    /// What is wrong with it, free of personal data.
    pub description: String,
}

impl Violation {
    /// Says what is wrong with `field`.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            description: description.into(),
        }
    }
}

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The caller's: fields that can't be taken.
    #[error("the request can't be taken")]
    Malformed(Vec<Violation>),
    /// The caller's: more than the bound.
    #[error("{0}")]
    TooLarge(String),
    /// The caller's or the person's: they may not.
    #[error("{}", .0.message())]
    Refused(ReasonCode),
    /// The person's: their role neither reviews nor administers, as the call asks.
    #[error("{0}")]
    NotAuthorised(&'static str),
    /// The person's: wrong id, password or code, a used code, a disabled account: the words never tell which.
    #[error("the id, the password or the code is not right")]
    NotGenuine,
    /// The person's: their ticket won't do.
    #[error("{}", .0.message())]
    Ticket(ReasonCode),
    /// The person's: no second factor is enrolled.
    #[error("no second factor is enrolled")]
    NotEnrolled,
    /// The person's: too many wrong codes. Not counted, and not looked at.
    #[error("too many wrong codes; try again later")]
    Throttled {
        /// When to try again.
        retry_after: Duration,
    },
    /// The person's: somebody else set their password, which they change first.
    #[error("the password was set by an administrator and must be changed first")]
    PasswordChangeRequired,
    /// The person's: another second factor takes a fresh second step with the one they have.
    #[error("a second factor is enrolled: another takes a fresh second step with it, or a reset")]
    AlreadyEnrolled,
    /// The caller's: the challenge's second step is still to be passed.
    #[error("this takes a fresh second step: answer the challenge first, or send the code with it")]
    SecondStepFirst,
    /// The caller's: a repeat after the allowance ended.
    #[error("the allowance that this request_id got has ended: ask anew with a new request_id")]
    AllowanceEnded,
    /// The caller's: reported before.
    #[error("the outcome of this decision has been reported already")]
    AlreadyReported,
    /// The caller's: it is there already.
    #[error("{0}")]
    AlreadyThere(&'static str),
    /// Nobody's: what was read has been changed since.
    #[error("{0}")]
    Conflict(&'static str),
    /// The caller's: not in the state that something is in.
    #[error("{0}")]
    NotNow(&'static str),
    /// The caller's: there is no such thing, or not for them.
    #[error("{0}")]
    NotFound(&'static str),
    /// Nobody's: it was there, and was disposed of when its time was over.
    #[error("{0}")]
    DisposedOf(String),
    /// Ours, for now: what was begun, and has its entry, is completed later.
    #[error("begun, but not finished: {0}; it is tried again every minute, and at the next start")]
    Unfinished(String),
    /// Ours, for now: too much at once.
    #[error("{what}; try again later")]
    Busy {
        /// What there is too much of.
        what: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// The pack's: it can't be in force. What is wrong, a line each.
    #[error("the policy is refused, and what is in force stays so:\n{}", first_lines(.0))]
    PolicyRefused(Vec<String>),
    /// Ours, for now: something is not ready. Nothing was changed.
    #[error("{0}; try again later")]
    Unready(&'static str),
    /// Whose reader took nothing for 30 s, or whom the end of the daemon met: a stream that is not the whole.
    #[error(
        "the stream was cut before its end, since nothing of it was taken for 30 s, or the daemon stops: what came is not the whole; ask again"
    )]
    CutShort,
    /// Ours: the log can't be written. Nothing was allowed.
    #[error("the access log can't be written, so nothing is answered: {0}")]
    Log(#[from] AppendError),
    /// Ours: the store can't be reached.
    #[error("the store can't be used: {0}")]
    Store(#[from] StoreError),
    /// Ours, for now: what others changed in the store was not heard for too long. Nothing was allowed.
    #[error(
        "what is known of people, sessions and holds is older than it may be, so nothing is decided by it"
    )]
    Stale,
    /// Ours, until the operators mend it: imports that the log has are not in the store.
    #[error(
        "what is registered of people is incomplete until the operators import again what is missing"
    )]
    SubjectsIncomplete,
    /// Ours, for now: the second factor is sealed under a key that this daemon has not been given. Nothing was charged.
    #[error(
        "this daemon's keyring lacks the key {0}, under which the second factor is sealed: its operator copies the keyring from where it was rotated"
    )]
    KeyMissing(String),
    /// Ours: what should not happen.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

/// How much of what is wrong with a pack goes into an error: it travels in a header.
const LINES_MAX_BYTES: usize = 3_000;

fn first_lines(lines: &[String]) -> String {
    let mut text = String::new();
    for (position, line) in lines.iter().enumerate() {
        if text.len().saturating_add(line.len()) > LINES_MAX_BYTES {
            let left = lines.len().saturating_sub(position);
            text.push_str(&format!(
                "and {left} more: `sekisho policy check` tells all"
            ));
            break;
        }
        text.push_str(line);
        text.push('\n');
    }
    text.trim_end().to_owned()
}
