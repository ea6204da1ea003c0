//! Everything that people do about an incident.

use std::sync::Arc;
use std::time::Duration;

use super::{OPEN_MAX, STEPS_MAX, TEXT_MAX_BYTES, Wants, Worker, named};
use crate::decision::rules::{ClockKind, RuleSet};
use crate::domain::access::TEXT_MAX_BYTES as REASON_MAX_BYTES;
use crate::domain::ids::{LogIndex, Name};
use crate::domain::time::Timestamp;
use crate::gate::changes::StillWanted;
use crate::gate::peer::Peer;
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::proto::stored_change::Kind;
use crate::proto::stored_incident_step::What;
use crate::proto::{
    EntryKind, StoredChange, StoredEntry, StoredFiling, StoredIncident, StoredIncidentStep,
    StoredJudgement, StoredNotification,
};
use crate::review::incident::clocks::standing;
use crate::review::incident::triggers::{Trigger, Verdict};
use crate::review::incident::{Incident, Item};

/// How long ago it may have become known.
const AWARE_MAX: Duration = Duration::from_hours(24 * 366 * 10);

/// An incident to open.
#[derive(Debug)]
pub struct OpenWish {
    /// What happened: sealed in the log.
    pub summary: String,
    /// When it became known; `None` is now.
    pub aware: Option<Timestamp>,
    /// Whose it is.
    pub department: Option<Name>,
    /// Whom it is about.
    pub about: Vec<Name>,
    /// The review's campaign that it comes from.
    pub campaign: Option<Name>,
    /// The review's item.
    pub item: Option<Name>,
    /// The case of findings.
    pub case: Option<Name>,
}

/// What is done about one.
#[derive(Debug)]
pub enum Doing {
    /// What is known of an item of the report.
    Item(Item),
    /// What happened, when.
    Note(Timestamp),
    /// Whether a trigger applies.
    Judge(Trigger, Verdict),
    /// An addressee was told, or needs not to be.
    File {
        /// The clock.
        clock: Name,
        /// When; `None` where none is required.
        filed: Option<Timestamp>,
        /// The number of receipt.
        reference: Option<Name>,
        /// None is required.
        not_required: bool,
    },
    /// The people were told.
    Notify {
        /// When.
        at: Timestamp,
        /// How many.
        people: u64,
    },
    /// It is over.
    Close,
}

/// A step.
#[derive(Debug)]
pub struct StepWish {
    /// Of which incident.
    pub incident: LogIndex,
    /// What is done.
    pub doing: Doing,
    /// What the person writes: sealed in the log.
    pub text: String,
}

impl Doing {
    /// The call, the field that has the text, and how long that may be.
    const fn call(&self) -> (&'static str, &'static str, usize) {
        match self {
            Self::Item(_) => ("UpdateIncident", "text", TEXT_MAX_BYTES),
            Self::Note(_) => ("AddTimelineNote", "text", TEXT_MAX_BYTES),
            Self::Judge(..) => ("JudgeTrigger", "why", REASON_MAX_BYTES),
            Self::File { .. } => ("RecordFiling", "note", REASON_MAX_BYTES),
            Self::Notify { .. } => ("RecordNotification", "how", REASON_MAX_BYTES),
            Self::Close => ("CloseIncident", "conclusion", REASON_MAX_BYTES),
        }
    }

    const fn wants(&self) -> Wants {
        match self {
            Self::Close => Wants::Close,
            _ => Wants::Work,
        }
    }

    /// Whether it lets an incident rest: not for those who are part of it.
    const fn lets_rest(&self) -> bool {
        matches!(
            self,
            Self::Judge(..)
                | Self::Close
                | Self::File {
                    not_required: true,
                    ..
                }
        )
    }

    /// What is wrong with it.
    fn violations(
        &self,
        incident: &Incident,
        rules: &RuleSet,
        now: Timestamp,
        violations: &mut Vec<Violation>,
    ) {
        let mut wrong = |field: &str, what: String| violations.push(Violation::new(field, what));
        let since_known = |at: Timestamp| (incident.aware()..=now).contains(&at);
        match self {
            Self::Item(_) | Self::Judge(..) => {}
            Self::Note(at) if *at > now => wrong("at", "is after now".to_owned()),
            Self::Note(_) => {}
            Self::Notify { at, .. } if !since_known(*at) => {
                wrong(
                    "notified_at",
                    "must be from when it became known to now".into(),
                );
            }
            Self::Notify { people: 0, .. } => wrong("people", "must be at least 1".to_owned()),
            Self::Notify { .. } => {}
            Self::File {
                clock,
                filed,
                reference,
                not_required,
            } => {
                let found = rules.incident.clocks.iter().find(|one| *one.id == **clock);
                match found {
                    None => wrong("clock", "is no clock of the pack in force".to_owned()),
                    Some(clock) if clock.kind == ClockKind::Subjects && !not_required => wrong(
                        "clock",
                        "is for the people affected: record that they were notified".to_owned(),
                    ),
                    Some(_) => {}
                }
                match (filed, not_required) {
                    (None, false) => wrong("filed_at", "is missing".to_owned()),
                    (Some(_), true) => wrong("filed_at", "goes without not_required".to_owned()),
                    (Some(at), false) if !since_known(*at) => {
                        wrong(
                            "filed_at",
                            "must be from when it became known to now".into(),
                        );
                    }
                    _ => {}
                }
                match (reference, not_required) {
                    (None, false) => wrong("reference", "is missing".to_owned()),
                    (Some(_), true) => wrong("reference", "goes without not_required".to_owned()),
                    _ => {}
                }
            }
            Self::Close => {
                let open: Vec<String> = standing(incident, rules, now)
                    .iter()
                    .filter(|clock| clock.is_open())
                    .map(|clock| clock.clock.id.to_string())
                    .collect();
                if !open.is_empty() {
                    let open = open.join(", ");
                    wrong(
                        "incident",
                        format!("has clocks that run, and nothing is recorded of them: {open}"),
                    );
                }
            }
        }
    }

