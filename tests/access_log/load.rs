//! What fills the log: checks of a service that asks for itself, and logins of people, over a real TLS socket.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use sekisho::proto::access_service_client::AccessServiceClient;
use sekisho::proto::authentication_service_client::AuthenticationServiceClient;
use sekisho::proto::verify_second_factor_request::Factor;
use sekisho::proto::{
    Action, Actor, CheckRequest, DataScope, Decision, VerifyPasswordRequest,
    VerifySecondFactorRequest, actor::Proof,
};
use tonic::transport::Channel;

use super::support::certificates::of_service;
use super::support::client::connect;
use super::support::daemon::Daemon;
use super::support::machine_now;
use super::support::people::People;
use super::support::scenario::{CALLER, OFFICE, SESSION};

/// A service that may ask for itself.
const WORKLOAD: &str = "notice-mailer";

pub(crate) async fn workload(daemon: &Daemon) -> AccessServiceClient<Channel> {
    let identity = of_service(daemon.data(), WORKLOAD);
    AccessServiceClient::new(
        connect(daemon.data(), &identity, &daemon.grpc)
            .await
            .unwrap(),
    )
}

fn asked(purpose: &str) -> CheckRequest {
    CheckRequest {
        actor: Some(Actor {
            proof: Some(Proof::Workload(true)),
            ..Actor::default()
        }),
        action: Action::Read.into(),
        data: Some(DataScope {
            system: "crm".into(),
            subject_kind: "job-seeker".into(),
            subject_ref: "seeker-streamed".into(),
            categories: vec!["contact.email".into()],
            ..DataScope::default()
        }),
        purpose: purpose.into(),
        ..CheckRequest::default()
    }
}

/// `count` checks one after another; how long each took.
pub(crate) async fn checks(
    access: &mut AccessServiceClient<Channel>,
    count: usize,
) -> Vec<Duration> {
    let mut took = Vec::with_capacity(count);
    for number in 0..count {
        let purpose = if number % 3 == 0 {
            "curiosity"
        } else {
            "recruitment-service"
        };
        let since = Instant::now();
        let answer = access.check(asked(purpose)).await.unwrap().into_inner();
        took.push(since.elapsed());
        let expected = if purpose == "curiosity" {
            Decision::Deny
        } else {
            Decision::Allow
        };
        assert_eq!(answer.decision(), expected, "{:?}", answer.reasons);
    }
    took
}

/// A check by a person who breaks the glass.
pub(crate) async fn break_glass(daemon: &Daemon, person: &str, reason: &str) {
    let channel = connect(
        daemon.data(),
        &of_service(daemon.data(), CALLER),
        &daemon.grpc,
    )
    .await
    .unwrap();
    let mut authentication = AuthenticationServiceClient::new(channel.clone());
    let people = People::read(daemon.data());
    let known = people.get(person);
    let first = authentication
        .verify_password(VerifyPasswordRequest {
            person: person.into(),
            password: known.password.clone(),
            client_ip: OFFICE.into(),
            session_ref: SESSION.into(),
        })
        .await
        .unwrap()
        .into_inner();
    let second = VerifySecondFactorRequest {
        challenge_id: first.challenge_id,
        factor: Some(Factor::Totp(known.code(machine_now()))),
    };
    let ticket = authentication
        .verify_second_factor(second)
        .await
        .unwrap()
        .into_inner()
        .session_ticket;
    let request = CheckRequest {
        actor: Some(Actor {
            proof: Some(Proof::SessionTicket(ticket)),
            client_ip: OFFICE.into(),
            session_ref: SESSION.into(),
        }),
        data: Some(DataScope {
            system: "crm".into(),
            subject_kind: "job-seeker".into(),
            subject_ref: "seeker-glass".into(),
            categories: vec!["special.medical".into()],
            ..DataScope::default()
        }),
        basis: Some(sekisho::proto::Basis {
            consent: sekisho::proto::ConsentState::Prior.into(),
            ..sekisho::proto::Basis::default()
        }),
        break_glass: Some(sekisho::proto::BreakGlass {
            reason: reason.into(),
        }),
        ..asked("recruitment-service")
    };
    let answer = AccessServiceClient::new(channel)
        .check(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.decision(), Decision::Allow, "{:?}", answer.reasons);
}

/// The value of a metric.
pub(crate) fn metric(daemon: &Daemon, name: &str) -> u64 {
    let metrics = daemon.get("/metrics");
    let value = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value
        .unwrap_or_else(|| panic!("no {name} in {metrics}"))
        .parse()
        .unwrap()
}

/// The shipped binary, with nothing of the environment that it would heed.
pub(crate) fn sekisho(home: &Path, input: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SEKISHO_") {
            command.env_remove(name);
        }
    }
    let mut child = command
        .current_dir(home)
        .env("SEKISHO_TICKET_FILE", home.join("ticket.json"))
        .env("LC_ALL", "C")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The same for one that must end well; what it printed.
pub(crate) fn done(home: &Path, input: &str, arguments: &[&str]) -> String {
    let output = sekisho(home, input, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Logs a person in at the command line.
pub(crate) fn log_in(home: &Path, data: &Path, person: &str) {
    let known = People::read(data);
    let known = known.get(person);
    let typed = format!(
        "{person}\n{}\n{}\n",
        known.password,
        known.code(machine_now())
    );
    done(home, &typed, &["login", "--data", data.to_str().unwrap()]);
}
