//! Findings for those who review: of everybody, or of their own department. Nobody reviews what they did themselves: of one's own cases
//! one learns that there are some.

use std::sync::Arc;
use std::time::Duration;

use time::Date;

use super::findings::Progress;
use crate::decision::rules::{Reviews, RuleSet};
use crate::domain::detector::{Detector, Thresholds};
use crate::domain::ids::{LogIndex, Name};
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;
use crate::gate::admission::{Admitted, reviews};
use crate::gate::peer::{Caller, Peer};
use crate::gate::records::sieve::{EntryFilter, Sieve};
use crate::gate::telling::{self, Ended, Teller, Told};
use crate::gate::{Credentials, Gate, GateError, ReadEntry, Violation, entry};
use crate::proto::{EntryKind, StoredEntry};
use crate::review::Days;
use crate::review::finding::{Actor, Case, Finding};

/// How often it is told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How far a reader may be behind.
const AHEAD: usize = 64;

/// Which findings are wanted.
#[derive(Debug, Clone)]
pub struct FindingsWish {
    /// On which days.
    pub days: Days,
    /// Of this person.
    pub person: Option<Name>,
    /// With a finding of this detector.
    pub detector: Option<Detector>,
    /// Of this department.
    pub department: Option<Name>,
    /// How many cases, at least 1.
    pub size: usize,
    /// Where to go on.
    pub after: Option<AfterCase>,
}

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AfterCase {
    /// How many entries the log had.
    pub log_size: u64,
    /// The day of its last case.
    pub day: Date,
    /// Whose it was.
    pub actor: Actor,
}

/// One case that is wanted.
#[derive(Debug, Clone)]
pub struct CaseWish {
    /// On which day.
    pub day: Date,
    /// Who acted.
    pub actor: Actor,
    /// As of how many entries of the log; `None` is now.
    pub log_size: Option<u64>,
}

/// A case as its reader may see it.
#[derive(Debug, Clone)]
pub struct CaseSeen {
    /// Without findings where it is the reader's own.
    pub case: Case,
    /// It is about the reader.
    pub own: bool,
    /// How many entries the log had.
    pub log_size: u64,
    /// Where the next page goes on, on the last case of a page.
    pub next: Option<AfterCase>,
}

/// What is told of findings.
#[derive(Debug)]
pub enum FindingsTold {
    /// How many entries were looked at, and of how many.
    Progress(u64, u64),
    /// A case.
    Case(CaseSeen),
}

/// What a finding's detector went by.
#[derive(Debug, Clone, Copy)]
pub struct WentBy {
    /// Which.
    pub detector: Detector,
    /// By what.
    pub thresholds: Thresholds,
    /// Line of the pack's file that says so; `None` for the default.
    pub line: Option<u32>,
}

/// What is told of one case.
#[derive(Debug)]
pub enum CaseTold {
    /// How many entries were looked at, and of how many.
    Progress(u64, u64),
    /// The case, and by what each of its findings came.
    Case(Case, Vec<WentBy>, u64),
    /// One of its entries.
    Entry(Box<ReadEntry>),
}

/// Somebody who reviews, admitted.
struct Reviewer<'a> {
    caller: Caller<'a>,
    admitted: Admitted,
    only_departments: Option<Vec<Name>>,
}

impl Reviewer<'_> {
    fn is(&self, actor: &Actor) -> bool {
        matches!(actor, Actor::Person(person) if *person == self.admitted.person.id)
    }
}

/// Whether somebody who reviews these departments alone, where there are any, may see a case.
fn may_see(only_departments: Option<&[Name]>, case: &Case) -> bool {
    only_departments.is_none_or(|own| own.iter().any(|one| **one == *case.department))
}

