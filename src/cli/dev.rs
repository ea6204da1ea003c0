//! `sekisho dev`: `init` and `serve` in one, with a pack's sample people and certificates for its services, on loopback.
//! Nothing inside it is special: what it serves is what production serves.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::certificates::Authority;
use super::init::{self, Plan};
use super::{Failure, sample, serve};
use crate::domain::time::{Clock, SystemClock};
use crate::files;
use crate::policy::{self, Pack};

/// Where `dev` keeps its data unless told otherwise.
pub(super) const DATA: &str = "sekisho-data";
const TRUST_DOMAIN: &str = "dev.sekisho.internal";

#[derive(Debug, clap::Args)]
pub(super) struct DevArgs {
    /// The policy pack's folder
    #[arg(long, default_value = "policies/recruitment")]
    pack: PathBuf,
    /// The data directory; one that exists is taken up again
    #[arg(long, default_value = DATA)]
    data: PathBuf,
    /// Where gRPC listens: a loopback address; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7443")]
    listen: SocketAddr,
    /// Where metrics are served: a loopback address; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7480")]
    http: SocketAddr,
    /// Keep people and credentials in PostgreSQL instead of in the data directory, when that is made
    #[arg(long, value_name = "URL")]
    store_url: Option<String>,
}

pub(super) async fn run(arguments: DevArgs) -> Result<(), Failure> {
    for (flag, address) in [("--listen", arguments.listen), ("--http", arguments.http)] {
        if !address.ip().is_loopback() {
            return Err(Failure::new(
                64,
                format!(
                    "{flag} {address}: `dev` listens on loopback only; see `sekisho init` and `sekisho serve`"
                ),
            ));
        }
    }
    let pack = policy::load(&arguments.pack).map_err(Failure::configuration)?;
    let configuration = arguments.data.join("sekisho.toml");
    let folder = arguments.data.join("dev");
    if !configuration.exists() {
        make(&arguments, &pack, &folder).await?;
    }
    certificates(&arguments.data, &folder, &pack)?;
    let mut config = serve::read(&configuration)?;
    config.pack.clone_from(&arguments.pack);
    (config.grpc_listen, config.http_listen) = (arguments.listen, arguments.http);
    let mut stop = serve::Stop::listen()?;
    let started = crate::serve::start(config, Arc::new(SystemClock));
    let Some(running) = stop.or(started).await else {
        return Ok(());
    };
    let running = running?;
    let endpoints = serde_json::json!({
        "grpc": running.grpc.to_string(),
        "http": running.http.to_string(),
    });
    files::write_private(
        &folder.join("endpoints.json"),
        endpoints.to_string().as_bytes(),
    )
    .map_err(Failure::cannot_create)?;
    let guide = sample::guide(
        &arguments.data,
        &pack,
        running.grpc,
        running.http,
        SystemClock.now(),
    )?;
    println!("{guide}");
    serve::until_told(running, stop, None).await
}

/// What `init` makes, with the pack's samples.
async fn make(arguments: &DevArgs, pack: &Pack, folder: &Path) -> Result<(), Failure> {
    let ids = ["administrator-1", "administrator-2"].map(str::to_owned);
    let mut people = init::administrators(&ids, &pack.rules)?;
    people.extend(init::listed_people(pack));
    init::make(Plan {
        data: &arguments.data,
        pack: &arguments.pack,
        trust_domain: TRUST_DOMAIN,
        hosts: &[],
        listen: arguments.listen,
        http: arguments.http,
        allow_loopback_device: true,
        strict_enrollment: false,
        people,
        store: arguments
            .store_url
            .clone()
            .map(|url| init::absolute_files(url, None))
            .transpose()?,
        people_file: folder.join("people.json"),
    })
    .await
}

/// Certificates for the pack's services that have none yet, and the authority beside them.
fn certificates(data: &Path, folder: &Path, pack: &Pack) -> Result<(), Failure> {
    let services = folder.join("services");
    files::make_private_directory(&services).map_err(Failure::cannot_create)?;
    let tls = data.join("tls");
    let authority = Authority::open(&tls, SystemClock.now())?;
    for (_, id, _) in pack.rules.services.iter() {
        if !services.join(format!("{id}.pem")).exists() {
            authority.client(&services, TRUST_DOMAIN, id)?;
        }
    }
    for name in ["ca.pem", "ca.key"] {
        let bytes =
            files::read_private(&tls.join(name), 64 * 1024).map_err(Failure::configuration)?;
        files::write_private(&folder.join(name), &bytes).map_err(Failure::cannot_create)?;
    }
    Ok(())
}
