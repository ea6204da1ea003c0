//! Incidents on a terminal.

use crate::cli::error::CliError;
use crate::cli::output::Destination;
use crate::cli::sessions::time;
use crate::cli::table::{Cell, Column, Tone, drawn, neutralise};
use crate::cli::words::{Language, Word};
use crate::proto::{ClockState, Incident, IncidentScope, ScopeCount, SeenClock, TriggerVerdict};
use crate::report::incident::{about, due, event, kind, state, trigger, verdict};

/// Lines that were made harmless; colours are the tables' own.
pub(super) fn write(lines: &[String], language: Language) -> Result<(), CliError> {
    let mut out = Destination::open(None)?;
    out.write(&format!("{}\n", lines.join("\n")), language)?;
    out.finish(language)
}

fn plain(text: &str) -> Cell {
    Cell::new(text, Tone::Plain)
}

/// To the minute, in UTC.
fn minute(at: Option<&prost_types::Timestamp>) -> String {
    let at = time(at).unwrap_or_default();
    match at.get(..16) {
        Some(minute) => format!("{}Z", minute.replace('T', " ")),
        None => at,
    }
}

fn tone(clock: &SeenClock) -> Tone {
    match ClockState::try_from(clock.state).unwrap_or_default() {
        ClockState::Overdue => Tone::Bad,
        ClockState::Running => Tone::Warning,
        ClockState::Done if clock.late => Tone::Warning,
        ClockState::Done => Tone::Good,
        _ => Tone::Plain,
    }
}

/// What is due next: what is overdue first, then by day.
fn next_clock(incident: &Incident) -> Option<&SeenClock> {
    let open = incident.clocks.iter().filter(|clock| {
        let state = ClockState::try_from(clock.state).unwrap_or_default();
        matches!(state, ClockState::Running | ClockState::Overdue)
    });
    open.min_by_key(|clock| {
        let at = clock.due_at.as_ref();
        at.map_or((i64::MAX, 0), |at| (at.seconds, at.nanos))
    })
}

/// A table of incidents.
pub(super) fn list(incidents: &[Incident], language: Language) -> Vec<String> {
    let columns = [
        Column {
            right: true,
            ..Column::of(Word::IncidentNumber, 4, language)
        },
        Column::of(Word::IncidentAware, 10, language),
        Column::of(Word::IncidentDepartment, 6, language),
        Column {
            right: true,
            ..Column::of(Word::IncidentPeople, 4, language)
        },
        Column::of(Word::IncidentReported, 8, language),
        Column::of(Word::IncidentDue, 10, language),
        Column::of(Word::IncidentNext, 8, language),
    ];
    let rows: Vec<Vec<Cell>> = incidents
        .iter()
        .map(|incident| {
            let (date, next) = match (incident.closed_at.as_ref(), next_clock(incident)) {
                (Some(_), _) => (plain(""), plain(Word::IncidentClosed.text(language))),
                (None, None) => (plain(""), plain("")),
                (None, Some(clock)) => {
                    let tone = tone(clock);
                    let what = format!(
                        "{} {}",
                        clock.clock,
                        state(clock.state, language.of_reports())
                    );
                    let day = match &*clock.due_on {
                        "" => due(clock, language.of_reports()),
                        day => day.to_owned(),
                    };
                    (Cell::new(&day, tone), Cell::new(&what, tone))
                }
            };
            let people = incident.scope.as_ref();
            vec![
                plain(&incident.incident.to_string()),
                plain(&minute(incident.aware_at.as_ref())),
                plain(&incident.department),
                plain(&people.map_or_else(String::new, |scope| scope.people.to_string())),
                verdict_cell(incident.to_be_reported, language),
                date,
                next,
            ]
        })
        .collect();
    drawn(&columns, &rows)
}

fn verdict_cell(number: i32, language: Language) -> Cell {
    let tone = match TriggerVerdict::try_from(number).unwrap_or_default() {
        TriggerVerdict::Applies => Tone::Bad,
        TriggerVerdict::DoesNotApply => Tone::Good,
        _ => Tone::Warning,
    };
    Cell::new(verdict(number, language.of_reports()), tone)
}

fn named(word: Word, value: &str, language: Language) -> Option<String> {
    let told = || format!("{}: {}", word.text(language), neutralise(value));
    (!value.is_empty()).then(told)
}

