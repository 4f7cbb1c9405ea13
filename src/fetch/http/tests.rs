//! Over TLS, with an authority of our own.

use std::convert::Infallible;
use std::net::SocketAddr;

use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::request::StepRef;

type Chunk = Result<Frame<Bytes>, &'static str>;

/// A server with a certificate for `name`, signed by an authority that only `trusted` knows.
struct Server {
    address: SocketAddr,
    trusted: RootCertStore,
    _task: JoinSet<()>,
}

impl Server {
    async fn start(
        name: &str,
        protocol: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let (trusted, config) = identity(name, protocol, change);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut task = JoinSet::new();
        task.spawn(serve(listener, TlsAcceptor::from(Arc::new(config))));
        Self {
            address,
            trusted,
            _task: task,
        }
    }

    async fn get(&self, roots: RootCertStore, path: &str) -> Result<Response, FetchError> {
        let fetch = HttpFetch::with_roots(&Settings::default(), Guard::open(), roots).unwrap();
        let url = format!("https://localhost:{}{path}", self.address.port());
        let request = Request::new(url.parse().unwrap(), StepRef::named("page"));
        fetch.fetch(&request).await
    }
}

fn identity(
    name: &str,
    protocol: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> (RootCertStore, ServerConfig) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap();
    let mut trusted = RootCertStore::empty();
    trusted
        .add(CertificateDer::from(root.der().to_vec()))
        .unwrap();

    let mut leaf = CertificateParams::new([name.to_owned()]).unwrap();
    change(&mut leaf);
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let certificate = leaf.signed_by(&key, &issuer).unwrap();
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    (trusted, config)
}

async fn serve(listener: TcpListener, tls: TlsAcceptor) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let tls = tls.clone();
        connections.spawn(async move {
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let (stream, service) = (TokioIo::new(stream), service_fn(answer));
            // How a connection ends is the client's to judge.
            if is_http2 {
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(stream, service).await;
            } else {
                let builder = hyper::server::conn::http1::Builder::new();
                let _ = builder.serve_connection(stream, service).await;
            }
        });
    }
}

/// Says which protocol it was asked in; `/broken` breaks off.
async fn answer(
    request: http::Request<Incoming>,
) -> Result<http::Response<StreamBody<impl stream::Stream<Item = Chunk>>>, Infallible> {
    let said = format!("{:?}", request.version());
    let mut chunks = vec![Ok(Frame::data(Bytes::from(said)))];
    if request.uri().path() == "/broken" {
        chunks.push(Err("broken off"));
    }
    let body = StreamBody::new(stream::iter(chunks));
    Ok(http::Response::new(body))
}

#[tokio::test]
async fn both_protocols() {
    for (protocol, expected) in [("h2", "HTTP/2.0"), ("http/1.1", "HTTP/1.1")] {
        let server = Server::start("localhost", protocol, |_| ()).await;
        let response = server.get(server.trusted.clone(), "/").await.unwrap();
        assert_eq!(response.body, expected);
        let error = server
            .get(server.trusted.clone(), "/broken")
            .await
            .unwrap_err();
        assert_eq!(error.kind, FailureKind::Reset, "{protocol}: {error:?}");
        assert!(
            error.message.starts_with("connection "),
            "{}",
            error.message
        );
    }
}

async fn check_distrust(
    name: &str,
    is_known: bool,
    change: impl FnOnce(&mut CertificateParams),
    expected: &str,
) {
    let server = Server::start(name, "h2", change).await;
    let roots = if is_known {
        server.trusted.clone()
    } else {
        client::public_roots()
    };
    let error = server.get(roots, "/").await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (FailureKind::Tls, expected),
        "{error:?}"
    );
}

#[tokio::test]
async fn whom_not_to_trust() {
    check_distrust(
        "localhost",
        false,
        |_| (),
        "TLS: the certificate's issuer is unknown",
    )
    .await;
    check_distrust(
        "a.example",
        true,
        |_| (),
        "TLS: the certificate is for another host",
    )
    .await;
    let expire = |leaf: &mut CertificateParams| {
        leaf.not_before = date_time_ymd(2001, 1, 1);
        leaf.not_after = date_time_ymd(2002, 1, 1);
    };
    check_distrust(
        "localhost",
        true,
        expire,
        "TLS: the certificate has expired",
    )
    .await;
    let future = |leaf: &mut CertificateParams| leaf.not_before = date_time_ymd(4000, 1, 1);
    check_distrust(
        "localhost",
        true,
        future,
        "TLS: the certificate is not valid yet",
    )
    .await;
}
