//! HTTP/1.1 towards others, the little of it that is needed: a request's bytes to one URL, an answer that is bounded in time
//! and size. No redirects (where bytes go is the operator's to say), no proxies, no cookies, no roots of the system's.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;

use crate::tls_client::{TlsClient, connect_tcp, is_server_name};

/// Where to post: `http://` or `https://`, a host, a port, a path and a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    secure: bool,
    host: String,
    port: u16,
    authority: HeaderValue,
    path: String,
}

/// Why a text is no [`Endpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not http://HOST[:PORT]/PATH or https://…, without a user, a password or a fragment")]
pub struct BadUrl;

impl Endpoint {
    /// Reads a URL.
    ///
    /// # Errors
    /// When it is another scheme, or carries a user, a password or a fragment.
    pub fn parse(url: &str) -> Result<Self, BadUrl> {
        let uri: Uri = url.parse().map_err(|_| BadUrl)?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(BadUrl),
        };
        let authority = uri.authority().ok_or(BadUrl)?;
        if url.contains('#') || authority.as_str().contains('@') {
            return Err(BadUrl);
        }
        let host = authority.host();
        // A port that is not a number is not left out, it is wrong.
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => {
                if secure {
                    443
                } else {
                    80
                }
            }
            _ => authority
                .port_u16()
                .filter(|port| *port != 0)
                .ok_or(BadUrl)?,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || !is_server_name(host) {
            return Err(BadUrl);
        }
        Ok(Self {
            secure,
            host: host.to_owned(),
            port,
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| BadUrl)?,
            path: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), |path| path.as_str().to_owned()),
        })
    }

    /// Whether it is `https://`.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether it is an address of this machine itself.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        let authority = self.authority.to_str().unwrap_or(&self.host);
        write!(f, "{scheme}://{authority}{}", self.path)
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
}

/// Why nothing came back. What was sent may have arrived all the same.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// `https://` without an authority to trust.
    #[error("{url}: no authority is named to trust")]
    NoAuthority {
        /// The URL.
        url: String,
    },
    /// No connection.
    #[error("can't connect to {url}: {source}")]
    Connect {
        /// The URL.
        url: String,
        /// As the system or TLS says it.
        source: std::io::Error,
    },
    /// The connection ended, or what came was not HTTP.
    #[error("{url}: {what}")]
    Broken {
        /// The URL.
        url: String,
        /// What was met.
        what: String,
    },
    /// It took too long.
    #[error("{url} gave no answer within {seconds} s")]
    TooSlow {
        /// The URL.
        url: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The answer's body is over the bound.
    #[error("the answer of {url} is over {max_bytes} bytes")]
    TooLarge {
        /// The URL.
        url: String,
        /// The bound.
        max_bytes: usize,
    },
}

