//! Judgements and substitutes. What is so is looked at with nobody else changing anything, right before the entry is written.

use std::sync::Arc;

use super::admission::{Need, about};
use super::items::{no_item, written};
use super::open::is_flagged;
use crate::domain::ids::{LogIndex, Name};
use crate::gate::changes::StillWanted;
use crate::gate::peer::Peer;
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::proto::stored_change::Kind;
use crate::proto::{EntryKind, StoredChange, StoredReviewAssignment, StoredReviewJudgement};
use crate::review::assignment::{Candidate, may_look};
use crate::review::campaign::{CampaignKind, ItemState, Seen, Unfit, may_assign, may_judge};
use crate::store::KeptItem;

/// How somebody judges.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// Of which campaign.
    pub review: LogIndex,
    /// Which items, rising, each once; at least one.
    pub items: Vec<u32>,
    /// How.
    pub state: ItemState,
    /// Why.
    pub why: String,
}

type Looks =
    Box<dyn Fn(&[Candidate], &KeptItem, &Seen<'_>) -> Result<(), Unfit> + Send + Sync + 'static>;

/// That what is wanted of some items can be done: looked at last.
pub(super) struct Fits {
    review: LogIndex,
    items: Vec<u32>,
    looks: Looks,
}

impl Fits {
    /// `looks` is told who may review now, the item, and what is known of it.
    pub(super) fn of(
        review: LogIndex,
        items: Vec<u32>,
        looks: impl Fn(&[Candidate], &KeptItem, &Seen<'_>) -> Result<(), Unfit> + Send + Sync + 'static,
    ) -> Self {
        Self {
            review,
            items,
            looks: Box::new(looks),
        }
    }
}

impl StillWanted for Fits {
    // A campaign is of one log, which this daemon alone writes.
    const BY_WHAT_OTHERS_CHANGE: bool = false;

    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        let review = gate.kept_review(self.review).await?;
        let kind = CampaignKind::from_number(review.opened.kind).unwrap_or(CampaignKind::Access);
        let candidates = gate.candidates(&gate.rules.load(), gate.now());
        for number in self.items {
            let item = gate.store.review_item(self.review, number).await?;
            let item = item.ok_or_else(no_item)?;
            let seen = Seen {
                kind,
                signed: review.signed.is_some(),
                person: seen_of(&item).0,
                reviewer: item.reviewer.as_ref(),
                state: item.state,
                plain: item.item.sampled && !is_flagged(&item.item) && kind == CampaignKind::Access,
                question: item.question.map(|index| index.0),
            };
            (self.looks)(&candidates, &item, &seen).map_err(refusal)?;
        }
        Ok(())
    }
}

/// Whose, and of which department.
pub(super) fn seen_of(item: &KeptItem) -> (&str, &str) {
    let case = item.item.case.as_ref();
    case.map_or(("", ""), |case| (&*case.person, &*case.department))
}

fn refusal(unfit: Unfit) -> GateError {
    let words = unfit.words();
    match unfit {
        Unfit::Own | Unfit::Anothers | Unfit::NotAsked => GateError::NotAuthorised(words),
        Unfit::Stale => GateError::Conflict(words),
        Unfit::OtherJudgement => GateError::Malformed(vec![Violation::new("judgement", words)]),
        Unfit::OneByOne => GateError::Malformed(vec![Violation::new("items", words)]),
        Unfit::Signed | Unfit::Judged | Unfit::NotAlone | Unfit::NoPerson | Unfit::OpenItems => {
            GateError::NotNow(words)
        }
    }
}

impl Gate {
    /// Judges one item; or several that were drawn and in which nothing stood out.
    ///
    /// # Errors
    /// When they are not for who judges, are judged, or can't be judged so; or the entry can't be written.
    pub async fn judge_items(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        judgement: Judgement,
    ) -> Result<LogIndex, GateError> {
        const CALL: &str = "JudgeItem";
        let rules = self.rules.load_full();
        let now = self.now();
        let need = (CALL, Need::Judge);
        let (by, _) = self
            .review_caller(&rules, peer, credentials, need, now)
            .await?;
        let Judgement {
            review,
            items,
            state,
            why,
        } = judgement;
        let told = items.clone();
        let step = (CALL, review, &told[..]);
        if let Err(error) = written("why", &why) {
            return Err(self.refuse_step(peer, &by, step, error, now).await);
        }
        let mut entry = self.administrators_entry(EntryKind::Review, peer, &by, now);
        entry::detail(&mut entry, "change", "judge-items");
        about(&mut entry, review, &items);
        entry::detail(&mut entry, "judgement", state.word());
        entry.free_text = why;
        entry.change = Some(StoredChange {
            kind: Some(Kind::JudgeItems(StoredReviewJudgement {
                review: review.0,
                items: items.clone(),
                state: state.number(),
            })),
        });
        let judge = by.admitted.person.id.clone();
        let several = items.len() > 1;
        let fits = Fits::of(review, items, move |candidates, item, seen| {
            let (person, department) = seen_of(item);
            let could = candidates
                .iter()
                .any(|candidate| may_look(candidate, person, department));
            may_judge(seen, &judge, state, several, !could)
        });
        self.take_step(peer, &by, step, (entry, fits), now).await
    }

    /// Gives an item to somebody else.
    ///
    /// # Errors
    /// When nobody who reviews everything asks, the other may not look at it, it is judged, or the entry can't be written.
    pub async fn assign_item(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        (review, item): (LogIndex, u32),
        reviewer: Name,
    ) -> Result<LogIndex, GateError> {
        const CALL: &str = "AssignItem";
        let rules = self.rules.load_full();
        let now = self.now();
        let need = (CALL, Need::Lead);
        let (by, _) = self
            .review_caller(&rules, peer, credentials, need, now)
            .await?;
        let step = (CALL, review, &[item][..]);
        let mut entry = self.administrators_entry(EntryKind::Review, peer, &by, now);
        entry::detail(&mut entry, "change", "assign-item");
        about(&mut entry, review, &[item]);
        entry::detail(&mut entry, "reviewer", &*reviewer);
        entry.change = Some(StoredChange {
            kind: Some(Kind::AssignItem(StoredReviewAssignment {
                review: review.0,
                items: vec![item],
                reviewer: reviewer.to_string(),
                escalated: false,
            })),
        });
        let lead = by.admitted.person.id.clone();
        let fits = (
            MayLook(review, item, reviewer),
            Fits::of(review, vec![item], move |_, _, seen| {
                may_assign(Some(&lead), seen)
            }),
        );
        self.take_step(peer, &by, step, (entry, fits), now).await
    }
}

/// That somebody may look at an item.
struct MayLook(LogIndex, u32, Name);

impl StillWanted for MayLook {
    const BY_WHAT_OTHERS_CHANGE: bool = false;

    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        let Self(review, item, reviewer) = self;
        let item = gate.store.review_item(review, item).await?;
        let item = item.ok_or_else(no_item)?;
        let (person, department) = seen_of(&item);
        let candidates = gate.candidates(&gate.rules.load(), gate.now());
        let found = candidates.iter().find(|candidate| candidate.id == reviewer);
        let what = match found {
            Some(candidate) if may_look(candidate, person, department) => return Ok(()),
            _ if *reviewer == *person => "is whose accesses they are",
            Some(_) => "doesn't review what is done in that department",
            None => "is nobody who reviews and may work now",
        };
        Err(GateError::Malformed(vec![Violation::new("reviewer", what)]))
    }
}