impl Gate {
    /// Streams a page of the cases that are wanted, by day and then by who acted.
    ///
    /// # Errors
    /// When nobody who reviews asks, the page goes on in a log that has not so many entries, or the call can't be logged. Of what
    /// comes later, as for [`Gate::findings_of`].
    pub async fn list_findings(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        wish: FindingsWish,
    ) -> Result<Told<FindingsTold>, GateError> {
        const CALL: &str = "ListFindings";
        let rules = self.rules.load_full();
        let now = self.now();
        let reviewer = self.reviewer(&rules, peer, credentials, CALL, now).await?;
        let asked = wish.after.as_ref().map(|after| after.log_size);
        let log_size = self
            .size_asked(peer, &reviewer, (CALL, "page_token"), asked, now)
            .await?;
        let mut entry = reviewers_entry(peer, &reviewer, CALL, now);
        let mut filter = format!("days={}..{}", wish.days.first(), wish.days.last());
        for (name, value) in [
            ("person", wish.person.as_deref()),
            ("detector", wish.detector.map(Detector::word)),
            ("department", wish.department.as_deref()),
        ] {
            if let Some(value) = value {
                filter.push_str(&format!(" {name}={value}"));
            }
        }
        entry::detail(&mut entry, "filter", filter);
        entry::detail(&mut entry, "log_size", log_size.to_string());
        self.log_review(entry, &reviewer, now).await?;
        let (own, only_departments) = (
            reviewer.admitted.person.id.clone(),
            reviewer.only_departments,
        );
        let gate = Arc::clone(self);
        Ok(telling::begin(AHEAD, |teller| async move {
            let cases = gate
                .looked_through(wish.days, log_size, &teller, FindingsTold::Progress)
                .await?;
            let is_after = |case: &Case| {
                wish.after
                    .as_ref()
                    .is_none_or(|after| (case.day, &case.actor) > (after.day, &after.actor))
            };
            let fits = |case: &&Case| {
                is_after(case) && may_see(only_departments.as_deref(), case) && wish.fits(case)
            };
            let mut fitting = cases.iter().filter(fits).peekable();
            let mut sent = 0_usize;
            while let Some(case) = fitting.next() {
                sent = sent.saturating_add(1);
                let is_last = sent >= wish.size;
                let next = (is_last && fitting.peek().is_some()).then(|| AfterCase {
                    log_size,
                    day: case.day,
                    actor: case.actor.clone(),
                });
                let seen = seen_by(&own, case, log_size, next);
                teller.tell(FindingsTold::Case(seen)).await?;
                if is_last {
                    break;
                }
            }
            Ok(())
        }))
    }

    /// Tells one case, with what its detectors went by and its entries.
    ///
    /// # Errors
    /// When nobody who reviews asks, it is their own, or the call can't be logged. Of what comes later: [`GateError::NotFound`] when
    /// there is no such case that they may see; else as for [`Gate::findings_of`].
    pub async fn explain_finding(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        wish: CaseWish,
    ) -> Result<Told<CaseTold>, GateError> {
        const CALL: &str = "ExplainFinding";
        let rules = self.rules.load_full();
        let now = self.now();
        let reviewer = self.reviewer(&rules, peer, credentials, CALL, now).await?;
        if reviewer.is(&wish.actor) {
            let error = GateError::NotAuthorised(
                "this is about yourself: somebody else reviews what you did",
            );
            let Reviewer {
                caller, admitted, ..
            } = reviewer;
            let refused = admitted.refused(ReasonCode::ActionNotPermitted);
            return Err(self
                .refuse_person(peer, &caller, CALL, refused, error, now)
                .await);
        }
        let log_size = self
            .size_asked(peer, &reviewer, (CALL, "log_size"), wish.log_size, now)
            .await?;
        let mut entry = reviewers_entry(peer, &reviewer, CALL, now);
        let (sort, id) = match &wish.actor {
            Actor::Person(id) => ("of", id),
            Actor::Workload(id) => ("of_service", id),
        };
        entry::detail(&mut entry, sort, &**id);
        entry::detail(&mut entry, "day", wish.day.to_string());
        entry::detail(&mut entry, "log_size", log_size.to_string());
        self.log_review(entry, &reviewer, now).await?;
        let only_departments = reviewer.only_departments;
        let gate = Arc::clone(self);
        // A day is no more than may be looked at.
        let days = Days::new(wish.day, wish.day).map_err(|_| GateError::Internal("a day"))?;
        let rules = Arc::clone(&rules);
        Ok(telling::begin(AHEAD, |teller| async move {
            let cases = gate
                .looked_through(days, log_size, &teller, CaseTold::Progress)
                .await?;
            let missing =
                GateError::NotFound("there is no such case, or it is not for this reader");
            let Some(case) = cases.iter().find(|case| {
                case.actor == wish.actor && may_see(only_departments.as_deref(), case)
            }) else {
                return Err(missing.into());
            };
            let mut indexes: Vec<LogIndex> = case
                .findings
                .iter()
                .flat_map(|one| one.entries.iter().copied())
                .collect();
            indexes.sort_unstable();
            indexes.dedup();
            let roles = gate.roles_of(indexes.first().copied()).await?;
            let went_by = case
                .findings
                .iter()
                .map(|finding| went_by(&rules, finding, &roles))
                .collect();
            teller
                .tell(CaseTold::Case(case.clone(), went_by, log_size))
                .await?;
            let sieve = Sieve::new(EntryFilter::default(), None, only_departments);
            for index in indexes {
                if let Some(entry) = gate.read_for(&sieve, index).await? {
                    teller.tell(CaseTold::Entry(Box::new(entry))).await?;
                }
            }
            Ok(())
        }))
    }

