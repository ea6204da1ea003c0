//! The report of a campaign, and its signature: it takes a fresh second step, has the report's digest, and ends all changes.

use std::sync::Arc;

use super::ReviewSeen;
use super::admission::{Need, about};
use super::items::Text;
use crate::domain::ids::LogIndex;
use crate::domain::time::Timestamp;
use crate::gate::changes::StillWanted;
use crate::gate::peer::Peer;
use crate::gate::records::log_holds::Who;
use crate::gate::{Credentials, Gate, GateError, entry};
use crate::proto::stored_change::Kind;
use crate::proto::{EntryKind, StoredChange, StoredReviewSignature};
use crate::report::{ReportedItem, ReviewContent, ReviewReport, ReviewSignature, Said, SystemRow};
use crate::review::campaign::Unfit;

impl Gate {
    /// Signs a campaign; tells the entry, and the digest that it has.
    ///
    /// # Errors
    /// When nobody who reviews everything asks with a fresh second step, an item is not judged, it is signed already, or the entry
    /// can't be written.
    pub async fn sign_review(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        id: LogIndex,
    ) -> Result<(LogIndex, [u8; 32]), GateError> {
        const CALL: &str = "SignReview";
        let rules = self.rules.load_full();
        let now = self.now();
        let by = self
            .admitted_with(&rules, peer, credentials, CALL, now, Who::Reviewer)
            .await?;
        let step = (CALL, id, &[][..]);
        let content = async {
            let kept = self.kept_review(id).await?;
            // Before all is read: what can't be signed costs little.
            fits(kept.signed.is_some(), kept.open_items)?;
            self.review_content(kept.id, kept.opened).await
        };
        let content = match content.await {
            Ok(content) => content,
            Err(error) => return Err(self.refuse_step(peer, &by, step, error, now).await),
        };
        let digest = content.digest();
        let mut entry = self.administrators_entry(EntryKind::Review, peer, &by, now);
        entry::detail(&mut entry, "change", "sign-review");
        about(&mut entry, id, &[]);
        let hex = data_encoding::HEXLOWER.encode(&digest);
        entry::detail(&mut entry, "report_sha256", hex);
        entry.change = Some(StoredChange {
            kind: Some(Kind::SignReview(StoredReviewSignature {
                review: id.0,
                digest: digest.to_vec(),
            })),
        });
        let signed = self.take_step(peer, &by, step, (entry, AllJudged(id)), now);
        Ok((signed.await?, digest))
    }

    /// The report of a campaign.
    ///
    /// # Errors
    /// When nobody who reviews everything or audits asks, there is no such campaign, or the call can't be logged.
    pub async fn review_report(
        self: &Arc<Self>,
        peer: &Peer,
        credentials: &Credentials,
        id: LogIndex,
    ) -> Result<ReviewReport, GateError> {
        const CALL: &str = "GetReviewReport";
        let rules = self.rules.load_full();
        let now = self.now();
        let need = (CALL, Need::LookAtAll);
        let (by, _) = self
            .review_caller(&rules, peer, credentials, need, now)
            .await?;
        let what = [("review", id.to_string())];
        self.review_read(peer, &by, CALL, &what, now).await?;
        let kept = self.kept_review(id).await?;
        let ReviewSeen { kept, signed, .. } = self.review_seen(kept, now).await?;
        let signature = kept.signed.zip(signed);
        let signature = signature.map(|((index, digest), (by, at))| ReviewSignature {
            by,
            at,
            index: index.0,
            digest,
        });
        Ok(ReviewReport {
            titles: (
                rules.words.title.to_string(),
                rules.words.title_ja.to_string(),
            ),
            made_at: now,
            systems: SystemRow::all(&rules),
            content: self.review_content(kept.id, kept.opened).await?,
            signature,
        })
    }

    async fn review_content(
        &self,
        id: LogIndex,
        opened: crate::proto::StoredReview,
    ) -> Result<ReviewContent, GateError> {
        let mut items = Vec::new();
        let due = Timestamp::from_micros(opened.due_us);
        for kept in self.all_items(id).await? {
            let seen = self.item_seen(kept, due, due).await?;
            items.push(ReportedItem {
                item: seen.kept.item,
                state: seen.kept.state,
                reviewer: seen.kept.reviewer.map_or_else(String::new, String::from),
                escalated: seen.kept.escalated,
                question: seen.question.map(said),
                answer: seen.answer.map(said),
                judgement: seen.judgement.map(said),
            });
        }
        Ok(ReviewContent {
            review: id.0,
            log: self.log.name().to_owned(),
            opened,
            items,
        })
    }
}

fn said(text: Text) -> Said {
    Said {
        index: text.index.0,
        by: text.by,
        at: text.at,
        text: text.text,
    }
}

const fn fits(signed: bool, open_items: u32) -> Result<(), GateError> {
    if signed {
        return Err(GateError::NotNow(Unfit::Signed.words()));
    }
    if open_items > 0 {
        return Err(GateError::NotNow(Unfit::OpenItems.words()));
    }
    Ok(())
}

/// Nothing is open, and nobody signed it.
struct AllJudged(LogIndex);

impl StillWanted for AllJudged {
    const BY_WHAT_OTHERS_CHANGE: bool = false;

    async fn look(self, gate: &Gate) -> Result<(), GateError> {
        let kept = gate.kept_review(self.0).await?;
        fits(kept.signed.is_some(), kept.open_items)
    }
}
