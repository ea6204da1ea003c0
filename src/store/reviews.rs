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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::stored_change::Kind;
    use crate::proto::{Case, StoredChange};
    use crate::store::tests::{both, change};

    fn item(number: u32, person: &str, reviewer: &str) -> StoredReviewItem {
        StoredReviewItem {
            item: number,
            case: Some(Case {
                person: person.to_owned(),
                ..Case::default()
            }),
            reviewer: reviewer.to_owned(),
            ..StoredReviewItem::default()
        }
    }

    fn opened() -> Vec<(LogIndex, StoredChange)> {
        let review = StoredReview {
            items: 3,
            ..StoredReview::default()
        };
        let chunk = |entries_before, items| {
            change(Kind::AddReviewItems(StoredReviewItems {
                entries_before,
                items,
            }))
        };
        vec![
            (LogIndex(5), change(Kind::OpenReview(review))),
            (
                LogIndex(6),
                chunk(1, vec![item(1, "p-1", "r-1"), item(2, "p-2", "")]),
            ),
            (LogIndex(7), chunk(2, vec![item(3, "p-1", "r-2")])),
        ]
    }

    async fn numbers(store: &Store, wanted: ItemQuery) -> Vec<u32> {
        let wanted = ItemQuery {
            at_most: 9,
            ..wanted
        };
        let items = store.review_items(LogIndex(5), &wanted).await.unwrap();
        items.iter().map(|kept| kept.item.item).collect()
    }

    both! {
    async fn a_campaign_and_its_items_are_as_their_entries_say(home) {
        let store = home.open().await;
        store.apply(&opened(), 8).await.unwrap();
        // Applied again, as by a start: nothing twice.
        store.apply(&opened(), 8).await.unwrap();
        let kept = store.review(LogIndex(5)).await.unwrap().unwrap();
        assert_eq!((kept.open_items, kept.signed), (3, None));
        assert!(store.review(LogIndex(6)).await.unwrap().is_none());
        assert_eq!(numbers(&store, ItemQuery::default()).await, [1, 2, 3]);
        let step = |item| StoredReviewStep { review: 5, item };
        let judge = StoredReviewJudgement {
            review: 5,
            items: vec![1, 2],
            state: ItemState::Misuse.number(),
        };
        let give = StoredReviewAssignment {
            review: 5,
            items: vec![3],
            reviewer: "r-9".to_owned(),
            escalated: true,
        };
        let changes = [
            (LogIndex(9), change(Kind::AskPerson(step(3)))),
            (LogIndex(10), change(Kind::JudgeItems(judge))),
            (LogIndex(11), change(Kind::AssignItem(give))),
        ];
        store.apply(&changes, 12).await.unwrap();
        store.close().await;
        let store = home.open().await;
        let third = store.review_item(LogIndex(5), 3).await.unwrap().unwrap();
        assert_eq!((third.state, third.question), (ItemState::Asked, Some(LogIndex(9))));
        assert_eq!(third.reviewer.as_deref(), Some("r-9"));
        assert!(third.escalated);
        let asked = store.questions_to("p-1", 9).await.unwrap();
        assert_eq!(asked, [third]);
        assert!(store.questions_to("p-2", 9).await.unwrap().is_empty());
        let open = ItemQuery { open_only: true, ..ItemQuery::default() };
        assert_eq!(numbers(&store, open).await, [3]);
        let misuse = ItemQuery { state: Some(ItemState::Misuse), ..ItemQuery::default() };
        assert_eq!(numbers(&store, misuse).await, [1, 2]);
        let mine = Name::parse("r-9").ok();
        let mine = ItemQuery { reviewer: mine, ..ItemQuery::default() };
        assert_eq!(numbers(&store, mine).await, [3]);
        let answered = (LogIndex(12), change(Kind::AnswerQuestion(step(3))));
        store.apply(&[answered], 13).await.unwrap();
        assert!(store.questions_to("p-1", 9).await.unwrap().is_empty());
    }
    }

    both! {
    async fn a_signature_stays_and_what_is_malformed_stops_all(home) {
        let store = home.open().await;
        store.apply(&opened(), 8).await.unwrap();
        let sign = |digest: u8, bytes| {
            change(Kind::SignReview(StoredReviewSignature {
                review: 5,
                digest: vec![digest; bytes],
            }))
        };
        let changes = [(LogIndex(8), sign(1, 32)), (LogIndex(9), sign(2, 32))];
        store.apply(&changes, 10).await.unwrap();
        let kept = store.review(LogIndex(5)).await.unwrap().unwrap();
        assert_eq!(kept.signed, Some((LogIndex(8), [1; 32])));
        assert!(store.reviews(true, None, 9).await.unwrap().is_empty());
        assert_eq!(store.reviews(false, None, 9).await.unwrap().len(), 1);
        assert!(store.reviews(false, Some(LogIndex(5)), 9).await.unwrap().is_empty());
        let open = StoredReviewJudgement {
            review: 5,
            items: vec![1],
            state: ItemState::Open.number(),
        };
        let early = StoredReviewItems {
            entries_before: 99,
            items: Vec::new(),
        };
        for bad in [
            sign(1, 31),
            change(Kind::JudgeItems(open)),
            change(Kind::AddReviewItems(early)),
        ] {
            let refused = store.apply(&[(LogIndex(10), bad)], 11).await.unwrap_err();
            assert!(matches!(refused, StoreError::Change(LogIndex(10))), "{refused}");
        }
    }
    }
}
