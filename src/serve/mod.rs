//! The composition root: opens what the configuration names, joins it, listens, and on a signal lets go in order.

mod http;
mod open_files;
mod tls;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tonic::transport::Server;

use crate::api;
use crate::backup::{BackupError, mark::Mark};
use crate::config::Config;
use crate::domain::ids::Name;
use crate::domain::time::Clock;
use crate::files::FileError;
use crate::gate::{
    self, FolderStands, Gate, Parts, PolicyError, PolicySource, Settings, StartError,
};
use crate::identity::keyring::{Keyring, KeyringError};
use crate::identity::seals::Seals;
use crate::index::IndexConfig;
use crate::log::{AccessLog, LogConfig, LogHealth, OpenError, Opened, SigningSeed};
use crate::proto;
use crate::sinks::{SinkError, Sinks};
use crate::store::{Store, StoreError};
use crate::vitals::Vitals;
use crate::witness::{Handing, WitnessError, Witnesses};

/// How long calls in flight may take after a stop was asked for.
const DRAIN: Duration = Duration::from_secs(10);
/// The longest a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Alarms that wait to be logged; each witness raises one.
const ALARMS: usize = 32;
/// How many calls one connection may have in flight.
const STREAMS_PER_CONNECTION: u32 = 1_024;

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The policy pack is not in order.
    #[error("the policy pack is refused:\n{0}")]
    Policy(#[from] PolicyError),
    /// A certificate or key can't be used.
    #[error("{}: {what}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The keyring can't be used.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The directory of the keys that disposal destroys can't be used.
    #[error(transparent)]
    Seals(#[from] FileError),
    /// The access log can't be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Log and store don't go together, or can't be read.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The directory was restored, and its mark can't be used, or says that it is half.
    #[error(transparent)]
    Restored(#[from] BackupError),
    /// A sink can't be taken up.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Somebody who keeps checkpoints knows better, or is required and can't be reached.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// An address can't be listened on.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The disk could not make the log durable, so what it holds is unknown: the next start looks.
    #[error("the access log failed: {0}")]
    LogFailed(String),
    /// The system allows too few open files.
    #[error(
        "the process may have {allowed} files open and needs {needed}: raise the limit (systemd: LimitNOFILE), or lower bounds.connections"
    )]
    OpenFiles {
        /// For the connections of the configuration, and what is its own.
        needed: u64,
        /// As the system says.
        allowed: u64,
    },
    /// What should not happen.
    #[error("internal error: {0}")]
    Internal(String),
}

impl ServeError {
    /// The code the process ends with (sysexits). Those of the log are at [`OpenError`], those of witnesses at
    /// [`WitnessError`].
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Policy(_) | Self::Tls { .. } | Self::Keyring(_) => 78,
            Self::Log(error) => error.exit_code(),
            Self::Witness(error) => error.exit_code(),
            Self::Start(
                StartError::LogOlderThanStore { .. }
                | StartError::StoreOlderThanLog { .. }
                | StartError::AnotherLog { .. }
                | StartError::GapNotDeclared { .. }
                | StartError::GapWaits { .. }
                | StartError::StoreForgot { .. },
            ) => 65,
            Self::OpenFiles { .. } | Self::Start(StartError::Threads(_)) => 71,
            Self::Restored(error) => error.exit_code(),
            Self::Store(_) | Self::Start(_) | Self::Seals(_) => 72,
            Self::Sink(error) => error.exit_code(),
            Self::Listen { .. } => 69,
            Self::LogFailed(_) => 74,
            Self::Internal(_) => 70,
        }
    }
}

/// What is counted for operators.
#[derive(Debug, Default)]
struct Metrics {
    connections: AtomicU64,
    failed_handshakes: AtomicU64,
    refused_connections: AtomicU64,
}

