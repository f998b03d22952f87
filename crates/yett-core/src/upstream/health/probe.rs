//! One question to an endpoint: does it connect, answer a request, say that it serves?
//!
//! Connections are new ones, with the service's TLS and the rules for addresses of any other. An answer is read to the end
//! of its head (at most 16 KiB), of gRPC to its trailers (at most 4 KiB).

use std::sync::Arc;

use bytes::{Buf, Bytes};
use http_body_util::Empty;
use hyper::header;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::super::pool::{connect_any, endpoint_host, server_name};
use super::super::resolve::Host;
use super::super::tls::ServiceTls;
use crate::ir::{self, CheckProtocol, HostPolicy};
use crate::providers::hyper_io::HyperIo;
use crate::reason::Reason;
use crate::shared::Shared;

const HEAD_BYTES: usize = 16 * 1024;
const GRPC_BYTES: usize = 4 * 1024;
/// `grpc.health.v1.HealthCheckResponse` with the status SERVING, framed.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];

macro_rules! causes {
    ($($cause:ident $code:literal $help:literal;)*) => {
        /// Why a check failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Cause {
            $(#[doc = $help] $cause,)*
        }

        impl Cause {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$cause,)*];

            /// The word in metrics and events.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$cause => $code,)* }
            }
        }
    };
}

causes! {
    Unresolved "unresolved" "The name has no address.";
    Forbidden "forbidden" "It has an address that no service may have.";
    Connect "connect" "It takes no connection.";
    Tls "tls" "The TLS handshake failed.";
    Timeout "timeout" "No answer in time.";
    Status "status" "Another status.";
    Invalid "invalid" "No answer, or none that can be read.";
    NotServing "not_serving" "It says that it does not serve.";
}

/// What is asked, decided at load.
#[derive(Debug)]
pub(super) struct Target {
    endpoint: ir::Endpoint,
    at: Host,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    spec: ir::HealthCheck,
    authority: String,
    /// Whether the service speaks nothing but HTTP/2.
    http2: bool,
}

impl Target {
    /// `None` where it speaks TLS and nothing to verify it with was built.
    pub(super) fn new(
        service: &ir::Service,
        endpoint: &ir::Endpoint,
        spec: &ir::HealthCheck,
        tls: Option<&ServiceTls>,
        at: Host,
    ) -> Option<Self> {
        let tls = if endpoint.tls {
            let tls = tls?;
            let mut config = ClientConfig::clone(&tls.config);
            if spec.protocol == CheckProtocol::Grpc {
                config.alpn_protocols = vec![b"h2".to_vec()];
            }
            Some((Arc::new(config), server_name(endpoint, tls)?))
        } else {
            None
        };
        let authority = match (&spec.host, &service.host) {
            (Some(host), _) | (None, HostPolicy::Literal(host)) => host.clone(),
            (None, HostPolicy::Endpoint | HostPolicy::Preserve) => endpoint_host(endpoint),
        };
        let http2 = service.speaks.http2().is_some_and(|(_, only)| only);
        Some(Self { endpoint: endpoint.clone(), at, tls, spec: spec.clone(), authority, http2 })
    }

    /// Asks once. The time limit is the caller's.
    pub(super) async fn ask(&self, shared: &Shared) -> Result<(), Cause> {
        let stream = self.connect(shared).await?;
        if self.spec.protocol == CheckProtocol::Tcp {
            return Ok(());
        }
        match &self.tls {
            None => self.question(stream, self.http2).await,
            Some((config, name)) => {
                let connector = TlsConnector::from(Arc::clone(config));
                let stream = connector.connect(name.clone(), stream).await.map_err(|_| Cause::Tls)?;
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.question(stream, http2).await
            }
        }
    }

    async fn connect(&self, shared: &Shared) -> Result<TcpStream, Cause> {
        let found = shared.network.resolve(&self.at, self.endpoint.port).await;
        let addresses = found.map_err(|reason| match reason {
            Reason::ServiceAddressForbidden => Cause::Forbidden,
            _ => Cause::Unresolved,
        })?;
        connect_any(&addresses, 0, self.endpoint.port).await.ok_or(Cause::Connect)
    }

