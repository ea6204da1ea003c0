//! Incidents from the domain to the wire.

use prost_types::Timestamp as Instant;

use super::explain::system;
use super::write::instant;
use crate::domain::time::Timestamp;
use crate::gate::IncidentSeen;
use crate::proto;
use crate::proto::stored_incident_step::What;
use crate::proto::{
    ClockState, DraftReportResponse, DraftedItem, IncidentScope, ReportStage, ScopeCount,
    SeenClock, SeenTrigger, StoredScope, StoredScopeCount, StoredScopeFilter, TimelineEvent,
};
use crate::report::SystemRow;
use crate::review::incident::clocks::{Standing, State};
use crate::review::incident::draft::Stage;
use crate::review::incident::triggers::{Trigger, of_log, to_be_reported};
use crate::review::incident::{Item, Step};

fn at(at: Timestamp) -> Option<Instant> {
    instant(at.micros())
}

/// An incident with all that was asked for.
pub(super) fn incident(seen: &IncidentSeen) -> proto::Incident {
    let incident = &seen.incident;
    let opened = &incident.opened;
    let closed = incident.closed();
    proto::Incident {
        incident: incident.id.0,
        opened_at: instant(opened.at_us),
        opened_by: opened.by.clone(),
        aware_at: instant(opened.aware_us),
        department: opened.department.clone(),
        about: opened.about.clone(),
        campaign: opened.campaign.clone(),
        item: opened.item.clone(),
        case: opened.case.clone(),
        closed_at: closed.and_then(|step| at(step.at)),
        closed_by: closed.map_or_else(String::new, |step| step.by.clone()),
        scope: incident
            .scope()
            .map(|(step, found)| scope(found, step.index.0, &seen.log)),
        triggers: Trigger::ALL.map(|one| trigger(seen, one)).to_vec(),
        to_be_reported: to_be_reported(incident, &seen.rules).number(),
        clocks: seen.standing().iter().map(clock).collect(),
        timeline: timeline(seen),
    }
}

fn counts(of: &[StoredScopeCount]) -> Vec<ScopeCount> {
    let of = of.iter();
    of.map(|count| ScopeCount {
        id: count.id.clone(),
        accesses: count.accesses,
    })
    .collect()
}

/// A scope, of the entry and the log that it is in.
pub(super) fn scope(scope: &StoredScope, log_index: u64, log: &str) -> IncidentScope {
    let [first_at, last_at] = [scope.first_us, scope.last_us]
        .map(|us| (scope.accesses > 0).then(|| instant(us)).flatten());
    IncidentScope {
        log_index,
        log: log.to_owned(),
        log_size: scope.log_size,
        root_hash: scope.root_hash.clone(),
        any_of: scope
            .any_of
            .iter()
            .map(|filter| words(filter, &scope.departments))
            .collect(),
        log_first: scope.log_first,
        accesses: scope.accesses,
        people: scope.people,
        more_people: scope.more_people,
        unnamed_records: scope.unnamed_records,
        persons: counts(&scope.persons),
        persons_in_all: scope.persons_in_all,
        workloads: counts(&scope.workloads),
        categories: counts(&scope.categories),
        categories_in_all: scope.categories_in_all,
        purposes: counts(&scope.purposes),
        systems: counts(&scope.systems),
        subject_kinds: counts(&scope.subject_kinds),
        origin_countries: counts(&scope.origin_countries),
        recipients: counts(&scope.recipients),
        first_at,
        last_at,
        digest: scope.digest.clone(),
    }
}

/// What was looked for, in words that filters take.
fn words(filter: &StoredScopeFilter, departments: &[String]) -> String {
    let time = |us: Option<i64>| us.map(|us| Timestamp::from_micros(us).to_string());
    let action = crate::domain::access::Action::from_number(filter.action);
    let subject =
        (!filter.subject.is_empty()).then(|| data_encoding::HEXLOWER.encode(&filter.subject));
    let text = |value: &String| (!value.is_empty()).then(|| value.clone());
    let told = [
        ("from", time(filter.from_us)),
        ("until", time(filter.until_us)),
        ("person", text(&filter.person)),
        ("subject", subject),
        ("category", text(&filter.category)),
        ("purpose", text(&filter.purpose)),
        ("action", action.map(|action| action.name().to_owned())),
        ("caller", text(&filter.caller)),
        ("client_ip", text(&filter.client_ip)),
        ("system", text(&filter.system)),
        ("subject_kind", text(&filter.subject_kind)),
        ("department", text(&filter.department)),
        ("recipient", text(&filter.recipient)),
        ("case_ref", text(&filter.case_ref)),
        (
            "break_glass_only",
            filter.break_glass_only.then(|| "true".to_owned()),
        ),
        (
            "of_departments",
            (!departments.is_empty()).then(|| departments.join(",")),
        ),
    ];
    let told = told
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    told.collect::<Vec<_>>().join(" ")
}

fn trigger(seen: &IncidentSeen, trigger: Trigger) -> SeenTrigger {
    let scope = seen.incident.scope().map(|(_, scope)| scope);
    let (by_log, why) = of_log(trigger, scope, &seen.rules);
    let judged = seen.incident.judged(trigger);
    SeenTrigger {
        trigger: trigger.number(),
        verdict: judged.map_or(by_log, |(_, verdict)| verdict).number(),
        of_log: by_log.number(),
        of_log_why: why.en,
        of_log_why_ja: why.ja,
        judged_by: judged.map_or_else(String::new, |(step, _)| step.by.clone()),
        judged_at: judged.and_then(|(step, _)| at(step.at)),
        why: judged.map_or_else(String::new, |(step, _)| text(seen, step)),
    }
}

