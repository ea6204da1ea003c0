//! A daemon that is connected, and the login to ask it with.

use tonic::transport::Channel;

use crate::cli::client::{Connection, Target, with_proof};
use crate::cli::error::CliError;
use crate::cli::ticket_file::{Kept, TicketFile};
use crate::cli::words::Language;
use crate::domain::time::{Clock as _, SystemClock};
use crate::proto::explain_service_client::ExplainServiceClient;

pub(super) struct Asking {
    pub(super) target: Target,
    kept: Kept,
    pub(super) service: ExplainServiceClient<Channel>,
    pub(super) language: Language,
}

impl Asking {
    pub(super) async fn open(connection: &Connection) -> Result<Self, CliError> {
        let language = connection.language();
        let file = TicketFile::of(|name| std::env::var_os(name), language)?;
        let kept = file.alive(SystemClock.now())?;
        let target = connection.target(Some(&kept.server), language)?;
        kept.only_for(&target.server, language)?;
        let service = ExplainServiceClient::new(target.connect().await?);
        Ok(Self {
            target,
            kept,
            service,
            language,
        })
    }

    pub(super) fn request<T>(&self, message: T) -> Result<tonic::Request<T>, CliError> {
        with_proof(message, &self.kept, self.language)
    }
}
