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
use crate::index::Index;
use crate::log::LogHealth;

pub(super) async fn serve(
    listener: TcpListener,
    gate: Arc<Gate>,
    metrics: Arc<Metrics>,
    mut stopping: watch::Receiver<bool>,
) {
    let ready = {
        let gate = Arc::clone(&gate);
        move || async move {
            let writing = matches!(gate.log().watch().borrow().health, LogHealth::Writing);
            match (writing, gate.store_answers().await) {
                (true, true) => (StatusCode::OK, "ready\n"),
                (true, false) => (StatusCode::SERVICE_UNAVAILABLE, "the store can't be used\n"),
                (false, _) => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the access log can't be written\n",
                ),
            }
        }
    };
    let pages = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(move || async move { text(&gate, &metrics) }))
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

fn text(gate: &Gate, metrics: &Metrics) -> String {
    let writing = matches!(gate.log().watch().borrow().health, LogHealth::Writing);
    let index = gate.index().map(Index::status);
    let behind = gate.index().map(|index| index.lag_time(gate.now()));
    let rows = [
        (
            "sekisho_index_lag_entries",
            "gauge",
            "Durable entries that the index doesn't know yet; searches read these one by one.",
            index.as_ref().map_or(0, |index| index.lag_entries),
        ),
        (
            "sekisho_index_lag_seconds",
            "gauge",
            "How old the oldest entry at the log's end is that the index doesn't know yet.",
            behind.map_or(0, |behind| behind.as_secs()),
        ),
        (
            "sekisho_index_errors_total",
            "counter",
            "How often something of the index could not be read or written; checks don't need it.",
            index.as_ref().map_or(0, |index| index.errors),
        ),
        (
            "sekisho_log_entries",
            "counter",
            "Durable entries of the access log.",
            gate.log().len(),
        ),
        (
            "sekisho_log_writable",
            "gauge",
            "1 when the access log can be written.",
            u64::from(writing),
        ),
        (
            "sekisho_connections_total",
            "counter",
            "Connections whose TLS handshake succeeded.",
            metrics.connections.load(Ordering::Relaxed),
        ),
        (
            "sekisho_failed_handshakes_total",
            "counter",
            "TLS handshakes that failed.",
            metrics.failed_handshakes.load(Ordering::Relaxed),
        ),
        (
            "sekisho_refused_connections_total",
            "counter",
            "Connections dropped because too many were open or under way.",
            metrics.refused_connections.load(Ordering::Relaxed),
        ),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in rows {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}"
        );
    }
    text
}
