//! Killed between log and store, for every kind of change that people and administrators make: what an entry says is made by
//! the next start, and nothing is that no entry says.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use sekisho::domain::time::Timestamp;
use sekisho::identity::totp::{Hash, Parameters, Seed};
use sekisho::proto::access_log_service_client::AccessLogServiceClient;
use sekisho::proto::access_service_client::AccessServiceClient;
use sekisho::proto::authentication_service_client::AuthenticationServiceClient;
use sekisho::proto::credential_service_client::CredentialServiceClient;
use sekisho::proto::directory_service_client::DirectoryServiceClient;
use sekisho::proto::import_tokens_request::File;
use sekisho::proto::incident_service_client::IncidentServiceClient;
use sekisho::proto::measure_service_client::MeasureServiceClient;
use sekisho::proto::request_service_client::RequestServiceClient;
use sekisho::proto::reset_service_client::ResetServiceClient;
use sekisho::proto::session_service_client::SessionServiceClient;
use sekisho::proto::stored_change::Kind;
use sekisho::proto::verify_second_factor_request::Factor;
use sekisho::proto::{
    AssignTokenRequest, AttestRequest, BeginStepUpRequest, ChangePasswordRequest,
    ChangePersonRequest, ConfirmEnrollmentRequest, Decision, DeclineRequestRequest,
    GetIncidentRequest, GetPersonRequest, ImportTokensRequest, IncidentItem,
    IssueEnrollmentCodeRequest, ListIncidentsRequest, ListLogHoldsRequest, ListRequestsRequest,
    ListSessionsRequest, OpenIncidentRequest, Person, PlaceLogHoldRequest,
    RegenerateRecoveryCodesRequest, ReleaseLogHoldRequest, ResetSecondFactorRequest,
    RevokePersonRequest, RevokeServiceRequest, RevokeSessionRequest, RoleAssignment,
    SetPasswordRequest, StartEnrollmentRequest, StoredCredentialKind, StoredEntry,
    UpdateIncidentRequest, VerifyPasswordRequest, VerifyPasswordResponse,
    VerifySecondFactorRequest, change_password_request,
};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::answered::{detail, entries};
use crate::between::{Dies, deadly, start_entry, with_ticket};
use crate::site::{self, SESSION, Serving, Site, check};
use crate::support::machine_now;
use crate::support::people::People;
use crate::support::scenario::{CALLER, OFFICE};

/// A debug build on a busy machine.
const SOON: Duration = Duration::from_secs(60);
const STEP_SECONDS: u64 = 30;

/// A call with somebody's ticket.
macro_rules! call {
    ($office:expr, $client:ident, $method:ident, $ticket:expr, $request:expr) => {
        $client::new($office.channel.clone())
            .$method(with_ticket($request, $ticket))
            .await
            .map(Response::into_inner)
    };
}
pub(crate) use call;

/// A daemon that dies and comes back, and who asks it.
pub(crate) struct Office {
    site: Site,
    serving: Option<Serving>,
    pub(crate) channel: Channel,
    people: People,
    /// How many codes were used, by person.
    used: RefCell<HashMap<String, u64>>,
    /// Tickets of two administrators.
    one: String,
    two: String,
}

impl Office {
    pub(crate) async fn open() -> Self {
        let site = Site::new();
        let serving = site::start(&site.data);
        let mut office = Self {
            people: People::read(&site.data),
            channel: serving.connect().await,
            serving: Some(serving),
            site,
            used: RefCell::default(),
            one: String::new(),
            two: String::new(),
        };
        office.one = office.log_in("administrator-1").await;
        office.two = office.log_in("administrator-2").await;
        office
    }

    /// A code that the person has not used, and the daemon takes.
    fn code_of(&self, person: &str) -> String {
        self.people.get(person).code(self.at_new_step(person))
    }

    fn at_new_step(&self, person: &str) -> u64 {
        let mut used = self.used.borrow_mut();
        let times = used.entry(person.to_owned()).or_default();
        *times += 1;
        assert!(*times <= 2, "no more codes of {person} are taken now");
        machine_now() + (*times - 1) * STEP_SECONDS
    }

    async fn first_step(
        &self,
        person: &str,
        password: &str,
    ) -> Result<VerifyPasswordResponse, Status> {
        let request = VerifyPasswordRequest {
            person: person.into(),
            password: password.into(),
            client_ip: OFFICE.into(),
            session_ref: SESSION.into(),
        };
        let answer = AuthenticationServiceClient::new(self.channel.clone())
            .verify_password(request)
            .await;
        answer.map(Response::into_inner)
    }

