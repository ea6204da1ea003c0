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
const ROUNDS: usize = 40;

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

#[test]
fn an_unknown_id_takes_as_long_as_a_known_one_and_a_right_code_as_long_as_a_wrong_one() {
    let mut site = Site::open();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let identity = of_service(site.daemon.data(), CALLER);
    let channel = runtime
        .block_on(client::connect(
            site.daemon.data(),
            &identity,
            &site.daemon.grpc,
        ))
        .unwrap();
    let mut service = AuthenticationServiceClient::new(channel);
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let nobody = format!("nobody-{round}");
        let one = first_step(&mut service, "adviser-1", "not the password");
        known.push(runtime.block_on(one).0);
        let other = first_step(&mut service, &nobody, "not the password");
        unknown.push(runtime.block_on(other).0);
    }
    let (known, unknown) = (Spread::of(known), Spread::of(unknown));
    eprintln!("wrong password of a known id {known}, of an unknown id {unknown}");
    assert!(known.overlaps(&unknown), "{known} against {unknown}");

    let password = site.people.get("adviser-1").password.clone();
    let (mut right, mut wrong) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS / 2 {
        for is_right in [false, true] {
            // One wrong code in a row, so that nothing waits; each right one is of a new step.
            site.advance(Duration::from_secs(30));
            let code = if is_right {
                site.code("adviser-1")
            } else {
                site.wrong_code("adviser-1")
            };
            let first = first_step(&mut service, "adviser-1", &password);
            let challenge = runtime.block_on(first).1.unwrap();
            let request = VerifySecondFactorRequest {
                challenge_id: challenge,
                factor: Some(Factor::Totp(code)),
            };
            let begun = Instant::now();
            let answer = runtime.block_on(service.verify_second_factor(request));
            let took = begun.elapsed();
            assert_eq!(answer.is_ok(), is_right);
            if is_right { &mut right } else { &mut wrong }.push(took);
        }
    }
    let (right, wrong) = (Spread::of(right), Spread::of(wrong));
    eprintln!("right code {right}, wrong code {wrong}");
    assert!(right.overlaps(&wrong), "{right} against {wrong}");
}
