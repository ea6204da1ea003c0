//! Changes that come from entries of the log.

use super::engine::{Transaction, query};
use super::error::StoreError;
use super::imports::Sort;
use super::news::Told;
use super::{Store, disposals, from_stored, log_holds, people, staged, to_stored};
use crate::domain::ids::{DecisionId, LogIndex, Name, SessionId};
use crate::domain::subject::Pseudonym;
use crate::domain::time::Timestamp;
use crate::proto::stored_change::Kind;
use crate::proto::{
    StoredChange, StoredDate, StoredGap, StoredHold, StoredSession, StoredSessionEnd,
};

/// A transaction, and whose entry it follows.
pub(super) struct Following<'a> {
    pub(super) store: &'a Store,
    pub(super) change: Transaction,
    pub(super) log: i64,
    /// Somebody was changed.
    people: bool,
}

/// The turn to change what daemons share. Dropped, it is given back and nothing was changed.
#[derive(Debug)]
pub struct Turn(Transaction);

/// Each once, rising, and below `applied`.
fn in_order(changes: &[(LogIndex, StoredChange)], applied: u64) -> Result<(), StoreError> {
    let mut next = 0;
    for (index, _) in changes {
        if index.0 < next || index.0 >= applied {
            return Err(StoreError::Order(*index));
        }
        next = index.0.saturating_add(1);
    }
    Ok(())
}

impl Store {
    /// Applies the changes of entries in one transaction and moves the mark to `applied`; never backwards. A change below
    /// the mark is skipped, so applying again does nothing. Durable when it returns.
    ///
    /// The caller must hand over every change between the mark and `applied`, in the order of the log.
    ///
    /// # Errors
    /// [`StoreError::Order`] when the changes are not in rising order below `applied`; [`StoreError::Change`] when one is
    /// of a kind that this version doesn't know, or malformed. Then nothing is applied, and the mark stays.
    pub async fn apply(
        &self,
        changes: &[(LogIndex, StoredChange)],
        applied: u64,
    ) -> Result<(), StoreError> {
        in_order(changes, applied)?;
        let mut change = self.change().await?;
        if !changes.is_empty() {
            self.take_turn(&mut change).await?;
        }
        self.make_in(change, changes, applied).await
    }

    /// The turn to change what daemons share: until it is given back, or nothing was heard for seconds, no other daemon changes
    /// anything of it. `None` where there are no others.
    ///
    /// Hold it for as short as it takes to look at what is so, to write by that and to [`Self::apply_in`].
    ///
    /// # Errors
    /// When the store can't be reached, or somebody else has the turn for too long.
    pub async fn turn(&self) -> Result<Option<Turn>, StoreError> {
        if !self.has_others() {
            return Ok(None);
        }
        let mut change = self.change().await?;
        self.take_turn(&mut change).await?;
        Ok(Some(Turn(change)))
    }

    /// As [`Self::apply`], in a turn that is given back by it.
    ///
    /// # Errors
    /// As for [`Self::apply`].
    pub async fn apply_in(
        &self,
        turn: Turn,
        changes: &[(LogIndex, StoredChange)],
        applied: u64,
    ) -> Result<(), StoreError> {
        in_order(changes, applied)?;
        self.make_in(turn.0, changes, applied).await
    }

    async fn make_in(
        &self,
        mut change: Transaction,
        changes: &[(LogIndex, StoredChange)],
        applied: u64,
    ) -> Result<(), StoreError> {
        let mark = self.take_applied(&mut change).await?;
        let mut following = Following {
            store: self,
            change,
            log: self.log()?,
            people: false,
        };
        for (index, stored) in changes.iter().filter(|(index, _)| index.0 >= mark) {
            let kind = stored.kind.as_ref().ok_or(StoreError::Change(*index))?;
            following.make(*index, kind).await?;
        }
        if following.people {
            // Once, however many they are.
            following.tell(Told::People).await?;
        }
        let Following { mut change, .. } = following;
        self.set_applied(&mut change, mark.max(applied)).await?;
        change.commit().await
    }