impl Metrics {
    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A daemon that serves.
#[derive(Debug)]
pub struct Running {
    /// Where gRPC listens.
    pub grpc: SocketAddr,
    /// Where metrics and liveness are served.
    pub http: SocketAddr,
    gate: Arc<Gate>,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
    handing: Handing,
}

/// Opens everything and serves.
///
/// # Errors
/// Whatever keeps it from serving; nothing is left running then.
pub async fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Running, ServeError> {
    open_files::allow(config.connections_max)?;
    let tls = tls::configuration(&config)?;
    let settings = settings(&config)?;
    // Before anything is opened: a half restored log is none.
    let restored = Mark::read(&config.data)?;
    let keyring = Keyring::open(&config.data)?;
    let index_config = IndexConfig {
        directory: config.data.join("index"),
        spare_bytes: config.log_space.warn_below,
    };
    let opened = open_log(&config, &keyring).await?;
    // With the log held: nobody else puts anything in force here.
    let source = (config.pack.clone(), config.policy.clone());
    let (shelf, began) = (config.data.join("policies"), clock.now());
    let reader = opened.log.reader();
    let policy = blocking(move || {
        let (folder, settings) = source;
        PolicySource::open(folder, shelf, settings)?.begin(&reader, began)
    })
    .await??;
    if let Some(mark) = &restored {
        gate::restore::may_serve(&opened.log.reader(), mark.entries, clock.now())?;
    }
    let place = config.store.to_string();
    let store = Store::open_at(&config.store).await?;
    let lost = gate::lost::states(&opened.log, &store, clock.now()).await?;
    let witnesses = Witnesses::look(config.witness.clone(), &opened.log, lost).await?;
    let reader = opened.log.reader();
    let (sink_configs, data, sink_clock) = (
        config.sinks.clone(),
        config.data.clone(),
        Arc::clone(&clock),
    );
    let sinks = blocking(move || Sinks::open(&sink_configs, &data, &reader, &sink_clock)).await??;
    let seals = Seals::open(config.data.join("seals"), keyring.log_text.clone())?;
    let grpc_listener = listen(config.grpc_listen).await?;
    let http_listener = listen(config.http_listen).await?;
    let grpc = local_address(&grpc_listener, config.grpc_listen)?;
    let http = local_address(&http_listener, config.http_listen)?;
    let gate = Gate::start(Parts {
        clock,
        settings,
        policy,
        keyring,
        log: opened,
        store,
        seals,
    })
    .await?;
    if restored.is_some() {
        Mark::remove(&config.data)?;
    }
    let index = gate.start_index(index_config);

    let (alarms, alarmed) = mpsc::channel(ALARMS);
    let handing = witnesses.start(&alarms);
    let metrics = Arc::new(Metrics::default());
    gate.carry_out_due_resets().await;
    gate.look_at_incidents().await;
    let parts: Vec<Arc<dyn Vitals>> = vec![
        Arc::new(gate.log().clone()),
        Arc::new(gate.ledger().clone()),
        Arc::<Metrics>::clone(&metrics),
        gate.policies(),
        gate.upkeep(),
        gate.overdue_clocks(),
        handing.standing(),
        Arc::new(sinks.states()),
        index,
    ];
    let (stop, stopping) = watch::channel(false);
    let (health_reporter, health) = tonic_health::server::health_reporter();
    report_health(&health_reporter, true).await;
    let incoming = tls::incoming(
        grpc_listener,
        tls,
        config.connections_max,
        Arc::clone(&metrics),
        stopping.clone(),
    );
    let router = Server::builder()
        .layer(api::SizeLimits::new(Arc::clone(&gate)))
        .timeout(CALL_TIMEOUT)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .http2_max_header_list_size(16 * 1024)
        .add_service(health)
        .add_service(reflection_v1()?)
        .add_service(reflection_v1alpha()?)
        .add_service(services::access(&gate))
        .add_service(services::authentication(&gate))
        .add_service(services::credentials(&gate))
        .add_service(services::subjects(&gate))
        .add_service(services::directory(&gate))
        .add_service(services::access_log(&gate))
        .add_service(services::sessions(&gate))
        .add_service(services::resets(&gate))
        .add_service(services::requests(&gate))
        .add_service(services::provision_records(&gate))
        .add_service(services::incidents(&gate))
        .add_service(services::measures(&gate))
        .add_service(services::explanations(&gate))
        .add_service(services::reviews(&gate))
        .add_service(services::policies(&gate));
    let mut until = stopping.clone();
    let serving = tokio::spawn(async move {
        let stopped = async move { stopped(&mut until).await };
        if let Err(error) = router.serve_with_incoming_shutdown(incoming, stopped).await {
            tracing::error!(%error, "the gRPC server ended");
        }
    });
    let pages = tokio::spawn(http::serve(
        http_listener,
        Arc::clone(&gate),
        parts.into(),
        stopping.clone(),
    ));
    let streaming = sinks.start(&stopping);
    let alarming = tokio::spawn(log_alarms(Arc::clone(&gate), alarmed, stopping.clone()));
    let tidying = tokio::spawn(tidy_up(Arc::clone(&gate), stopping.clone()));
    let minding = tokio::spawn(Arc::clone(&gate).mind_the_log(stopping.clone()));
    let following = tokio::spawn(Arc::clone(&gate).follow_others(stopping.clone()));
    let recording = tokio::spawn(Arc::clone(&gate).follow_records(stopping.clone()));
    let looking = tokio::spawn(Arc::clone(&gate).watch_policy(stopping.clone()));
    let shadowing = tokio::spawn(Arc::clone(&gate).follow_shadow(stopping.clone()));
    let watching = tokio::spawn(watch_health(Arc::clone(&gate), health_reporter, stopping));
    tracing::info!(%grpc, %http, log = gate.log().name(), pack = &*gate.rules().pack, store = %place, "serving");
    Ok(Running {
        grpc,
        http,
        gate,
        stop,
        servers: [
            serving, pages, alarming, tidying, minding, following, recording, looking, shadowing,
            watching,
        ]
        .into_iter()
        .chain(streaming)
        .collect(),
        handing,
    })
}

/// Opens the log that a configuration names.
pub(crate) async fn open_log(config: &Config, keyring: &Keyring) -> Result<Opened, ServeError> {
    let log_config = LogConfig {
        segment_bytes: config.log_segment_bytes,
        deadline: config.log_deadline,
        space: config.log_space,
        ..LogConfig::new(
            config.data.join("log"),
            SigningSeed::new(keyring.log_signing.expose()),
        )
    };
    let name = format!(
        "{}/log/{}",
        config.trust_domain,
        uuid::Uuid::new_v4().simple()
    );
    let opened = blocking(move || AccessLog::open(log_config, &name)).await??;
    for torn in &opened.torn_tails {
        tracing::warn!(offset = torn.offset, bytes = torn.bytes, kept_in = %torn.kept_in.display(),
            "a stop left a write half done; nothing of it had been answered");
    }
    Ok(opened)
}

impl Running {
    /// Waits until the log fails, which ends the daemon; for ever otherwise.
    pub async fn failed(&self) -> ServeError {
        let mut log = self.gate.log().watch();
        let failed = log
            .wait_for(|state| matches!(state.health, LogHealth::Failed(_)))
            .await;
        match failed.map(|state| state.health.clone()) {
            Ok(LogHealth::Failed(why)) => ServeError::LogFailed(why),
            _ => ServeError::LogFailed("its writer ended".to_owned()),
        }
    }

