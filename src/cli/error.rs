//! Why a command of the client failed, in words for the person who ran it, and the code that the process ends with.

use std::error::Error;
use std::fmt;
use std::io;

use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::table::neutralise;
use super::words::{Language, Word};
use crate::domain::reason::{ReasonCode, Stage};
use crate::files::FileError;
use crate::policy::PackErrors;

/// Whose it is to mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The person's, at the command line: an argument or a file that it needs.
    Usage,
    /// The person's: the daemon can't take a value.
    Refused,
    /// There is no such entry.
    NotFound,
    /// The daemon can't be reached, or can't answer now.
    Unavailable,
    /// The disk's.
    Disk,
    /// What has to be made can't be.
    Output,
    /// Ours.
    Internal,
    /// Not logged in, or not permitted.
    NotPermitted,
    /// Nobody's: whoever read the output has read enough (`| head`).
    OutputClosed,
}

/// Why a command failed. Its words are in the language that the command was asked to speak, and safe to print.
#[derive(Debug)]
pub(super) struct CliError {
    fault: Fault,
    words: String,
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl Error for CliError {}

impl CliError {
    /// Fails with a sentence; `values` may come from anywhere.
    pub(super) fn new(fault: Fault, word: Word, language: Language, values: &[&str]) -> Self {
        let safe: Vec<String> = values.iter().map(|value| neutralise(value)).collect();
        let safe: Vec<&str> = safe.iter().map(String::as_str).collect();
        Self {
            fault,
            words: word.fill(language, &safe),
        }
    }

    /// Whose it is to mend.
    pub(super) const fn fault(&self) -> Fault {
        self.fault
    }

    /// The code that the process ends with (sysexits.h).
    pub(super) const fn exit_code(&self) -> u8 {
        match self.fault {
            Fault::OutputClosed => 0,
            Fault::Usage => 64,
            Fault::Refused => 65,
            Fault::NotFound => 66,
            Fault::Unavailable => 69,
            Fault::Internal => 70,
            Fault::Disk => 72,
            Fault::Output => 73,
            Fault::NotPermitted => 77,
        }
    }

    /// A pack that is not in order: every error on a line of its own.
    pub(super) fn of_pack(errors: &PackErrors, language: Language) -> Self {
        let japanese = language == Language::Japanese;
        let lines: Vec<String> = errors
            .errors()
            .map(|finding| neutralise(&finding.plain(japanese)))
            .collect();
        Self {
            fault: Fault::Usage,
            words: Word::PackNotInOrder.fill(language, &[&lines.join("\n")]),
        }
    }

    /// A private file that can't be used: the system's doing when it refused, else the person's, whose files they are.
    pub(super) fn of_file(error: &FileError) -> Self {
        Self {
            fault: match error {
                FileError::System { source, .. } if source.kind() != io::ErrorKind::NotFound => {
                    Fault::Internal
                }
                _ => Fault::Usage,
            },
            words: neutralise(&error.to_string()),
        }
    }

    /// Output that can't be written.
    pub(super) fn of_output(error: &io::Error, language: Language) -> Self {
        let fault = if error.kind() == io::ErrorKind::BrokenPipe {
            Fault::OutputClosed
        } else {
            Fault::Internal
        };
        Self::new(fault, Word::CantWrite, language, &[&error.to_string()])
    }