    async fn question<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, stream: T, http2: bool) -> Result<(), Cause> {
        match self.spec.protocol {
            CheckProtocol::Tcp => Ok(()),
            CheckProtocol::Http if http2 => self.http2(stream).await,
            CheckProtocol::Http => self.http1(stream).await,
            CheckProtocol::Grpc => self.grpc(stream).await,
        }
    }

    async fn http1<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, stream: T) -> Result<(), Cause> {
        let mut builder = hyper::client::conn::http1::Builder::new();
        let handshake = builder.max_buf_size(HEAD_BYTES).handshake(HyperIo(stream));
        let (mut sender, connection) = handshake.await.map_err(|_| Cause::Invalid)?;
        // Dropped, and with it the connection, when this function ends in whatever way.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let request = http::Request::get(self.spec.path.as_str())
            .header(header::HOST, self.authority.as_str())
            .header(header::USER_AGENT, "yett-health-check")
            .header(header::ACCEPT, "*/*")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|_| Cause::Invalid)?;
        let response = sender.send_request(request).await.map_err(|_| Cause::Invalid)?;
        self.judge(response.status())
    }

    fn judge(&self, status: http::StatusCode) -> Result<(), Cause> {
        if self.spec.status.contains(&status.as_u16()) { Ok(()) } else { Err(Cause::Status) }
    }

    async fn http2<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, stream: T) -> Result<(), Cause> {
        let mut driver = JoinSet::new();
        let client = http2_client(stream, &mut driver).await?;
        let request = http::Request::get(self.uri(&self.spec.path))
            .header(header::USER_AGENT, "yett-health-check")
            .header(header::ACCEPT, "*/*")
            .body(())
            .map_err(|_| Cause::Invalid)?;
        let mut client = client.ready().await.map_err(|_| Cause::Invalid)?;
        let (response, _) = client.send_request(request, true).map_err(|_| Cause::Invalid)?;
        self.judge(response.await.map_err(|_| Cause::Invalid)?.status())
    }

    fn uri(&self, path: &str) -> String {
        format!("{}://{}{path}", if self.tls.is_some() { "https" } else { "http" }, self.authority)
    }

    /// `grpc.health.v1.Health/Check` (the gRPC health checking protocol).
    async fn grpc<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, stream: T) -> Result<(), Cause> {
        let invalid = |_| Cause::Invalid;
        let mut driver = JoinSet::new();
        let client = http2_client(stream, &mut driver).await?;
        let request = http::Request::post(self.uri("/grpc.health.v1.Health/Check"))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .header(header::USER_AGENT, "yett-health-check")
            .body(())
            .map_err(|_| Cause::Invalid)?;
        let mut client = client.ready().await.map_err(invalid)?;
        let (response, mut body) = client.send_request(request, false).map_err(invalid)?;
        body.send_data(question_for(&self.spec.service), true).map_err(invalid)?;
        let response = response.await.map_err(invalid)?;
        if response.status() != http::StatusCode::OK {
            return Err(Cause::Status);
        }
        if response.headers().get("grpc-status").is_some_and(|status| status != "0") {
            return Err(Cause::NotServing);
        }
        let mut answer = response.into_body();
        let mut message = Vec::new();
        while let Some(data) = answer.data().await {
            let data = data.map_err(invalid)?;
            let _ = answer.flow_control().release_capacity(data.remaining());
            if message.len() + data.len() > GRPC_BYTES {
                return Err(Cause::Invalid);
            }
            message.extend_from_slice(&data);
        }
        let trailers = answer.trailers().await.map_err(invalid)?.ok_or(Cause::Invalid)?;
        if trailers.get("grpc-status").is_none_or(|status| status != "0") || message != SERVING {
            return Err(Cause::NotServing);
        }
        Ok(())
    }
}

/// A client of HTTP/2; dropped with `driver`.
async fn http2_client<T>(stream: T, driver: &mut JoinSet<Result<(), h2::Error>>) -> Result<h2::client::SendRequest<Bytes>, Cause>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = h2::client::Builder::new();
    builder.max_header_list_size(16 * 1024).enable_push(false).initial_window_size(64 * 1024);
    let (client, connection) = builder.handshake::<_, Bytes>(stream).await.map_err(|_| Cause::Invalid)?;
    driver.spawn(connection);
    Ok(client)
}

/// `grpc.health.v1.HealthCheckRequest`, framed. A name of a service has at most 127 bytes.
fn question_for(service: &str) -> Bytes {
    let length = u8::try_from(service.len()).unwrap_or(0);
    let mut out = vec![0, 0, 0, 0];
    if length == 0 {
        out.push(0);
    } else {
        out.extend_from_slice(&[length + 2, 0x0a, length]);
        out.extend_from_slice(service.as_bytes());
    }
    out.into()
}
