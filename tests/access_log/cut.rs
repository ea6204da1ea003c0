//! Streams that end before their end: whatever the status, the command line takes no part for the whole.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

use sekisho::proto::disclosure_report_response::Part;
use sekisho::proto::export_records_response::Part as ExportPart;
use sekisho::proto::provision_record_service_server::{
    ProvisionRecordService, ProvisionRecordServiceServer,
};
use sekisho::proto::{
    DisclosedRecord, DisclosureHead, DisclosureReportRequest, DisclosureReportResponse,
    ExportRecordsRequest, ExportRecordsResponse, GetRecordRequest, GetRecordResponse,
    ListRecordsRequest, ListRecordsResponse, Record, RecordsEnd, RecordsHead,
    RegisterReceiptRequest, RegisterReceiptResponse,
};
use serde_json::Value;
use tokio_stream::Iter;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::support::dev_house::{House, credentials, done, run, ticket_file, told};

/// Ends every stream with OK and without its end, or with an end that counts more than came.
struct EndsEarly;

type Stream<T> = Iter<std::vec::IntoIter<Result<T, Status>>>;

fn stream<T>(parts: Vec<T>) -> Response<Stream<T>> {
    let parts: Vec<Result<T, Status>> = parts.into_iter().map(Ok).collect();
    Response::new(tokio_stream::iter(parts))
}

#[tonic::async_trait]
impl ProvisionRecordService for EndsEarly {
    async fn list_records(
        &self,
        _: Request<ListRecordsRequest>,
    ) -> Result<Response<ListRecordsResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_record(
        &self,
        _: Request<GetRecordRequest>,
    ) -> Result<Response<GetRecordResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    type ExportRecordsStream = Stream<ExportRecordsResponse>;

    async fn export_records(
        &self,
        request: Request<ExportRecordsRequest>,
    ) -> Result<Response<Self::ExportRecordsStream>, Status> {
        let filter = request.into_inner().filter.unwrap_or_default();
        let mut parts = vec![
            ExportPart::Head(RecordsHead::default()),
            ExportPart::Record(Record::default()),
        ];
        if filter.party == "miscounted" {
            parts.push(ExportPart::End(RecordsEnd { records: 2 }));
        }
        let message = |part| ExportRecordsResponse { part: Some(part) };
        Ok(stream(parts.into_iter().map(message).collect()))
    }

    async fn register_receipt(
        &self,
        _: Request<RegisterReceiptRequest>,
    ) -> Result<Response<RegisterReceiptResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    type DisclosureReportStream = Stream<DisclosureReportResponse>;

    async fn disclosure_report(
        &self,
        _: Request<DisclosureReportRequest>,
    ) -> Result<Response<Self::DisclosureReportStream>, Status> {
        let parts = [
            Part::Head(DisclosureHead::default()),
            Part::Record(DisclosedRecord::default()),
        ];
        let message = |part| DisclosureReportResponse { part: Some(part) };
        Ok(stream(parts.into_iter().map(message).collect()))
    }
}

/// Serves with the certificate of a daemon, until the test ends.
fn serve(data: &Path) -> SocketAddr {
    let read = |name: &str| fs::read(data.join("tls").join(name)).unwrap();
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(read("server.pem"), read("server.key")))
        .client_ca_root(Certificate::from_pem(read("ca.pem")));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let incoming = tonic::transport::server::TcpIncoming::from(listener);
            let server = Server::builder().tls_config(tls).unwrap();
            let service = ProvisionRecordServiceServer::new(EndsEarly);
            let mut server = server;
            server
                .add_service(service)
                .serve_with_incoming(incoming)
                .await
                .unwrap();
        });
    });
    address
}

#[test]
fn a_stream_without_its_end_leaves_no_file_and_a_failure() {
    let house = House::open();
    let (home, data) = (house.home().to_owned(), house.data().to_owned());
    let password = &house.people.get("administrator-1").password;
    let input = credentials(&home, &data, "administrator-1", password);
    done(&home, &input, &["login", "--data", &data]);
    let address = serve(Path::new(&data)).to_string();
    // The ticket is shown to its own server alone.
    let file = ticket_file(&home);
    let mut ticket: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    ticket["server"] = address.clone().into();
    fs::write(&file, ticket.to_string()).unwrap();

    let output = home.join("cut");
    let to = output.to_str().unwrap();
    for words in [
        &["export", "--format", "csv"][..],
        &["export", "--format", "jsonl"],
        &["export", "--format", "html"],
        &["export", "--format", "jsonl", "--party", "miscounted"],
        &["disclose", "seeker-1"],
        &["disclose", "seeker-1", "--format", "json", "--scope", "all"],
    ] {
        let mut arguments = vec!["records"];
        arguments.extend(words);
        arguments.extend(["--data", &data, "--server", &address]);
        let printed = run(&home, "", &arguments);
        assert!(!printed.status.success(), "{words:?}: {}", told(&printed));
        arguments.extend(["--output", to]);
        let written = run(&home, "", &arguments);
        assert!(!written.status.success(), "{words:?}: {}", told(&written));
        let said = String::from_utf8_lossy(&written.stderr).into_owned();
        assert!(said.contains("is not the whole"), "{words:?}: {said}");
        assert!(!output.exists(), "{words:?}");
    }
    let left: Vec<_> = fs::read_dir(&home)
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    let begun = left
        .iter()
        .any(|name| name.to_string_lossy().contains("cut"));
    assert!(!begun, "{left:?}");
}
