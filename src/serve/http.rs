//! Plain HTTP for operators: liveness, readiness and metrics (Prometheus text). No personal data, no secrets, and nothing
//! that changes anything; keep it inside all the same.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{Metrics, stopped};
use crate::gate::Gate;
use crate::log::{AccessLog, LogHealth};
use crate::vitals::{Metric, Vitals, prometheus};

/// The parts that tell how they are doing.
pub(super) type Parts = Arc<[Arc<dyn Vitals>]>;

pub(super) async fn serve(
    listener: TcpListener,
    gate: Arc<Gate>,
    parts: Parts,
    mut stopping: watch::Receiver<bool>,
) {
    let ready = {
        let parts = Arc::clone(&parts);
        move || async move {
            let writing = gate.log().health() == LogHealth::Writing;
            let not = |why| (StatusCode::SERVICE_UNAVAILABLE, why);
            let (status, state) = if !writing {
                not("the access log can't be written")
            } else if !gate.store_answers().await {
                not("the store can't be used")
            } else if !gate.knows_all_subjects() {
                not("imports of subjects are missing")
            } else {
                (StatusCode::OK, "ready")
            };
            (status, readiness(state, &parts))
        }
    };
    let metrics =
        move || async move { prometheus(parts.iter().flat_map(|part| part.metrics()).collect()) };
    let pages = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(|| async {
            (
                StatusCode::NOT_FOUND,
                "sekisho: /livez, /readyz, /metrics. The console is not supported yet: use `sekisho log search`.\n",
            )
        });
    let stopped = async move { stopped(&mut stopping).await };
    if let Err(error) = axum::serve(listener, pages)
        .with_graceful_shutdown(stopped)
        .await
    {
        tracing::error!(%error, "the HTTP server ended");
    }
}

/// The state on the first line, then a line for each warning.
fn readiness(state: &str, parts: &[Arc<dyn Vitals>]) -> String {
    let mut text = format!("{state}\n");
    for warning in parts.iter().flat_map(|part| part.warnings()) {
        // Writing to a string does not fail.
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

impl Vitals for AccessLog {
    fn warnings(&self) -> Vec<String> {
        let state = self.watch().borrow().clone();
        let why = match self.health() {
            LogHealth::Refusing(why) | LogHealth::Damaged(why) | LogHealth::Failed(why) => {
                Some(why)
            }
            LogHealth::Writing | LogHealth::Stopped => None,
        };
        why.into_iter().chain(state.warning).collect()
    }

    fn metrics(&self) -> Vec<Metric> {
        let state = self.watch().borrow().clone();
        let writing = self.health() == LogHealth::Writing;
        vec![
            Metric::counter(
                "sekisho_log_entries",
                "Durable entries of the access log.",
                self.len(),
            ),
            Metric::gauge(
                "sekisho_log_writable",
                "1 when the access log can be written.",
                u64::from(writing),
            ),
            Metric::gauge(
                "sekisho_log_checkpoint_behind_entries",
                "Durable entries that no checkpoint commits to yet.",
                self.len()
                    .saturating_sub(self.checkpoints().borrow().checkpoint.size),
            ),
            Metric::gauge(
                "sekisho_log_warning",
                "1 when the access log needs attention although it is written; /readyz says why.",
                u64::from(state.warning.is_some()),
            ),
        ]
    }
}

impl Vitals for Metrics {
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric::counter(
                "sekisho_connections_total",
                "Connections whose TLS handshake succeeded.",
                self.connections.load(Ordering::Relaxed),
            ),
            Metric::counter(
                "sekisho_failed_handshakes_total",
                "TLS handshakes that failed.",
                self.failed_handshakes.load(Ordering::Relaxed),
            ),
            Metric::counter(
                "sekisho_refused_connections_total",
                "Connections dropped because too many were open or under way.",
                self.refused_connections.load(Ordering::Relaxed),
            ),
        ]
    }
}