    /// Looks at the pack's folder now. What came of it is in the log and in the daemon's own messages.
    pub async fn reload(&self) {
        match self.gate.look_at_policy().await {
            Ok(FolderStands::Refused(faults)) => {
                for fault in faults {
                    tracing::error!(%fault, "the pack in the policy's folder is refused");
                }
            }
            Ok(stands) => tracing::info!(?stands, "looked at the policy's folder"),
            Err(error) => tracing::error!(%error, "the policy's folder could not be looked at"),
        }
    }

    /// Does at once what is done every minute: for who sets the clock, and has keys of another month wanted by the next call.
    pub async fn tidy(&self) {
        self.gate.tidy().await;
    }

    /// Takes no more calls, lets those in flight end, writes the entry of the stop and closes everything.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        self.gate.let_go();
        let ending = async {
            for server in self.servers {
                let _ = server.await;
            }
        };
        if tokio::time::timeout(DRAIN, ending).await.is_err() {
            tracing::warn!("calls were still in flight after {DRAIN:?}");
        }
        self.gate.stop().await;
        self.handing.finish().await;
        tracing::info!("stopped");
    }
}

/// The services, each behind its own bound: [`api::SizeLimits`] refuses first and says why; this is the last line.
mod services {
    use super::{Arc, Gate, api, proto};
    use proto::access_log_service_server::AccessLogServiceServer;
    use proto::access_service_server::AccessServiceServer;
    use proto::authentication_service_server::AuthenticationServiceServer;
    use proto::credential_service_server::CredentialServiceServer;
    use proto::directory_service_server::DirectoryServiceServer;
    use proto::incident_service_server::IncidentServiceServer;
    use proto::measure_service_server::MeasureServiceServer;
    use proto::policy_service_server::PolicyServiceServer;
    use proto::provision_record_service_server::ProvisionRecordServiceServer;
    use proto::request_service_server::RequestServiceServer;
    use proto::reset_service_server::ResetServiceServer;
    use proto::review_service_server::ReviewServiceServer;
    use proto::session_service_server::SessionServiceServer;
    use proto::subject_service_server::SubjectServiceServer;

