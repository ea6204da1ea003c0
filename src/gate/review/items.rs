//! Campaigns and items as people see them; questions and answers.

use std::sync::Arc;

use super::ReviewSeen;
use super::admission::{May, Need, about};
use super::judging::{Fits, seen_of};
use crate::domain::access::TEXT_MAX_BYTES;
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::gate::peer::Peer;
use crate::gate::records::log_holds::Administrator;
use crate::gate::{Credentials, Gate, GateError, Violation, entry};
use crate::proto::stored_change::Kind;
use crate::proto::{EntryKind, StoredChange, StoredReviewStep};
use crate::review::campaign::{ItemState, may_answer, may_ask};
use crate::store::{ItemQuery, KeptItem};

/// Which items of a campaign.
#[derive(Debug, Clone)]
pub struct ItemFilter {
    /// Its number.
    pub review: LogIndex,
    /// Only in this state.
    pub state: Option<ItemState>,
    /// Only those assigned to who asks.
    pub mine: bool,
    /// Only those not judged.
    pub open_only: bool,
    /// Behind this one.
    pub after: u32,
    /// 1 to 500.
    pub size: usize,
}

/// What somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Its entry.
    pub index: LogIndex,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What; or that it was disposed of.
    pub text: String,
}

/// An item as it is told.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemSeen {
    /// As it is kept.
    pub kept: KeptItem,
    /// When it is due.
    pub due: Timestamp,
    /// Past it, and not judged.
    pub overdue: bool,
    /// What was asked; only of one item.
    pub question: Option<Text>,
    /// What was answered.
    pub answer: Option<Text>,
    /// The judgement.
    pub judgement: Option<Text>,
}

/// What a person is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Of which item.
    pub kept: KeptItem,
    /// What.
    pub question: Text,
}

const QUESTIONS_MAX: u32 = 200;
const DISPOSED_OF: &str = "(disposed of)";

impl Gate {
    /// What an entry of a campaign says, and who wrote it when. Where it was disposed of, that.
    pub(in crate::gate) async fn step_of(&self, index: LogIndex) -> Result<Text, GateError> {
        match self.entry_at(index).await {
            Ok(entry) => Ok(Text {
                index,
                by: entry.person,
                at: Timestamp::from_micros(entry.time_us),
                text: entry.free_text,
            }),
            Err(GateError::DisposedOf(_)) => Ok(Text {
                index,
                by: String::new(),
                at: Timestamp::from_micros(0),
                text: DISPOSED_OF.to_owned(),
            }),
            Err(error) => Err(error),
        }
    }

    async fn text_at(&self, index: Option<LogIndex>) -> Result<Option<Text>, GateError> {
        match index {
            Some(index) => Ok(Some(self.step_of(index).await?)),
            None => Ok(None),
        }
    }

    /// The item with what was written about it.
    pub(super) async fn item_seen(
        &self,
        kept: KeptItem,
        due: Timestamp,
        now: Timestamp,
    ) -> Result<ItemSeen, GateError> {
        Ok(ItemSeen {
            question: self.text_at(kept.question).await?,
            answer: self.text_at(kept.answer).await?,
            judgement: self.text_at(kept.judgement).await?,
            ..briefly(kept, due, now)
        })
    }

    /// Campaigns, the newest first, and whether there are more.
    ///
    /// # Errors
    /// When nobody who reviews or audits asks, or the call can't be logged.
    pub async fn list_reviews(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        open_only: bool,
        before: Option<LogIndex>,
        size: u32,
    ) -> Result<(Vec<ReviewSeen>, bool), GateError> {
        const CALL: &str = "ListReviews";
        let rules = self.rules.load_full();
        let now = self.now();
        let need = (CALL, Need::Look);
        let (by, _) = self
            .review_caller(&rules, peer, credentials, need, now)
            .await?;
        self.review_read(peer, &by, CALL, &[], now).await?;
        let mut kept = self
            .store
            .reviews(open_only, before, size.saturating_add(1))
            .await?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let more = kept.len() > size;
        kept.truncate(size);
        let mut seen = Vec::with_capacity(kept.len());
        for one in kept {
            seen.push(self.review_seen(one, now).await?);
        }
        Ok((seen, more))
    }

