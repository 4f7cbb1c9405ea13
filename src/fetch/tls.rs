//! Whom we trust, and who we are, when we speak TLS.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, version};
use url::Url;

use super::FetchSetupError;
use crate::settings::{ClientCertificate, Settings, TlsVersion};

/// A set of rules for some hosts: an index into [`Tls`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Profile(usize);

impl Profile {
    /// That of hosts of which nothing was said.
    pub(super) const USUAL: Self = Self(0);
    const INSECURE: Self = Self(1);
}

/// The rules for every host.
pub(super) struct Tls {
    usual: ClientConfig,
    insecure: Option<ClientConfig>,
    insecure_hosts: BTreeSet<String>,
    /// By host.
    clients: Vec<(String, ClientConfig)>,
}

/// Keys are no one's business.
impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Trusts who `roots` vouch for, and the authorities of the settings.
    pub(super) fn new(
        settings: &Settings,
        mut roots: RootCertStore,
    ) -> Result<Self, FetchSetupError> {
        for file in &settings.tls_ca {
            let certificates = certificates(file)?;
            let (added, _) = roots.add_parsable_certificates(certificates);
            if added == 0 {
                return Err(pem(file, &"no certificate in it can be trusted"));
            }
        }
        let roots = Arc::new(roots);
        let usual = config(settings, &roots, None)?;
        let insecure_hosts: BTreeSet<String> = settings
            .tls_insecure
            .iter()
            .map(|host| normal(host))
            .collect();
        let mut insecure = None;
        if !insecure_hosts.is_empty() {
            for host in &insecure_hosts {
                tracing::warn!(host, "its TLS certificate is not verified (tls_insecure)");
            }
            let mut config = usual.clone();
            let verifier = Anybody(Arc::clone(config.crypto_provider()));
            config
                .dangerous()
                .set_certificate_verifier(Arc::new(verifier));
            insecure = Some(config);
        }
        let clients = settings.tls_client.iter().map(|(host, own)| {
            let mut config = config(settings, &roots, Some(own))?;
            if insecure_hosts.contains(&normal(host)) {
                let verifier = Anybody(Arc::clone(config.crypto_provider()));
                config
                    .dangerous()
                    .set_certificate_verifier(Arc::new(verifier));
            }
            Ok((normal(host), config))
        });
        Ok(Self {
            clients: clients.collect::<Result<_, FetchSetupError>>()?,
            usual,
            insecure,
            insecure_hosts,
        })
    }

    /// The rules for the host of `url`.
    pub(super) fn profile(&self, url: &Url) -> Profile {
        if self.insecure.is_none() && self.clients.is_empty() || url.scheme() != "https" {
            return Profile::USUAL;
        }
        let host = normal(url.host_str().unwrap_or_default());
        match self.clients.iter().position(|(known, _)| *known == host) {
            Some(at) => Profile(Profile::INSECURE.0 + 1 + at),
            None if self.insecure_hosts.contains(&host) => Profile::INSECURE,
            None => Profile::USUAL,
        }
    }

    pub(super) fn config(&self, profile: Profile) -> &ClientConfig {
        let special = match profile {
            Profile::USUAL => None,
            Profile::INSECURE => self.insecure.as_ref(),
            Profile(at) => self
                .clients
                .get(at - Profile::INSECURE.0 - 1)
                .map(|(_, config)| config),
        };
        special.unwrap_or(&self.usual)
    }
}

/// Has those who ask for the process's TLS use what we use.
#[cfg(feature = "s3")]
pub(crate) fn install_tls() {
    // Somebody may have been first; then it is theirs.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// As URLs write it: lower case, no brackets, no root dot.
fn normal(host: &str) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// The provider is named here, so that no global one needs to be installed, nor can be in the way.
fn config(
    settings: &Settings,
    roots: &Arc<RootCertStore>,
    own: Option<&ClientCertificate>,
) -> Result<ClientConfig, FetchSetupError> {
    let tls = |error: rustls::Error| FetchSetupError::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[_] = match settings.tls_min_version {
        TlsVersion::V1_2 => &[&version::TLS13, &version::TLS12],
        TlsVersion::V1_3 => &[&version::TLS13],
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(tls)?
        .with_root_certificates(Arc::clone(roots));
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let key = PrivateKeyDer::from_pem_file(&own.key);
            let key = key.map_err(|error| pem(&own.key, &error))?;
            builder
                .with_client_auth_cert(certificates(&own.cert)?, key)
                .map_err(|error| pem(&own.cert, &error))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if settings.http2 {
        config.alpn_protocols.insert(0, b"h2".to_vec());
    }
    Ok(config)
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, FetchSetupError> {
    let all = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(|error| pem(file, &error))?;
    if all.is_empty() {
        return Err(pem(file, &"there is no certificate in it"));
    }
    Ok(all)
}

fn pem(file: &str, reason: &dyn std::fmt::Display) -> FetchSetupError {
    FetchSetupError::Pem {
        file: file.to_owned(),
        reason: reason.to_string(),
    }
}

/// Believes whatever a server says of itself, but not that it has a key that it has not.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