    use proto::explain_service_server::ExplainServiceServer;

    const LAST_LINE_BYTES: usize = 4 * 1024 * 1024;

    pub(super) fn access(gate: &Arc<Gate>) -> AccessServiceServer<api::Access> {
        AccessServiceServer::new(api::Access::new(Arc::clone(gate)))
            .max_decoding_message_size(LAST_LINE_BYTES)
    }

    pub(super) fn authentication(
        gate: &Arc<Gate>,
    ) -> AuthenticationServiceServer<api::Authentication> {
        AuthenticationServiceServer::new(api::Authentication::new(Arc::clone(gate)))
            .max_decoding_message_size(LAST_LINE_BYTES)
    }

    pub(super) fn credentials(gate: &Arc<Gate>) -> CredentialServiceServer<api::CredentialCalls> {
        CredentialServiceServer::new(api::CredentialCalls::new(Arc::clone(gate)))
            .max_decoding_message_size(LAST_LINE_BYTES)
    }

    pub(super) fn explanations(gate: &Arc<Gate>) -> ExplainServiceServer<api::Explanations> {
        ExplainServiceServer::new(api::Explanations::new(Arc::clone(gate)))
            .max_decoding_message_size(LAST_LINE_BYTES)
    }

    pub(super) fn reviews(gate: &Arc<Gate>) -> ReviewServiceServer<api::Reviews> {
        ReviewServiceServer::new(api::Reviews::new(Arc::clone(gate)))
            .max_decoding_message_size(LAST_LINE_BYTES)
    }

    pub(super) fn policies(gate: &Arc<Gate>) -> PolicyServiceServer<api::Policies> {
        PolicyServiceServer::new(api::Policies::new(Arc::clone(gate)))
            .max_decoding_message_size(LAST_LINE_BYTES)
    }

    pub(super) fn subjects(gate: &Arc<Gate>) -> SubjectServiceServer<api::Subjects> {
        SubjectServiceServer::new(api::Subjects::new(Arc::clone(gate)))
            .max_decoding_message_size(LAST_LINE_BYTES)
    }

    pub(super) fn directory(gate: &Arc<Gate>) -> DirectoryServiceServer<api::Directory> {
        DirectoryServiceServer::new(api::Directory::new(Arc::clone(gate)))
            .max_decoding_message_size(LAST_LINE_BYTES)
    }

    pub(super) fn sessions(gate: &Arc<Gate>) -> SessionServiceServer<api::Sessions> {
        SessionServiceServer::new(api::Sessions::new(Arc::clone(gate)))
            .max_decoding_message_size(LAST_LINE_BYTES)
    }

    pub(super) fn requests(gate: &Arc<Gate>) -> RequestServiceServer<api::Requests> {
        RequestServiceServer::new(api::Requests::new(Arc::clone(gate)))
            .max_decoding_message_size(LAST_LINE_BYTES)
    }

    pub(super) fn provision_records(
        gate: &Arc<Gate>,
    ) -> ProvisionRecordServiceServer<api::ProvisionRecords> {
        ProvisionRecordServiceServer::new(api::ProvisionRecords::new(Arc::clone(gate)))
            .max_decoding_message_size(LAST_LINE_BYTES)
    }

    pub(super) fn measures(gate: &Arc<Gate>) -> MeasureServiceServer<api::Measures> {
        MeasureServiceServer::new(api::Measures::new(Arc::clone(gate)))
            .max_decoding_message_size(LAST_LINE_BYTES)
    }

    pub(super) fn incidents(gate: &Arc<Gate>) -> IncidentServiceServer<api::Incidents> {
        IncidentServiceServer::new(api::Incidents::new(Arc::clone(gate)))
            .max_decoding_message_size(LAST_LINE_BYTES)
    }

    pub(super) fn resets(gate: &Arc<Gate>) -> ResetServiceServer<api::Resets> {
        ResetServiceServer::new(api::Resets::new(Arc::clone(gate)))
            .max_decoding_message_size(LAST_LINE_BYTES)
    }

    pub(super) fn access_log(gate: &Arc<Gate>) -> AccessLogServiceServer<api::Logs> {
        AccessLogServiceServer::new(api::Logs::new(Arc::clone(gate)))
            .max_decoding_message_size(LAST_LINE_BYTES)
    }
}

