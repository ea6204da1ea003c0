//! A daemon in this process, with a clock that the test holds, behind a real TLS socket: the composition root itself, on a
//! data directory laid out as `sekisho dev` lays out its own.

use std::collections::HashMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use sekisho::config::Config;
use sekisho::domain::ids::Name;
use sekisho::domain::time::{Clock, Timestamp};
use sekisho::files;
use sekisho::identity::keyring::Keyring;
use sekisho::identity::password::{Passwords, random_password};
use sekisho::identity::totp::Seed;
use sekisho::log::SpaceTiers;
use sekisho::policy;
use sekisho::serve::{self, Running};
use sekisho::store::{Store, StorePlace};
use serde_json::{Value, json};
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::StatusExt;

use super::certificates::{Identity, of_service, signed_by_dev};
use super::people::People;
use super::play::{CallError, Door, Metadata};
use super::{client, machine_now, wire};

const TRUST_DOMAIN: &str = "house.test";

/// Stands still until the test moves it.
#[derive(Debug)]
pub struct HeldClock(AtomicI64);

impl Clock for HeldClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

impl HeldClock {
    pub fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now.micros())))
    }

    pub fn set(&self, now: Timestamp) {
        self.0.store(now.micros(), Ordering::SeqCst);
    }
}

/// Makes keys, certificates and the pack's sample people. Certificates of rcgen outlast every scenario.
async fn furnish(data: &Path, pack: &Path) -> Config {
    let dev = data.join("dev");
    fs::create_dir_all(dev.join("services")).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters
        .distinguished_name
        .push(DnType::CommonName, "sekisho dev CA");
    fs::write(
        dev.join("ca.pem"),
        parameters.self_signed(&key).unwrap().pem(),
    )
    .unwrap();
    fs::write(dev.join("ca.key"), key.serialize_pem()).unwrap();
    let issuer = Issuer::new(parameters, key);

    let server_key = KeyPair::generate().unwrap();
    let names = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    let server = names.signed_by(&server_key, &issuer).unwrap();
    fs::write(data.join("server.pem"), server.pem()).unwrap();
    files::create_private(
        &data.join("server.key"),
        server_key.serialize_pem().as_bytes(),
    )
    .unwrap();

    let loaded = policy::load(pack).unwrap();
    for (_, service, _) in loaded.rules.services.iter() {
        let uri = format!("spiffe://{TRUST_DOMAIN}/service/{service}");
        signed_by_dev(data, &dev.join("services"), service, &[uri]);
    }
    let keyring = Keyring::create(data).unwrap();
    let store = Store::open(&data.join("store.sqlite")).await.unwrap();
    let passwords = Passwords::new(keyring.pepper.clone(), 2, 64).unwrap();
    let mut rows = Vec::new();
    for person in &loaded.people {
        store.put_person(person).await.unwrap();
        let password = random_password();
        let mut row = json!({ "id": &*person.id, "password": password.expose() });
        store
            .put_password(&person.id, &passwords.hash(password).await.unwrap())
            .await
            .unwrap();
        if !loaded.people_without_second_factor.contains(&person.id) {
            let (seed, id) = (Seed::random().unwrap(), uuid::Uuid::new_v4());
            let sealed = seed.seal(&keyring.seeds, &person.id, id).unwrap();
            store
                .put_second_factor(&person.id, id, &sealed)
                .await
                .unwrap();
            row["totp_secret"] = seed.to_base32().as_str().into();
        }
        rows.push(row);
    }
    store.close().await;
    fs::write(dev.join("people.json"), Value::Array(rows).to_string()).unwrap();
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Config {
        data: data.into(),
        pack: pack.into(),
        policy: sekisho::config::PolicySettings::default(),
        grpc_listen: anywhere,
        http_listen: anywhere,
        certificate: data.join("server.pem"),
        key: data.join("server.key"),
        client_authority: dev.join("ca.pem"),
        trust_domain: Name::parse(TRUST_DOMAIN).unwrap(),
        revoked_certificates: std::collections::HashSet::new(),
        cli_certificate: None,
        console_certificate: None,
        allow_loopback_device: false,
        login: sekisho::gate::LoginSettings::default(),
        small_office: false,
        log_deadline: Duration::from_secs(10),
        log_segment_bytes: 64 << 20,
        log_space: SpaceTiers {
            warn_below: 2 << 20,
            refuse_below: 1 << 20,
        },
        dispose_needs_two: false,
        request_ids_max: 100_000,
        connections_max: 64,
        store: StorePlace::File(data.join("store.sqlite")),
        snapshot_max_age: Duration::from_secs(2),
        recovery_key: None,
        sinks: Vec::new(),
        witness: sekisho::witness::WitnessConfig::default(),
    }
}

