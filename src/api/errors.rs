//! The one table of status codes. Every error tells the caller what to do; none tells what only the operator should know.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::domain::reason::ReasonCode;
use crate::gate::{GateError, Violation};
use crate::log::AppendError;

/// Domain of every `google.rpc.ErrorInfo`.
const DOMAIN: &str = "sekisho.v1";

/// The status of an error.
pub(super) fn status(error: GateError) -> Status {
    let message = error.to_string();
    match error {
        GateError::Malformed(violations) => malformed(&violations),
        GateError::TooLarge(_) => with_info(Code::ResourceExhausted, message, "TOO_LARGE"),
        GateError::Refused(code) => by_reason(Code::PermissionDenied, message, code),
        GateError::NotAuthorised(_) => with_info(Code::PermissionDenied, message, "NOT_AUTHORISED"),
        GateError::NotGenuine => with_info(Code::Unauthenticated, message, "NOT_GENUINE"),
        GateError::Ticket(code) => by_reason(Code::Unauthenticated, message, code),
        GateError::NotEnrolled => with_info(
            Code::FailedPrecondition,
            message,
            "SECOND_FACTOR_NOT_ENROLLED",
        ),
        GateError::Throttled { retry_after } => {
            let mut details = info("THROTTLED");
            details.set_retry_info(Some(retry_after));
            Status::with_error_details(Code::ResourceExhausted, message, details)
        }
        GateError::PasswordChangeRequired => with_info(
            Code::FailedPrecondition,
            message,
            "PASSWORD_CHANGE_REQUIRED",
        ),
        GateError::AlreadyEnrolled => {
            with_info(Code::FailedPrecondition, message, "SECOND_FACTOR_ENROLLED")
        }
        GateError::SecondStepFirst => {
            with_info(Code::FailedPrecondition, message, "SECOND_STEP_FIRST")
        }
        GateError::AllowanceEnded => {
            with_info(Code::FailedPrecondition, message, "ALLOWANCE_ENDED")
        }
        GateError::AlreadyReported => with_info(Code::AlreadyExists, message, "ALREADY_REPORTED"),
        GateError::AlreadyThere(_) => with_info(Code::AlreadyExists, message, "ALREADY_EXISTS"),
        GateError::Conflict(_) => with_info(Code::Aborted, message, "CHANGED_MEANWHILE"),
        GateError::NotNow(_) => with_info(Code::FailedPrecondition, message, "NOT_NOW"),
        GateError::CutShort => with_info(Code::Aborted, message, "CUT_SHORT"),
        GateError::NotFound(_) => with_info(Code::NotFound, message, "NOT_FOUND"),
        GateError::DisposedOf(_) => with_info(Code::NotFound, message, "DISPOSED_OF"),
        GateError::Unfinished(_) => {
            tracing::error!(message, "a disposal was not finished");
            unavailable(&message, "UNFINISHED")
        }
        GateError::Busy { retry_after, .. } => {
            let mut details = info("BUSY");
            details.set_retry_info(Some(retry_after));
            Status::with_error_details(Code::ResourceExhausted, message, details)
        }
        GateError::Log(AppendError::TooLarge { .. }) => with_info(
            Code::ResourceExhausted,
            "the request makes an entry that is over the 65,535 bytes one may have".to_owned(),
            "TOO_LARGE",
        ),
        GateError::Log(error) => {
            tracing::error!(%error, "a call was refused because the access log can't be written");
            unavailable(
                "the access log can't be written, so nothing is answered",
                "LOG_UNAVAILABLE",
            )
        }
        GateError::Store(error) => {
            tracing::error!(%error, "a call was refused because the store can't be used");
            unavailable("the store can't be used", "STORE_UNAVAILABLE")
        }
        GateError::PolicyRefused(_) => {
            with_info(Code::FailedPrecondition, message, "POLICY_REFUSED")
        }
        GateError::Unready(_) => unavailable(&message, "NOT_READY"),
        GateError::Stale => unavailable(&message, "SNAPSHOT_STALE"),
        GateError::SubjectsIncomplete => unavailable(&message, "SUBJECTS_INCOMPLETE"),
        GateError::KeyMissing(_) => unavailable(&message, "KEY_MISSING"),
        GateError::Internal(what) => {
            tracing::error!(what, "internal error");
            with_info(
                Code::Internal,
                "internal error; nothing was allowed".to_owned(),
                "INTERNAL",
            )
        }
    }
}

fn malformed(violations: &[Violation]) -> Status {
    let words: Vec<String> = violations
        .iter()
        .map(|violation| format!("{}: {}", violation.field, violation.description))
        .collect();
    let mut details = info("MALFORMED");
    for violation in violations {
        details.add_bad_request_violation(&violation.field, &violation.description);
    }
    Status::with_error_details(Code::InvalidArgument, words.join("; "), details)
}

fn by_reason(code: Code, message: String, reason: ReasonCode) -> Status {
    with_info(code, message, reason.name())
}

fn unavailable(message: &str, reason: &str) -> Status {
    let mut details = info(reason);
    details.set_retry_info(Some(Duration::from_secs(1)));
    Status::with_error_details(Code::Unavailable, message, details)
}

fn with_info(code: Code, message: String, reason: &str) -> Status {
    Status::with_error_details(code, message, info(reason))
}

fn info(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, std::collections::HashMap::new())
}
