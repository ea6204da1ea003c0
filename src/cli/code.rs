//! `sekisho code`: an authenticator app for people whom `dev` or `init` made. It computes on the client's side; the daemon
//! has no way to tell a code.

use std::path::PathBuf;

use super::{Failure, first_credentials};
use crate::domain::time::{Clock, SystemClock};
use crate::identity::totp::Seed;

#[derive(Debug, clap::Args)]
pub(super) struct CodeArgs {
    /// The data directory
    #[arg(long, default_value = super::dev::DATA, env = "SEKISHO_DATA")]
    data: PathBuf,
    /// Whose code
    person: String,
}

pub(super) fn run(arguments: &CodeArgs) -> Result<(), Failure> {
    let person = first_credentials::find(&arguments.data, &arguments.person)?;
    let secret = person.totp_secret.ok_or_else(|| {
        Failure::new(
            66,
            format!("{} has not enrolled a second factor", person.id),
        )
    })?;
    let seed = Seed::from_base32(&secret).map_err(Failure::configuration)?;
    println!("{}", seed.code_at(SystemClock.now()));
    Ok(())
}
