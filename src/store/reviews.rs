//! Campaigns of review and their items. Each log has its own. They are changed by `apply` only; what people wrote is in the entries
//! that are named here.

use prost::Message as _;

use super::changes::Following;
use super::engine::{Row, query};
use super::error::StoreError;
use super::{Store, from_stored, to_stored};
use crate::domain::ids::{LogIndex, Name};
use crate::proto::{
    StoredReview, StoredReviewAssignment, StoredReviewItem, StoredReviewItems,
    StoredReviewJudgement, StoredReviewSignature, StoredReviewStep,
};
use crate::review::campaign::ItemState;

/// A campaign as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptReview {
    /// The entry that opened it.
    pub id: LogIndex,
    /// As that entry has it.
    pub opened: StoredReview,
    /// How many items are not judged.
    pub open_items: u32,
    /// The entry that signed it, and the digest of its report.
    pub signed: Option<(LogIndex, [u8; 32])>,
}

/// An item as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptItem {
    /// Its campaign.
    pub review: LogIndex,
    /// As its entry has it.
    pub item: StoredReviewItem,
    /// Where it stands.
    pub state: ItemState,
    /// Who looks at it now; `None` for nobody.
    pub reviewer: Option<Name>,
    /// It went up to them.
    pub escalated: bool,
    /// The entries of the present question, of its answer, and of the judgement.
    pub question: Option<LogIndex>,
    /// See `question`.
    pub answer: Option<LogIndex>,
    /// See `question`.
    pub judgement: Option<LogIndex>,
}

/// Which items are wanted.
#[derive(Debug, Clone, Default)]
pub struct ItemQuery {
    /// Only in this state.
    pub state: Option<ItemState>,
    /// Only those not judged.
    pub open_only: bool,
    /// Only those assigned to this one.
    pub reviewer: Option<Name>,
    /// Only those whose number is above.
    pub after: u32,
    /// At most so many.
    pub at_most: u32,
}

macro_rules! reviews {
    ($rest:literal) => {
        concat!(
            "SELECT r.log_index, r.opened, r.signed_index, r.digest,
                 (SELECT count(*) FROM review_items i
                  WHERE i.log = r.log AND i.review = r.log_index AND i.state <= 3) AS open_items
             FROM reviews r WHERE r.log = $1 AND ",
            $rest
        )
    };
}

macro_rules! items {
    ($rest:literal) => {
        concat!(
            "SELECT review, content, state, reviewer, escalated, question, answer, judgement
             FROM review_items WHERE log = $1 AND ",
            $rest
        )
    };
}

fn index(number: Option<i64>) -> Result<Option<LogIndex>, StoreError> {
    Ok(number.map(from_stored).transpose()?.map(LogIndex))
}

fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(what.to_owned())
}

fn read_review(row: &Row) -> Result<KeptReview, StoreError> {
    let opened = StoredReview::decode(row.try_get::<&[u8]>("opened")?)
        .map_err(|_| damaged("a campaign of review"))?;
    let digest = row.try_get::<Option<&[u8]>>("digest")?;
    let digest = digest
        .map(<[u8; 32]>::try_from)
        .transpose()
        .map_err(|_| damaged("a digest"))?;
    let open: i64 = row.try_get("open_items")?;
    Ok(KeptReview {
        id: LogIndex(from_stored(row.try_get("log_index")?)?),
        opened,
        open_items: u32::try_from(open).map_err(|_| damaged("a count of items"))?,
        signed: index(row.try_get("signed_index")?)?.zip(digest),
    })
}

fn read_item(row: &Row) -> Result<KeptItem, StoreError> {
    let item = StoredReviewItem::decode(row.try_get::<&[u8]>("content")?)
        .map_err(|_| damaged("an item of a review"))?;
    let state: i64 = row.try_get("state")?;
    let state = i32::try_from(state).ok().and_then(ItemState::from_number);
    let reviewer: &str = row.try_get("reviewer")?;
    Ok(KeptItem {
        review: LogIndex(from_stored(row.try_get("review")?)?),
        item,
        state: state.ok_or_else(|| damaged("a state of an item"))?,
        reviewer: Name::parse(reviewer).ok(),
        escalated: row.try_get("escalated")?,
        question: index(row.try_get("question")?)?,
        answer: index(row.try_get("answer")?)?,
        judgement: index(row.try_get("judgement")?)?,
    })
}

