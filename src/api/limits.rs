//! Bounds on the size of a message, kept before any of it is decoded: a gRPC message says its length in its first five
//! bytes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::Request;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::errors;
use crate::gate::{Gate, GateError, Peer};

/// The largest message of most calls, and of one item of a batch.
pub(super) const MESSAGE_MAX_BYTES: usize = 64 * 1024;
/// The largest batch.
pub(super) const BATCH_MAX_BYTES: usize = 4 * 1024 * 1024;

fn max_bytes(path: &str) -> usize {
    match path {
        "/sekisho.v1.AccessService/BatchCheck" | "/sekisho.v1.SubjectService/FilterSubjects" => {
            BATCH_MAX_BYTES
        }
        _ => MESSAGE_MAX_BYTES,
    }
}

/// Keeps the bounds for all services of a server.
#[derive(Debug, Clone)]
pub struct SizeLimits {
    gate: Arc<Gate>,
}

impl SizeLimits {
    /// Refusals are logged by `gate`.
    #[must_use]
    pub const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

impl<S> Layer<S> for SizeLimits {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited {
            inner,
            gate: Arc::clone(&self.gate),
        }
    }
}

/// A service whose requests are bounded.
#[derive(Debug, Clone)]
pub struct Limited<S> {
    inner: S,
    gate: Arc<Gate>,
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Limited<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        let (parts, body) = request.into_parts();
        let bounded = Bounded {
            inner: body,
            max: max_bytes(parts.uri.path()),
            seen: Seen::Header([0; 5], 0),
            refusing: None,
            refuse: Refuse {
                gate: Arc::clone(&self.gate),
                peer: parts.extensions.get::<Peer>().cloned(),
                call: parts.uri.path().to_owned(),
            },
        };
        self.inner
            .call(Request::from_parts(parts, Body::new(bounded)))
    }
}

/// How far into a message the body is.
enum Seen {
    /// This much of a header: compressed flag, length.
    Header([u8; 5], usize),
    /// So many bytes of a message are left.
    Message(usize),
}

struct Refuse {
    gate: Arc<Gate>,
    peer: Option<Peer>,
    call: String,
}

type Refusing = Pin<Box<dyn Future<Output = GateError> + Send>>;

struct Bounded {
    inner: Body,
    max: usize,
    seen: Seen,
    refusing: Option<Refusing>,
    refuse: Refuse,
}

impl Bounded {
    /// Follows the messages through the bytes; the length of one that is over the bound.
    fn follow(&mut self, data: &Bytes) -> Option<usize> {
        let mut rest = data.clone();
        while rest.has_remaining() {
            match &mut self.seen {
                Seen::Message(left) => {
                    let step = (*left).min(rest.remaining());
                    rest.advance(step);
                    *left -= step;
                    if *left == 0 {
                        self.seen = Seen::Header([0; 5], 0);
                    }
                }
                Seen::Header(header, filled) => {
                    if let Some(byte) = header.get_mut(*filled) {
                        *byte = rest.get_u8();
                        *filled += 1;
                    }
                    if *filled == header.len() {
                        let [_, a, b, c, d] = *header;
                        let length =
                            usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
                        if length > self.max {
                            return Some(length);
                        }
                        self.seen = if length == 0 {
                            Seen::Header([0; 5], 0)
                        } else {
                            Seen::Message(length)
                        };
                    }
                }
            }
        }
        None
    }

    fn refuse(&self, length: usize) -> Refusing {
        let what = format!(
            "the message has {length} bytes; at most {} are taken",
            self.max
        );
        let (gate, peer, call) = (
            Arc::clone(&self.refuse.gate),
            self.refuse.peer.clone(),
            self.refuse.call.clone(),
        );
        Box::pin(async move {
            match peer {
                Some(peer) => gate.too_large(&peer, &call, what).await,
                None => GateError::TooLarge(what),
            }
        })
    }
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.refusing.is_none() {
            let frame = match Pin::new(&mut this.inner).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => frame,
                other => return other,
            };
            match frame.data_ref().and_then(|data| this.follow(data)) {
                None => return Poll::Ready(Some(Ok(frame))),
                Some(length) => this.refusing = Some(this.refuse(length)),
            }
        }
        match &mut this.refusing {
            Some(refusing) => refusing
                .as_mut()
                .poll(context)
                .map(|error| Some(Err(errors::status(error)))),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.refusing.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