    /// A call that the daemon refused, or that never reached it, with everything it says in its details.
    pub(super) fn of_call(status: &Status, language: Language) -> Self {
        if let Some(cause) = status.source() {
            return Self::new(
                Fault::Unavailable,
                Word::ConnectionEnded,
                language,
                &[&chain(cause)],
            );
        }
        let details = status.get_error_details();
        let reason = details.error_info().map_or("", |info| info.reason.as_str());
        let mut words = match details.bad_request() {
            Some(bad) if !bad.field_violations.is_empty() => {
                let mut words = Word::RequestRefused.text(language).to_owned();
                for violation in &bad.field_violations {
                    words.push_str("\n  ");
                    words.push_str(&neutralise(&violation.field));
                    words.push_str(": ");
                    words.push_str(&neutralise(&violation.description));
                }
                words
            }
            _ => sentence(reason, status, language),
        };
        let known = ReasonCode::ALL.iter().find(|code| code.name() == reason);
        let ticket = known.is_some_and(|code| code.stage() == Stage::TwoStep);
        if ticket {
            words.push_str("\n  ");
            words.push_str(Word::LogInAgain.text(language));
        }
        let retry = details.retry_info().and_then(|retry| retry.retry_delay);
        if let Some(delay) = retry {
            words.push_str("\n  ");
            let seconds = delay.as_millis().div_ceil(1_000).to_string();
            words.push_str(&Word::RetryIn.fill(language, &[&seconds]));
        }
        let fault = match reason {
            // Asked again, it may come whole.
            "CUT_SHORT" => Fault::Unavailable,
            _ => fault_of(status.code()),
        };
        Self { fault, words }
    }
}

const fn fault_of(code: Code) -> Fault {
    match code {
        Code::Unauthenticated | Code::PermissionDenied | Code::FailedPrecondition => {
            Fault::NotPermitted
        }
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Cancelled => {
            Fault::Unavailable
        }
        Code::NotFound => Fault::NotFound,
        Code::InvalidArgument | Code::OutOfRange | Code::AlreadyExists | Code::Aborted => {
            Fault::Refused
        }
        _ => Fault::Internal,
    }
}

/// What the daemon says, in the person's language where it is a known reason, else in its own words.
fn sentence(reason: &str, status: &Status, language: Language) -> String {
    if let Some(code) = ReasonCode::ALL.iter().find(|code| code.name() == reason) {
        return match language {
            Language::English => code.message(),
            Language::Japanese => code.message_ja(),
        }
        .to_owned();
    }
    let word = match reason {
        "NOT_AUTHORISED" => Word::NotAuthorised,
        "NOT_GENUINE" => Word::NotGenuine,
        "NOT_FOUND" => Word::NotFound,
        "DISPOSED_OF" => Word::DisposedOf,
        "BUSY" => Word::Busy,
        "LOG_UNAVAILABLE" => Word::LogUnavailable,
        "STORE_UNAVAILABLE" => Word::StoreUnavailable,
        "INTERNAL" => Word::Internal,
        "ALREADY_EXISTS" => Word::AlreadyThere,
        "CHANGED_MEANWHILE" => Word::ChangedMeanwhile,
        "CUT_SHORT" => Word::CutShort,
        "NOT_SUPPORTED_YET" => Word::NotSupportedYet,
        "SECOND_FACTOR_NOT_ENROLLED" => Word::NotEnrolled,
        "SECOND_FACTOR_ENROLLED" => Word::AlreadyEnrolled,
        "PASSWORD_CHANGE_REQUIRED" => Word::MustChangePassword,
        "SECOND_STEP_FIRST" => Word::SecondStepFirst,
        "THROTTLED" => Word::Throttled,
        _ => return plain(status),
    };
    match language {
        // The daemon's own words say more.
        Language::English => plain(status),
        Language::Japanese => word.text(language).to_owned(),
    }
}

fn plain(status: &Status) -> String {
    match status.message() {
        "" => status.code().description().to_owned(),
        // A refused pack has a line for each fault; indented, none can pass for one of this program's own.
        message => {
            let lines: Vec<String> = message.lines().map(neutralise).collect();
            lines.join("\n  ")
        }
    }
}

/// An error with its causes, each said once: libraries repeat theirs.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut words = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        next = error.source();
        // What tonic calls every failure of its own; the cause is what tells.
        let empty = text == "transport error" && next.is_some();
        if empty || words.contains(&text) {
            continue;
        }
        if !words.is_empty() {
            words.push_str(": ");
        }
        words.push_str(&text);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tonic_types::ErrorDetails;

    #[test]
    fn every_field_that_the_daemon_refuses_is_named() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("client_ip", "is no address");
        details.add_bad_request_violation("page_size", "must be from 1 to 1,000");
        let status = Status::with_error_details(Code::InvalidArgument, "both", details);
        let error = CliError::of_call(&status, Language::English);
        assert_eq!(error.exit_code(), 65);
        assert_eq!(
            error.to_string(),
            "the daemon can't take this:\n  client_ip: is no address\n  page_size: must be from 1 to 1,000"
        );
    }

    #[test]
    fn a_ticket_that_ended_says_so_in_the_persons_language_and_what_to_do() {
        let details = ErrorDetails::with_error_info(
            "TICKET_EXPIRED",
            "sekisho.v1",
            std::collections::HashMap::new(),
        );
        let status = Status::with_error_details(Code::Unauthenticated, "ended", details);
        let error = CliError::of_call(&status, Language::Japanese);
        assert_eq!(error.exit_code(), 77);
        let words = error.to_string();
        assert!(
            words.starts_with(ReasonCode::TicketExpired.message_ja()),
            "{words}"
        );
        assert!(words.ends_with("sekisho login"), "{words}");
    }

    #[test]
    fn when_to_try_again_is_told_in_whole_seconds() {
        let mut details = ErrorDetails::new();
        details.set_retry_info(Some(Duration::from_millis(1_200)));
        let status = Status::with_error_details(Code::ResourceExhausted, "too many", details);
        let error = CliError::of_call(&status, Language::English);
        assert_eq!(error.exit_code(), 69);
        assert_eq!(error.to_string(), "too many\n  try again in 2 s");
    }

    #[test]
    fn each_code_of_a_call_has_its_exit_code() {
        for (code, exit) in [
            (Code::PermissionDenied, 77),
            (Code::NotFound, 66),
            (Code::Unavailable, 69),
            (Code::Internal, 70),
            (Code::Unimplemented, 70),
        ] {
            let status = Status::new(code, "x");
            assert_eq!(
                CliError::of_call(&status, Language::English).exit_code(),
                exit
            );
        }
    }

    #[test]
    fn words_from_elsewhere_cannot_steer_the_terminal() {
        let status = Status::new(Code::Internal, "a\u{1b}[2Jb");
        assert_eq!(
            CliError::of_call(&status, Language::English).to_string(),
            "a\u{fffd}[2Jb"
        );
        let error = CliError::new(
            Fault::Usage,
            Word::BadServer,
            Language::English,
            &["x\u{9b}y"],
        );
        assert!(!error.to_string().contains('\u{9b}'));
    }

    #[test]
    fn a_closed_output_is_no_failure() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(
            CliError::of_output(&closed, Language::English).exit_code(),
            0
        );
    }
}