    /// One campaign.
    ///
    /// # Errors
    /// As for [`Self::list_reviews`], and when there is none of that number.
    pub async fn get_review(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        id: LogIndex,
    ) -> Result<ReviewSeen, GateError> {
        const CALL: &str = "GetReview";
        let rules = self.rules.load_full();
        let now = self.now();
        let need = (CALL, Need::Look);
        let (by, _) = self
            .review_caller(&rules, peer, credentials, need, now)
            .await?;
        let what = [("review", id.to_string())];
        self.review_read(peer, &by, CALL, &what, now).await?;
        self.review_seen(self.kept_review(id).await?, now).await
    }

    /// A page of items, by number, and whether there are more.
    ///
    /// # Errors
    /// As for [`Self::get_review`].
    pub async fn list_review_items(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        filter: ItemFilter,
    ) -> Result<(Vec<ItemSeen>, bool), GateError> {
        const CALL: &str = "ListItems";
        let rules = self.rules.load_full();
        let now = self.now();
        let need = (CALL, Need::Look);
        let (by, may) = self
            .review_caller(&rules, peer, credentials, need, now)
            .await?;
        let what = [("review", filter.review.to_string())];
        self.review_read(peer, &by, CALL, &what, now).await?;
        let review = self.kept_review(filter.review).await?;
        let due = Timestamp::from_micros(review.opened.due_us);
        let mine = filter.mine.then(|| by.admitted.person.id.clone());
        let wanted = filter.size.saturating_add(1);
        let mut query = ItemQuery {
            state: filter.state,
            open_only: filter.open_only,
            reviewer: mine,
            after: filter.after,
            at_most: u32::try_from(wanted).unwrap_or(u32::MAX),
        };
        let mut found = Vec::new();
        // Those that are not for them are passed over; there are 10,000 at most.
        while found.len() < wanted {
            let page = self.store.review_items(filter.review, &query).await?;
            let Some(last) = page.last() else { break };
            query.after = last.item.item;
            found.extend(page.into_iter().filter(|item| is_for(&by, may, item)));
        }
        let more = found.len() > filter.size;
        found.truncate(filter.size);
        let own = &by.admitted.person.id;
        let seen = found
            .into_iter()
            .map(|kept| briefly(untold(kept, own), due, now));
        Ok((seen.collect(), more))
    }

    /// One item, with what was written about it.
    ///
    /// # Errors
    /// As for [`Self::get_review`], and when there is no such item for them.
    pub async fn get_review_item(
        &self,
        peer: &Peer,
        credentials: &Credentials,
        (review, item): (LogIndex, u32),
    ) -> Result<ItemSeen, GateError> {
        const CALL: &str = "GetItem";
        let rules = self.rules.load_full();
        let now = self.now();
        let need = (CALL, Need::Look);
        let (by, may) = self
            .review_caller(&rules, peer, credentials, need, now)
            .await?;
        let what = [("review", review.to_string()), ("items", item.to_string())];
        self.review_read(peer, &by, CALL, &what, now).await?;
        let due = self.kept_review(review).await?.opened.due_us;
        let kept = self.store.review_item(review, item).await?;
        let kept = kept.filter(|kept| is_for(&by, may, kept));
        let kept = untold(kept.ok_or_else(no_item)?, &by.admitted.person.id);
        self.item_seen(kept, Timestamp::from_micros(due), now).await
    }

    /// Asks the person of an item.
    ///
    /// # Errors
    /// When it isn't assigned to who asks, is judged, or the entry can't be written.
    pub async fn ask_person(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        (review, item): (LogIndex, u32),
        question: String,
    ) -> Result<LogIndex, GateError> {
        const CALL: &str = "AskPerson";
        let rules = self.rules.load_full();
        let now = self.now();
        let need = (CALL, Need::Judge);
        let (by, _) = self
            .review_caller(&rules, peer, credentials, need, now)
            .await?;
        let step = (CALL, review, &[item][..]);
        if let Err(error) = written("question", &question) {
            return Err(self.refuse_step(peer, &by, step, error, now).await);
        }
        let asker = by.admitted.person.id.clone();
        let mut entry = self.administrators_entry(EntryKind::Review, peer, &by, now);
        entry::detail(&mut entry, "change", "ask-person");
        about(&mut entry, review, &[item]);
        entry.free_text = question;
        entry.change = Some(StoredChange {
            kind: Some(Kind::AskPerson(StoredReviewStep {
                review: review.0,
                item,
            })),
        });
        let fits = Fits::of(review, vec![item], move |_, _, seen| may_ask(seen, &asker));
        self.take_step(peer, &by, step, (entry, fits), now).await
    }

