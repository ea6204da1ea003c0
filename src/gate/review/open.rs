//! Opening a campaign: its scope is fixed, its items are found and drawn, and each gets somebody who looks at it. The entries stand
//! behind each other and are written together or not at all, so that no campaign is half there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use time::Date;

use super::ReviewSeen;
use super::admission::Need;
use super::scope::{Scope, Seen, day_of};
use crate::decision::rules::{ReviewSchedule, RuleSet};
use crate::domain::ids::{LogIndex, Name};
use crate::domain::time::Timestamp;
use crate::gate::changes::StillWanted;
use crate::gate::peer::Peer;
use crate::gate::running::start::own_entry;
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::log::Signed;
use crate::proto::stored_change::Kind;
use crate::proto::{
    self, EntryKind, ReviewPopulation, StoredChange, StoredEntitlement, StoredEntry, StoredReview,
    StoredReviewItem, StoredReviewItems,
};
use crate::review::Days;
use crate::review::assignment::{Assignment, Candidate};
use crate::review::campaign::CampaignKind;
use crate::review::finding::{Actor, Case, Detector, Finding};
use crate::review::sample::{self, Drawn, Sort, Stratum};

/// The longest scope: of accesses, findings are looked for in no more days.
const DAYS_MAX: i64 = 92;
const DAYS_OF_ROLES_MAX: i64 = 400;
/// More than that nobody reviews; and all of them are written at once.
const ITEMS_MAX: usize = 10_000;
/// How much of an entry items may take; it may have 65,535 bytes.
const CHUNK_BYTES: usize = 40_000;
/// How many campaigns may be open.
const OPEN_MAX: u32 = 200;
const DAY: Duration = Duration::from_hours(24);
/// How long an opening waits for a checkpoint of the newest entry: one is signed every second.
const SIGNED_WITHIN: Duration = Duration::from_secs(10);

/// What is wanted.
#[derive(Debug, Clone)]
pub struct ReviewWish {
    /// Of what.
    pub kind: CampaignKind,
    /// The first and the last day; where there are none, as the kind has it.
    pub days: Option<(Date, Date)>,
    /// Only of these; of all where there are none.
    pub departments: Vec<Name>,
    /// In how many days it is due; 0 is 14.
    pub due_in_days: u32,
    /// 50 to 99; 0 is 95.
    pub confidence_percent: u32,
    /// 1 to 50; 0 is 5.
    pub rate_percent: u32,
}

const CALL: &str = "OpenReview";