fn descriptors<'a>() -> tonic_reflection::server::Builder<'a> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

fn reflection_v1() -> Result<
    tonic_reflection::server::v1::ServerReflectionServer<
        impl tonic_reflection::server::v1::ServerReflection,
    >,
    ServeError,
> {
    descriptors()
        .build_v1()
        .map_err(|error| ServeError::Internal(error.to_string()))
}

fn reflection_v1alpha() -> Result<
    tonic_reflection::server::v1alpha::ServerReflectionServer<
        impl tonic_reflection::server::v1alpha::ServerReflection,
    >,
    ServeError,
> {
    descriptors()
        .build_v1alpha()
        .map_err(|error| ServeError::Internal(error.to_string()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ServeError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ServeError::Internal(error.to_string()))
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Listen { address, source })
}

fn local_address(listener: &TcpListener, address: SocketAddr) -> Result<SocketAddr, ServeError> {
    listener
        .local_addr()
        .map_err(|source| ServeError::Listen { address, source })
}

fn settings(config: &Config) -> Result<Settings, ServeError> {
    let own = [
        ("sekisho-cli", &config.cli_certificate),
        ("sekisho-console", &config.console_certificate),
    ];
    let mut built_in = HashMap::new();
    for (id, path) in own {
        if let Some(path) = path {
            let id = Name::parse(id).map_err(|error| ServeError::Internal(error.to_string()))?;
            built_in.insert(fingerprint(path)?, id);
        }
    }
    Ok(Settings {
        trust_domain: config.trust_domain.clone(),
        built_in,
        revoked_certificates: config.revoked_certificates.clone(),
        change_deadline: config.log_deadline * 2,
        allow_loopback_device: config.allow_loopback_device,
        login: config.login,
        dispose_needs_two: config.dispose_needs_two,
        small_office: config.small_office,
        snapshot_max_age: config.snapshot_max_age,
        request_ids_max: config.request_ids_max,
    })
}

fn fingerprint(path: &Path) -> Result<[u8; 32], ServeError> {
    let certificates = tls::certificates(path)?;
    match certificates.first() {
        Some(certificate) => Ok(Sha256::digest(certificate).into()),
        None => Err(ServeError::Tls {
            path: path.to_owned(),
            what: "holds no certificate".to_owned(),
        }),
    }
}

/// Ends when a stop is asked for; a dropped sender is a stop too.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Writes into the log what contradicts it.
async fn log_alarms(
    gate: Arc<Gate>,
    mut alarms: mpsc::Receiver<String>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            () = stopped(&mut stopping) => return,
            alarm = alarms.recv() => match alarm {
                Some(what) => gate.tell_alarm(&what).await,
                None => return,
            },
        }
    }
}

/// Every minute, what has to be done from time to time.
async fn tidy_up(gate: Arc<Gate>, mut stopping: watch::Receiver<bool>) {
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    loop {
        tokio::select! {
            () = stopped(&mut stopping) => return,
            _ = minute.tick() => gate.tidy().await,
        }
    }
}

/// Tells health as it changes: serving only while the log can be written, the store answers, and no import is missing from it.
async fn watch_health(
    gate: Arc<Gate>,
    reporter: tonic_health::server::HealthReporter,
    mut stopping: watch::Receiver<bool>,
) {
    let mut look = tokio::time::interval(Duration::from_millis(500));
    let mut was_serving = true;
    loop {
        tokio::select! {
            () = stopped(&mut stopping) => break,
            _ = look.tick() => {
                let writing = gate.log().health() == LogHealth::Writing;
                let serving =
                    writing && gate.store_answers().await && gate.knows_all_subjects();
                if serving != was_serving {
                    report_health(&reporter, serving).await;
                    was_serving = serving;
                }
            }
        }
    }
    report_health(&reporter, false).await;
}

async fn report_health(reporter: &tonic_health::server::HealthReporter, serving: bool) {
    let status = if serving {
        tonic_health::ServingStatus::Serving
    } else {
        tonic_health::ServingStatus::NotServing
    };
    for service in [
        "",
        "sekisho.v1.AccessService",
        "sekisho.v1.AuthenticationService",
        "sekisho.v1.CredentialService",
        "sekisho.v1.SubjectService",
        "sekisho.v1.AccessLogService",
    ] {
        reporter.set_service_status(service, status).await;
    }
}