impl Store {
    /// Campaigns, the newest first, below `before` where it is given.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn reviews(
        &self,
        open_only: bool,
        before: Option<LogIndex>,
        at_most: u32,
    ) -> Result<Vec<KeptReview>, StoreError> {
        let before = before.map_or(Ok(i64::MAX), |before| to_stored(before.0))?;
        let rows = query(reviews!(
            "r.log_index < $2 AND (r.signed_index IS NULL OR NOT $3)
             ORDER BY r.log_index DESC LIMIT $4"
        ))
        .bind(self.log()?)
        .bind(before)
        .bind(open_only)
        .bind(i64::from(at_most))
        .fetch_all(&self.engine)
        .await?;
        rows.iter().map(read_review).collect()
    }

    /// One campaign.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn review(&self, id: LogIndex) -> Result<Option<KeptReview>, StoreError> {
        let Ok(id) = to_stored(id.0) else {
            return Ok(None);
        };
        let row = query(reviews!("r.log_index = $2"))
            .bind(self.log()?)
            .bind(id)
            .fetch_optional(&self.engine)
            .await?;
        row.as_ref().map(read_review).transpose()
    }

    /// Items of a campaign that are wanted, by number.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn review_items(
        &self,
        review: LogIndex,
        wanted: &ItemQuery,
    ) -> Result<Vec<KeptItem>, StoreError> {
        let reviewer = wanted.reviewer.as_ref();
        let rows = query(items!(
            "review = $2 AND item > $3 AND ($5 = 0 OR state = $5) AND (state <= 3 OR NOT $6)
             AND ($7 = '' OR reviewer = $7) ORDER BY item LIMIT $4"
        ))
        .bind(self.log()?)
        .bind(to_stored(review.0)?)
        .bind(i64::from(wanted.after))
        .bind(i64::from(wanted.at_most))
        .bind(wanted.state.map_or(0, |state| i64::from(state.number())))
        .bind(wanted.open_only)
        .bind(reviewer.map_or_else(String::new, ToString::to_string))
        .fetch_all(&self.engine)
        .await?;
        rows.iter().map(read_item).collect()
    }

    /// One item.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn review_item(
        &self,
        review: LogIndex,
        item: u32,
    ) -> Result<Option<KeptItem>, StoreError> {
        let Ok(review) = to_stored(review.0) else {
            return Ok(None);
        };
        let row = query(items!("review = $2 AND item = $3"))
            .bind(self.log()?)
            .bind(review)
            .bind(i64::from(item))
            .fetch_optional(&self.engine)
            .await?;
        row.as_ref().map(read_item).transpose()
    }

    /// Items about a person that they were asked of and have not answered, the newest campaigns first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn questions_to(
        &self,
        person: &str,
        at_most: u32,
    ) -> Result<Vec<KeptItem>, StoreError> {
        let rows = query(items!(
            "person = $2 AND state = 2 AND NOT EXISTS (
                 SELECT 1 FROM reviews r WHERE r.log = review_items.log
                 AND r.log_index = review_items.review AND r.signed_index IS NOT NULL)
             ORDER BY review DESC, item LIMIT $3"
        ))
        .bind(self.log()?)
        .bind(person.to_owned())
        .bind(i64::from(at_most))
        .fetch_all(&self.engine)
        .await?;
        rows.iter().map(read_item).collect()
    }
}