    /// Where the log declares a gap, as far as the store has followed it, in order.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn gaps(&self) -> Result<Vec<LogIndex>, StoreError> {
        let rows = query("SELECT log_index FROM gaps WHERE log = $1 ORDER BY log_index")
            .bind(self.log()?)
            .fetch_all(&self.engine)
            .await?;
        rows.iter()
            .map(|row| Ok(LogIndex(from_stored(row.try_get("log_index")?)?)))
            .collect()
    }

    /// The ended sessions that are not forgotten yet, each with the end of its last ticket.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn revoked_sessions(&self) -> Result<Vec<(SessionId, Timestamp)>, StoreError> {
        let rows = query("SELECT session, ends_until FROM ended_sessions")
            .fetch_all(&self.engine)
            .await?;
        rows.iter()
            .map(|row| {
                let session = SessionId::from_bytes(row.try_get("session")?)
                    .ok_or_else(|| StoreError::Damaged("a session's id".to_owned()))?;
                Ok((session, Timestamp::from_micros(row.try_get("ends_until")?)))
            })
            .collect()
    }

    /// Where the reported outcome of a decision is in the log; `None` where none was reported.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn outcome_of(&self, decision: DecisionId) -> Result<Option<LogIndex>, StoreError> {
        let found = query("SELECT log_index FROM outcomes WHERE decision = $1 AND log = $2")
            .bind(decision.to_bytes())
            .bind(self.log()?)
            .fetch_optional(&self.engine)
            .await?;
        let index = found.map(|row| row.try_get::<i64>("log_index"));
        Ok(index
            .transpose()?
            .map(from_stored)
            .transpose()?
            .map(LogIndex))
    }
}