    /// What the store keeps of it.
    fn stored(&self) -> What {
        match self {
            Self::Item(item) => What::Item(item.number()),
            Self::Note(at) => What::NoteUs(at.micros()),
            Self::Judge(trigger, verdict) => What::Judged(StoredJudgement {
                trigger: trigger.number(),
                verdict: verdict.number(),
            }),
            Self::File {
                clock,
                filed,
                reference,
                not_required,
            } => What::Filed(StoredFiling {
                clock: clock.to_string(),
                filed_us: filed.map_or(0, Timestamp::micros),
                reference: reference
                    .as_ref()
                    .map_or_else(String::new, ToString::to_string),
                not_required: *not_required,
            }),
            Self::Notify { at, people } => What::Notified(StoredNotification {
                notified_us: at.micros(),
                people: *people,
            }),
            Self::Close => What::Closed(true),
        }
    }

    /// What the entry says of it, in the clear.
    fn tell(&self, entry: &mut StoredEntry) {
        let mut detail = |key: &str, value: String| entry::detail(entry, key, value);
        let change = match self {
            Self::Item(item) => {
                detail("item", item.word().to_owned());
                "item"
            }
            Self::Note(at) => {
                detail("at", at.to_string());
                "note"
            }
            Self::Judge(trigger, verdict) => {
                detail("trigger", trigger.word().to_owned());
                detail("verdict", verdict.word().to_owned());
                "judge"
            }
            Self::File {
                clock,
                filed,
                reference,
                not_required,
            } => {
                detail("clock", clock.to_string());
                if let Some(filed) = filed {
                    detail("filed", filed.to_string());
                }
                if let Some(reference) = reference {
                    detail("reference", reference.to_string());
                }
                if *not_required {
                    "not-required"
                } else {
                    "file"
                }
            }
            Self::Notify { at, people } => {
                detail("notified_at", at.to_string());
                detail("people", people.to_string());
                "notify"
            }
            Self::Close => "close",
        };
        detail("change", change.to_owned());
    }
}

pub(in crate::gate) fn text_violation(
    field: &str,
    text: &str,
    at_most: usize,
) -> Option<Violation> {
    if text.trim().is_empty() {
        Some(Violation::new(field, "is missing"))
    } else if text.len() > at_most {
        Some(Violation::new(field, format!("is over {at_most} bytes")))
    } else {
        None
    }
}

impl Gate {
    /// Opens an incident.
    ///
    /// # Errors
    /// When nobody who works on incidents asks, a field can't be taken, too many are open, or the entry can't be written.
    pub async fn open_incident(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        wish: OpenWish,
    ) -> Result<LogIndex, GateError> {
        const CALL: &str = "OpenIncident";
        let rules = self.rules.load_full();
        let now = self.now();
        let worker = self
            .incident_worker(&rules, peer, credentials, (CALL, Wants::Work), now)
            .await?;
        let violations = self.opening_violations(&worker, &wish, now);
        if !violations.is_empty() {
            return Err(self
                .refuse_administrator(peer, &worker.who, CALL, violations, now)
                .await);
        }
        let own = worker.departments.as_ref().and_then(|own| own.first());
        let department = wish.department.as_ref().or(own);
        let text =
            |name: &Option<Name>| name.as_ref().map_or_else(String::new, ToString::to_string);
        let stored = StoredIncident {
            at_us: now.micros(),
            aware_us: wish.aware.unwrap_or(now).micros(),
            by: worker.id().to_string(),
            department: department.map_or_else(String::new, ToString::to_string),
            about: named(&wish.about).iter().map(ToString::to_string).collect(),
            campaign: text(&wish.campaign),
            item: text(&wish.item),
            case: text(&wish.case),
        };
        let mut entry = self.administrators_entry(EntryKind::Incident, peer, &worker.who, now);
        entry::detail(&mut entry, "change", "open");
        let aware = Timestamp::from_micros(stored.aware_us);
        entry::detail(&mut entry, "aware", aware.to_string());
        for (key, value) in [
            ("of_department", &stored.department),
            ("campaign", &stored.campaign),
            ("item", &stored.item),
            ("case", &stored.case),
        ] {
            if !value.is_empty() {
                entry::detail(&mut entry, key, value.as_str());
            }
        }
        for person in &stored.about {
            entry::detail(&mut entry, "about", person.as_str());
        }
        entry.free_text = wish.summary;
        entry.change = Some(StoredChange {
            kind: Some(Kind::OpenIncident(stored)),
        });
        let receipt = self.change(entry, RoomForOne, |_| ()).await?;
        self.look_at_incidents().await;
        Ok(receipt.index())
    }

