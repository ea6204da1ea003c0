//! The daemon under test: the shipped binary, started as anybody would start it, and a person who logged in to it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sekisho::domain::time::{Clock as _, SystemClock};
use sekisho::identity::totp::Seed;
use sekisho::proto::authentication_service_client::AuthenticationServiceClient;
use sekisho::proto::verify_second_factor_request::Factor;
use sekisho::proto::{
    Action, Actor, CheckRequest, DataScope, Relation, VerifyPasswordRequest,
    VerifySecondFactorRequest, actor,
};
use serde_json::Value;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};

use super::Outcome;
use super::load::{self, Checks};

/// The pack, where a benchmark makes none of its own.
pub(super) const PACK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/recruitment");
const PERSON: &str = "accounting-1";
const ADMINISTRATOR: &str = "administrator-1";
/// Who else logs in: all of the pack's samples who are employed.
const PEOPLE: [&str; 8] = [
    "adviser-1",
    "adviser-2",
    "adviser-3",
    "adviser-5",
    "reception-1",
    "manager-1",
    "legal-1",
    "security-1",
];
const SERVICE: &str = "billing";
const DEVICE: &str = "203.0.113.10";
pub(super) const SESSION: &str = "s-0123456789abcdef";
/// Below the limit of the pack for an hour: a subject who is seen again counts once.
const SUBJECTS: u32 = 100;
const START: Duration = Duration::from_secs(30);

/// A child process that ends when this is dropped.
pub(super) struct Process(pub(super) Child);

impl Process {
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) struct Daemon {
    pub(super) process: Process,
    /// Of gRPC, with its port.
    pub(super) address: String,
    /// The service's certificate, and the authority of the server's.
    pub(super) access: ClientTlsConfig,
    data: PathBuf,
}

impl Daemon {
    /// Starts `sekisho dev` on a data directory of its own below `folder`.
    pub(super) async fn start(folder: &Path) -> Outcome<Self> {
        Self::start_on(Path::new(PACK), folder).await
    }

    /// As [`Self::start`], on a pack.
    pub(super) async fn start_on(pack: &Path, folder: &Path) -> Outcome<Self> {
        let data = folder.join("data");
        let child = Command::new(env!("CARGO_BIN_EXE_sekisho"))
            .arg("dev")
            .arg("--pack")
            .arg(pack)
            .args(["--listen", "127.0.0.1:0"])
            .args(["--http", "127.0.0.1:0", "--data"])
            .arg(&data)
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let mut process = Process(child);
        let told = data.join("dev/endpoints.json");
        let started = Instant::now();
        // Written whole or not at all, once it listens.
        while !told.exists() {
            if let Some(status) = process.0.try_wait()? {
                return Err(format!("the daemon ended: {status}").into());
            }
            if started.elapsed() > START {
                return Err("the daemon did not start in time".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let endpoints: Value = serde_json::from_slice(&std::fs::read(told)?)?;
        let address = text(&endpoints, "grpc")?.to_owned();
        let made = data.join("dev");
        let service = made.join("services").join(SERVICE);
        let access = access(&made.join("ca.pem"), &service)?;
        Ok(Self {
            process,
            address,
            access,
            data,
        })
    }

    /// The data directory, where the certificates are.
    pub(super) fn folder(&self) -> &Path {
        &self.data
    }

    fn people(&self) -> Outcome<Vec<Value>> {
        let people = std::fs::read(self.data.join("dev/people.json"))?;
        Ok(serde_json::from_slice(&people)?)
    }

    /// Of everybody who may log in from this device, with the right password.
    pub(super) fn first_steps(&self) -> Outcome<Vec<VerifyPasswordRequest>> {
        let people = self.people()?;
        PEOPLE
            .iter()
            .map(|id| first_step(find(&people, id)?))
            .collect()
    }

    /// Passes both steps; the ticket.
    pub(super) async fn login(&self) -> Outcome<String> {
        let channel = load::connect(&self.access, &self.address).await?;
        self.login_of(PERSON, channel).await
    }

    /// The ticket of somebody who administers, and the connection of the command line that it is for.
    pub(super) async fn administrator(&self) -> Outcome<(String, Channel)> {
        let own = access(
            &self.data.join("dev/ca.pem"),
            &self.data.join("tls/sekisho-cli"),
        )?;
        let channel = load::connect(&own, &self.address).await?;
        let ticket = self.login_of(ADMINISTRATOR, channel.clone()).await?;
        Ok((ticket, channel))
    }

    async fn login_of(&self, person: &str, channel: Channel) -> Outcome<String> {
        let people = self.people()?;
        let person = find(&people, person)?;
        let mut client = AuthenticationServiceClient::new(channel);
        let accepted = client
            .verify_password(first_step(person)?)
            .await?
            .into_inner();
        let seed = Seed::from_base32(text(person, "totp_secret")?)?;
        let given = client
            .verify_second_factor(VerifySecondFactorRequest {
                challenge_id: accepted.challenge_id,
                factor: Some(Factor::Totp(seed.code_at(SystemClock.now()))),
            })
            .await?
            .into_inner();
        Ok(given.session_ticket)
    }
}

fn find<'a>(people: &'a [Value], id: &str) -> Outcome<&'a Value> {
    people
        .iter()
        .find(|person| person.get("id").and_then(Value::as_str) == Some(id))
        .ok_or_else(|| format!("{id} is not there").into())
}

fn first_step(person: &Value) -> Outcome<VerifyPasswordRequest> {
    Ok(VerifyPasswordRequest {
        person: text(person, "id")?.to_owned(),
        password: text(person, "password")?.to_owned(),
        client_ip: DEVICE.to_owned(),
        session_ref: SESSION.to_owned(),
    })
}

fn text<'a>(object: &'a Value, key: &str) -> Outcome<&'a str> {
    object
        .get(key)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("no {key}").into())
}

/// `certificate` is the path without its `.pem` and `.key`.
fn access(authority: &Path, certificate: &Path) -> Outcome<ClientTlsConfig> {
    Ok(ClientTlsConfig::new()
        .domain_name("localhost")
        .ca_certificate(Certificate::from_pem(std::fs::read(authority)?))
        .identity(Identity::from_pem(
            std::fs::read(certificate.with_extension("pem"))?,
            std::fs::read(certificate.with_extension("key"))?,
        )))
}

/// What a service asks when a clerk opens records for payment: every stage has work to do, and all pass.
pub(super) fn checks(ticket: &str) -> Checks {
    let check = |subject| CheckRequest {
        actor: Some(Actor {
            proof: Some(actor::Proof::SessionTicket(ticket.to_owned())),
            client_ip: DEVICE.to_owned(),
            session_ref: SESSION.to_owned(),
        }),
        action: Action::Read.into(),
        data: Some(DataScope {
            system: "ledger".to_owned(),
            subject_kind: "job-seeker".to_owned(),
            subject_ref: format!("candidate-{subject:06}"),
            categories: ["identity.name", "contact.email", "payment.bank-account"]
                .map(str::to_owned)
                .to_vec(),
            record_count: 1,
            ..DataScope::default()
        }),
        purpose: "settlement".to_owned(),
        case_ref: "invoice-2024-000123".to_owned(),
        relation: Relation::Assigned.into(),
        ..CheckRequest::default()
    };
    (0..SUBJECTS).map(check).collect::<Vec<_>>().into()
}
