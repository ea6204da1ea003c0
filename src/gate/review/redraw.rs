//! The sample, drawn anew from nothing but the log: for an auditor, and for whoever signs.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::admission::Need;
use super::open::drawn;
use super::scope::Scope;
use crate::domain::calendar::parse_date;
use crate::domain::ids::{LogIndex, Name};
use crate::gate::peer::Peer;
use crate::gate::{Credentials, Gate, GateError};
use crate::proto::{ReviewPopulation, StoredReview};
use crate::review::campaign::CampaignKind;
use crate::review::sample::{Drawn, Sort, needed};
use crate::store::ItemQuery;

/// What was drawn.
#[derive(Debug, Clone)]
pub struct Redrawn {
    /// As the campaign has it.
    pub opened: StoredReview,
    /// The populations as they are counted now.
    pub populations: Vec<ReviewPopulation>,
    /// The days.
    pub drawn: Vec<(Sort, Drawn)>,
    /// Why they are not those of the campaign; `None` where they are.
    pub difference: Option<String>,
}

const CALL: &str = "RedrawSample";

impl Gate {
    /// Draws the sample of a campaign anew.
    ///
    /// # Errors
    /// When nobody who reviews everything or audits asks, there is no such campaign of accesses, entries of its days were disposed
    /// of, or the log is not the one that its root is of.
    pub async fn redraw_sample(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        id: LogIndex,
    ) -> Result<Redrawn, GateError> {
        let rules = self.rules.load_full();
        let now = self.now();
        let need = (CALL, Need::LookAtAll);
        let (by, _) = self
            .review_caller(&rules, peer, credentials, need, now)
            .await?;
        let what = [("review", id.to_string())];
        self.review_read(peer, &by, CALL, &what, now).await?;
        let opened = self.kept_review(id).await?.opened;
        if opened.kind != CampaignKind::Access.number() {
            let error = GateError::NotNow("a campaign of roles has every role, and no sample");
            return Err(self
                .refuse_step(peer, &by, (CALL, id, &[]), error, now)
                .await);
        }
        let scope = scope_of(&opened)?;
        let log = self.log.clone();
        let size = opened.log_size;
        let root = tokio::task::spawn_blocking(move || log.root_at(size))
            .await
            .map_err(|_| GateError::Internal("reading ended early"))?
            .map_err(crate::gate::records::read_log::unreadable)?;
        let seen = self.read_scope(scope).await?;
        let seed = root.unwrap_or_default();
        let needed = needed(opened.confidence_percent, opened.rate_percent);
        let (populations, drawn) = drawn(&seen, &seed, needed);
        let difference = if root.is_none_or(|root| root[..] != opened.root[..]) {
            Some("the tree of the log has another root at that size".to_owned())
        } else if populations != opened.populations {
            Some(
                "the days that can be drawn from are not those that the campaign counted"
                    .to_owned(),
            )
        } else {
            self.not_as_drawn(id, &drawn).await?
        };
        Ok(Redrawn {
            opened,
            populations,
            drawn,
            difference,
        })
    }

    async fn not_as_drawn(
        &self,
        id: LogIndex,
        drawn: &[(Sort, Drawn)],
    ) -> Result<Option<String>, GateError> {
        let mut had = BTreeSet::new();
        for kept in self.all_items(id).await? {
            if let Some(case) = kept.item.case.filter(|_| kept.item.sampled) {
                had.insert((case.person, case.workload, case.day));
            }
        }
        let now: BTreeSet<_> = drawn
            .iter()
            .map(|(sort, one)| {
                let (person, workload) = match sort {
                    Sort::Person => (one.actor.to_string(), String::new()),
                    Sort::Workload => (String::new(), one.actor.to_string()),
                };
                (person, workload, one.day.to_string())
            })
            .collect();
        Ok((had != now).then(|| {
            format!(
                "{} of the days drawn now are no items that the campaign drew, and {} the other way",
                now.difference(&had).count(),
                had.difference(&now).count()
            )
        }))
    }

    /// Every item of a campaign: 10,000 at most.
    pub(super) async fn all_items(
        &self,
        id: LogIndex,
    ) -> Result<Vec<crate::store::KeptItem>, GateError> {
        let all = ItemQuery {
            at_most: u32::MAX,
            ..ItemQuery::default()
        };
        Ok(self.store.review_items(id, &all).await?)
    }
}

fn scope_of(opened: &StoredReview) -> Result<Scope, GateError> {
    let odd = GateError::Internal("a campaign's scope");
    let days = parse_date(&opened.from_day).zip(parse_date(&opened.until_day));
    let departments = opened.departments.iter().map(|name| Name::parse(name).ok());
    let offset = time::UtcOffset::from_whole_seconds(opened.utc_offset_seconds).ok();
    match (days, departments.collect(), offset) {
        (Some(days), Some(departments), Some(utc_offset)) => Ok(Scope {
            days,
            departments,
            log_size: opened.log_size,
            utc_offset,
            whole: true,
        }),
        _ => Err(odd),
    }
}