fn text(seen: &IncidentSeen, step: &Step) -> String {
    seen.texts.get(&step.index).cloned().unwrap_or_default()
}

fn clock(standing: &Standing<'_>) -> SeenClock {
    let state = match standing.state {
        State::Running => ClockState::Running,
        State::Overdue => ClockState::Overdue,
        State::Done => ClockState::Done,
        State::NotRequired => ClockState::NotRequired,
        State::DoesNotApply => ClockState::DoesNotApply,
    };
    let done = standing.done.as_ref();
    SeenClock {
        clock: standing.clock.id.to_string(),
        kind: standing.clock.kind.name().to_owned(),
        addressee: standing.clock.addressee.to_string(),
        addressee_ja: standing.clock.addressee_ja.to_string(),
        state: state.into(),
        due_at: standing.due.and_then(|due| at(due.at)),
        due_on: standing
            .due
            .map_or_else(String::new, |due| due.day.to_string()),
        moved_from: standing
            .due
            .and_then(|due| due.moved_from)
            .map_or_else(String::new, |day| day.to_string()),
        closed_days_unknown: standing.due.is_some_and(|due| due.closed_days_unknown),
        why: standing.why.en.clone(),
        why_ja: standing.why.ja.clone(),
        done_at: done.and_then(|(done, _, _)| at(*done)),
        done_by: done.map_or_else(String::new, |(_, by, _)| by.clone()),
        reference: done.map_or_else(String::new, |(_, _, reference)| reference.clone()),
        late: standing.late(),
    }
}

/// The steps, with the first and the last access between them where they belong in time.
fn timeline(seen: &IncidentSeen) -> Vec<TimelineEvent> {
    let incident = &seen.incident;
    let mut events = vec![TimelineEvent {
        log_index: incident.id.0,
        at: instant(incident.opened.at_us),
        by: incident.opened.by.clone(),
        what: "opened".to_owned(),
        about: String::new(),
        text: seen.texts.get(&incident.id).cloned().unwrap_or_default(),
    }];
    events.extend(incident.steps.iter().map(|step| event(seen, step)));
    if let Some((step, scope)) = incident.scope()
        && scope.accesses > 0
    {
        for (what, us) in [
            ("first-access", scope.first_us),
            ("last-access", scope.last_us),
        ] {
            events.push(TimelineEvent {
                log_index: step.index.0,
                at: instant(us),
                by: String::new(),
                what: what.to_owned(),
                about: String::new(),
                text: String::new(),
            });
        }
    }
    // What happened at the same moment stays in the order of the log.
    events.sort_by_key(|event| {
        let at = event.at.as_ref();
        at.map_or((0, 0), |at| (at.seconds, at.nanos))
    });
    events
}

fn event(seen: &IncidentSeen, step: &Step) -> TimelineEvent {
    let mut when = at(step.at);
    let (what, about) = match &step.what {
        What::Scope(_) => ("scope", String::new()),
        What::Item(item) => {
            let item = Item::from_number(*item);
            ("item", item.map_or("", Item::word).to_owned())
        }
        What::NoteUs(us) => {
            when = instant(*us);
            ("note", String::new())
        }
        What::Judged(judged) => {
            let trigger = Trigger::from_number(judged.trigger);
            ("judged", trigger.map_or("", Trigger::word).to_owned())
        }
        What::Filed(filing) if filing.not_required => ("not-required", filing.clock.clone()),
        What::Filed(filing) => ("filed", filing.clock.clone()),
        What::Notified(told) => ("people-notified", told.people.to_string()),
        What::Closed(_) => ("closed", String::new()),
    };
    TimelineEvent {
        log_index: step.index.0,
        at: when,
        by: step.by.clone(),
        what: what.to_owned(),
        about,
        text: text(seen, step),
    }
}

/// A draft of a report.
pub(super) fn drafted(seen: &IncidentSeen, stage: Stage) -> DraftReportResponse {
    let items = seen.draft(stage).into_iter().map(|item| {
        let (entered, entered_by, entered_at) = match item.entered {
            Some((text, by, when)) => (text, by, at(when)),
            None => (String::new(), String::new(), None),
        };
        DraftedItem {
            item: item.item.number(),
            of_log: item.of_log.iter().map(|told| told.en.clone()).collect(),
            of_log_ja: item.of_log.into_iter().map(|told| told.ja).collect(),
            entered,
            entered_by,
            entered_at,
            missing: item.missing,
        }
    });
    DraftReportResponse {
        stage: match stage {
            Stage::Preliminary => ReportStage::Preliminary,
            Stage::Final => ReportStage::Final,
        }
        .into(),
        items: items.collect(),
        incident: Some(incident(seen)),
        made_at: at(seen.now),
        utc_offset_seconds: seen.rules.utc_offset.whole_seconds(),
        title: seen.rules.words.title.to_string(),
        title_ja: seen.rules.words.title_ja.to_string(),
        systems: SystemRow::all(&seen.rules)
            .into_iter()
            .map(system)
            .collect(),
    }
}
