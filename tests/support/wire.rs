//! JSON to messages and back, by the descriptors that the daemon serves by reflection; and a client that calls any method
//! with them, so that a scenario's request reaches the daemon exactly as grpcurl would send it.

use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use serde_json::Value;

/// The descriptors of the API.
pub fn pool() -> DescriptorPool {
    DescriptorPool::decode(sekisho::proto::FILE_DESCRIPTOR_SET).expect("the API's own descriptors")
}

/// The descriptor of `sekisho.v1.Service/Method`.
pub fn method(pool: &DescriptorPool, path: &str) -> MethodDescriptor {
    let (service, method) = path.split_once('/').expect("service/method");
    let service = pool
        .get_service_by_name(service)
        .unwrap_or_else(|| panic!("no service {service}"));
    service
        .methods()
        .find(|found| found.name() == method)
        .unwrap_or_else(|| panic!("no method {path}"))
}

/// Encodes JSON.
pub fn encode(descriptor: MessageDescriptor, json: &Value) -> Result<Vec<u8>, String> {
    DynamicMessage::deserialize(descriptor, json)
        .map(|message| message.encode_to_vec())
        .map_err(|error| error.to_string())
}

/// Decodes to JSON.
pub fn decode(descriptor: MessageDescriptor, bytes: &[u8]) -> Result<Value, String> {
    let message = DynamicMessage::decode(descriptor, bytes).map_err(|error| error.to_string())?;
    serde_json::to_value(&message).map_err(|error| error.to_string())
}

/// A `CheckRequest` from JSON.
pub fn check_request(json: &Value) -> Result<sekisho::proto::CheckRequest, String> {
    let descriptor = pool()
        .get_message_by_name("sekisho.v1.CheckRequest")
        .expect("CheckRequest");
    let bytes = encode(descriptor, json)?;
    prost::Message::decode(bytes.as_slice()).map_err(|error: prost::DecodeError| error.to_string())
}