    /// The first step with the password that the person was given.
    async fn as_given(&self, person: &str) -> Result<VerifyPasswordResponse, Status> {
        let password = self.people.get(person).password.clone();
        self.first_step(person, &password).await
    }

    async fn challenge(&self, person: &str) -> String {
        self.as_given(person).await.unwrap().challenge_id
    }

    async fn second_step(&self, challenge: String, factor: Factor) -> Result<String, Status> {
        let request = VerifySecondFactorRequest {
            challenge_id: challenge,
            factor: Some(factor),
        };
        let answer = AuthenticationServiceClient::new(self.channel.clone())
            .verify_second_factor(request)
            .await?;
        Ok(answer.into_inner().session_ticket)
    }

    pub(crate) async fn log_in(&self, person: &str) -> String {
        let challenge = self.challenge(person).await;
        let code = Factor::Totp(self.code_of(person));
        self.second_step(challenge, code).await.unwrap()
    }

    /// An enrolment of somebody who has no second factor yet, and its seed.
    async fn begin_enrollment(&self) -> (String, String) {
        let start = StartEnrollmentRequest {
            challenge_id: self.challenge("newcomer-1").await,
            enrollment_code: String::new(),
        };
        let begun = AuthenticationServiceClient::new(self.channel.clone())
            .start_enrollment(start)
            .await
            .unwrap()
            .into_inner();
        let seed = begun.otpauth_uri.split("secret=").nth(1).unwrap();
        let seed = seed.split('&').next().unwrap().to_owned();
        (begun.enrollment_id, seed)
    }

    /// With the code of the step before, which is good until the end of this one: for who needs two more.
    async fn log_in_early(&self, person: &str) -> String {
        let challenge = self.challenge(person).await;
        while machine_now() % STEP_SECONDS > STEP_SECONDS / 2 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let before = machine_now() - STEP_SECONDS;
        let code = self.people.get(person).code(before);
        let login = self.second_step(challenge, Factor::Totp(code)).await;
        login.unwrap()
    }

    /// A challenge within a session.
    async fn step_up(&self, ticket: &str) -> String {
        let begin = BeginStepUpRequest {
            session_ticket: ticket.to_owned(),
            client_ip: OFFICE.into(),
            session_ref: SESSION.into(),
        };
        let begun = AuthenticationServiceClient::new(self.channel.clone())
            .begin_step_up(begin)
            .await;
        begun.unwrap().into_inner().challenge_id
    }

    async fn is_denied(&self, ticket: &str) -> bool {
        let answer = AccessServiceClient::new(self.channel.clone())
            .check(check(ticket, "", 1))
            .await;
        answer.unwrap().into_inner().decision() == Decision::Deny
    }

    /// The sessions of a person, as an administrator sees them.
    async fn sessions(&self, person: &str) -> Vec<String> {
        let list = ListSessionsRequest {
            person: person.into(),
            ..ListSessionsRequest::default()
        };
        let list = call!(self, SessionServiceClient, list_sessions, &self.one, list).unwrap();
        list.sessions
            .into_iter()
            .map(|one| one.session_id)
            .collect()
    }

    /// The requests that wait for a second administrator.
    async fn requests(&self) -> Vec<u64> {
        let list = ListRequestsRequest {};
        let list = call!(self, RequestServiceClient, list_requests, &self.one, list).unwrap();
        list.requests
            .iter()
            .map(|request| request.pending)
            .collect()
    }

    async fn holds(&self) -> Vec<u64> {
        let list = ListLogHoldsRequest {};
        let list = call!(
            self,
            AccessLogServiceClient,
            list_log_holds,
            &self.one,
            list
        )
        .unwrap();
        list.holds.iter().map(|hold| hold.hold).collect()
    }

    async fn person(&self, id: &str) -> Person {
        let get = GetPersonRequest { id: id.into() };
        let got = call!(self, DirectoryServiceClient, get_person, &self.one, get).unwrap();
        got.person.unwrap()
    }

    /// What the store holds that no call tells.
    async fn count(&self, what: &'static str) -> i64 {
        site::number_in_store(&self.site.data, what).await
    }

