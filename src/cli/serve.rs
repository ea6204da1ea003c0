//! `sekisho serve`: production.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

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
    let mut stop = Stop::listen()?;
    let reload =
        signal(SignalKind::hangup()).map_err(|error| ServeError::Internal(error.to_string()))?;
    let config = read(&arguments.config)?;
    let Some(running) = stop.or(serve::start(config, Arc::new(SystemClock))).await else {
        return Ok(());
    };
    until_told(running?, stop, Some(reload)).await
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

/// SIGTERM and SIGINT, listened to before there is anything to stop: by then nobody would write the entry of the stop.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    pub(super) fn listen() -> Result<Self, Failure> {
        let internal = |error: std::io::Error| ServeError::Internal(error.to_string());
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(internal)?,
            interrupt: signal(SignalKind::interrupt()).map_err(internal)?,
        })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// What comes of `work`; `None` when it was told to stop before. What a start left half done the next one takes up, as
    /// after a kill.
    pub(super) async fn or<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.told() => None,
        }
    }
}

/// Serves until SIGTERM or SIGINT, or until the log fails. On `reload` (SIGHUP) the pack's folder is looked at.
pub(super) async fn until_told(
    running: Running,
    mut stop: Stop,
    mut reload: Option<Signal>,
) -> Result<(), Failure> {
    let reloading = async {
        while let Some(signal) = &mut reload
            && signal.recv().await.is_some()
        {
            running.reload().await;
        }
        std::future::pending().await
    };
    let failed = async {
        tokio::select! {
            error = running.failed() => error,
            never = reloading => never,
        }
    };
    if let Some(error) = stop.or(failed).await {
        // Nothing more can be written: whoever waits was refused, and the next start finds out what the disk holds.
        return Err(error.into());
    }
    running.stop().await;
    Ok(())
}