impl Following<'_> {
    async fn make(&mut self, index: LogIndex, kind: &Kind) -> Result<(), StoreError> {
        match kind {
            Kind::RegisterHold(hold) => self.register_hold(index, hold).await,
            Kind::ReleaseHold(hold) => self.release_hold(index, hold).await,
            Kind::SetDate(date) => self.set_date(index, date).await,
            Kind::Outcome(outcome) => self.report_outcome(index, &outcome.decision_id).await,
            Kind::EndSession(end) => self.end_session(index, end).await,
            Kind::PlaceLogHold(hold) => {
                log_holds::place(&mut self.change, self.log, index, hold).await
            }
            Kind::ReleaseLogHold(release) => {
                self.settle(release.settles).await?;
                log_holds::release(&mut self.change, self.log, release).await
            }
            // Which policy is in force is of this daemon, and not of the store.
            Kind::ActivatePolicy(activation) => self.settle(activation.settles).await,
            Kind::Dispose(disposal) => {
                self.settle(disposal.settles).await?;
                disposals::begin(&mut self.change, self.log, index, disposal).await
            }
            Kind::PutPerson(person) => {
                self.people = true;
                people::put(&mut self.change, index, person).await
            }
            Kind::PutGuardedPerson(guarded) => {
                self.people = true;
                self.settle(guarded.settles).await?;
                let person = guarded.person.as_ref().ok_or(StoreError::Change(index))?;
                people::put(&mut self.change, index, person).await?;
                if guarded.without_credentials {
                    staged::remove_all(&mut self.change, &person.id).await?;
                }
                Ok(())
            }
            Kind::GapDeclared(gap) => self.declare_gap(index, gap).await,
            Kind::TakeUpCredential(taken) => {
                self.settle(taken.settles).await?;
                let stale = self.is_stale(&taken.person, taken.epoch).await?;
                staged::take_up(&mut self.change, self.log, index, taken, stale).await?;
                let goes_on = taken.goes_on.as_ref();
                self.credential_changed(index, &taken.person, taken.epoch, goes_on)
                    .await
            }
            Kind::RemoveCredential(removed) => {
                staged::remove(&mut self.change, index, removed).await?;
                self.credential_changed(index, &removed.person, removed.epoch, None)
                    .await
            }
            Kind::OpenSession(opened) => self.open_session(index, opened).await,
            Kind::RaiseEpoch(epoch) => {
                self.raise_epoch(index, &epoch.person, epoch.epoch, None)
                    .await
            }
            Kind::EndService(end) => self.end_service(index, end).await,
            Kind::Ask(request) => self.ask(index, request).await,
            Kind::Decline(declined) => self.forget_request(declined.request).await,
            Kind::ResetSecondFactor(reset) => self.reset_second_factor(index, reset).await,
            Kind::RegisterReference(reference) => self.put_reference(index, reference, false).await,
            Kind::WithdrawReference(reference) => self.put_reference(index, reference, true).await,
            Kind::ImportSubjects(import) => self.import(index, import).await,
            Kind::OpenReview(review) => self.open_review(index, review).await,
            Kind::AddReviewItems(items) => self.add_review_items(index, items).await,
            Kind::AskPerson(step) => self.ask_person(index, step).await,
            Kind::AnswerQuestion(step) => self.answer_question(index, step).await,
            Kind::JudgeItems(judgement) => self.judge_items(index, judgement).await,
            Kind::AssignItem(assignment) => self.assign_items(assignment).await,
            Kind::SignReview(signature) => self.sign_review(index, signature).await,
            Kind::OpenIncident(incident) => self.open_incident(index, incident).await,
            Kind::Attest(attested) => self.attest(index, attested).await,
            Kind::IncidentStep(step) => self.incident_step(index, step).await,
        }
    }

    /// `epoch` 0 leaves the person's sessions as they are.
    async fn credential_changed(
        &mut self,
        index: LogIndex,
        person: &str,
        epoch: u64,
        goes_on: Option<&StoredSession>,
    ) -> Result<(), StoreError> {
        if epoch == 0 {
            return self.tell(Told::People).await;
        }
        self.raise_epoch(index, person, epoch, goes_on).await
    }

    async fn register_hold(
        &mut self,
        index: LogIndex,
        hold: &StoredHold,
    ) -> Result<(), StoreError> {
        let subject = subject(index, &hold.subject)?;
        self.supersede(subject, Sort::Hold, &hold.hold).await?;
        query(
            "INSERT INTO holds (subject, hold, reference, log_index, log)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (subject, hold) DO UPDATE
             SET reference = excluded.reference, log_index = excluded.log_index,
                 log = excluded.log",
        )
        .bind(subject)
        .bind(name(index, &hold.hold)?)
        .bind(text(&hold.reference))
        .bind(to_stored(index.0)?)
        .bind(self.log)
        .execute(&mut self.change)
        .await?;
        self.tell(Told::Subject(subject)).await
    }

    async fn release_hold(&mut self, index: LogIndex, hold: &StoredHold) -> Result<(), StoreError> {
        let subject = subject(index, &hold.subject)?;
        self.supersede(subject, Sort::Hold, &hold.hold).await?;
        query("DELETE FROM holds WHERE subject = $1 AND hold = $2")
            .bind(subject)
            .bind(name(index, &hold.hold)?)
            .execute(&mut self.change)
            .await?;
        self.tell(Told::Subject(subject)).await
    }

    async fn set_date(&mut self, index: LogIndex, date: &StoredDate) -> Result<(), StoreError> {
        let subject = subject(index, &date.subject)?;
        self.supersede(subject, Sort::Date, &date.date).await?;
        query(
            "INSERT INTO dates (subject, date, value, reference, log_index, log)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (subject, date) DO UPDATE
             SET value = excluded.value, reference = excluded.reference,
                 log_index = excluded.log_index, log = excluded.log",
        )
        .bind(subject)
        .bind(name(index, &date.date)?)
        .bind(date.value_us)
        .bind(text(&date.reference))
        .bind(to_stored(index.0)?)
        .bind(self.log)
        .execute(&mut self.change)
        .await?;
        self.tell(Told::Subject(subject)).await
    }

    async fn report_outcome(&mut self, index: LogIndex, decision: &[u8]) -> Result<(), StoreError> {
        let decision = DecisionId::from_bytes(decision).ok_or(StoreError::Change(index))?;
        query(
            "INSERT INTO outcomes (decision, log_index, log) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
        )
        .bind(decision.to_bytes())
        .bind(to_stored(index.0)?)
        .bind(self.log)
        .execute(&mut self.change)
        .await?;
        Ok(())
    }

    pub(super) async fn end_session(
        &mut self,
        index: LogIndex,
        end: &StoredSessionEnd,
    ) -> Result<(), StoreError> {
        let session = SessionId::from_bytes(&end.session).ok_or(StoreError::Change(index))?;
        query(
            "INSERT INTO ended_sessions (session, ends_until, log_index, log)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (session) DO UPDATE SET ends_until = excluded.ends_until
             WHERE excluded.ends_until > ended_sessions.ends_until",
        )
        .bind(session.to_bytes())
        .bind(end.until_us)
        .bind(to_stored(index.0)?)
        .bind(self.log)
        .execute(&mut self.change)
        .await?;
        query("DELETE FROM live_sessions WHERE session = $1")
            .bind(session.to_bytes())
            .execute(&mut self.change)
            .await?;
        self.tell(Told::Session(&end.session)).await
    }

    /// Ends every session of everybody, and spends every code that may have been shown.
    async fn declare_gap(&mut self, index: LogIndex, gap: &StoredGap) -> Result<(), StoreError> {
        let stored = |number| to_stored(number).map_err(|_| StoreError::Change(index));
        query("INSERT INTO gaps (log, log_index) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(self.log)
            .bind(to_stored(index.0)?)
            .execute(&mut self.change)
            .await?;
        // At least one more in any case: a clock that was set back must not leave an epoch as it was.
        query("UPDATE people SET epoch = CASE WHEN epoch + 1 > $1 THEN epoch + 1 ELSE $1 END")
            .bind(stored(gap.epoch)?)
            .execute(&mut self.change)
            .await?;
        query("UPDATE second_factors SET last_step = $1 WHERE last_step IS NULL OR last_step < $1")
            .bind(stored(gap.step)?)
            .execute(&mut self.change)
            .await?;
        self.tell(Told::People).await
    }

    pub(super) async fn tell(&mut self, told: Told<'_>) -> Result<(), StoreError> {
        self.store.tell_others(&mut self.change, told).await
    }

    /// As [`Self::tell`], of what the daemon that made the change can't know by itself.
    pub(super) async fn tell_all(&mut self, told: Told<'_>) -> Result<(), StoreError> {
        self.store.tell_all(&mut self.change, told).await
    }
}

