//! Campaigns that the pack schedules are opened. Of those that nobody looks at operators are reminded, and break glass that was not judged in time goes up to who
//! stands above the reviewer.

use std::collections::HashSet;
use std::sync::Arc;

use time::{Date, UtcOffset};

use super::admission::about;
use super::judging::{Fits, seen_of};
use super::scope::day_of;
use crate::decision::rules::{ReviewSchedule, RuleSet};
use crate::domain::ids::{LogIndex, Name};
use crate::domain::time::Timestamp;
use crate::gate::records::read_log::unreadable;
use crate::gate::running::start::own_entry;
use crate::gate::running::upkeep::Task;
use crate::gate::{Gate, GateError, entry};
use crate::log::ReadError;
use crate::proto::stored_change::Kind;
use crate::proto::{EntryKind, StoredChange, StoredReviewAssignment};
use crate::review::assignment::superior;
use crate::review::campaign::may_assign;
use crate::review::finding::Detector;
use crate::review::schedule::last_period;
use crate::store::{ItemQuery, KeptItem, KeptReview};

/// More campaigns than can be open.
const ALL: u32 = 1_000;

/// What can't be opened, and isn't tried again until the next start.
pub(in crate::gate) type Hopeless = HashSet<(Box<str>, Date)>;

impl Gate {
    /// Opens what the pack schedules and is due: the last period that is over, where the log goes back to it. Called every minute;
    /// does nothing while it is at it.
    pub(in crate::gate) async fn open_due_reviews(self: &Arc<Self>) {
        let Ok(mut hopeless) = self.opening_reviews.try_lock() else {
            return;
        };
        let rules = self.rules.load_full();
        let mut told = Vec::new();
        for schedule in &rules.review_schedules {
            match self.open_if_due(&rules, schedule, &mut hopeless).await {
                Ok(()) => {}
                Err(error) => told.push(format!("{}: {error}", schedule.id)),
            }
        }
        if !told.is_empty() {
            tracing::warn!(?told, "campaigns of review that are due can't be opened");
            let told = format!(
                "campaigns of review that are due can't be opened: {}",
                told.join("; ")
            );
            self.upkeep.tell(Task::Schedules, Some(told));
        } else if hopeless.is_empty() {
            self.upkeep.tell(Task::Schedules, None);
        }
    }

    async fn open_if_due(
        self: &Arc<Self>,
        rules: &RuleSet,
        schedule: &ReviewSchedule,
        hopeless: &mut Hopeless,
    ) -> Result<(), GateError> {
        let today = day_of(self.now(), rules.utc_offset);
        let Some(days) = today.and_then(|today| last_period(schedule.every, today)) else {
            return Ok(());
        };
        let key = (schedule.id.clone(), days.0);
        if hopeless.contains(&key) || !self.log_goes_back_to(days.1, rules.utc_offset).await? {
            return Ok(());
        }
        let first = days.0.to_string();
        let is_open = |kept: &KeptReview| {
            kept.opened.schedule == *schedule.id && kept.opened.from_day == first
        };
        if self
            .store
            .reviews(false, None, ALL)
            .await?
            .iter()
            .any(is_open)
        {
            return Ok(());
        }
        match self.open_scheduled(rules, schedule, days).await {
            Ok(id) => {
                tracing::info!(%id, schedule = %schedule.id, "a campaign of review is open");
                Ok(())
            }
            Err(error) => {
                let may_pass = matches!(
                    error,
                    GateError::Unready(_)
                        | GateError::Busy { .. }
                        | GateError::Log(_)
                        | GateError::Store(_)
                        | GateError::Stale
                );
                if !may_pass {
                    hopeless.insert(key);
                }
                Err(error)
            }
        }
    }

    /// Whether there are entries as old as a day.
    async fn log_goes_back_to(&self, day: Date, offset: UtcOffset) -> Result<bool, GateError> {
        let reader = self.log.reader();
        let first = tokio::task::spawn_blocking(move || {
            let first = reader.readable_segments().first().map(|span| span.first);
            let kept = first.map(|first| reader.get(LogIndex(first))).transpose()?;
            Ok::<_, ReadError>(kept.flatten().map(|kept| kept.time()))
        })
        .await
        .map_err(|_| GateError::Internal("reading ended early"))?
        .map_err(unreadable)?;
        Ok(first.is_some_and(|first| first <= Timestamp::end_of(day, offset)))
    }

    /// Looks at the campaigns that are open: called every minute.
    pub(in crate::gate) async fn look_after_reviews(self: &Arc<Self>) {
        if let Err(error) = self.try_look_after_reviews().await {
            tracing::warn!(%error, "the campaigns of review can't be looked after");
        }
    }

    async fn try_look_after_reviews(self: &Arc<Self>) -> Result<(), GateError> {
        let now = self.now();
        let mut overdue = Vec::new();
        for review in self.store.reviews(true, None, ALL).await? {
            if now <= Timestamp::from_micros(review.opened.due_us) {
                continue;
            }
            overdue.push(review.id.to_string());
            let open = ItemQuery {
                open_only: true,
                at_most: u32::MAX,
                ..ItemQuery::default()
            };
            for item in self.store.review_items(review.id, &open).await? {
                if is_break_glass(&item) && !item.escalated {
                    self.escalate(&item, now).await?;
                }
            }
        }
        let told = (!overdue.is_empty()).then(|| {
            format!(
                "campaigns of review are past their date and not signed: {}",
                overdue.join(", ")
            )
        });
        self.upkeep.tell(Task::Campaigns, told);
        Ok(())
    }

    /// Gives an item to who stands above its reviewer; where there is nobody, it stays.
    async fn escalate(self: &Arc<Self>, item: &KeptItem, now: Timestamp) -> Result<(), GateError> {
        let rules = self.rules.load_full();
        let candidates = self.candidates(&rules, now);
        let (person, department) = seen_of(item);
        let reviewer = item.reviewer.as_deref().unwrap_or("");
        let Some(to) = superior(&candidates, reviewer, person, department) else {
            return Ok(());
        };
        let number = item.item.item;
        let mut entry = own_entry(EntryKind::Review, now);
        entry::detail(&mut entry, "change", "escalate-item");
        about(&mut entry, item.review, &[number]);
        entry::detail(&mut entry, "from", reviewer);
        entry::detail(&mut entry, "reviewer", &**to);
        entry.change = Some(StoredChange {
            kind: Some(Kind::AssignItem(StoredReviewAssignment {
                review: item.review.0,
                items: vec![number],
                reviewer: to.to_string(),
                escalated: true,
            })),
        });
        let was: Option<Name> = item.reviewer.clone();
        let fits = Fits::of(item.review, vec![number], move |_, kept, seen| {
            // Somebody else was given it meanwhile: it is theirs.
            if kept.reviewer != was || kept.escalated {
                return Err(crate::review::campaign::Unfit::Anothers);
            }
            may_assign(None, seen)
        });
        match self.change(entry, fits, |_| ()).await {
            // It was judged or given to somebody meanwhile.
            Err(GateError::NotAuthorised(_) | GateError::NotNow(_)) => Ok(()),
            done => done.map(drop),
        }
    }
}

fn is_break_glass(item: &KeptItem) -> bool {
    let findings = item.item.case.iter().flat_map(|case| &case.findings);
    let mut words = findings.map(|finding| &*finding.detector);
    words.any(|word| word == Detector::BreakGlass.word())
}
