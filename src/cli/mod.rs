//! The command line.

mod client;
mod entry_fields;
mod error;
mod filter;
mod log;
mod log_output;
mod login;
mod moment;
mod table;
mod ticket_file;
mod words;

use clap::Parser as _;

#[derive(clap::Parser)]
enum Command {
    /// Log in by ID, password and code
    Login(login::LoginArgs),
    /// Log out
    Logout(login::LogoutArgs),
    /// Read the access log
    #[command(subcommand)]
    Log(log::LogCommand),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> std::process::ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(_) => return std::process::ExitCode::from(70),
    };
    let done = runtime.block_on(async {
        match Command::parse() {
            Command::Login(args) => login::login(args).await,
            Command::Logout(args) => login::logout(args).await,
            Command::Log(command) => log::log(command).await,
        }
    });
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            login::say(&format!("sekisho: {error}"));
            std::process::ExitCode::from(error.exit_code())
        }
    }
}