/// All of an incident.
pub(super) fn whole(incident: &Incident, language: Language) -> Vec<String> {
    let by = |at: Option<&prost_types::Timestamp>, by: &str| match minute(at) {
        none if none.is_empty() => none,
        at => format!("{at} {by}"),
    };
    let opened = by(incident.opened_at.as_ref(), &incident.opened_by);
    let closed = by(incident.closed_at.as_ref(), &incident.closed_by);
    let mut lines: Vec<String> = [
        named(
            Word::IncidentNumber,
            &incident.incident.to_string(),
            language,
        ),
        named(
            Word::IncidentAware,
            &minute(incident.aware_at.as_ref()),
            language,
        ),
        named(Word::IncidentOpened, &opened, language),
        named(Word::IncidentDepartment, &incident.department, language),
        named(Word::IncidentAbout, &incident.about.join(", "), language),
        named(Word::IncidentCampaign, &incident.campaign, language),
        named(Word::IncidentReviewItem, &incident.item, language),
        named(Word::IncidentCase, &incident.case, language),
        named(Word::IncidentClosed, &closed, language),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut part = |head: Word, more: Vec<String>| {
        lines.push(String::new());
        lines.push(head.text(language).to_owned());
        lines.extend(more);
    };
    match &incident.scope {
        Some(found) => part(Word::IncidentScopeHead, scope(found, language)),
        None => part(
            Word::IncidentScopeHead,
            vec![Word::IncidentNoScope.text(language).to_owned()],
        ),
    }
    part(Word::IncidentTriggersHead, triggers(incident, language));
    part(Word::IncidentClocksHead, clocks(incident, language));
    part(Word::IncidentTimelineHead, timeline(incident, language));
    lines
}

fn counted(counts: &[ScopeCount], in_all: u64) -> String {
    let told = counts
        .iter()
        .map(|count| format!("{} ({})", count.id, count.accesses));
    let mut told: Vec<String> = told.collect();
    let listed = u64::try_from(counts.len()).unwrap_or(u64::MAX);
    let more = in_all.saturating_sub(listed);
    if more > 0 {
        told.push(format!("+{more}"));
    }
    told.join(", ")
}

/// A scope.
pub(super) fn scope(scope: &IncidentScope, language: Language) -> Vec<String> {
    let period = match (&scope.first_at, &scope.last_at) {
        (Some(first), Some(last)) => {
            format!("{} – {}", minute(Some(first)), minute(Some(last)))
        }
        _ => String::new(),
    };
    let people = if scope.more_people {
        format!("> {}", scope.people)
    } else {
        scope.people.to_string()
    };
    let unnamed = match scope.unnamed_records {
        0 => String::new(),
        records => records.to_string(),
    };
    let log = format!(
        "{} {} {}",
        scope.log,
        scope.log_size,
        data_encoding::HEXLOWER.encode(&scope.root_hash)
    );
    let all = |counts: &[ScopeCount]| counted(counts, 0);
    [
        named(Word::IncidentLookedFor, &scope.any_of.join(" | "), language),
        named(
            Word::IncidentAccesses,
            &scope.accesses.to_string(),
            language,
        ),
        named(Word::IncidentPeople, &people, language),
        named(Word::IncidentUnnamed, &unnamed, language),
        named(Word::IncidentPeriod, &period, language),
        named(
            Word::IncidentPersons,
            &counted(&scope.persons, scope.persons_in_all),
            language,
        ),
        named(Word::IncidentServices, &all(&scope.workloads), language),
        named(
            Word::IncidentCategories,
            &counted(&scope.categories, scope.categories_in_all),
            language,
        ),
        named(Word::IncidentPurposes, &all(&scope.purposes), language),
        named(Word::IncidentSystems, &all(&scope.systems), language),
        named(Word::IncidentKinds, &all(&scope.subject_kinds), language),
        named(
            Word::IncidentCountries,
            &all(&scope.origin_countries),
            language,
        ),
        named(Word::IncidentRecipients, &all(&scope.recipients), language),
        named(Word::IncidentLog, &log, language),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A table of triggers.
pub(super) fn triggers(incident: &Incident, language: Language) -> Vec<String> {
    let columns = [
        Column::of(Word::IncidentTrigger, 12, language),
        Column::of(Word::IncidentVerdict, 8, language),
        Column::of(Word::IncidentOfLog, 12, language),
        Column::of(Word::IncidentJudged, 8, language),
        Column::of(Word::IncidentWhy, 8, language),
    ];
    let rows: Vec<Vec<Cell>> = incident
        .triggers
        .iter()
        .map(|one| {
            let why = match language {
                Language::English => &one.of_log_why,
                Language::Japanese => &one.of_log_why_ja,
            };
            vec![
                plain(trigger(one.trigger, language.of_reports())),
                verdict_cell(one.verdict, language),
                plain(why),
                plain(&one.judged_by),
                plain(&one.why),
            ]
        })
        .collect();
    drawn(&columns, &rows)
}

fn clocks(incident: &Incident, language: Language) -> Vec<String> {
    let columns = [
        Column::of(Word::IncidentClock, 8, language),
        Column::of(Word::IncidentAddressee, 10, language),
        Column::of(Word::IncidentReport, 8, language),
        Column::of(Word::IncidentDue, 10, language),
        Column::of(Word::IncidentState, 7, language),
        Column::of(Word::IncidentRecorded, 8, language),
    ];
    let rows: Vec<Vec<Cell>> = incident
        .clocks
        .iter()
        .map(|clock| {
            let (addressee, why) = match language {
                Language::English => (&clock.addressee, &clock.why),
                Language::Japanese => (&clock.addressee_ja, &clock.why_ja),
            };
            let recorded = match &clock.done_at {
                Some(at) => format!("{} {} {}", minute(Some(at)), clock.done_by, clock.reference),
                None => why.clone(),
            };
            vec![
                plain(&clock.clock),
                plain(addressee),
                plain(kind(&clock.kind, language.of_reports())),
                plain(&due(clock, language.of_reports())),
                Cell::new(state(clock.state, language.of_reports()), tone(clock)),
                plain(recorded.trim_end()),
            ]
        })
        .collect();
    drawn(&columns, &rows)
}

fn timeline(incident: &Incident, language: Language) -> Vec<String> {
    let columns = [
        Column::of(Word::IncidentWhen, 17, language),
        Column::of(Word::IncidentWhat, 8, language),
        Column::of(Word::IncidentOn, 8, language),
        Column::of(Word::IncidentWho, 6, language),
        Column::of(Word::IncidentText, 10, language),
        Column {
            right: true,
            ..Column::of(Word::IncidentEntry, 4, language)
        },
    ];
    let rows: Vec<Vec<Cell>> = incident
        .timeline
        .iter()
        .map(|one| {
            vec![
                plain(&minute(one.at.as_ref())),
                plain(event(&one.what, language.of_reports())),
                plain(&about(one, language.of_reports())),
                plain(&one.by),
                plain(&one.text.replace('\n', " ")),
                plain(&one.log_index.to_string()),
            ]
        })
        .collect();
    drawn(&columns, &rows)
}
