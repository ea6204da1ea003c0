//! Calls that come at a fixed rate, whether or not those before were answered: many callers who know nothing of each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sekisho::proto::VerifyPasswordRequest;
use sekisho::proto::authentication_service_client::AuthenticationServiceClient;
use tokio::task::JoinSet;
use tonic::Code;
use tonic::transport::{Channel, ClientTlsConfig};

use super::Outcome;
use super::load::{self, Caller, Checks, quantile};
use super::usage;

/// Calls `per_second` times a second for as long as `length`; gives all answers, once the last one is there. Each call is told
/// when it was due, for its wait counts from then: a caller who can't keep up would otherwise hide what it caused.
///
/// # Errors
/// Of the first call that has one.
pub(super) async fn at_rate<T, F>(
    per_second: u32,
    length: Duration,
    call: impl Fn(usize, Instant) -> F + Send + 'static,
) -> Outcome<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Outcome<T>> + Send + 'static,
{
    // A thread of its own: the runtime's timer wakes within a millisecond only.
    let offering = tokio::task::spawn_blocking(move || {
        let mut calls = JoinSet::new();
        let started = Instant::now();
        let mut due = started;
        let between = Duration::from_secs(1) / per_second.max(1);
        for number in 0.. {
            if due >= started + length {
                break;
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            calls.spawn(call(number, due));
            due += between;
        }
        calls
    });
    let mut calls = offering.await?;
    let mut answers = Vec::with_capacity(calls.len());
    while let Some(answer) = calls.join_next().await {
        answers.push(answer??);
    }
    Ok(answers)
}

/// How the checks of a round went, µs from when they were due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    pub(super) median: f64,
    pub(super) worst_hundredth: f64,
    /// How late the caller itself was at most in 99 of 100: part of the above, and none of the daemon's doing but that it
    /// shares the machine.
    pub(super) late: f64,
    /// How much of the processors' time a host gave to others meanwhile, in hundredths (`steal` of proc_stat(5)): who is always
    /// busy is stopped more often.
    pub(super) stolen: f64,
}

/// Asks checks at a rate. All must be allowed.
pub(super) async fn checks(
    caller: &Caller,
    asked: &Checks,
    per_second: u32,
    length: Duration,
) -> Outcome<Waits> {
    let (clients, asked) = (caller.clients(), Arc::clone(asked));
    let before = usage::stolen()?;
    let answers = at_rate(per_second, length, move |number, due| {
        let client = clients.get(number % clients.len()).cloned();
        let check = asked.get(number % asked.len()).cloned();
        async move {
            let mut client = client.ok_or("no connection")?;
            let late = due.elapsed();
            let answer = client.check(check.ok_or("no check")?).await?.into_inner();
            let waited = due.elapsed();
            load::allowed(answer)?;
            Ok((waited, late))
        }
    })
    .await?;
    let after = usage::stolen()?;
    let (mut waits, mut late): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
    waits.sort_unstable();
    late.sort_unstable();
    Ok(Waits {
        median: quantile(&waits, 50)?,
        worst_hundredth: quantile(&waits, 99)?,
        late: quantile(&late, 99)?,
        stolen: after.since(before),
    })
}

/// How the first steps of a round went.
#[derive(Debug, Clone, Copy)]
pub(super) struct FirstSteps {
    /// Passed, for each second from the first that was offered to the last that was answered.
    pub(super) done_per_second: f64,
    /// Answered with RESOURCE_EXHAUSTED, for each second in which any was offered.
    pub(super) refused_per_second: f64,
    /// Of those that passed, µs.
    pub(super) median: f64,
}

/// Connections for logins, and whose.
pub(super) struct Logins {
    client: AuthenticationServiceClient<Channel>,
    people: Arc<[VerifyPasswordRequest]>,
}

impl Logins {
    /// `people` are those of whom each passes the first step.
    pub(super) async fn connect(
        access: &ClientTlsConfig,
        address: &str,
        people: Vec<VerifyPasswordRequest>,
    ) -> Outcome<Self> {
        let mut client = AuthenticationServiceClient::new(load::connect(access, address).await?);
        for person in &people {
            client.verify_password(person.clone()).await?;
        }
        Ok(Self {
            client,
            people: people.into(),
        })
    }

    /// Offers the first step of one person after the other at a rate.
    ///
    /// # Errors
    /// When any is neither passed nor refused as one too many.
    pub(super) async fn offer(&self, per_second: u32, length: Duration) -> Outcome<FirstSteps> {
        let (client, people) = (self.client.clone(), Arc::clone(&self.people));
        let started = Instant::now();
        let answers = at_rate(per_second, length, move |number, due| {
            let mut client = client.clone();
            let person = people.get(number % people.len()).cloned();
            async move {
                let person = person.ok_or("nobody logs in")?;
                match client.verify_password(person).await {
                    Ok(_) => Ok(Some(due.elapsed())),
                    Err(status) if status.code() == Code::ResourceExhausted => Ok(None),
                    Err(status) => Err(status.into()),
                }
            }
        })
        .await?;
        let took = started.elapsed();
        let refused = answers.iter().filter(|answer| answer.is_none()).count();
        let mut waits: Vec<Duration> = answers.into_iter().flatten().collect();
        waits.sort_unstable();
        Ok(FirstSteps {
            done_per_second: waits.len() as f64 / took.as_secs_f64(),
            refused_per_second: refused as f64 / length.as_secs_f64(),
            median: quantile(&waits, 50)?,
        })
    }
}
