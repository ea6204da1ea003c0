//! Which entries are wanted, as flags: the same for `log search` and `log tail`.

use super::error::{CliError, Fault};
use super::moment::{self, Edge};
use super::words::{Language, Word};
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;
use crate::proto::{Action, Decision, EntryKind, SearchRequest};

/// Filters; an entry has to fit all that are given.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct FilterArgs {
    /// Not before: RFC 3339, a date (in UTC, or with an offset: 2026-01-31+09:00), or how long ago: 30m, 2h, 7d
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before; the day of a date is included
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Who acted
    #[arg(long, value_name = "ID")]
    person: Option<String>,
    /// Whose data: the company-wide id of that person
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Category of data, or one above it
    #[arg(long)]
    category: Option<String>,
    /// Purpose of use
    #[arg(long)]
    purpose: Option<String>,
    /// What was done: read, search, export, create, update, delete, provide
    #[arg(long)]
    action: Option<String>,
    /// How it was decided: allow or deny
    #[arg(long)]
    decision: Option<String>,
    /// A reason of the decision, by name or number, e.g. IP_NOT_ALLOWED or 21
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// The calling service
    #[arg(long, value_name = "SERVICE")]
    caller: Option<String>,
    /// Address of the person's device, or a block
    #[arg(long, value_name = "ADDRESS")]
    client_ip: Option<String>,
    /// Only where break glass was used
    #[arg(long)]
    break_glass: bool,
    /// Kind of entry, e.g. decision, authentication, refused-call
    #[arg(long)]
    kind: Option<String>,
    /// The system that holds the data
    #[arg(long)]
    system: Option<String>,
    /// Kind of person whose data it is, e.g. job-seeker
    #[arg(long, value_name = "KIND")]
    subject_kind: Option<String>,
    /// Department of who acted
    #[arg(long)]
    department: Option<String>,
    /// To whom data went
    #[arg(long)]
    recipient: Option<String>,
    /// Case reference
    #[arg(long, value_name = "REFERENCE")]
    case: Option<String>,
}

impl FilterArgs {
    /// The filters as a request, without its page. What only the daemon can judge (ids, names, addresses) is left to it.
    ///
    /// # Errors
    /// When a time or a word of the API can't be read.
    pub(super) fn request(
        &self,
        now: Timestamp,
        language: Language,
    ) -> Result<SearchRequest, CliError> {
        let text = |given: &Option<String>| given.clone().unwrap_or_default();
        let moment = |flag: &str, given: &Option<String>, edge: Edge| match given {
            None => Ok(None),
            Some(text) => moment::parse(text, edge, now)
                .map(|at| Some(wire(at)))
                .ok_or_else(|| {
                    CliError::new(Fault::Usage, Word::BadMoment, language, &[flag, text])
                }),
        };
        let action = |number| {
            Action::try_from(number)
                .ok()
                .map(|value| value.as_str_name())
        };
        let decision = |number| {
            Decision::try_from(number)
                .ok()
                .map(|value| value.as_str_name())
        };
        let kind = |number| {
            EntryKind::try_from(number)
                .ok()
                .map(|value| value.as_str_name())
        };
        Ok(SearchRequest {
            from: moment("--from", &self.from, Edge::Beginning)?,
            until: moment("--until", &self.until, Edge::End)?,
            person: text(&self.person),
            subject_ref: text(&self.subject),
            category: text(&self.category),
            purpose: text(&self.purpose),
            action: named("--action", &self.action, "ACTION_", action, language)?,
            decision: named(
                "--decision",
                &self.decision,
                "DECISION_",
                decision,
                language,
            )?,
            reason: self.reason(language)?,
            caller: text(&self.caller),
            client_ip: text(&self.client_ip),
            break_glass_only: self.break_glass,
            kind: named("--kind", &self.kind, "ENTRY_KIND_", kind, language)?,
            oldest_first: false,
            page_size: 0,
            page_token: String::new(),
            system: text(&self.system),
            subject_kind: text(&self.subject_kind),
            department: text(&self.department),
            recipient: text(&self.recipient),
            case_ref: text(&self.case),
            whole: false,
        })
    }

    /// A number is the daemon's to know: it may be newer than this client.
    fn reason(&self, language: Language) -> Result<i32, CliError> {
        let Some(given) = &self.reason else {
            return Ok(0);
        };
        let name = canonical(given, "REASON_CODE_");
        ReasonCode::ALL
            .iter()
            .find(|code| code.name() == name)
            .map(|code| code.number())
            .or_else(|| given.trim().parse().ok().filter(|number| *number > 0))
            .ok_or_else(|| {
                CliError::new(
                    Fault::Usage,
                    Word::BadReason,
                    language,
                    &["--reason", given],
                )
            })
    }
}