    /// Killed in the middle of `ask`, first before its entry is written, then between the entry and the store; each time what
    /// `is_made` tells is what the log says. What `ask` wants is made ready before. `staged` is what the store is told before the
    /// log is, of a credential that no entry came to name.
    pub(crate) async fn dies_at<T>(
        &mut self,
        what: &str,
        staged: &str,
        ready: impl AsyncFn(&Self) -> T,
        ask: impl AsyncFn(&Self, T) -> Result<(), Status>,
        is_made: impl AsyncFn(&Self) -> bool,
    ) {
        for dies in [Dies::BeforeTheLog, Dies::AtTheSync] {
            let name = format!("{what}, {dies:?}");
            let wanted = ready(self).await;
            let before = changes(&entries(&self.site.log()));
            let serving = self.serving.take().unwrap();
            let attached = deadly(&serving, &self.site, dies);
            let answer = ask(self, wanted).await;
            let status = answer.expect_err(&format!("{name}: it did not die"));
            let ended = serving.ended(SOON);
            assert!(ended.is_some(), "{name}: it did not die: {status}");
            drop(attached);
            let logged = changes(&entries(&self.site.log())) - before;
            assert_eq!(logged > 0, dies == Dies::AtTheSync, "{name}: {status}");

            if dies == Dies::AtTheSync {
                assert_eq!(newest(&entries(&self.site.log())), what, "{name}");
            }

            self.come_back().await;
            let all = entries(&self.site.log());
            let start = start_entry(&all);
            assert_eq!(
                detail(start, "replayed_changes"),
                logged.to_string(),
                "{name}"
            );
            let dropped = if dies == Dies::BeforeTheLog {
                staged
            } else {
                "0"
            };
            assert_eq!(detail(start, "dropped_credentials"), dropped, "{name}");
            let made = is_made(self).await;
            assert_eq!(made, logged > 0, "{name}: log and store do not agree");
        }
    }

    async fn come_back(&mut self) {
        let serving = site::start(&self.site.data);
        self.channel = serving.connect().await;
        self.serving = Some(serving);
    }

    pub(crate) fn stop(mut self) {
        self.serving.take().unwrap().stop();
    }
}

fn changes(of: &[StoredEntry]) -> usize {
    of.iter().filter(|entry| entry.change.is_some()).count()
}

/// What the newest change is: a kind that is added has to be killed somewhere, too.
fn newest(of: &[StoredEntry]) -> &'static str {
    let kinds = of.iter().rev().filter_map(|entry| entry.change.as_ref());
    match kinds
        .filter_map(|change| change.kind.as_ref())
        .next()
        .unwrap()
    {
        Kind::PlaceLogHold(_) => "a hold of the log",
        Kind::Ask(_) => "a request",
        Kind::Decline(_) => "a request declined",
        Kind::ReleaseLogHold(_) => "a hold released",
        Kind::PutPerson(_) => "a person",
        Kind::PutGuardedPerson(_) => "a person guarded",
        Kind::ResetSecondFactor(_) => "a reset",
        Kind::OpenSession(_) => "a login",
        Kind::EndSession(_) => "the end of a session",
        Kind::RaiseEpoch(_) => "the end of a person's sessions",
        Kind::EndService(_) => "the end of a service",
        Kind::OpenIncident(_) => "an incident",
        Kind::IncidentStep(_) => "a step of an incident",
        Kind::Attest(_) => "an attestation",
        Kind::TakeUpCredential(taken) => match taken.kind() {
            StoredCredentialKind::Password => "a password",
            StoredCredentialKind::SecondFactor => "a second factor",
            StoredCredentialKind::RecoveryCodes => "recovery codes",
            StoredCredentialKind::EnrollmentCode => "a code for an enrolment",
            StoredCredentialKind::HardwareTokens => "tokens",
            StoredCredentialKind::Unspecified => "nothing",
        },
        // In `between`.
        Kind::RegisterHold(_) | Kind::ReleaseHold(_) | Kind::SetDate(_) | Kind::Outcome(_) => "",
        Kind::RegisterReference(_) | Kind::WithdrawReference(_) => "",
        // In `tests/gate/imports.rs` and `src/store/imports.rs`: what it names is in the store first.
        Kind::ImportSubjects(_) => "",
        // In `tests/gate/retention.rs` and `src/gate/running/restore.rs`, with the clock that they take.
        Kind::Dispose(_) | Kind::GapDeclared(_) => "",
        // In `src/gate/policies/source.rs`: which policy is in force is not in the store.
        Kind::ActivatePolicy(_) => "",
        // In `reviews`.
        Kind::OpenReview(_) => "a campaign",
        Kind::AddReviewItems(_) => "items of a campaign",
        Kind::AskPerson(_) => "a question",
        Kind::AnswerQuestion(_) => "an answer",
        Kind::JudgeItems(_) => "a judgement",
        Kind::AssignItem(_) => "a substitute",
        Kind::SignReview(_) => "a signature",
        // This version makes none.
        Kind::RemoveCredential(_) => "",
    }
}

