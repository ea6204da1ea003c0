//! Real grpcurl, as a developer of an internal service would run it: it learns the API by reflection alone.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

use super::certificates::Identity;
use super::play::{CallError, Metadata};

/// grpcurl ends with this plus the number of the status.
const STATUS_OFFSET: i32 = 64;

/// Where grpcurl and the daemon are.
#[derive(Debug, Clone)]
pub struct Grpcurl {
    program: PathBuf,
    ca: PathBuf,
    address: String,
}

impl Grpcurl {
    /// Takes `GRPCURL`, else what is on PATH.
    pub fn new(data: &Path, address: &str) -> Self {
        let program =
            env::var_os("GRPCURL").map_or_else(|| PathBuf::from("grpcurl"), PathBuf::from);
        let works = Command::new(&program)
            .arg("-version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(
            works.is_ok_and(|status| status.success()),
            "missing tool: grpcurl (tests/run gets it; or set GRPCURL to its path)"
        );
        Self {
            program,
            ca: data.join("dev/ca.pem"),
            address: address.into(),
        }
    }

    /// One call; the answers to a streaming call come as a list.
    pub fn call(
        &self,
        identity: Option<&Identity>,
        method: &str,
        request: &Value,
        metadata: &Metadata,
    ) -> Result<Value, CallError> {
        let mut command = Command::new(&self.program);
        command.arg("-cacert").arg(&self.ca);
        if let Some(identity) = identity {
            command
                .arg("-cert")
                .arg(&identity.certificate)
                .arg("-key")
                .arg(&identity.key);
        }
        for (name, value) in metadata {
            command.arg("-H").arg(format!("{name}: {value}"));
        }
        command.args([
            "-format-error",
            "-max-time",
            "60",
            "-connect-timeout",
            "60",
            "-d",
            "@",
            &self.address,
            method,
        ]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| CallError::outside(format!("grpcurl: {error}")))?;
        let mut stdin = child.stdin.take();
        let request = request.to_string();
        // In its own thread: a request that grpcurl doesn't read to its end must not hold the test.
        let writer = thread::spawn(move || {
            stdin
                .as_mut()
                .map(|stdin| stdin.write_all(request.as_bytes()))
        });
        let output = child
            .wait_with_output()
            .map_err(|error| CallError::outside(format!("grpcurl: {error}")))?;
        let _ = writer.join();
        if output.status.success() {
            return read_answers(&output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(code) if code > STATUS_OFFSET => Err(read_status(&said, code - STATUS_OFFSET)),
            _ => Err(CallError::outside(said)),
        }
    }
}

fn read_answers(stdout: &[u8]) -> Result<Value, CallError> {
    let mut answers = serde_json::Deserializer::from_slice(stdout)
        .into_iter::<Value>()
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CallError::outside(format!("grpcurl printed no JSON: {error}")))?;
    match answers.len() {
        1 => Ok(answers.remove(0)),
        _ => Ok(Value::Array(answers)),
    }
}

fn read_status(said: &str, number: i32) -> CallError {
    let json = said.find('{').and_then(|start| said.get(start..));
    let status = json.and_then(|json| {
        let mut values = serde_json::Deserializer::from_str(json).into_iter::<Value>();
        values.next().and_then(Result::ok)
    });
    let field = |name: &str| status.as_ref().and_then(|status| status.get(name));
    CallError {
        code: super::play::status_name(number).into(),
        message: field("message")
            .and_then(Value::as_str)
            .unwrap_or(said)
            .into(),
        details: field("details")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default(),
    }
}