    /// Looks through the log, and tells how far it is until it is through.
    async fn looked_through<T: Send>(
        self: &Arc<Self>,
        days: Days,
        log_size: u64,
        teller: &Teller<T>,
        progress_of: impl Fn(u64, u64) -> T + Send,
    ) -> Result<Arc<Vec<Case>>, Ended> {
        let progress: Arc<Progress> = Arc::default();
        let looking = self.findings_with(days, log_size, &progress);
        tokio::pin!(looking);
        loop {
            tokio::select! {
                found = &mut looking => return Ok(found?),
                () = teller.unheard() => return Err(Ended::Unheard),
                () = tokio::time::sleep(TELL_EVERY) => {
                    // Also where there is none: who waits learns that the daemon is still there.
                    let (read, of) = progress.now();
                    teller.tell(progress_of(read, of)).await?;
                }
            }
        }
    }

    async fn reviewer<'a>(
        &'a self,
        rules: &'a RuleSet,
        peer: &'a Peer,
        credentials: &Credentials,
        call: &'static str,
        now: Timestamp,
    ) -> Result<Reviewer<'a>, GateError> {
        let caller = self.caller(rules, peer, now);
        let (admitted, only_departments) = self
            .admitted_or_refused(
                rules,
                (peer, &caller),
                credentials,
                (call, "none of this person's roles reviews the access log"),
                now,
                |person| match reviews(rules, person, now) {
                    Reviews::Everything => Some(None),
                    Reviews::Department => Some(Some(person.departments.clone())),
                    Reviews::Nothing => None,
                },
            )
            .await?;
        Ok(Reviewer {
            caller,
            admitted,
            only_departments,
        })
    }

    /// As of how many entries; one of a time to come is refused.
    async fn size_asked(
        &self,
        peer: &Peer,
        reviewer: &Reviewer<'_>,
        (call, field): (&'static str, &str),
        asked: Option<u64>,
        now: Timestamp,
    ) -> Result<u64, GateError> {
        let size = self.log.len();
        match asked {
            Some(asked) if asked > size => {
                let what = format!("is of a log of {asked} entries; this one has {size}");
                let mut entry = reviewers_entry(peer, reviewer, call, now);
                entry.kind = EntryKind::RefusedCall.into();
                let error = GateError::Malformed(vec![Violation::new(field, what)]);
                Err(self
                    .refuse(peer, &reviewer.caller, entry, call, error)
                    .await)
            }
            asked => Ok(asked.unwrap_or(size)),
        }
    }

    async fn log_review(
        &self,
        mut entry: StoredEntry,
        reviewer: &Reviewer<'_>,
        now: Timestamp,
    ) -> Result<(), GateError> {
        entry.session_used = true;
        self.sessions.used(reviewer.admitted.ticket.session, now);
        self.log.append(std::slice::from_ref(&entry))?.await?;
        Ok(())
    }

    /// The roles that who acted had then.
    async fn roles_of(&self, index: Option<LogIndex>) -> Result<Vec<String>, GateError> {
        match index {
            Some(index) => Ok(self.entry_at(index).await?.roles),
            None => Ok(Vec::new()),
        }
    }
}

impl FindingsWish {
    fn fits(&self, case: &Case) -> bool {
        let of_person = |person: &Name| matches!(&case.actor, Actor::Person(id) if id == person);
        let has = |detector| case.findings.iter().any(|one| one.detector == detector);
        self.person.as_ref().is_none_or(of_person)
            && self.detector.is_none_or(has)
            && self
                .department
                .as_ref()
                .is_none_or(|department| **department == *case.department)
    }
}

fn seen_by(own: &Name, case: &Case, log_size: u64, next: Option<AfterCase>) -> CaseSeen {
    let is_own = matches!(&case.actor, Actor::Person(id) if id == own);
    let mut case = case.clone();
    if is_own {
        case.findings.clear();
    }
    CaseSeen {
        case,
        own: is_own,
        log_size,
        next,
    }
}

fn went_by(rules: &RuleSet, finding: &Finding, roles: &[String]) -> WentBy {
    let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
    let rule = rules.detector_rule(finding.detector, &roles);
    WentBy {
        detector: finding.detector,
        thresholds: rules
            .thresholds(finding.detector, &roles)
            .unwrap_or(finding.detector.defaults()),
        line: rule.map(|rule| rule.line),
    }
}

fn reviewers_entry(
    peer: &Peer,
    reviewer: &Reviewer<'_>,
    call: &'static str,
    now: Timestamp,
) -> StoredEntry {
    let mut entry = entry::event(EntryKind::LogRead, now, &reviewer.caller, peer);
    entry::acted_by(&mut entry, &reviewer.admitted.person);
    entry::in_session(&mut entry, &reviewer.admitted.ticket);
    entry.client_ip = reviewer.admitted.client_ip.to_string();
    entry::detail(&mut entry, "call", call);
    entry
}
