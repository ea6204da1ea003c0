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
use crate::log::LogHealth;
use crate::sinks::SinkStates;

pub(super) async fn serve(
    listener: TcpListener,
    gate: Arc<Gate>,
    metrics: Arc<Metrics>,
    sinks: SinkStates,
    mut stopping: watch::Receiver<bool>,
) {
    let ready = {
        let (gate, sinks) = (Arc::clone(&gate), sinks.clone());
        move || async move {
            let writing = matches!(gate.log().watch().borrow().health, LogHealth::Writing);
            match (writing, gate.store_answers().await) {
                // A sink that fails keeps nobody from serving: it is a detail.
                (true, true) => (StatusCode::OK, format!("ready\n{}", sinks.failing())),
                (true, false) => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the store can't be used\n".to_owned(),
                ),
                (false, _) => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the access log can't be written\n".to_owned(),
                ),
            }
        }
    };
    let pages = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(move || async move { text(&gate, &metrics) + sinks.metrics().as_str() }))
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
    let rows = [
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
