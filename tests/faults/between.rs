//! Killed between log and store, in both orders: a change by people is in the log first, a charge and a spent code are in the
//! store first. After the restart both agree, and an entry says what was made up for.

use std::path::PathBuf;

use sekisho::proto::access_service_client::AccessServiceClient;
use sekisho::proto::authentication_service_client::AuthenticationServiceClient;
use sekisho::proto::subject_service_client::SubjectServiceClient;
use sekisho::proto::{
    Decision, EndSessionRequest, EntryKind, FilterSubjectsRequest, ListReferencesRequest,
    ReferenceKind, RegisterHoldRequest, RegisterReferenceRequest, ReleaseHoldRequest,
    ReportOutcomeRequest, SetDateRequest, StoredEntry, WithdrawReferenceRequest,
};
use tonic::transport::Channel;
use tonic::{Code, Request};

use crate::answered::{detail, entries};
use crate::site::{self, SESSION, Serving, Site, check, first_step, is_long, second_step};
use crate::strace::{Attached, rule};
use crate::support::machine_now;
use crate::support::people::People;
use crate::support::scenario::OFFICE;

const SUBJECT: &str = "seeker-9";
const HOLD: &str = "provision-stopped";
const REFERENCE: &str = "consent-1";

/// Where the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dies {
    /// Before the entry is written.
    BeforeTheLog,
    /// Between the entry's write and its sync: the page cache keeps it.
    AtTheSync,
    /// The entry is durable, and the store is about to be told.
    BeforeTheStore,
}

/// A change by people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    RegisterHold,
    ReleaseHold,
    SetDate,
    RegisterReference,
    WithdrawReference,
    Outcome,
    EndSession,
}

/// Who asks, with a ticket of each.
struct Asking {
    channel: Channel,
    adviser: String,
    administrator: String,
    /// Of an allowance.
    decision: String,
}

pub(crate) fn with_ticket<T>(message: T, ticket: &str) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in [
        ("sekisho-ticket", ticket),
        ("sekisho-client-ip", OFFICE),
        ("sekisho-session-ref", SESSION),
    ] {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    request
}

impl Asking {
    async fn start(serving: &Serving) -> Self {
        let channel = serving.connect().await;
        let adviser = serving.log_in("adviser-1").await;
        let administrator = serving.log_in("administrator-1").await;
        let answer = AccessServiceClient::new(channel.clone())
            .check(check(&adviser, "", 1))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.decision(), Decision::Allow, "{:?}", answer.reasons);
        Self {
            channel,
            adviser,
            administrator,
            decision: answer.decision_id,
        }
    }

    fn subjects(&self) -> SubjectServiceClient<Channel> {
        SubjectServiceClient::new(self.channel.clone())
    }

    async fn register_hold(&self) -> Result<(), tonic::Status> {
        let hold = RegisterHoldRequest {
            subject_ref: SUBJECT.into(),
            hold: HOLD.into(),
            reference: "request-1".into(),
        };
        self.subjects()
            .register_hold(with_ticket(hold, &self.administrator))
            .await
            .map(drop)
    }

    async fn register_reference(&self) -> Result<(), tonic::Status> {
        let reference = RegisterReferenceRequest {
            subject_ref: SUBJECT.into(),
            kind: ReferenceKind::Consent.into(),
            reference: REFERENCE.into(),
            purposes: vec!["recruitment-service".into()],
            until: None,
            given: None,
        };
        let request = with_ticket(reference, &self.administrator);
        self.subjects().register_reference(request).await.map(drop)
    }

    async fn make(&self, change: Change) -> Result<(), tonic::Status> {
        match change {
            Change::RegisterHold => self.register_hold().await,
            Change::ReleaseHold => {
                let hold = ReleaseHoldRequest {
                    subject_ref: SUBJECT.into(),
                    hold: HOLD.into(),
                    reference: "request-2".into(),
                };
                let request = with_ticket(hold, &self.administrator);
                self.subjects().release_hold(request).await.map(drop)
            }
            Change::SetDate => {
                let date = SetDateRequest {
                    subject_ref: SUBJECT.into(),
                    date: "retention-end".into(),
                    value: Some(prost_types::Timestamp {
                        seconds: i64::try_from(machine_now()).unwrap() - 86_400,
                        nanos: 0,
                    }),
                    reference: "order-1".into(),
                };
                let request = with_ticket(date, &self.administrator);
                self.subjects().set_date(request).await.map(drop)
            }
            Change::RegisterReference => self.register_reference().await,
            Change::WithdrawReference => {
                let reference = WithdrawReferenceRequest {
                    subject_ref: SUBJECT.into(),
                    kind: ReferenceKind::Consent.into(),
                    reference: REFERENCE.into(),
                    ..WithdrawReferenceRequest::default()
                };
                let request = with_ticket(reference, &self.administrator);
                self.subjects().withdraw_reference(request).await.map(drop)
            }
            Change::Outcome => {
                let report = ReportOutcomeRequest {
                    decision_id: self.decision.clone(),
                    records_accessed: 1,
                    ..ReportOutcomeRequest::default()
                };
                AccessServiceClient::new(self.channel.clone())
                    .report_outcome(report)
                    .await
                    .map(drop)
            }
            Change::EndSession => {
                let end = EndSessionRequest {
                    session_ticket: self.adviser.clone(),
                };
                AuthenticationServiceClient::new(self.channel.clone())
                    .end_session(end)
                    .await
                    .map(drop)
            }
        }
    }

    /// Whether the daemon acts upon the change.
    async fn is_made(&self, change: Change) -> bool {
        match change {
            Change::RegisterHold | Change::ReleaseHold => {
                let list = FilterSubjectsRequest {
                    subject_refs: vec![SUBJECT.into()],
                    holds: vec![HOLD.into()],
                };
                let request = with_ticket(list, &self.administrator);
                let found = self.subjects().filter_subjects(request).await.unwrap();
                let held = found.into_inner().held == [0];
                held == (change == Change::RegisterHold)
            }
            Change::SetDate => self.is_denied(SUBJECT).await,
            Change::RegisterReference | Change::WithdrawReference => {
                let list = ListReferencesRequest {
                    subject_ref: SUBJECT.into(),
                    ..ListReferencesRequest::default()
                };
                let request = with_ticket(list, &self.administrator);
                let found = self.subjects().list_references(request).await.unwrap();
                let withdrawn = change == Change::WithdrawReference;
                let references = found.into_inner().references;
                references.iter().any(|one| one.withdrawn == withdrawn)
            }
            Change::Outcome => {
                let again = self.make(change).await;
                again.is_err_and(|status| status.code() == Code::AlreadyExists)
            }
            Change::EndSession => self.is_denied("").await,
        }
    }

    async fn is_denied(&self, subject: &str) -> bool {
        let answer = AccessServiceClient::new(self.channel.clone())
            .check(check(&self.adviser, subject, 1))
            .await
            .unwrap();
        answer.into_inner().decision() == Decision::Deny
    }
}

