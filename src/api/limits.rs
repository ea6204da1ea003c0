//! What is kept in front of all services: bounds on the size and number of messages before they are decoded, and a word in
//! the log for what could not be decoded at all.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::errors;
use super::frames::{Frames, TooLong};
use crate::gate::{Gate, GateError, Peer, Violation};

/// The largest message of most calls, and of one item of a batch.
const MESSAGE_MAX_BYTES: usize = 64 * 1024;
/// The largest batch.
const BATCH_MAX_BYTES: usize = 4 * 1024 * 1024;
/// How many messages over [`MESSAGE_MAX_BYTES`] are worked on at once: with what they are decoded into, about 200 MiB.
const LARGE_AT_ONCE: usize = 8;

const BATCH_CHECK: &str = "/sekisho.v1.AccessService/BatchCheck";
/// A file of five thousand hardware tokens.
const IMPORT_TOKENS: &str = "/sekisho.v1.CredentialService/ImportTokens";
const FILTER_SUBJECTS: &str = "/sekisho.v1.SubjectService/FilterSubjects";
const IMPORT_PEOPLE: &str = "/sekisho.v1.DirectoryService/ImportPeople";

fn frames_of(path: &str) -> Frames {
    match path {
        BATCH_CHECK => Frames::new(BATCH_MAX_BYTES, Some(MESSAGE_MAX_BYTES)),
        FILTER_SUBJECTS | IMPORT_PEOPLE | IMPORT_TOKENS => Frames::new(BATCH_MAX_BYTES, None),
        _ => Frames::new(MESSAGE_MAX_BYTES, None),
    }
}

/// Keeps the bounds for all services of a server.
#[derive(Debug, Clone)]
pub struct SizeLimits {
    gate: Arc<Gate>,
    large: Arc<Semaphore>,
}

impl SizeLimits {
    /// Refusals are logged by `gate`.
    #[must_use]
    pub fn new(gate: Arc<Gate>) -> Self {
        Self {
            gate,
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
        }
    }
}

impl<S> Layer<S> for SizeLimits {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited {
            inner,
            gate: Arc::clone(&self.gate),
            large: Arc::clone(&self.large),
        }
    }
}

/// A service whose requests are bounded.
#[derive(Debug, Clone)]
pub struct Limited<S> {
    inner: S,
    gate: Arc<Gate>,
    large: Arc<Semaphore>,
}

impl<S> Service<Request<Body>> for Limited<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let refuse = Refuse {
            gate: Arc::clone(&self.gate),
            peer: parts.extensions.get::<Peer>().cloned(),
            uri: parts.uri.clone(),
        };
        let frames = frames_of(parts.uri.path());
        let place = frames
            .takes_more_than(MESSAGE_MAX_BYTES)
            .then(Place::default);
        let bounded = Bounded {
            inner: body,
            frames,
            large: Arc::clone(&self.large),
            place: place.clone(),
            state: State::Passing,
            refuse: refuse.clone(),
        };
        Answering {
            inner: self
                .inner
                .call(Request::from_parts(parts, Body::new(bounded))),
            refusing: None,
            refuse,
            _place: place,
        }
    }
}

/// A large message's place, held until its call is answered (only calls with one answer take large messages).
type Place = Arc<std::sync::Mutex<Option<OwnedSemaphorePermit>>>;
type Refusing = Pin<Box<dyn Future<Output = GateError> + Send>>;

#[derive(Clone)]
struct Refuse {
    gate: Arc<Gate>,
    peer: Option<Peer>,
    uri: Uri,
}

impl Refuse {
    fn with(&self, error: GateError) -> Refusing {
        let Self { gate, peer, uri } = self.clone();
        Box::pin(async move {
            match peer {
                Some(peer) => gate.refuse_unheard(&peer, method_of(&uri), error).await,
                None => error,
            }
        })
    }
}

pin_project! {
    /// A call under way. What its service could not decode is logged, and told as the caller's mistake that it is.
    pub struct Answering<F> {
        #[pin]
        inner: F,
        refusing: Option<Refusing>,
        refuse: Refuse,
        _place: Option<Place>,
    }
}

impl<F> std::fmt::Debug for Answering<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answering").finish_non_exhaustive()
    }
}

/// The method's own name.
fn method_of(uri: &Uri) -> &str {
    uri.path().rsplit('/').next().unwrap_or_default()
}

/// How tonic tells that a message could not be decoded.
fn is_undecodable(response: &Response<Body>) -> bool {
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .map(http::HeaderValue::as_bytes)
    };
    header("grpc-status") == Some(b"13")
        && header("grpc-message")
            .is_some_and(|message| message.starts_with(b"failed%20to%20decode%20Protobuf"))
}

impl<F, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.refusing.is_none() {
            let answered = ready!(this.inner.poll(context));
            match answered {
                Ok(response) if is_undecodable(&response) => {
                    let what = Violation::new("(message)", "is no protobuf message of this method");
                    *this.refusing = Some(this.refuse.with(GateError::Malformed(vec![what])));
                }
                answered => return Poll::Ready(answered),
            }
        }
        match this.refusing {
            Some(refusing) => refusing
                .as_mut()
                .poll(context)
                .map(|error| Ok(errors::status(error).into_http())),
            None => Poll::Pending,
        }
    }
}

enum State {
    Passing,
    Refusing(Refusing),
    Refused,
}

struct Bounded {
    inner: Body,
    frames: Frames,
    large: Arc<Semaphore>,
    place: Option<Place>,
    state: State,
    refuse: Refuse,
}

impl Bounded {
    /// Looks at the next bytes; `Err` is why they are refused.
    fn pass(&mut self, data: &Bytes) -> Result<(), GateError> {
        self.frames.pass(data).map_err(|too_long| {
            GateError::TooLarge(match too_long {
                TooLong::Unmeasured => "the items of the batch can't be measured".to_owned(),
                TooLong::Message(bytes) => {
                    format!("the message has {bytes} bytes, more than this call takes")
                }
                TooLong::Item(position, bytes) => {
                    format!(
                        "items[{position}] has {bytes} bytes; at most {MESSAGE_MAX_BYTES} are taken"
                    )
                }
            })
        })?;
        if self.frames.longest <= MESSAGE_MAX_BYTES {
            return Ok(());
        }
        let Some(place) = &self.place else {
            return Ok(());
        };
        let mut place = place
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if place.is_none() {
            let free = Arc::clone(&self.large).try_acquire_owned();
            *place = Some(free.map_err(|_| GateError::Busy {
                what: "too many large messages at once",
                retry_after: Duration::from_secs(1),
            })?);
        }
        Ok(())
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
        loop {
            match &mut this.state {
                State::Passing => {
                    let frame = match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                        Some(Ok(frame)) => frame,
                        other => return Poll::Ready(other),
                    };
                    let passed = frame
                        .data_ref()
                        .cloned()
                        .map_or(Ok(()), |data| this.pass(&data));
                    match passed {
                        Ok(()) => return Poll::Ready(Some(Ok(frame))),
                        Err(error) => this.state = State::Refusing(this.refuse.with(error)),
                    }
                }
                State::Refusing(refusing) => {
                    let error = ready!(refusing.as_mut().poll(context));
                    this.state = State::Refused;
                    return Poll::Ready(Some(Err(errors::status(error))));
                }
                State::Refused => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.state {
            State::Passing => self.inner.is_end_stream(),
            State::Refusing(_) => false,
            State::Refused => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