impl Gate {
    /// Opens a campaign.
    ///
    /// # Errors
    /// When nobody who reviews everything asks, a field can't be taken, entries of its days were disposed of, it would have more than
    /// 10,000 items, or the log can't be written.
    pub async fn open_review(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        wish: ReviewWish,
    ) -> Result<ReviewSeen, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let need = (CALL, Need::Lead);
        let (by, _) = self
            .review_caller(&rules, peer, credentials, need, now)
            .await?;
        let wanted = match read(&rules, wish, now) {
            Ok(wanted) => wanted,
            Err(violations) => {
                return Err(self
                    .refuse_administrator(peer, &by, CALL, violations, now)
                    .await);
            }
        };
        let entry = |gate: &Self| gate.administrators_entry(EntryKind::Review, peer, &by, now);
        let person = by.admitted.person.id.to_string();
        match self.open_as(&rules, wanted, (person, ""), entry).await {
            Ok(id) => self.review_seen(self.kept_review(id).await?, now).await,
            Err(error) => {
                let about = (CALL, LogIndex(0), &[][..]);
                Err(self.refuse_step(peer, &by, about, error, now).await)
            }
        }
    }

    /// Opens a campaign by the pack's schedule.
    pub(super) async fn open_scheduled(
        self: &Arc<Self>,
        rules: &RuleSet,
        schedule: &ReviewSchedule,
        days: (Date, Date),
    ) -> Result<LogIndex, GateError> {
        let now = self.now();
        let departments = schedule.departments.iter();
        let departments: Result<Vec<Name>, _> = departments.map(|name| Name::parse(name)).collect();
        let wanted = Wanted {
            kind: if schedule.roles {
                CampaignKind::Entitlement
            } else {
                CampaignKind::Access
            },
            days,
            departments: departments
                .map_err(|_| GateError::Internal("a department of the pack"))?,
            due_in_days: schedule.due_in_days,
            confidence_percent: schedule.confidence_percent,
            rate_percent: schedule.rate_percent,
        };
        let begin = |_: &Self| {
            let mut entry = own_entry(EntryKind::Review, now);
            entry::detail(&mut entry, "schedule", &*schedule.id);
            entry.policy_revision = rules.revision.to_vec();
            entry
        };
        self.open_as(rules, wanted, (String::new(), &schedule.id), begin)
            .await
    }

    async fn open_as(
        self: &Arc<Self>,
        rules: &RuleSet,
        wanted: Wanted,
        (by, schedule): (String, &str),
        entry: impl Fn(&Self) -> StoredEntry,
    ) -> Result<LogIndex, GateError> {
        let now = self.now();
        let signed = self.signed_checkpoint().await?;
        let scope = Scope {
            days: wanted.days,
            departments: wanted.departments.clone(),
            log_size: signed.checkpoint.size,
            utc_offset: rules.utc_offset,
            // Of roles the last use is told as far as the log goes back.
            whole: wanted.kind == CampaignKind::Access,
        };
        let seen = self.read_scope(scope.clone()).await?;
        let root = signed.checkpoint.root;
        let (populations, mut items) = match wanted.kind {
            CampaignKind::Access => {
                let needed = sample::needed(wanted.confidence_percent, wanted.rate_percent);
                let cases = self.cases_in(&scope, &seen).await?;
                of_accesses(&seen, cases, &root, needed)
            }
            CampaignKind::Entitlement => (Vec::new(), self.of_roles(&scope, &seen, now).await?),
        };
        if items.len() > ITEMS_MAX {
            return Err(GateError::TooLarge(format!(
                "it would have {} items, and {ITEMS_MAX} is the most: take fewer days or departments",
                items.len()
            )));
        }
        let candidates = self.candidates(rules, now);
        assign(&mut items, &candidates);
        let review = StoredReview {
            kind: wanted.kind.number(),
            schedule: schedule.to_owned(),
            from_day: wanted.days.0.to_string(),
            until_day: wanted.days.1.to_string(),
            departments: wanted.departments.iter().map(ToString::to_string).collect(),
            log_size: signed.checkpoint.size,
            root: root.to_vec(),
            opened_us: now.micros(),
            due_us: now.plus(DAY.saturating_mul(wanted.due_in_days)).micros(),
            confidence_percent: wanted.confidence_percent,
            rate_percent: wanted.rate_percent,
            by,
            items: u32::try_from(items.len()).unwrap_or(u32::MAX),
            decisions: seen.decisions,
            populations,
            utc_offset_seconds: rules.utc_offset.whole_seconds(),
            checkpoint: signed.note.to_string(),
        };
        let entries = entries(review, items, || entry(self));
        let receipts = self.change_all(entries, RoomForOne, |_, _| ()).await?;
        Ok(receipts.first().index())
    }

    /// The newest checkpoint, once it commits to every entry there is now.
    async fn signed_checkpoint(&self) -> Result<Arc<Signed>, GateError> {
        let length = self.log.len();
        let mut checkpoints = self.log.checkpoints();
        let signed = checkpoints.wait_for(|signed| signed.checkpoint.size >= length);
        match tokio::time::timeout(SIGNED_WITHIN, signed).await {
            Ok(Ok(signed)) => Ok(Arc::clone(&signed)),
            Ok(Err(_)) | Err(_) => Err(GateError::Unready(
                "no checkpoint of the newest entries is signed yet",
            )),
        }
    }

    /// Every case of the scope, and all break glass whatever the detectors make of it.
    async fn cases_in(&self, scope: &Scope, seen: &Seen) -> Result<Vec<Case>, GateError> {
        let days = Days::new(scope.days.0, scope.days.1)
            .map_err(|_| GateError::Internal("days that were looked at"))?;
        let found = self.findings_of(days, scope.log_size).await?;
        let mut cases: Vec<Case> = found
            .iter()
            .filter(|case| scope.has_case(case) || seen.has_day(case))
            .cloned()
            .collect();
        for broken in &seen.break_glass {
            let same = |case: &&mut Case| case.actor == broken.actor && case.day == broken.day;
            match cases.iter_mut().find(same) {
                Some(case) => {
                    let told = |finding: &Finding| finding.detector == Detector::BreakGlass;
                    if !case.findings.iter().any(told) {
                        case.findings.splice(0..0, broken.findings.iter().cloned());
                    }
                }
                None => cases.push(broken.clone()),
            }
        }
        Ok(cases)
    }

    /// A line for each role that somebody has.
    async fn of_roles(
        &self,
        scope: &Scope,
        seen: &Seen,
        now: Timestamp,
    ) -> Result<Vec<StoredReviewItem>, GateError> {
        let mut people: Vec<_> = self.people.load().values().cloned().collect();
        people.sort_by(|one, other| one.id.cmp(&other.id));
        let mut items = Vec::new();
        for person in people {
            if !scope.has_department(person.departments.iter().map(|name| &**name)) {
                continue;
            }
            let disabled_us = match person.disabled && person.revision.0 > 0 {
                true => self.step_of(person.revision).await.ok().map(|step| step.at),
                false => None,
            };
            for role in &person.roles {
                if role.valid_until.is_some_and(|until| until < now) {
                    // It is over by itself.
                    continue;
                }
                let key = (person.id.to_string(), role.role.to_string());
                let last_use = seen.last_uses.get(&key);
                items.push(StoredReviewItem {
                    case: Some(proto::Case {
                        person: person.id.to_string(),
                        department: person.department().to_owned(),
                        ..proto::Case::default()
                    }),
                    entitlement: Some(StoredEntitlement {
                        role: role.role.to_string(),
                        approved_by: role.approved_by.as_deref().unwrap_or("").to_owned(),
                        request: role.request.as_deref().unwrap_or("").to_owned(),
                        last_use_us: last_use.map(|(at, _)| at.micros()),
                        last_use_index: last_use.map_or(0, |(_, index)| index.0),
                        valid_until_us: role.valid_until.map(Timestamp::micros),
                        employment_end_us: person.employment_end.map(Timestamp::micros),
                        disabled: person.disabled,
                        disabled_us: disabled_us.map(Timestamp::micros),
                    }),
                    ..StoredReviewItem::default()
                });
            }
        }
        Ok(items)
    }
}