/// Checked here and not left to the tables, so that the entry can be named.
pub(super) fn subject(index: LogIndex, bytes: &[u8]) -> Result<&[u8], StoreError> {
    Pseudonym::from_bytes(bytes)
        .map(|_| bytes)
        .ok_or(StoreError::Change(index))
}

pub(super) fn name(index: LogIndex, text: &str) -> Result<&str, StoreError> {
    Name::parse(text)
        .map(|_| text)
        .map_err(|_| StoreError::Change(index))
}

/// PostgreSQL keeps no text with U+0000 in it. No name has one by now; an older log's must not keep the store from following.
fn text(reference: &str) -> String {
    reference.replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::StoredOutcome;
    use crate::store::tests::{both, change, hold};
    use uuid::Uuid;

    fn session_end(session: u128, until: i64) -> StoredChange {
        change(Kind::EndSession(StoredSessionEnd {
            session: Uuid::from_u128(session).as_bytes().to_vec(),
            until_us: Timestamp::from_seconds(until).micros(),
        }))
    }

    fn register(index: u64, subject: u8, id: &str) -> (LogIndex, StoredChange) {
        (
            LogIndex(index),
            change(Kind::RegisterHold(hold(subject, id))),
        )
    }

    fn release(index: u64, subject: u8, id: &str) -> (LogIndex, StoredChange) {
        (
            LogIndex(index),
            change(Kind::ReleaseHold(hold(subject, id))),
        )
    }

    async fn held(store: &Store) -> Vec<(u8, String)> {
        let mut all = Vec::new();
        let load = |subject: Pseudonym, state: crate::domain::subject::SubjectState| {
            all.extend(
                state
                    .holds
                    .iter()
                    .map(|hold| (subject.0[0], hold.to_string())),
            );
        };
        store.load_subjects(load).await.unwrap();
        all
    }

    both! {
    async fn applying_again_does_nothing(home) {
        let store = home.open().await;
        let changes = [
            register(3, 1, "stop"),
            release(5, 1, "stop"),
            register(6, 2, "stop"),
        ];
        store.apply(&changes, 8).await.unwrap();
        assert_eq!(held(&store).await, [(2, "stop".to_owned())]);
        // Were it applied again, the first change would bring the released hold back for a moment, and the mark down.
        store.apply(&changes[..1], 4).await.unwrap();
        assert_eq!(held(&store).await, [(2, "stop".to_owned())]);
        assert_eq!(store.applied().await.unwrap(), 8);
        store.close().await;
        let store = home.open().await;
        store.apply(&changes, 8).await.unwrap();
        assert_eq!(held(&store).await, [(2, "stop".to_owned())]);
    }
    }

    both! {
    async fn a_reference_that_no_name_can_be_keeps_nothing_from_following(home) {
        let store = home.open().await;
        let mut odd = hold(1, "stop");
        odd.reference = "request\0-1".to_owned();
        let changes = [(LogIndex(0), change(Kind::RegisterHold(odd)))];
        store.apply(&changes, 1).await.unwrap();
        assert_eq!(held(&store).await, [(1, "stop".to_owned())]);
    }
    }

    both! {
    async fn a_replay_takes_up_where_the_mark_is(home) {
        let store = home.open().await;
        store.apply(&[register(0, 1, "stop")], 1).await.unwrap();
        let replay = [
            register(0, 1, "stop"),
            release(1, 1, "stop"),
            register(2, 1, "hold"),
        ];
        store.apply(&replay, 3).await.unwrap();
        assert_eq!(held(&store).await, [(1, "hold".to_owned())]);
        assert_eq!(store.applied().await.unwrap(), 3);
    }
    }

    both! {
    async fn the_mark_never_moves_back(home) {
        let store = home.open().await;
        store.apply(&[], 10).await.unwrap();
        store.apply(&[], 7).await.unwrap();
        assert_eq!(store.applied().await.unwrap(), 10);
        store.apply(&[], 11).await.unwrap();
        assert_eq!(store.applied().await.unwrap(), 11);
    }
    }

    both! {
    async fn changes_out_of_order_or_beyond_the_mark_are_refused_whole(home) {
        let store = home.open().await;
        for (changes, at) in [
            (vec![register(2, 1, "a"), register(1, 1, "b")], 1),
            (vec![register(2, 1, "a"), register(2, 1, "b")], 2),
            (vec![register(1, 1, "a"), register(9, 1, "b")], 9),
        ] {
            let refused = store.apply(&changes, 9).await.unwrap_err();
            assert!(matches!(refused, StoreError::Order(LogIndex(index)) if index == at));
        }
        assert!(held(&store).await.is_empty());
        assert_eq!(store.applied().await.unwrap(), 0);
    }
    }

    both! {
    async fn one_change_that_is_not_understood_stops_all(home) {
        let store = home.open().await;
        let mut short = hold(1, "a");
        short.subject.pop();
        for bad in [
            StoredChange { kind: None },
            change(Kind::RegisterHold(short)),
            change(Kind::RegisterHold(hold(1, " "))),
            change(Kind::Outcome(StoredOutcome {
                decision_id: vec![],
            })),
            change(Kind::EndSession(StoredSessionEnd::default())),
        ] {
            let changes = [register(0, 1, "a"), (LogIndex(1), bad)];
            let refused = store.apply(&changes, 2).await.unwrap_err();
            assert!(
                matches!(refused, StoreError::Change(LogIndex(1))),
                "{refused}"
            );
        }
        assert!(held(&store).await.is_empty());
        assert_eq!(store.applied().await.unwrap(), 0);
    }
    }

    both! {
    async fn a_declared_gap_raises_every_epoch_and_spends_every_step(home) {
        let store = home.open().await;
        for (id, epoch) in [("p-1", 3), ("p-2", 900)] {
            let mut person = crate::store::people::tests::person(id, &["r"]);
            person.epoch = epoch;
            store.put_person(&person).await.unwrap();
            store.put_password(id, "hash").await.unwrap();
            let factor = Uuid::from_u128(u128::from(epoch));
            store.put_second_factor(id, factor, b"seed").await.unwrap();
        }
        assert!(
            store
                .spend_step(Uuid::from_u128(900), 77, &crate::store::credentials::tests::LENIENT)
                .await
                .unwrap()
                .spent
        );
        let gap = |epoch, step| {
            change(Kind::GapDeclared(StoredGap {
                size: 0,
                epoch,
                step,
                ..StoredGap::default()
            }))
        };
        let told = async || {
            let mut told = Vec::new();
            for person in store.people().await.unwrap() {
                let credential = store.credential(&person.id).await.unwrap().unwrap();
                told.push((person.epoch, credential.second_factor.unwrap().last_step));
            }
            told
        };
        store
            .apply(&[(LogIndex(0), gap(500, 50))], 1)
            .await
            .unwrap();
        assert_eq!(told().await, [(500, Some(50)), (901, Some(77))]);
        let spent = store.spend_step(Uuid::from_u128(3), 50, &crate::store::credentials::tests::LENIENT).await.unwrap();
        assert!(!spent.spent);
        // The clock was set back: nobody's epoch stays as it was, no step comes back.
        store
            .apply(&[(LogIndex(1), gap(400, 40))], 2)
            .await
            .unwrap();
        assert_eq!(told().await, [(501, Some(50)), (902, Some(77))]);
        assert_eq!(store.gaps().await.unwrap(), [LogIndex(0), LogIndex(1)]);
        let bad = [(LogIndex(2), gap(u64::MAX, 0))];
        let refused = store.apply(&bad, 3).await.unwrap_err();
        assert!(matches!(refused, StoreError::Change(LogIndex(2))));
    }
    }

    both! {
    async fn a_reported_outcome_is_known(home) {
        let store = home.open().await;
        let decision = DecisionId(Uuid::from_u128(5));
        assert!(store.outcome_of(decision).await.unwrap().is_none());
        let outcome = StoredOutcome {
            decision_id: decision.to_bytes(),
        };
        let changes = [
            (LogIndex(0), change(Kind::Outcome(outcome.clone()))),
            (LogIndex(1), change(Kind::Outcome(outcome))),
        ];
        store.apply(&changes, 2).await.unwrap();
        assert!(store.outcome_of(decision).await.unwrap().is_some());
        let other = DecisionId(Uuid::from_u128(6));
        assert!(store.outcome_of(other).await.unwrap().is_none());
    }
    }

    both! {
    async fn an_ended_session_is_told_until_its_tickets_have_ended(home) {
        let store = home.open().await;
        let changes = [
            (LogIndex(0), session_end(1, 100)),
            (LogIndex(1), session_end(2, 200)),
            (LogIndex(2), session_end(2, 150)),
        ];
        store.apply(&changes, 3).await.unwrap();
        store.close().await;
        let store = home.open().await;
        let (first, second) = (SessionId(Uuid::from_u128(1)), SessionId(Uuid::from_u128(2)));
        let at = Timestamp::from_seconds;
        let mut told = store.revoked_sessions().await.unwrap();
        told.sort();
        assert_eq!(told, [(first, at(100)), (second, at(200))]);
        // Only what is named, and only what had ended by then.
        for (named, before) in [(vec![], 999), (vec![first, second], 100)] {
            store.forget_ended_sessions(&named, at(before)).await.unwrap();
            assert_eq!(store.revoked_sessions().await.unwrap().len(), 2);
        }
        store.forget_ended_sessions(&[first, second], at(101)).await.unwrap();
        assert_eq!(store.revoked_sessions().await.unwrap(), [(second, at(200))]);
    }
    }
}