impl Following<'_> {
    pub(super) async fn open_review(
        &mut self,
        index: LogIndex,
        review: &StoredReview,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO reviews (log, log_index, opened) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
        )
        .bind(self.log)
        .bind(to_stored(index.0)?)
        .bind(review.encode_to_vec())
        .execute(&mut self.change)
        .await?;
        Ok(())
    }

    pub(super) async fn add_review_items(
        &mut self,
        index: LogIndex,
        items: &StoredReviewItems,
    ) -> Result<(), StoreError> {
        let review = index
            .0
            .checked_sub(items.entries_before.into())
            .ok_or(StoreError::Change(index))?;
        for item in &items.items {
            let person = item.case.as_ref().map_or("", |case| &*case.person);
            query(
                "INSERT INTO review_items
                     (log, review, item, person, reviewer, state, escalated, content)
                 VALUES ($1, $2, $3, $4, $5, 1, $6, $7)
                 ON CONFLICT DO NOTHING",
            )
            .bind(self.log)
            .bind(to_stored(review)?)
            .bind(i64::from(item.item))
            .bind(person.to_owned())
            .bind(item.reviewer.clone())
            .bind(false)
            .bind(item.encode_to_vec())
            .execute(&mut self.change)
            .await?;
        }
        Ok(())
    }

    pub(super) async fn ask_person(
        &mut self,
        index: LogIndex,
        step: &StoredReviewStep,
    ) -> Result<(), StoreError> {
        query(
            "UPDATE review_items SET state = 2, question = $4, answer = NULL
             WHERE log = $1 AND review = $2 AND item = $3",
        )
        .bind(self.log)
        .bind(to_stored(step.review)?)
        .bind(i64::from(step.item))
        .bind(to_stored(index.0)?)
        .execute(&mut self.change)
        .await?;
        Ok(())
    }

    pub(super) async fn answer_question(
        &mut self,
        index: LogIndex,
        step: &StoredReviewStep,
    ) -> Result<(), StoreError> {
        query(
            "UPDATE review_items SET state = 3, answer = $4
             WHERE log = $1 AND review = $2 AND item = $3",
        )
        .bind(self.log)
        .bind(to_stored(step.review)?)
        .bind(i64::from(step.item))
        .bind(to_stored(index.0)?)
        .execute(&mut self.change)
        .await?;
        Ok(())
    }

    pub(super) async fn judge_items(
        &mut self,
        index: LogIndex,
        judgement: &StoredReviewJudgement,
    ) -> Result<(), StoreError> {
        let state = ItemState::from_number(judgement.state)
            .filter(|state| state.is_judged())
            .ok_or(StoreError::Change(index))?;
        for item in &judgement.items {
            query(
                "UPDATE review_items SET state = $4, judgement = $5
                 WHERE log = $1 AND review = $2 AND item = $3",
            )
            .bind(self.log)
            .bind(to_stored(judgement.review)?)
            .bind(i64::from(*item))
            .bind(i64::from(state.number()))
            .bind(to_stored(index.0)?)
            .execute(&mut self.change)
            .await?;
        }
        Ok(())
    }

    pub(super) async fn assign_items(
        &mut self,
        assignment: &StoredReviewAssignment,
    ) -> Result<(), StoreError> {
        for item in &assignment.items {
            query(
                "UPDATE review_items SET reviewer = $4, escalated = $5
                 WHERE log = $1 AND review = $2 AND item = $3",
            )
            .bind(self.log)
            .bind(to_stored(assignment.review)?)
            .bind(i64::from(*item))
            .bind(assignment.reviewer.clone())
            .bind(assignment.escalated)
            .execute(&mut self.change)
            .await?;
        }
        Ok(())
    }

    pub(super) async fn sign_review(
        &mut self,
        index: LogIndex,
        signature: &StoredReviewSignature,
    ) -> Result<(), StoreError> {
        if signature.digest.len() != 32 {
            return Err(StoreError::Change(index));
        }
        query(
            "UPDATE reviews SET signed_index = $3, digest = $4
             WHERE log = $1 AND log_index = $2 AND signed_index IS NULL",
        )
        .bind(self.log)
        .bind(to_stored(signature.review)?)
        .bind(to_stored(index.0)?)
        .bind(signature.digest.clone())
        .execute(&mut self.change)
        .await?;
        Ok(())
    }
}