/// Posts to one endpoint, over one connection that is kept for as long as it lives.
#[derive(Debug)]
pub struct HttpClient {
    endpoint: Endpoint,
    tls: Option<TlsClient>,
    timeout: Duration,
    answer_max_bytes: usize,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl HttpClient {
    /// A client that has not connected yet. `timeout` bounds each call as a whole, connecting included.
    ///
    /// # Errors
    /// [`HttpError::NoAuthority`] for `https://` without `tls`.
    pub fn new(
        endpoint: Endpoint,
        tls: Option<TlsClient>,
        timeout: Duration,
        answer_max_bytes: usize,
    ) -> Result<Self, HttpError> {
        if endpoint.secure && tls.is_none() {
            return Err(HttpError::NoAuthority {
                url: endpoint.to_string(),
            });
        }
        Ok(Self {
            endpoint,
            tls,
            timeout,
            answer_max_bytes,
            open: None,
        })
    }

    /// Posts `body` with `headers` and gives the answer, whatever its status. A kept connection that turns out to be gone is
    /// made anew once, so `body` may arrive twice.
    ///
    /// # Errors
    /// When there is no whole answer within the time and size that were given.
    pub async fn post(
        &mut self,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<HttpAnswer, HttpError> {
        let limit = self.timeout;
        let answered = tokio::time::timeout(limit, self.try_post(headers, body)).await;
        let answered = answered.unwrap_or_else(|_| {
            Err(HttpError::TooSlow {
                url: self.endpoint.to_string(),
                seconds: limit.as_secs(),
            })
        });
        if answered.is_err() {
            self.open = None;
        }
        answered
    }

    async fn try_post(
        &mut self,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<HttpAnswer, HttpError> {
        if let Some(mut kept) = self.open.take()
            && kept.sender.ready().await.is_ok()
            && let Ok(answer) = self.ask(&mut kept, headers, body).await
        {
            self.open = Some(kept);
            return Ok(answer);
        }
        let mut new = self.connect().await?;
        let answer = self.ask(&mut new, headers, body).await?;
        self.open = Some(new);
        Ok(answer)
    }

    async fn ask(
        &self,
        open: &mut Open,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<HttpAnswer, HttpError> {
        let broken = |what: String| HttpError::Broken {
            url: self.endpoint.to_string(),
            what,
        };
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self
            .endpoint
            .path
            .parse()
            .map_err(|_| broken("its path can't be asked for".to_owned()))?;
        *request.headers_mut() = headers.clone();
        request
            .headers_mut()
            .insert(HOST, self.endpoint.authority.clone());
        let answer = open
            .sender
            .send_request(request)
            .await
            .map_err(|error| broken(error.to_string()))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, self.answer_max_bytes)
            .collect()
            .await
            .map_err(|error| {
                if error.is::<http_body_util::LengthLimitError>() {
                    HttpError::TooLarge {
                        url: self.endpoint.to_string(),
                        max_bytes: self.answer_max_bytes,
                    }
                } else {
                    broken(error.to_string())
                }
            })?;
        Ok(HttpAnswer {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }

    async fn connect(&self) -> Result<Open, HttpError> {
        let failed = |source| HttpError::Connect {
            url: self.endpoint.to_string(),
            source,
        };
        let tcp = connect_tcp(&self.endpoint.host, self.endpoint.port)
            .await
            .map_err(failed)?;
        match &self.tls {
            Some(tls) if self.endpoint.secure => {
                let stream = tls
                    .connect(tcp, &self.endpoint.host)
                    .await
                    .map_err(failed)?;
                self.begin(stream).await
            }
            _ => self.begin(tcp).await,
        }
    }

    async fn begin(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Open, HttpError> {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| HttpError::Broken {
                    url: self.endpoint.to_string(),
                    what: error.to_string(),
                })?;
        // Its errors reach whoever waits for an answer.
        let driver = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Ok(Open { sender, driver })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[test]
    fn a_url_is_taken_apart() {
        let read = |url: &str| Endpoint::parse(url).unwrap();
        let plain = read("http://[::1]:8080/a?b=c");
        assert_eq!(
            (plain.is_secure(), &*plain.host, plain.port, &*plain.path),
            (false, "::1", 8_080, "/a?b=c")
        );
        assert!(plain.is_loopback());
        let secure = read("https://siem.example");
        assert_eq!((secure.port, &*secure.path), (443, "/"));
        assert!(!secure.is_loopback());
    }

    #[test]
    fn what_is_no_plain_url_is_refused() {
        for bad in [
            "",
            "siem.example",
            "ftp://siem.example/",
            "https://user:secret@siem.example/",
            "https://siem.example/#part",
            "https://siem.example:port/",
            "https://siem.example:0/",
            "https:///path",
        ] {
            assert_eq!(Endpoint::parse(bad), Err(BadUrl), "{bad}");
        }
    }

    fn client(address: std::net::SocketAddr, timeout: Duration) -> HttpClient {
        let endpoint = Endpoint::parse(&format!("http://{address}/in")).unwrap();
        HttpClient::new(endpoint, None, timeout, 16).unwrap()
    }

    /// Answers each connection's first request with `answer`, then closes.
    async fn answering(answer: &'static str) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = vec![0; 4_096];
                let _ = stream.read(&mut bytes).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_is_made_anew() {
        let address = answering("HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok").await;
        let mut client = client(address, Duration::from_secs(5));
        for _ in 0..3 {
            let answer = client
                .post(&HeaderMap::new(), &Bytes::from_static(b"x"))
                .await
                .unwrap();
            assert_eq!((answer.status.as_u16(), &*answer.body), (201, &b"ok"[..]));
        }
    }

    #[tokio::test]
    async fn an_answer_without_end_is_refused() {
        let address = answering(
            "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n0123456789012345678901234567890123456789",
        )
        .await;
        let error = client(address, Duration::from_secs(5))
            .post(&HeaderMap::new(), &Bytes::new())
            .await
            .unwrap_err();
        assert!(matches!(error, HttpError::TooLarge { .. }), "{error}");
    }

    #[tokio::test]
    async fn one_who_never_answers_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let error = client(address, Duration::from_millis(50))
            .post(&HeaderMap::new(), &Bytes::new())
            .await
            .unwrap_err();
        assert!(matches!(error, HttpError::TooSlow { .. }), "{error}");
    }

    #[test]
    fn https_needs_an_authority() {
        let endpoint = Endpoint::parse("https://siem.example/").unwrap();
        let client = HttpClient::new(endpoint, None, Duration::from_secs(1), 1);
        assert!(matches!(client, Err(HttpError::NoAuthority { .. })));
    }
}