    fn opening_violations(
        &self,
        worker: &Worker<'_>,
        wish: &OpenWish,
        now: Timestamp,
    ) -> Vec<Violation> {
        let mut violations: Vec<Violation> =
            text_violation("summary", &wish.summary, TEXT_MAX_BYTES)
                .into_iter()
                .collect();
        let mut wrong = |field: &str, what: &str| violations.push(Violation::new(field, what));
        if let Some(aware) = wish.aware {
            if aware > now {
                wrong("aware_at", "is after now");
            } else if now.since(aware) > AWARE_MAX {
                wrong("aware_at", "is more than ten years ago");
            }
        }
        if let (Some(own), Some(wanted)) = (&worker.departments, &wish.department)
            && !own.contains(wanted)
        {
            wrong("department", "is none of yours");
        }
        for (position, person) in wish.about.iter().enumerate() {
            if self.person(person).is_none() {
                wrong(&format!("about[{position}]"), "is nobody who is known");
            }
        }
        violations
    }

    /// Records a step.
    ///
    /// # Errors
    /// When nobody who works on it asks, or somebody who is part of it where they may not; when a field can't be taken, there is no
    /// such incident or it is closed, or the entry can't be written.
    pub async fn incident_step(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        wish: StepWish,
    ) -> Result<LogIndex, GateError> {
        let StepWish {
            incident: id,
            doing,
            text,
        } = wish;
        let (call, field, at_most) = doing.call();
        let rules = self.rules.load_full();
        let now = self.now();
        let worker = self
            .incident_worker(&rules, peer, credentials, (call, doing.wants()), now)
            .await?;
        let incident = self.incident_for(peer, &worker, call, id, now).await?;
        if doing.lets_rest() && self.is_part_of(&incident, worker.id()).await? {
            let error = GateError::NotAuthorised(
                "nobody judges or closes an incident that they are part of",
            );
            return Err(self.refuse_worker(peer, &worker, call, error, now).await);
        }
        let mut violations: Vec<Violation> =
            text_violation(field, &text, at_most).into_iter().collect();
        if incident.closed().is_some() {
            violations.push(Violation::new("incident", "was closed"));
        } else {
            doing.violations(&incident, &rules, now, &mut violations);
        }
        if !violations.is_empty() {
            return Err(self
                .refuse_administrator(peer, &worker.who, call, violations, now)
                .await);
        }
        let mut entry = self.administrators_entry(EntryKind::Incident, peer, &worker.who, now);
        entry::detail(&mut entry, "incident", id.to_string());
        doing.tell(&mut entry);
        entry.free_text = text;
        entry.change = Some(StoredChange {
            kind: Some(Kind::IncidentStep(StoredIncidentStep {
                incident: id.0,
                at_us: now.micros(),
                by: worker.id().to_string(),
                what: Some(doing.stored()),
            })),
        });
        let receipt = self.change(entry, StillOpen(id), |_| ()).await?;
        self.look_at_incidents().await;
        Ok(receipt.index())
    }
}

/// There is room for one more.
struct RoomForOne;

impl StillWanted for RoomForOne {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        if gate.store.open_incidents().await? < OPEN_MAX {
            return Ok(());
        }
        Err(GateError::TooLarge(format!(
            "{OPEN_MAX} incidents are open: close one first"
        )))
    }
}

/// The incident was not closed meanwhile, and there is room for a step.
pub(super) struct StillOpen(pub(super) LogIndex);

impl StillWanted for StillOpen {
    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        let incident = gate.store.incident(self.0).await?.map(super::folded);
        let incident = incident.ok_or(GateError::Internal("an incident is gone"))?;
        if incident.closed().is_some() {
            return Err(GateError::Conflict("the incident was closed meanwhile"));
        }
        if incident.steps.len() >= STEPS_MAX {
            return Err(GateError::TooLarge(format!(
                "an incident takes {STEPS_MAX} steps at most: close it and open another"
            )));
        }
        Ok(())
    }
}
