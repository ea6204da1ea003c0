//! The gRPC door: one file per service. It translates and decides nothing: wire types come in and go out here, and are
//! known nowhere else but in the log's stored form.

mod access;
mod access_log;
mod authentication;
mod credentials;
mod csv;
mod directory;
mod errors;
mod explain;
mod findings;
mod frames;
mod incident_parts;
mod incidents;
mod limits;
mod measures;
mod peer;
mod people;
mod people_csv;
mod policies;
mod provision_parts;
mod provision_records;
mod read;
mod requests;
mod reset;
mod retention;
mod review;
mod review_parts;
mod sessions;
mod subjects;
mod subjects_csv;
mod subjects_import;
mod subjects_match;
mod write;

pub use access::Access;
pub use access_log::Logs;
pub use authentication::Authentication;
pub use credentials::CredentialCalls;
pub use directory::Directory;
pub use explain::Explanations;
pub use findings::{CaseStream, CasesStream, ToldStream};
pub use incidents::Incidents;
pub use limits::SizeLimits;
pub use measures::Measures;
pub use peer::Connection;
pub(crate) use people_csv::people as people_of_csv;
pub use policies::Policies;
pub use provision_records::ProvisionRecords;
pub use requests::Requests;
pub use reset::Resets;
pub use review::Reviews;
pub use sessions::Sessions;
pub use subjects::Subjects;

use tonic::Status;

use crate::gate::{Gate, GateError, Peer, Violation};

/// Runs a use case to its end, also when the client hangs up: what was charged, spent or written has its sequel.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, GateError>> + Send + 'static,
) -> Result<T, GateError> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(_) => Err(GateError::Internal("a call ended early")),
    }
}

/// What was read; or a refusal that names every field that can't be taken, with its entry.
async fn taken<T>(
    gate: &Gate,
    peer: &Peer,
    call: &str,
    read: Result<T, Vec<Violation>>,
) -> Result<T, Status> {
    match read {
        Ok(value) => Ok(value),
        Err(violations) => Err(errors::status(gate.malformed(peer, call, violations).await)),
    }
}
