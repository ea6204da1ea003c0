//! What is told to a reader as a stream. It ends whole, or with the error that cut it: what is left of one whose reader took nothing,
//! or that the end of the daemon met, must not pass for all there was.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::Stream;

use super::GateError;

/// How long a reader may leave a message untaken before their stream is cut.
pub(in crate::gate) const UNTAKEN: Duration = Duration::from_secs(30);

#[derive(Debug)]
enum Message<T> {
    Found(Result<T, GateError>),
    /// All was told.
    Whole,
}

/// What is told: messages, then the end. Where the end is not the whole, the last message is an error.
#[derive(Debug)]
pub struct Told<T> {
    found: mpsc::Receiver<Message<T>>,
    is_over: bool,
}

impl<T> Told<T> {
    /// The next message; `None` only once all was told, or the error that cut it.
    pub async fn recv(&mut self) -> Option<Result<T, GateError>> {
        std::future::poll_fn(|context| self.poll_recv(context)).await
    }

    /// How many messages wait to be taken.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.found.len()
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<T, GateError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let message = std::task::ready!(self.found.poll_recv(context));
        self.is_over = !matches!(message, Some(Message::Found(Ok(_))));
        Poll::Ready(match message {
            Some(Message::Found(found)) => Some(found),
            Some(Message::Whole) => None,
            None => Some(Err(GateError::CutShort)),
        })
    }
}

impl<T> Stream for Told<T> {
    type Item = Result<T, GateError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(context)
    }
}

/// Why nothing more is told.
#[derive(Debug)]
pub(in crate::gate) enum Ended {
    /// The reader is gone, or took nothing for too long.
    Unheard,
    /// What the reader is told last.
    Failed(GateError),
}

impl From<GateError> for Ended {
    fn from(error: GateError) -> Self {
        Self::Failed(error)
    }
}

/// Tells a reader one message after the other.
#[derive(Debug)]
pub(in crate::gate) struct Teller<T> {
    send: mpsc::Sender<Message<T>>,
    patience: Duration,
}

impl<T> Teller<T> {
    /// Waits until the reader has room for it.
    pub(in crate::gate) async fn tell(&self, found: T) -> Result<(), Ended> {
        self.send(Message::Found(Ok(found))).await
    }

    /// Whether nobody listens any more.
    pub(in crate::gate) fn is_unheard(&self) -> bool {
        self.send.is_closed()
    }

    /// Once nobody listens any more.
    pub(in crate::gate) async fn unheard(&self) {
        self.send.closed().await;
    }

    async fn send(&self, message: Message<T>) -> Result<(), Ended> {
        match tokio::time::timeout(self.patience, self.send.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Ended::Unheard),
        }
    }
}

/// Has `work` tell a reader, who may be up to `ahead` messages behind. What it returns without an error was all there is.
pub(in crate::gate) fn begin<T, W, F>(ahead: usize, work: W) -> Told<T>
where
    T: Send + 'static,
    W: FnOnce(Arc<Teller<T>>) -> F,
    F: Future<Output = Result<(), Ended>> + Send + 'static,
{
    begin_within(UNTAKEN, ahead, work)
}

fn begin_within<T, W, F>(patience: Duration, ahead: usize, work: W) -> Told<T>
where
    T: Send + 'static,
    W: FnOnce(Arc<Teller<T>>) -> F,
    F: Future<Output = Result<(), Ended>> + Send + 'static,
{
    let (send, found) = mpsc::channel(ahead);
    let teller = Arc::new(Teller { send, patience });
    let work = work(Arc::clone(&teller));
    tokio::spawn(async move {
        // Who is not heard any more is told nothing: the end is missing.
        let _ = match work.await {
            Ok(()) => teller.send(Message::Whole).await,
            Err(Ended::Failed(error)) => teller.send(Message::Found(Err(error))).await,
            Err(Ended::Unheard) => Ok(()),
        };
    });
    Told {
        found,
        is_over: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(mut told: Told<u32>) -> (Vec<u32>, Option<GateError>) {
        let mut found = Vec::new();
        while let Some(next) = told.recv().await {
            match next {
                Ok(number) => found.push(number),
                Err(error) => {
                    assert!(told.recv().await.is_none(), "the error comes last");
                    return (found, Some(error));
                }
            }
        }
        (found, None)
    }

    #[tokio::test]
    async fn what_is_told_to_its_end_ends_whole() {
        let told = begin(2, |teller| async move {
            for number in 0..9 {
                teller.tell(number).await?;
            }
            Ok(())
        });
        let (found, error) = all(told).await;
        assert_eq!(found, (0..9).collect::<Vec<_>>());
        assert!(error.is_none(), "{error:?}");
    }

    #[tokio::test]
    async fn a_failure_is_the_last_that_is_told() {
        let told = begin(2, |teller| async move {
            teller.tell(1).await?;
            Err(GateError::Internal("broken").into())
        });
        let (found, error) = all(told).await;
        assert_eq!(found, [1]);
        assert!(matches!(error, Some(GateError::Internal("broken"))));
    }

    #[tokio::test]
    async fn one_whose_reader_takes_nothing_for_too_long_is_cut_and_says_so() {
        let (ended, over) = tokio::sync::oneshot::channel();
        let told = begin_within(Duration::from_millis(20), 2, |teller| async move {
            let mut told = Ok(());
            for number in 0..9 {
                told = teller.tell(number).await;
                if told.is_err() {
                    break;
                }
            }
            ended.send(()).unwrap();
            told
        });
        over.await.unwrap();
        let (found, error) = all(told).await;
        assert_eq!(found, [0, 1]);
        assert!(matches!(error, Some(GateError::CutShort)), "{error:?}");
    }

    #[test]
    fn one_that_the_end_of_the_daemon_met_is_cut_and_says_so() {
        let daemon = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .unwrap();
        let told = daemon.block_on(async {
            let mut told = begin(1, |teller| async move {
                teller.tell(1).await?;
                std::future::pending::<()>().await;
                Ok(())
            });
            assert_eq!(told.recv().await.unwrap().unwrap(), 1);
            told
        });
        drop(daemon);
        let reader = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let (found, error) = reader.block_on(all(told));
        assert!(found.is_empty());
        assert!(matches!(error, Some(GateError::CutShort)), "{error:?}");
    }
}
