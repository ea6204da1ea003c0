//! The `sekisho` command: arguments, telemetry, dispatch.

use std::process::ExitCode;

fn main() -> ExitCode {
    sekisho::cli::main()
}