    /// Answers what one is asked.
    ///
    /// # Errors
    /// When they are not asked that (any more), or the entry can't be written.
    pub async fn answer_question(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        (review, item, question): (LogIndex, u32, LogIndex),
        answer: String,
    ) -> Result<LogIndex, GateError> {
        const CALL: &str = "AnswerQuestion";
        let rules = self.rules.load_full();
        let now = self.now();
        let need = (CALL, Need::Answer);
        let (by, _) = self
            .review_caller(&rules, peer, credentials, need, now)
            .await?;
        let step = (CALL, review, &[item][..]);
        if let Err(error) = written("answer", &answer) {
            return Err(self.refuse_step(peer, &by, step, error, now).await);
        }
        let person = by.admitted.person.id.clone();
        let mut entry = self.administrators_entry(EntryKind::Review, peer, &by, now);
        entry::detail(&mut entry, "change", "answer-question");
        about(&mut entry, review, &[item]);
        entry::detail(&mut entry, "question_entry", question.to_string());
        entry.free_text = answer;
        entry.change = Some(StoredChange {
            kind: Some(Kind::AnswerQuestion(StoredReviewStep {
                review: review.0,
                item,
            })),
        });
        let fits = Fits::of(review, vec![item], move |_, _, seen| {
            may_answer(seen, &person, question.0)
        });
        self.take_step(peer, &by, step, (entry, fits), now).await
    }

    /// What one is asked oneself.
    ///
    /// # Errors
    /// When nobody asks, or the call can't be logged.
    pub async fn my_questions(
        &self,
        peer: &Peer,
        credentials: &Credentials,
    ) -> Result<Vec<Question>, GateError> {
        const CALL: &str = "ListMyQuestions";
        let rules = self.rules.load_full();
        let now = self.now();
        let need = (CALL, Need::Answer);
        let (by, _) = self
            .review_caller(&rules, peer, credentials, need, now)
            .await?;
        self.review_read(peer, &by, CALL, &[], now).await?;
        let person = &by.admitted.person.id;
        let mut questions = Vec::new();
        for kept in self.store.questions_to(person, QUESTIONS_MAX).await? {
            if let Some(question) = self.text_at(kept.question).await? {
                questions.push(Question { kept, question });
            }
        }
        Ok(questions)
    }
}

pub(super) const fn no_item() -> GateError {
    GateError::NotFound("the campaign has no such item, or it is not for this reader")
}

/// Whether they may see it.
fn is_for(by: &Administrator<'_>, may: May, item: &KeptItem) -> bool {
    let seen = seen_of(item);
    let own = &by.admitted.person;
    let theirs = item.reviewer.as_ref() == Some(&own.id)
        || own.departments.iter().any(|name| **name == *seen.1);
    may.see_all || (theirs && *own.id != *seen.0)
}

/// What stands out in their own accesses is for another reviewer.
fn untold(mut item: KeptItem, reader: &str) -> KeptItem {
    if let Some(case) = item.item.case.as_mut().filter(|case| case.person == reader) {
        case.findings.clear();
        case.own = true;
    }
    item
}

fn briefly(kept: KeptItem, due: Timestamp, now: Timestamp) -> ItemSeen {
    ItemSeen {
        overdue: now > due && !kept.state.is_judged(),
        kept,
        due,
        question: None,
        answer: None,
        judgement: None,
    }
}

/// That there is a text, and it isn't too long.
pub(super) fn written(field: &str, text: &str) -> Result<(), GateError> {
    let what = if text.trim().is_empty() {
        "is missing"
    } else if text.len() > TEXT_MAX_BYTES {
        "is over 2,048 bytes"
    } else {
        return Ok(());
    };
    Err(GateError::Malformed(vec![Violation::new(field, what)]))
}
