//! The gRPC door: one file per service. It translates and decides nothing: wire types come in and go out here, and are
//! known nowhere else but in the log's stored form.

mod access;
mod access_log;
mod authentication;
mod errors;
mod explain;
mod limits;
mod peer;
mod read;
mod subjects;
mod write;

pub use access::Access;
pub use access_log::Logs;
pub use authentication::Authentication;
pub use explain::Explanations;
pub use limits::SizeLimits;
pub use peer::Connection;
pub use subjects::Subjects;

/// Runs a use case to its end, also when the client hangs up: what was charged, spent or written has its sequel.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, crate::gate::GateError>> + Send + 'static,
) -> Result<T, crate::gate::GateError> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(_) => Err(crate::gate::GateError::Internal("a call ended early")),
    }
}