/// What was read of a wish.
struct Wanted {
    kind: CampaignKind,
    days: (Date, Date),
    departments: Vec<Name>,
    due_in_days: u32,
    confidence_percent: u32,
    rate_percent: u32,
}

fn read(rules: &RuleSet, wish: ReviewWish, now: Timestamp) -> Result<Wanted, Vec<Violation>> {
    let mut violations = Vec::new();
    let mut wrong = |field: &str, what: String| violations.push(Violation::new(field, what));
    let today = day_of(now, rules.utc_offset).unwrap_or(Date::MIN);
    let days_max = match wish.kind {
        CampaignKind::Access => DAYS_MAX,
        CampaignKind::Entitlement => DAYS_OF_ROLES_MAX,
    };
    let days = match (wish.days, wish.kind) {
        (Some(days), _) => days,
        (None, CampaignKind::Entitlement) => {
            let before = today.saturating_sub(time::Duration::days(days_max - 1));
            (before, today)
        }
        (None, CampaignKind::Access) => {
            wrong("from_day", "is missing".to_owned());
            (today, today)
        }
    };
    if days.0 > days.1 {
        wrong("until_day", "is before from_day".to_owned());
    } else if (days.1 - days.0).whole_days() >= days_max {
        wrong("until_day", format!("makes more than {days_max} days"));
    }
    if days.1 > today {
        wrong("until_day", "is to come".to_owned());
    }
    let mut number = |field: &str, given: u32, usual: u32, range: std::ops::RangeInclusive<u32>| {
        if given == 0 {
            return usual;
        }
        if !range.contains(&given) {
            wrong(
                field,
                format!("is not from {} to {}", range.start(), range.end()),
            );
        }
        given
    };
    let due_in_days = number(
        "due_in_days",
        wish.due_in_days,
        ReviewSchedule::USUAL_DUE_DAYS,
        ReviewSchedule::DUE_DAYS,
    );
    let confidence_percent = number(
        "confidence_percent",
        wish.confidence_percent,
        ReviewSchedule::USUAL_CONFIDENCE,
        ReviewSchedule::CONFIDENCE,
    );
    let rate_percent = number(
        "rate_percent",
        wish.rate_percent,
        ReviewSchedule::USUAL_RATE,
        ReviewSchedule::RATE,
    );
    if !violations.is_empty() {
        return Err(violations);
    }
    let mut departments = wish.departments;
    departments.sort_unstable();
    departments.dedup();
    Ok(Wanted {
        kind: wish.kind,
        days,
        departments,
        due_in_days,
        confidence_percent,
        rate_percent,
    })
}