/// For a call that wants nothing.
pub(crate) async fn nothing(_: &Office) {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_of_the_log_and_requests_for_a_second_administrator() {
    let mut office = Office::open().await;
    let place = async |office: &Office, ()| {
        let hold = PlaceLogHoldRequest {
            reason: "suit 12".into(),
            ..PlaceLogHoldRequest::default()
        };
        call!(
            office,
            AccessLogServiceClient,
            place_log_hold,
            &office.one,
            hold
        )
        .map(drop)
    };
    let is_placed = async |office: &Office| office.holds().await.len() == 1;
    office
        .dies_at("a hold of the log", "0", nothing, place, is_placed)
        .await;

    let hold = office.holds().await[0];
    let release = async |office: &Office, by: &str, approve: u64| {
        let release = ReleaseLogHoldRequest {
            hold,
            reason: "settled".into(),
            approve,
        };
        let done = call!(
            office,
            AccessLogServiceClient,
            release_log_hold,
            by,
            release
        );
        done.map(|done| done.pending)
    };
    let ask = async |office: &Office, ()| release(office, &office.one, 0).await.map(drop);
    let is_asked = async |office: &Office| office.requests().await.len() == 1;
    office
        .dies_at("a request", "0", nothing, ask, is_asked)
        .await;

    let pending = async |office: &Office| office.requests().await[0];
    let decline = async |office: &Office, pending| {
        let decline = DeclineRequestRequest {
            pending,
            reason: "not yet".into(),
        };
        call!(
            office,
            RequestServiceClient,
            decline_request,
            &office.two,
            decline
        )
        .map(drop)
    };
    let is_declined = async |office: &Office| office.requests().await.is_empty();
    office
        .dies_at("a request declined", "0", pending, decline, is_declined)
        .await;

    release(&office, &office.one, 0).await.unwrap();
    let approve =
        async |office: &Office, pending| release(office, &office.two, pending).await.map(drop);
    let is_released = async |office: &Office| {
        let (holds, requests) = (office.holds().await, office.requests().await);
        assert_eq!(holds.is_empty(), requests.is_empty());
        holds.is_empty()
    };
    office
        .dies_at("a hold released", "0", pending, approve, is_released)
        .await;
    office.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_and_what_takes_two() {
    let mut office = Office::open().await;
    let rename = async |office: &Office, ()| {
        let change = ChangePersonRequest {
            person: Some(Person {
                id: "adviser-1".into(),
                display_name: "A. Dviser".into(),
                ..Person::default()
            }),
            update_mask: vec!["display_name".into()],
            ..ChangePersonRequest::default()
        };
        call!(
            office,
            DirectoryServiceClient,
            change_person,
            &office.one,
            change
        )
        .map(drop)
    };
    let is_renamed =
        async |office: &Office| office.person("adviser-1").await.display_name == "A. Dviser";
    office
        .dies_at("a person", "0", nothing, rename, is_renamed)
        .await;

    let promote = async |office: &Office, by: &str, approve: u64| {
        let change = ChangePersonRequest {
            person: Some(Person {
                id: "legal-1".into(),
                roles: vec![RoleAssignment {
                    role: "administrator".into(),
                    ..RoleAssignment::default()
                }],
                ..Person::default()
            }),
            update_mask: vec!["roles".into()],
            approve,
            ..ChangePersonRequest::default()
        };
        let done = call!(office, DirectoryServiceClient, change_person, by, change);
        done.map(|done| done.pending)
    };
    let pending = promote(&office, &office.one, 0).await.unwrap();
    let asked = async |_: &Office| pending;
    let approve =
        async |office: &Office, pending| promote(office, &office.two, pending).await.map(drop);
    let is_promoted = async |office: &Office| {
        let person = office.person("legal-1").await;
        let administers = person.roles.iter().any(|role| role.role == "administrator");
        // What others had in their hands goes with it.
        assert_eq!(administers, office.as_given("legal-1").await.is_err());
        administers
    };
    office
        .dies_at("a person guarded", "0", asked, approve, is_promoted)
        .await;

    let reset = async |office: &Office, by: &str, approve: u64| {
        let reset = ResetSecondFactorRequest {
            person: "adviser-2".into(),
            reason: "phone lost".into(),
            approve,
        };
        let done = call!(office, ResetServiceClient, reset_second_factor, by, reset);
        done.map(|done| done.pending)
    };
    let pending = reset(&office, &office.one, 0).await.unwrap();
    let asked = async |_: &Office| pending;
    let approve =
        async |office: &Office, pending| reset(office, &office.two, pending).await.map(drop);
    let is_reset = async |office: &Office| {
        let first = office.as_given("adviser-2").await.unwrap();
        first.enrollment_required
    };
    office
        .dies_at("a reset", "0", asked, approve, is_reset)
        .await;
    office.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_begin_and_end() {
    let mut office = Office::open().await;
    let first_step = async |office: &Office| {
        let challenge = office.challenge("accounting-1").await;
        (challenge, office.code_of("accounting-1"))
    };
    let second_step = async |office: &Office, (challenge, code)| {
        office
            .second_step(challenge, Factor::Totp(code))
            .await
            .map(drop)
    };
    let has_begun = async |office: &Office| office.sessions("accounting-1").await.len() == 1;
    office
        .dies_at("a login", "0", first_step, second_step, has_begun)
        .await;

    let (first, second) = (
        office.log_in("adviser-1").await,
        office.log_in("adviser-2").await,
    );
    let session = async |office: &Office| office.sessions("adviser-1").await.remove(0);
    let end = async |office: &Office, session_id| {
        let revoke = RevokeSessionRequest {
            session_id,
            reason: "left the desk".into(),
        };
        call!(
            office,
            SessionServiceClient,
            revoke_session,
            &office.one,
            revoke
        )
        .map(drop)
    };
    let has_ended = async |office: &Office| office.is_denied(&first).await;
    office
        .dies_at("the end of a session", "0", session, end, has_ended)
        .await;

    let end = async |office: &Office, ()| {
        let revoke = RevokePersonRequest {
            person: "adviser-2".into(),
            reason: "lost the laptop".into(),
        };
        call!(
            office,
            SessionServiceClient,
            revoke_person,
            &office.one,
            revoke
        )
        .map(drop)
    };
    let have_ended = async |office: &Office| office.is_denied(&second).await;
    office
        .dies_at(
            "the end of a person's sessions",
            "0",
            nothing,
            end,
            have_ended,
        )
        .await;

    let end = async |office: &Office, ()| {
        let revoke = RevokeServiceRequest {
            service: CALLER.into(),
            reason: "its host was broken into".into(),
        };
        call!(
            office,
            SessionServiceClient,
            revoke_service,
            &office.one,
            revoke
        )
        .map(drop)
    };
    // That of the administrators, too.
    let have_ended = async |office: &Office| {
        let list = ListSessionsRequest {
            person: "adviser-1".into(),
            ..ListSessionsRequest::default()
        };
        let list = call!(
            office,
            SessionServiceClient,
            list_sessions,
            &office.one,
            list
        );
        list.is_err()
    };
    office
        .dies_at("the end of a service", "0", nothing, end, have_ended)
        .await;
    office.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_administrators_give_out() {
    let mut office = Office::open().await;
    let set = async |office: &Office, ()| {
        let set = SetPasswordRequest {
            person: "adviser-1".into(),
            approve: 0,
        };
        call!(
            office,
            CredentialServiceClient,
            set_password,
            &office.one,
            set
        )
        .map(drop)
    };
    let is_set = async |office: &Office| office.as_given("adviser-1").await.is_err();
    office
        .dies_at("a password", "1", nothing, set, is_set)
        .await;

    let issue = async |office: &Office, ()| {
        let issue = IssueEnrollmentCodeRequest {
            person: "newcomer-1".into(),
            ..IssueEnrollmentCodeRequest::default()
        };
        let issued = call!(
            office,
            CredentialServiceClient,
            issue_enrollment_code,
            &office.one,
            issue
        );
        issued.map(drop)
    };
    let is_issued =
        async |office: &Office| office.count("SELECT count(*) FROM enrollment_codes").await == 1;
    office
        .dies_at("a code for an enrolment", "1", nothing, issue, is_issued)
        .await;

    let seed: Vec<u8> = (0..32).collect();
    let hex = data_encoding::HEXLOWER.encode(&seed);
    let csv = format!("serial,algorithm,digits,period,seed\nT-1,SHA256,8,60,{hex}\n");
    let import = async |office: &Office, ()| {
        let import = ImportTokensRequest {
            file: Some(File::Csv(csv.clone())),
            dry_run: false,
        };
        call!(
            office,
            CredentialServiceClient,
            import_tokens,
            &office.one,
            import
        )
        .map(drop)
    };
    let is_imported =
        async |office: &Office| office.count("SELECT count(*) FROM hardware_tokens").await == 1;
    office
        .dies_at("tokens", "1", nothing, import, is_imported)
        .await;

    let parameters = Parameters::new(Hash::Sha256, 8, 60).unwrap();
    let token = Seed::from_bytes(&seed, parameters).unwrap();
    let shown = async |_: &Office| {
        let now = i64::try_from(machine_now()).unwrap();
        token.code_at(Timestamp::from_seconds(now))
    };
    let assign = async |office: &Office, totp| {
        let assign = AssignTokenRequest {
            person: "newcomer-1".into(),
            serial: "T-1".into(),
            totp,
            approve: 0,
        };
        call!(
            office,
            CredentialServiceClient,
            assign_token,
            &office.one,
            assign
        )
        .map(drop)
    };
    let is_assigned = async |office: &Office| {
        let first = office.as_given("newcomer-1").await.unwrap();
        let left = office.count("SELECT count(*) FROM hardware_tokens").await;
        assert_eq!(left, i64::from(first.enrollment_required));
        !first.enrollment_required
    };
    office
        .dies_at("a second factor", "1", shown, assign, is_assigned)
        .await;
    office.stop();
}

const NEW_PASSWORD: &str = "a horse that reads the battery";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_people_make_themselves() {
    let mut office = Office::open().await;
    let ticket = office.log_in_early("adviser-1").await;
    let step_up =
        async |office: &Office| (office.step_up(&ticket).await, office.code_of("adviser-1"));
    let change = async |office: &Office, (challenge_id, code)| {
        let change = ChangePasswordRequest {
            challenge_id,
            new_password: NEW_PASSWORD.into(),
            factor: Some(change_password_request::Factor::Totp(code)),
        };
        AuthenticationServiceClient::new(office.channel.clone())
            .change_password(change)
            .await
            .map(drop)
    };
    let is_changed = async |office: &Office| {
        let (old, new) = (
            office.as_given("adviser-1").await,
            office.first_step("adviser-1", NEW_PASSWORD).await,
        );
        assert_ne!(old.is_ok(), new.is_ok());
        new.is_ok()
    };
    office
        .dies_at("a password", "1", step_up, change, is_changed)
        .await;

    let begin = async |office: &Office| office.begin_enrollment().await;
    let confirm = async |office: &Office, (enrollment_id, seed): (String, String)| {
        let confirm = ConfirmEnrollmentRequest {
            enrollment_id,
            totp: shown_by(&seed),
            ..ConfirmEnrollmentRequest::default()
        };
        AuthenticationServiceClient::new(office.channel.clone())
            .confirm_enrollment(confirm)
            .await
            .map(drop)
    };
    let is_enrolled = async |office: &Office| {
        let first = office.as_given("newcomer-1").await.unwrap();
        !first.enrollment_required
    };
    office
        .dies_at("a second factor", "1", begin, confirm, is_enrolled)
        .await;
    office.stop();
}

/// What an authenticator with this seed shows now.
fn shown_by(seed: &str) -> String {
    let secret = totp_rs::Secret::try_from_base32(seed).unwrap();
    let built = totp_rs::Builder::new().with_secret(secret).build();
    built.unwrap().generate(machine_now()).to_string()
}

/// Of ten that are drawn anew; and one that was used is spent, whether or not there came to be an entry of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recovery_codes() {
    let mut office = Office::open().await;
    let ticket = office.log_in_early("adviser-1").await;
    let step_up = async |office: &Office| RegenerateRecoveryCodesRequest {
        challenge_id: office.step_up(&ticket).await,
        totp: office.code_of("adviser-1"),
    };
    let draw = async |office: &Office, request| {
        AuthenticationServiceClient::new(office.channel.clone())
            .regenerate_recovery_codes(request)
            .await
            .map(drop)
    };
    let codes = "SELECT count(*) FROM recovery_codes";
    assert_eq!(office.count(codes).await, 0);
    let are_drawn = async |office: &Office| match office.count(codes).await {
        10 => true,
        left => left != 0,
    };
    office
        .dies_at("recovery codes", "1", step_up, draw, are_drawn)
        .await;

    let (enrollment_id, seed) = office.begin_enrollment().await;
    let confirm = ConfirmEnrollmentRequest {
        enrollment_id,
        totp: shown_by(&seed),
        ..ConfirmEnrollmentRequest::default()
    };
    let codes = AuthenticationServiceClient::new(office.channel.clone())
        .confirm_enrollment(confirm)
        .await
        .unwrap()
        .into_inner()
        .recovery_codes;
    let challenge = office.challenge("newcomer-1").await;
    let serving = office.serving.take().unwrap();
    let attached = deadly(&serving, &office.site, Dies::BeforeTheLog);
    let used = Factor::RecoveryCode(codes[0].clone());
    office
        .second_step(challenge, used.clone())
        .await
        .unwrap_err();
    assert!(serving.ended(SOON).is_some(), "it did not die");
    drop(attached);
    office.come_back().await;
    let told = entries(&office.site.log());
    assert_ne!(detail(start_entry(&told), "unlogged_factor_writes"), "0");
    let challenge = office.challenge("newcomer-1").await;
    let again = office.second_step(challenge, used).await.unwrap_err();
    assert_eq!(again.code(), Code::Unauthenticated, "{again}");
    let challenge = office.challenge("newcomer-1").await;
    let another = Factor::RecoveryCode(codes[1].clone());
    office.second_step(challenge, another).await.unwrap();
    office.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn incidents() {
    let mut office = Office::open().await;
    let reviewer = office.log_in("security-1").await;
    let listed = async |office: &Office| {
        let list = ListIncidentsRequest::default();
        let list = call!(
            office,
            IncidentServiceClient,
            list_incidents,
            &reviewer,
            list
        );
        list.unwrap().incidents
    };
    let open = async |office: &Office, ()| {
        let open = OpenIncidentRequest {
            summary: "a list was lost".into(),
            ..OpenIncidentRequest::default()
        };
        call!(
            office,
            IncidentServiceClient,
            open_incident,
            &reviewer,
            open
        )
        .map(drop)
    };
    let is_open = async |office: &Office| listed(office).await.len() == 1;
    office
        .dies_at("an incident", "0", nothing, open, is_open)
        .await;

    let incident = async |office: &Office| listed(office).await[0].incident;
    let update = async |office: &Office, incident| {
        let update = UpdateIncidentRequest {
            incident,
            item: IncidentItem::Cause.into(),
            text: "a bag was left on a train".into(),
        };
        call!(
            office,
            IncidentServiceClient,
            update_incident,
            &reviewer,
            update
        )
        .map(drop)
    };
    let is_updated = async |office: &Office| {
        let get = GetIncidentRequest {
            incident: incident(office).await,
        };
        let seen = call!(office, IncidentServiceClient, get_incident, &reviewer, get);
        let timeline = seen.unwrap().incident.unwrap().timeline;
        let mut items = timeline.iter().filter(|event| event.what == "item");
        items
            .next()
            .is_some_and(|event| event.text == "a bag was left on a train")
    };
    office
        .dies_at("a step of an incident", "0", incident, update, is_updated)
        .await;

    let attest = async |office: &Office, ()| {
        let attest = AttestRequest {
            measure: "irrecoverable-disposal".into(),
            done_at: Some(prost_types::Timestamp {
                seconds: i64::try_from(machine_now()).unwrap() - 60,
                nanos: 0,
            }),
            reference: "D-1".into(),
            note: "disks were shredded".into(),
        };
        call!(office, MeasureServiceClient, attest, &reviewer, attest).map(drop)
    };
    let is_attested =
        async |office: &Office| office.count("SELECT count(*) FROM attestations").await == 1;
    office
        .dies_at("an attestation", "0", nothing, attest, is_attested)
        .await;
    office.stop();
}
