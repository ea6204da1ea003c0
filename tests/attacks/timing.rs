//! How long an answer takes tells nothing: of a known id and an unknown one, of a right code and a wrong one.

use std::time::{Duration, Instant};

use sekisho::proto::authentication_service_client::AuthenticationServiceClient;
use sekisho::proto::verify_second_factor_request::Factor;
use sekisho::proto::{VerifyPasswordRequest, VerifySecondFactorRequest};
use tonic::transport::Channel;

use crate::site::Site;
use crate::support::certificates::of_service;
use crate::support::client;
use crate::support::play::Door;
use crate::support::scenario::{CALLER, OFFICE, SESSION};

/// How many of each.
const ROUNDS: usize = 50;
const STEP: Duration = Duration::from_secs(30);

/// The middle of a distribution, and its quarters.
struct Spread {
    quarter: Duration,
    middle: Duration,
    three_quarters: Duration,
}

impl Spread {
    fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        Self {
            quarter: all[all.len() / 4],
            middle: all[all.len() / 2],
            three_quarters: all[all.len() * 3 / 4],
        }
    }

    /// The middle of one is within the half of the other, or they are as near as a millisecond.
    fn overlaps(&self, other: &Self) -> bool {
        let within = |one: &Self, other: &Self| {
            one.quarter <= other.middle && other.middle <= one.three_quarters
        };
        let apart = self.middle.abs_diff(other.middle);
        within(self, other) || within(other, self) || apart < Duration::from_millis(1)
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            quarter,
            middle,
            three_quarters,
        } = self;
        write!(f, "{middle:.1?} ({quarter:.1?} to {three_quarters:.1?})")
    }
}

async fn first_step(
    service: &mut AuthenticationServiceClient<Channel>,
    person: &str,
    password: &str,
) -> (Duration, Option<String>) {
    let request = VerifyPasswordRequest {
        person: person.to_owned(),
        password: password.to_owned(),
        client_ip: OFFICE.to_owned(),
        session_ref: SESSION.to_owned(),
    };
    let begun = Instant::now();
    let answer = service.verify_password(request).await;
    let took = begun.elapsed();
    (
        took,
        answer.ok().map(|answer| answer.into_inner().challenge_id),
    )
}

/// Neither of two is always the first: a machine that slows down in a rhythm would tell them apart.
fn in_any_order() -> [bool; 2] {
    let first = uuid::Uuid::new_v4().as_u128() & 1 == 0;
    [first, !first]
}

async fn second_step(
    service: &mut AuthenticationServiceClient<Channel>,
    challenge: String,
    code: String,
) -> (Duration, Option<String>) {
    let request = VerifySecondFactorRequest {
        challenge_id: challenge,
        factor: Some(Factor::Totp(code)),
    };
    let begun = Instant::now();
    let answer = service.verify_second_factor(request).await;
    let took = begun.elapsed();
    let ticket = answer.ok().map(|answer| answer.into_inner().session_ticket);
    (took, ticket)
}

/// A service's own connection.
fn door(site: &Site, runtime: &tokio::runtime::Runtime) -> AuthenticationServiceClient<Channel> {
    let data = site.daemon.data();
    let own = of_service(data, CALLER);
    let connecting = client::connect(data, &own, &site.daemon.grpc);
    AuthenticationServiceClient::new(runtime.block_on(connecting).unwrap())
}

#[test]
fn an_unknown_id_takes_as_long_as_a_known_one() {
    let site = Site::open();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut service = door(&site, &runtime);
    measured_to_overlap("a wrong password of a known id", "of an unknown id", || {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            for is_known in in_any_order() {
                let nobody = format!("nobody-{round}");
                let person = if is_known { "adviser-1" } else { &nobody };
                let asked = first_step(&mut service, person, "not the password");
                let (took, challenge) = runtime.block_on(asked);
                assert_eq!(challenge, None);
                if is_known { &mut known } else { &mut unknown }.push(took);
            }
        }
        (Spread::of(known), Spread::of(unknown))
    });
}

/// Both are refused with the same words. A right code that is not refused opens a session, which takes a write of its own: the
/// answer tells it anyway.
#[test]
fn a_used_code_takes_as_long_as_a_wrong_one() {
    let mut site = Site::open();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut service = door(&site, &runtime);
    let password = site.people.get("adviser-1").password.clone();
    let mut try_code = |code: &str| {
        let first = first_step(&mut service, "adviser-1", &password);
        let challenge = runtime.block_on(first).1.unwrap();
        let second = second_step(&mut service, challenge, code.to_owned());
        runtime.block_on(second)
    };
    let mut logins = Vec::new();
    measured_to_overlap("a used code", "a wrong code", || {
        let (mut used, mut wrong) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS / 2 {
            // Never more than two failures in a row, so that nothing waits.
            site.advance(STEP);
            let code = site.code("adviser-1");
            let (took, ticket) = try_code(&code);
            assert!(ticket.is_some());
            logins.push(took);
            for is_used in in_any_order() {
                let shown = if is_used {
                    code.clone()
                } else {
                    site.wrong_code("adviser-1")
                };
                let (took, ticket) = try_code(&shown);
                assert_eq!(ticket, None);
                if is_used { &mut used } else { &mut wrong }.push(took);
            }
        }
        (Spread::of(used), Spread::of(wrong))
    });
    eprintln!("a login with its session {}", Spread::of(logins));
}

#[test]
fn a_right_code_takes_as_long_as_a_wrong_one() {
    let mut site = Site::open();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut service = door(&site, &runtime);
    let mut session = site.person("adviser-1");
    measured_to_overlap("a right code", "a wrong code", || {
        let (mut right, mut wrong) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS / 2 {
            // Each right one is of a new step.
            site.advance(STEP);
            let code = site.code("adviser-1");
            for is_right in in_any_order() {
                let begun = site.step_up(&session).unwrap();
                let challenge = begun["challengeId"].as_str().unwrap().to_owned();
                let shown = if is_right {
                    code.clone()
                } else {
                    site.wrong_code("adviser-1")
                };
                let second = second_step(&mut service, challenge, shown);
                let (took, ticket) = runtime.block_on(second);
                assert_eq!(ticket.is_some(), is_right);
                session.ticket = ticket.unwrap_or(session.ticket.clone());
                if is_right { &mut right } else { &mut wrong }.push(took);
            }
        }
        (Spread::of(right), Spread::of(wrong))
    });
}

/// A machine that has other things to do may tell two equal works apart once; three times it does not.
fn measured_to_overlap(one: &str, other: &str, mut measure: impl FnMut() -> (Spread, Spread)) {
    let mut told = String::new();
    for _ in 0..3 {
        let (first, second) = measure();
        told = format!("{one} {first}, {other} {second}");
        eprintln!("{told}");
        if first.overlaps(&second) {
            return;
        }
    }
    panic!("{told}");
}