/// Both populations with what was drawn from them.
pub(super) fn drawn(
    seen: &Seen,
    root: &[u8; 32],
    needed: u32,
) -> (Vec<ReviewPopulation>, Vec<(Sort, Drawn)>) {
    let mut populations = Vec::new();
    let mut sample = Vec::new();
    for (sort, population) in [
        (Sort::Person, &seen.people),
        (Sort::Workload, &seen.workloads),
    ] {
        let (strata, days) = population.draw(root, sort, needed);
        let told = |stratum: Stratum| ReviewPopulation {
            workloads: sort == Sort::Workload,
            stratum: stratum.name.into(),
            population: stratum.population,
            drawn: stratum.drawn,
        };
        populations.extend(strata.into_iter().map(told));
        sample.extend(days.into_iter().map(|day| (sort, day)));
    }
    (populations, sample)
}

fn of_accesses(
    seen: &Seen,
    cases: Vec<Case>,
    root: &[u8; 32],
    needed: u32,
) -> (Vec<ReviewPopulation>, Vec<StoredReviewItem>) {
    let (populations, sample) = drawn(seen, root, needed);
    let mut items: BTreeMap<(Date, Actor), StoredReviewItem> = BTreeMap::new();
    for case in cases {
        let key = (case.day, case.actor.clone());
        items.insert(
            key,
            StoredReviewItem {
                case: Some(stored_case(case)),
                ..StoredReviewItem::default()
            },
        );
    }
    for (sort, day) in sample {
        let Ok(id) = Name::parse(&day.actor) else {
            continue;
        };
        let (actor, department) = match sort {
            Sort::Person => (Actor::Person(id), String::from(day.stratum)),
            Sort::Workload => (Actor::Workload(id), String::new()),
        };
        let key = (day.day, actor.clone());
        let item = items.entry(key).or_insert_with(|| StoredReviewItem {
            case: Some(stored_case(Case {
                actor,
                department,
                day: day.day,
                findings: Vec::new(),
            })),
            ..StoredReviewItem::default()
        });
        item.sampled = true;
    }
    let mut items: Vec<StoredReviewItem> = items.into_values().collect();
    // What stands out comes first.
    items.sort_by_key(|item| !is_flagged(item));
    (populations, items)
}