/// Attached so that the process dies at the next call of this kind on this file.
pub(crate) fn deadly(serving: &Serving, site: &Site, dies: Dies) -> Attached {
    let (call, path): (_, PathBuf) = match dies {
        Dies::BeforeTheLog => ("pwrite64", site.segment()),
        Dies::AtTheSync => ("fdatasync", site.segment()),
        Dies::BeforeTheStore => ("pwrite64", site.data.join("store.sqlite-wal")),
    };
    let mut rules = rule(call, "signal=KILL", 1);
    rules.extend(["-P".to_owned(), path.display().to_string()]);
    Attached::to(serving.process(), &rules)
}

pub(crate) fn start_entry(of: &[StoredEntry]) -> &StoredEntry {
    let is_start = |entry: &&StoredEntry| entry.kind == i32::from(EntryKind::DaemonStart);
    of.iter().rfind(is_start).unwrap()
}

/// False when the process died of something else than the change, which is tried again.
async fn killed_during(change: Change, dies: Dies) -> bool {
    let site = Site::new();
    let serving = site::start(&site.data);
    let mut asking = Asking::start(&serving).await;
    match change {
        Change::ReleaseHold => asking.register_hold().await.unwrap(),
        Change::WithdrawReference => asking.register_reference().await.unwrap(),
        _ => {}
    }
    let changes = |entries: &[StoredEntry]| entries.iter().filter(|e| e.change.is_some()).count();
    let before = changes(&entries(&site.log()));
    let attached = deadly(&serving, &site, dies);
    let answer = asking.make(change).await;
    assert!(answer.is_err(), "{change:?} {dies:?}: it did not die");
    serving.ended(std::time::Duration::from_secs(60)).unwrap();
    drop(attached);

    let logged = changes(&entries(&site.log())) - before;
    let expected = usize::from(dies != Dies::BeforeTheLog);
    if dies == Dies::BeforeTheStore && logged == 0 {
        // The store is told of checkpoints too, now and then.
        return false;
    }
    assert_eq!(logged, expected, "{change:?} {dies:?}");
    let serving = site::start(&site.data);
    let all = entries(&site.log());
    assert_eq!(
        detail(start_entry(&all), "replayed_changes"),
        expected.to_string(),
        "{change:?} {dies:?}"
    );
    asking.channel = serving.connect().await;
    assert_eq!(
        asking.is_made(change).await,
        logged == 1,
        "{change:?} {dies:?}: log and store do not agree"
    );
    serving.stop();
    if !is_long() && change != Change::RegisterHold {
        return true;
    }
    // Nothing is made up for twice.
    let serving = site::start(&site.data);
    assert_eq!(
        detail(start_entry(&entries(&site.log())), "replayed_changes"),
        "0"
    );
    asking.channel = serving.connect().await;
    if change != Change::Outcome {
        assert_eq!(asking.is_made(change).await, logged == 1);
    }
    serving.stop();
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_in_the_log_is_in_the_store_after_the_restart_and_no_other() {
    for change in [
        Change::RegisterHold,
        Change::ReleaseHold,
        Change::SetDate,
        Change::RegisterReference,
        Change::WithdrawReference,
        Change::Outcome,
        Change::EndSession,
    ] {
        for dies in [Dies::BeforeTheLog, Dies::AtTheSync, Dies::BeforeTheStore] {
            if dies == Dies::AtTheSync && !is_long() && change != Change::RegisterHold {
                continue;
            }
            let mut tries = 0;
            while !killed_during(change, dies).await {
                tries += 1;
                assert!(tries < 4, "{change:?} {dies:?}");
            }
        }
    }
}

fn authentications(site: &Site) -> Vec<StoredEntry> {
    let mut all = entries(&site.log());
    all.retain(|entry| entry.kind == i32::from(EntryKind::Authentication));
    all
}

/// Dies in the second step of a login. The code that was shown, and the log's entries of before.
async fn killed_at_second_step(site: &Site, right: bool, dies: Dies) -> (String, usize) {
    let serving = site::start(&site.data);
    let channel = serving.connect().await;
    let challenge = first_step(&channel, &site.data, "adviser-1").await.unwrap();
    let before = authentications(site).len();
    let code = code(site, right);
    let attached = deadly(&serving, site, dies);
    let answer = second_step(&channel, challenge, code.clone()).await;
    assert!(answer.is_err(), "{dies:?}: it did not die");
    serving.ended(std::time::Duration::from_secs(60)).unwrap();
    drop(attached);
    (code, before)
}

/// The one that is shown now, or another.
fn code(site: &Site, right: bool) -> String {
    let people = People::read(&site.data);
    let shown = people.get("adviser-1").code(machine_now());
    if right {
        return shown;
    }
    let other: u32 = (shown.parse::<u32>().unwrap() + 500_001) % 1_000_000;
    format!("{other:06}")
}

async fn try_code(site: &Site, serving: &Serving, code: &str) -> Result<String, tonic::Status> {
    let channel = serving.connect().await;
    let challenge = first_step(&channel, &site.data, "adviser-1").await?;
    second_step(&channel, challenge, code.to_owned()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_that_was_spent_stays_spent_when_its_entry_was_never_written() {
    let site = Site::new();
    let (code, before) = killed_at_second_step(&site, true, Dies::BeforeTheLog).await;
    assert_eq!(authentications(&site).len(), before);
    let serving = site::start(&site.data);
    let told = entries(&site.log());
    assert_eq!(detail(start_entry(&told), "unlogged_factor_writes"), "2");
    let again = try_code(&site, &serving, &code).await.unwrap_err();
    assert_eq!(again.code(), Code::Unauthenticated, "{again}");
    let last = authentications(&site).pop().unwrap();
    assert_eq!(detail(&last, "why"), "used code");
    serving.stop();
    let serving = site::start(&site.data);
    let told = entries(&site.log());
    assert_eq!(detail(start_entry(&told), "unlogged_factor_writes"), "0");
    serving.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_without_its_entry_still_counts_and_one_that_was_never_made_does_not() {
    for (dies, attempt, unlogged) in [
        // The charge, and the write that a wrong code makes as well as a right one.
        (Dies::BeforeTheLog, "2", "2"),
        (Dies::BeforeTheStore, "1", "0"),
    ] {
        let site = Site::new();
        let (_, before) = killed_at_second_step(&site, false, dies).await;
        assert_eq!(authentications(&site).len(), before, "{dies:?}");
        let serving = site::start(&site.data);
        let told = entries(&site.log());
        assert_eq!(
            detail(start_entry(&told), "unlogged_factor_writes"),
            unlogged
        );
        try_code(&site, &serving, &code(&site, false))
            .await
            .unwrap_err();
        let last = authentications(&site).pop().unwrap();
        assert_eq!(detail(&last, "attempt"), attempt, "{dies:?}");
        serving.stop();
    }
}
