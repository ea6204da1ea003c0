//! The caller: a service with a few connections that asks as fast as it is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sekisho::proto::access_service_client::AccessServiceClient;
use sekisho::proto::{CheckRequest, CheckResponse, Decision};
use tokio::task::JoinSet;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use super::Outcome;
use super::usage::Usage;

/// The requests that are asked in turn.
pub(super) type Checks = Arc<[CheckRequest]>;

/// Connects now, so that no round pays for a handshake.
pub(super) async fn connect(access: &ClientTlsConfig, address: &str) -> Outcome<Channel> {
    let channel = Endpoint::from_shared(format!("https://{address}"))?
        .tls_config(access.clone())?
        .tcp_nodelay(true)
        .connect()
        .await?;
    Ok(channel)
}

/// What one round showed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub(super) per_second: f64,
    /// Of the server, µs for each request.
    pub(super) cpu: f64,
    /// Of the server, for each request: how often one of its threads went to sleep, or was made to wait.
    pub(super) switches: f64,
    /// µs.
    pub(super) median: f64,
    /// µs.
    pub(super) worst_hundredth: f64,
}

/// A service's connections to one server.
pub(super) struct Caller(Vec<AccessServiceClient<Channel>>);

impl Caller {
    pub(super) async fn connect(
        access: &ClientTlsConfig,
        address: &str,
        connections: usize,
    ) -> Outcome<Self> {
        let mut clients = Vec::with_capacity(connections);
        for _ in 0..connections {
            clients.push(AccessServiceClient::new(connect(access, address).await?));
        }
        Ok(Self(clients))
    }

    pub(super) fn clients(&self) -> Vec<AccessServiceClient<Channel>> {
        self.0.clone()
    }

    /// Asks every check once, and gives the last answer.
    pub(super) async fn ask_once(&self, checks: &Checks) -> Outcome<CheckResponse> {
        let mut client = self.0.first().cloned().ok_or("no connection")?;
        let mut last = CheckResponse::default();
        for check in checks.iter() {
            last = allowed(client.check(check.clone()).await?.into_inner())?;
        }
        Ok(last)
    }

    /// Keeps `in_flight` requests in flight on `connections` connections for as long as `length`, and looks at what the
    /// process `server` used meanwhile.
    ///
    /// # Errors
    /// When any answer is anything but an allowance.
    pub(super) async fn round(
        &self,
        server: u32,
        checks: &Checks,
        connections: usize,
        in_flight: usize,
        length: Duration,
    ) -> Outcome<Round> {
        let before = Usage::of(server)?;
        let started = Instant::now();
        let until = started + length;
        let mut askers = JoinSet::new();
        for number in 0..in_flight {
            let client = self.0.get(number % connections).ok_or("no connection")?;
            askers.spawn(ask_until(until, client.clone(), Arc::clone(checks), number));
        }
        let mut latencies = Vec::new();
        while let Some(asked) = askers.join_next().await {
            latencies.extend(asked??);
        }
        let took = started.elapsed();
        let used = Usage::of(server)?.since(&before);
        latencies.sort_unstable();
        let count = latencies.len() as f64;
        Ok(Round {
            per_second: count / took.as_secs_f64(),
            cpu: used.cpu_nanoseconds as f64 / 1e3 / count,
            switches: used.switches as f64 / count,
            median: quantile(&latencies, 50)?,
            worst_hundredth: quantile(&latencies, 99)?,
        })
    }
}

async fn ask_until(
    until: Instant,
    mut client: AccessServiceClient<Channel>,
    checks: Checks,
    first: usize,
) -> Outcome<Vec<Duration>> {
    let mut latencies = Vec::with_capacity(1 << 16);
    for check in checks.iter().cycle().skip(first) {
        let request = check.clone();
        let asked = Instant::now();
        if asked >= until {
            break;
        }
        let answer = client.check(request).await?.into_inner();
        latencies.push(asked.elapsed());
        allowed(answer)?;
    }
    Ok(latencies)
}

pub(super) fn allowed(answer: CheckResponse) -> Outcome<CheckResponse> {
    if answer.decision() == Decision::Allow {
        return Ok(answer);
    }
    let reason = answer.reasons.first().map(|reason| reason.code());
    Err(format!("a check was not allowed: {reason:?}").into())
}

/// µs of a sorted list.
pub(super) fn quantile(sorted: &[Duration], hundredths: usize) -> Outcome<f64> {
    let position = sorted.len().saturating_mul(hundredths) / 100;
    let at = sorted.get(position).ok_or("nothing was measured")?;
    Ok(at.as_secs_f64() * 1e6)
}