/// Whether something stood out.
pub(super) fn is_flagged(item: &StoredReviewItem) -> bool {
    item.case
        .as_ref()
        .is_some_and(|case| !case.findings.is_empty())
}

fn stored_case(case: Case) -> proto::Case {
    let (person, workload) = match case.actor {
        Actor::Person(person) => (person.into(), String::new()),
        Actor::Workload(service) => (String::new(), service.into()),
    };
    proto::Case {
        person,
        workload,
        department: case.department,
        day: case.day.to_string(),
        findings: case.findings.into_iter().map(stored_finding).collect(),
        ..proto::Case::default()
    }
}

fn stored_finding(finding: Finding) -> proto::Finding {
    let fact = |(name, value): (&'static str, String)| proto::FindingFact {
        name: name.to_owned(),
        value,
    };
    proto::Finding {
        detector: finding.detector.word().to_owned(),
        facts: finding.facts.into_iter().map(fact).collect(),
        log_indexes: finding.entries.iter().map(|index| index.0).collect(),
        entries: finding.entries_in_all,
        ..proto::Finding::default()
    }
}

fn assign(items: &mut [StoredReviewItem], candidates: &[Candidate]) {
    let mut assignment = Assignment::among(candidates);
    for (number, item) in (1_u32..).zip(items) {
        item.item = number;
        let case = item.case.as_ref();
        let (person, department) = case.map_or(("", ""), |case| (&*case.person, &*case.department));
        let reviewer = assignment.next(person, department);
        item.reviewer = reviewer.map_or_else(String::new, ToString::to_string);
    }
}

/// The entry that opens it, and those with its items.
fn entries(
    review: StoredReview,
    items: Vec<StoredReviewItem>,
    begin: impl Fn() -> StoredEntry,
) -> Vec<StoredEntry> {
    let changing = |kind| Some(StoredChange { kind: Some(kind) });
    let mut opening = begin();
    entry::detail(&mut opening, "change", "open-review");
    entry::detail(
        &mut opening,
        "days",
        format!("{} – {}", review.from_day, review.until_day),
    );
    entry::detail(&mut opening, "departments", review.departments.join(", "));
    entry::detail(&mut opening, "log_size", review.log_size.to_string());
    let root = data_encoding::HEXLOWER.encode(&review.root);
    entry::detail(&mut opening, "root_hash", root);
    entry::detail(&mut opening, "items", review.items.to_string());
    entry::detail(
        &mut opening,
        "due",
        Timestamp::from_micros(review.due_us).to_string(),
    );
    opening.change = changing(Kind::OpenReview(review));
    let mut chunks: Vec<(usize, Vec<StoredReviewItem>)> = Vec::new();
    for item in items {
        let bytes = item.encoded_len();
        match chunks.last_mut() {
            Some((so_far, chunk)) if so_far.saturating_add(bytes) <= CHUNK_BYTES => {
                *so_far = so_far.saturating_add(bytes);
                chunk.push(item);
            }
            _ => chunks.push((bytes, vec![item])),
        }
    }
    let with_items = (1_u32..).zip(chunks).map(|(entries_before, (_, items))| {
        let mut entry = begin();
        entry::detail(&mut entry, "change", "review-items");
        entry::detail(&mut entry, "items", items.len().to_string());
        let items = StoredReviewItems {
            entries_before,
            items,
        };
        entry.change = changing(Kind::AddReviewItems(items));
        entry
    });
    std::iter::once(opening).chain(with_items).collect()
}

/// There is room for one campaign more.
struct RoomForOne;

impl StillWanted for RoomForOne {
    const BY_WHAT_OTHERS_CHANGE: bool = false;

    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        let open = gate.store.reviews(true, None, OPEN_MAX).await?;
        if u32::try_from(open.len()).unwrap_or(u32::MAX) < OPEN_MAX {
            return Ok(());
        }
        Err(GateError::TooLarge(format!(
            "{OPEN_MAX} campaigns are open: sign one first"
        )))
    }
}
