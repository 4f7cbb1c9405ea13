use std::collections::BTreeMap;

use nephila::fetch::{FailureKind, FetchError, HttpFetch};
use nephila::request::Response;
use nephila::settings::{ClientCertificate, Settings, TlsVersion};
use rcgen::date_time_ymd;

use super::{fetch, request, settings};
use crate::tls::{Authority, OLD, Options, Server};

async fn get(settings: &Settings, server: &Server) -> Result<Response, FetchError> {
    let url = format!("https://localhost:{}/", server.port);
    fetch(settings, &request(&url)).await
}

fn message(outcome: Result<Response, FetchError>) -> String {
    let error = outcome.expect_err("a failure");
    assert_eq!(error.kind, FailureKind::Tls, "{error:?}");
    error.message
}

#[tokio::test]
async fn an_authority_of_one_s_own() {
    let authority = Authority::new();
    let server = Server::start(authority.acceptor("localhost", &Options::default())).await;
    let issuer = message(get(&settings(), &server).await);
    assert_eq!(issuer, "TLS: the certificate's issuer is unknown");
    let trusting = Settings {
        tls_ca: vec![authority.file()],
        ..settings()
    };
    let response = get(&trusting, &server).await.expect("a response");
    assert_eq!(response.body, "secure");
}

#[tokio::test]
async fn one_host_may_be_believed_anything() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("other.example", &Options::default());
    let server = Server::start(acceptor).await;
    let check = |insecure: &str| Settings {
        tls_insecure: vec![insecure.to_owned()],
        ..settings()
    };
    message(get(&check("127.0.0.1"), &server).await);
    let response = get(&check("LocalHost"), &server).await;
    assert_eq!(response.expect("a response").body, "secure");
    let also = Settings {
        tls_ca: vec![authority.file()],
        ..settings()
    };
    let other = message(get(&also, &server).await);
    assert_eq!(other, "TLS: the certificate is for another host");
}

#[tokio::test]
async fn certificates_out_of_time() {
    use rustls::ServerConfig;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let check = async |year, expected: &str| {
        let authority = Authority::new();
        let (certificate, key) = authority.sign("localhost", |params| {
            params.not_before = date_time_ymd(year, 1, 1);
            params.not_after = date_time_ymd(year + 1, 1, 1);
        });
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_file(certificate).expect("a certificate")],
                PrivateKeyDer::from_pem_file(key).expect("a key"),
            )
            .expect("a configuration");
        let server = Server::start(std::sync::Arc::new(config).into()).await;
        let settings = Settings {
            tls_ca: vec![authority.file()],
            ..settings()
        };
        assert_eq!(message(get(&settings, &server).await), expected);
    };
    check(2001, "TLS: the certificate has expired").await;
    check(4000, "TLS: the certificate is not valid yet").await;
}

#[tokio::test]
async fn old_versions_are_refused() {
    let authority = Authority::new();
    let old = Options {
        versions: OLD,
        ..Options::default()
    };
    let server = Server::start(authority.acceptor("localhost", &old)).await;
    let mut settings = Settings {
        tls_ca: vec![authority.file()],
        ..settings()
    };
    get(&settings, &server).await.expect("TLS 1.2");
    settings.tls_min_version = TlsVersion::V1_3;
    message(get(&settings, &server).await);
}

#[tokio::test]
async fn our_certificate_is_for_one_host() {
    let authority = Authority::new();
    let strict = Options {
        wants_client: true,
        ..Options::default()
    };
    let server = Server::start(authority.acceptor("localhost", &strict)).await;
    let (cert, key) = authority.sign("ann", |_| ());
    let own = |host: &str| Settings {
        tls_ca: vec![authority.file()],
        tls_client: BTreeMap::from([(
            host.to_owned(),
            ClientCertificate {
                cert: cert.display().to_string(),
                key: key.display().to_string(),
            },
        )]),
        ..settings()
    };
    let response = get(&own("localhost"), &server).await;
    assert_eq!(response.expect("a response").body, "secure");
    get(&own("other.example"), &server)
        .await
        .expect_err("no certificate is shown");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn files_that_are_no_use() {
    let check = |file: String, expected: &str| {
        let settings = Settings {
            tls_ca: vec![file.clone()],
            ..settings()
        };
        let error = HttpFetch::new(&settings).expect_err("no certificate");
        let said = error.to_string().replace(&file, "FILE");
        assert!(said.starts_with(expected), "{said}");
    };
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing\n").expect("a file");
    check("/no/such.pem".to_owned(), "can't use FILE: ");
    let empty = empty.display().to_string();
    check(empty, "can't use FILE: there is no certificate in it");
}
