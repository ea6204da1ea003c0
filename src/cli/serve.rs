//! `sekisho serve`: production.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use crate::config::Config;
use crate::domain::time::SystemClock;
use crate::serve::{self, Running, ServeError};

#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// The configuration; `sekisho init` writes a commented one
    #[arg(long, env = "SEKISHO_CONFIG")]
    config: PathBuf,
}

pub(super) async fn run(arguments: ServeArgs) -> Result<(), Failure> {
    let running = serve::start(read(&arguments.config)?, Arc::new(SystemClock)).await?;
    until_told(running).await
}

/// Reads a configuration file with the environment over it.
pub(super) fn read(path: &Path) -> Result<Config, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::configuration(format!("{}: {error}", path.display())))?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    Config::read(
        &text,
        &path.display().to_string(),
        folder.unwrap_or(Path::new(".")),
        |variable| std::env::var(variable).ok(),
    )
    .map_err(Failure::configuration)
}

/// Serves until SIGTERM or SIGINT, or until the log fails.
pub(super) async fn until_told(running: Running) -> Result<(), Failure> {
    let internal = |error: std::io::Error| ServeError::Internal(error.to_string());
    let mut terminate = signal(SignalKind::terminate()).map_err(internal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(internal)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        error = running.failed() => {
            // Nothing more can be written: whoever waits was refused, and the next start finds out what the disk holds.
            return Err(error.into());
        }
    }
    running.stop().await;
    Ok(())
}