/// The daemon and the clients of its services.
pub struct House {
    runtime: tokio::runtime::Runtime,
    pub clock: Arc<HeldClock>,
    running: Option<Running>,
    address: String,
    data: PathBuf,
    people: People,
    registrar: String,
    channels: HashMap<String, Channel>,
    pool: prost_reflect::DescriptorPool,
}

impl House {
    /// Sets the clock ahead, and has done what is done every minute: the keys of that month are ready.
    pub fn set_clock(&self, now: Timestamp) {
        self.clock.set(now);
        let running = self.running.as_ref().unwrap();
        self.runtime.block_on(running.tidy());
    }

    /// Furnishes `folder` for a pack and serves in it.
    pub fn open(folder: &Path, pack: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let data = folder.join("data");
        files::make_private_directory(&data).unwrap();
        let clock = HeldClock::at(Timestamp::from_seconds(
            i64::try_from(machine_now()).unwrap(),
        ));
        let running = runtime.block_on(async {
            let config = furnish(&data, pack).await;
            serve::start(config, clock.clone()).await.unwrap()
        });
        let people = People::read(&data);
        let address = running.grpc.to_string();
        let registrar = super::scenario::registrar_of(pack);
        let running = Some(running);
        Self {
            registrar,
            runtime,
            clock,
            running,
            address,
            data,
            people,
            channels: HashMap::new(),
            pool: wire::pool(),
        }
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// What it tells of itself over HTTP.
    pub fn metrics(&self) -> String {
        let address = self.running.as_ref().unwrap().http;
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Stops as on a signal.
    pub fn close(mut self) {
        self.channels.clear();
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop());
        }
    }

    /// The service's own connection; a service that the pack lacks gets a certificate all the same.
    fn channel(&mut self, service: &str) -> Result<Channel, CallError> {
        if let Some(channel) = self.channels.get(service) {
            return Ok(channel.clone());
        }
        let mut identity: Identity = of_service(&self.data, service);
        if !identity.certificate.exists() {
            let uri = format!("spiffe://{TRUST_DOMAIN}/service/{service}");
            identity = signed_by_dev(&self.data, &self.data, service, &[uri]);
        }
        let channel = self
            .runtime
            .block_on(client::connect(&self.data, &identity, &self.address))
            .map_err(|error| CallError::outside(format!("{error:?}")))?;
        self.channels.insert(service.into(), channel.clone());
        Ok(channel)
    }
}

impl Door for House {
    fn call(
        &mut self,
        service: &str,
        method: &str,
        request: &Value,
        metadata: &Metadata,
    ) -> Result<Value, CallError> {
        let described = wire::method(&self.pool, method);
        let bytes = wire::encode(described.input(), request).map_err(CallError::outside)?;
        let mut request = Request::new(bytes);
        for (name, value) in metadata {
            let name: tonic::metadata::MetadataKey<_> = name.parse().expect("a name of metadata");
            request
                .metadata_mut()
                .insert(name, value.parse().expect("metadata"));
        }
        let mut grpc = tonic::client::Grpc::new(self.channel(service)?);
        let path = format!("/{method}").parse().expect("a path");
        let answer = self.runtime.block_on(async {
            grpc.ready()
                .await
                .map_err(|error| CallError::outside(format!("{error:?}")))?;
            grpc.unary(request, path, Bytes)
                .await
                .map_err(|status| read_status(&status))
        })?;
        wire::decode(described.output(), answer.get_ref()).map_err(CallError::outside)
    }

    fn advance(&mut self, by: Duration) {
        self.clock.set(self.clock.now().plus(by));
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.now().seconds()).unwrap()
    }

    fn registrar(&self) -> String {
        self.registrar.clone()
    }

    fn people(&self) -> &People {
        &self.people
    }
}

fn read_status(status: &Status) -> CallError {
    let found = status.get_error_details();
    let mut details = Vec::new();
    if let Some(bad) = found.bad_request() {
        let one = |violation: &tonic_types::FieldViolation| json!({ "field": violation.field, "description": violation.description });
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": bad.field_violations.iter().map(one).collect::<Vec<_>>(),
        }));
    }
    if let Some(info) = found.error_info() {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": info.reason,
            "domain": info.domain,
        }));
    }
    CallError {
        code: super::play::status_name(status.code() as i32).into(),
        message: status.message().into(),
        details,
    }
}

/// Messages that are encoded already.
#[derive(Debug, Clone, Copy, Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(to, &item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; bytes::Buf::remaining(from)];
        bytes::Buf::copy_to_slice(from, &mut item);
        Ok(Some(item))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}