/// `log-read` and `ENTRY_KIND_LOG_READ` are both LOG_READ.
fn canonical(given: &str, prefix: &str) -> String {
    let name = given.trim().to_ascii_uppercase().replace('-', "_");
    name.strip_prefix(prefix).map(str::to_owned).unwrap_or(name)
}

/// The number of a value by its name; `name_of` tells the names by number. 0, when nothing is given, stands for any.
pub(super) fn named(
    flag: &str,
    given: &Option<String>,
    prefix: &str,
    name_of: impl Fn(i32) -> Option<&'static str>,
    language: Language,
) -> Result<i32, CliError> {
    let Some(given) = given else {
        return Ok(0);
    };
    let wanted = canonical(given, prefix);
    // No enum of the API has as many values.
    let known =
        (1..=256).filter_map(|number| Some((number, name_of(number)?.strip_prefix(prefix)?)));
    let mut names = Vec::new();
    for (number, name) in known {
        if name == wanted {
            return Ok(number);
        }
        names.push(name.to_ascii_lowercase().replace('_', "-"));
    }
    let values = [flag, given, &names.join(", ")];
    Err(CliError::new(
        Fault::Usage,
        Word::BadName,
        language,
        &values,
    ))
}

/// As the API has it.
pub(super) fn wire(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.seconds(),
        nanos: i32::try_from(at.micros().rem_euclid(1_000_000))
            .unwrap_or(0)
            .saturating_mul(1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn request(filter: &FilterArgs) -> Result<SearchRequest, CliError> {
        let now = Timestamp::from_micros(1_780_000_000_500_000);
        filter.request(now, Language::English)
    }

    #[test]
    fn names_are_taken_as_people_and_as_the_api_spell_them() {
        for (given, expected) in [
            ("log-read", EntryKind::LogRead),
            ("LOG_READ", EntryKind::LogRead),
            ("Entry_Kind_Refused_Call", EntryKind::RefusedCall),
        ] {
            let filter = FilterArgs {
                kind: some(given),
                ..FilterArgs::default()
            };
            assert_eq!(request(&filter).unwrap().kind(), expected, "{given}");
        }
        let filter = FilterArgs {
            action: some("provide"),
            decision: some("deny"),
            ..FilterArgs::default()
        };
        let sent = request(&filter).unwrap();
        assert_eq!(
            (sent.action(), sent.decision()),
            (Action::Provide, Decision::Deny)
        );
    }

    #[test]
    fn a_reason_is_a_name_or_a_number() {
        for given in [
            "IP_NOT_ALLOWED",
            "ip-not-allowed",
            "REASON_CODE_IP_NOT_ALLOWED",
            "21",
        ] {
            let filter = FilterArgs {
                reason: some(given),
                ..FilterArgs::default()
            };
            assert_eq!(request(&filter).unwrap().reason, 21, "{given}");
        }
        for bad in ["", "0", "-1", "NO_SUCH"] {
            let filter = FilterArgs {
                reason: some(bad),
                ..FilterArgs::default()
            };
            assert_eq!(request(&filter).unwrap_err().exit_code(), 64, "{bad}");
        }
    }

    #[test]
    fn a_wrong_word_is_told_with_the_right_ones() {
        let filter = FilterArgs {
            decision: some("maybe"),
            ..FilterArgs::default()
        };
        let error = request(&filter).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--decision maybe: is none of allow, deny"
        );
        let filter = FilterArgs {
            kind: some("unspecified"),
            ..FilterArgs::default()
        };
        let error = request(&filter).unwrap_err().to_string();
        assert!(
            error.contains("daemon-start") && error.ends_with("incident"),
            "{error}"
        );
        let filter = FilterArgs {
            from: some("yesterday"),
            ..FilterArgs::default()
        };
        assert_eq!(request(&filter).unwrap_err().exit_code(), 64);
    }

    #[test]
    fn how_long_ago_keeps_the_microseconds_of_now() {
        let filter = FilterArgs {
            from: some("1s"),
            ..FilterArgs::default()
        };
        let from = request(&filter).unwrap().from.unwrap();
        assert_eq!((from.seconds, from.nanos), (1_779_999_999, 500_000_000));
    }
}
