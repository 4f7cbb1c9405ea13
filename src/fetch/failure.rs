//! What a failed exchange was, in our own words.
//!
//! reqwest wraps what happened four or five levels deep, and its texts hold the URL. So the chain of
//! causes is searched for the types that tell: the guard's refusal, I/O errors, TLS errors, hyper's.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use rustls::CertificateError;

use super::guard::{Refused, Unresolved};
use super::{FailureKind, FetchError};

/// `16 MiB`; what is no round number of a unit is in bytes.
pub(super) fn bytes_as_text(bytes: usize) -> String {
    const UNITS: [(&str, usize); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    UNITS
        .into_iter()
        .find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit))
        .map_or_else(
            || format!("{bytes} bytes"),
            |(name, unit)| format!("{} {name}", bytes / unit),
        )
}

/// `20 s`, `100 ms`.
pub(super) fn time_as_text(time: Duration) -> String {
    let millis = time.as_millis();
    if millis.is_multiple_of(1000) {
        format!("{} s", millis / 1000)
    } else {
        format!("{millis} ms")
    }
}

/// Says what `error` was; `connect_timeout` is for the sentence alone.
pub(super) fn explain(error: reqwest::Error, connect_timeout: Duration) -> FetchError {
    let (kind, message) = classify(&error, connect_timeout);
    FetchError {
        source: Some(Box::new(error.without_url())),
        ..FetchError::new(kind, message)
    }
}

/// The same for an exchange through a proxy, whose faults are not the server's.
pub(super) fn explain_proxied(error: reqwest::Error, connect_timeout: Duration) -> FetchError {
    let (kind, message) = if error.is_connect() {
        classify_proxied(&error, connect_timeout)
    } else {
        classify(&error, connect_timeout)
    };
    FetchError {
        source: Some(Box::new(error.without_url())),
        ..FetchError::new(kind, message)
    }
}

fn classify_proxied(error: &reqwest::Error, connect_timeout: Duration) -> Verdict {
    let (kind, message) = classify(error, connect_timeout);
    // hyper-util gives its types no names, and socks errors hide their causes: the texts are all.
    let says = |text: &str| causes(error).any(|cause| cause.to_string().contains(text));
    // It can't be reached, hangs up, or speaks something else.
    let at_the_proxy = [
        "failed to create underlying connection",
        "io error",
        "unexpected end of file",
        "failed parsing server response",
        "headers too long",
    ]
    .into_iter()
    .any(says);
    let is_credentials = ["authorization required", "credentials", "authentication"]
        .into_iter()
        .any(says);
    if is_credentials {
        let message = "the proxy does not accept our credentials".to_owned();
        return (FailureKind::Proxy, message);
    }
    let beyond_the_proxy = ["tunnel error", "SOCKS error"].into_iter().any(says);
    match kind {
        FailureKind::Tls | FailureKind::Blocked => (kind, message),
        FailureKind::Dns if says("SOCKS") => (kind, message),
        _ if beyond_the_proxy && !at_the_proxy => {
            let message = "the proxy can't connect to the host".to_owned();
            (FailureKind::Connect, message)
        }
        _ if message == "can't connect" => (FailureKind::Proxy, "no connection to it".to_owned()),
        _ => (FailureKind::Proxy, message),
    }
}

type Verdict = (FailureKind, String);

fn classify(error: &reqwest::Error, connect_timeout: Duration) -> Verdict {
    if let Some(refused) = find::<Refused>(error) {
        return (FailureKind::Blocked, refused.to_string());
    }
    if let Some(unresolved) = find::<Unresolved>(error) {
        return (FailureKind::Dns, unresolved.to_string());
    }
    let connecting = error.is_connect();
    if connecting && error.is_timeout() {
        let limit = time_as_text(connect_timeout);
        return (FailureKind::Timeout, format!("no connection in {limit}"));
    }
    let judged = causes(error).find_map(|cause| judge(cause, connecting));
    judged.unwrap_or_else(|| otherwise(error, connecting))
}

fn otherwise(error: &reqwest::Error, connecting: bool) -> Verdict {
    if connecting {
        return (FailureKind::Connect, "can't connect".to_owned());
    }
    if error.is_builder() {
        return (FailureKind::Other, "the URL can't be requested".to_owned());
    }
    // HTTP/2's errors are of a crate that is not ours to name: the innermost says it.
    match find::<hyper::Error>(error).and_then(|broken| causes(broken).last()) {
        Some(cause) => (FailureKind::Reset, format!("connection broken: {cause}")),
        None => (FailureKind::Other, "the exchange failed".to_owned()),
    }
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// The error and what is inside of it, outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| inside(*error))
}

/// An I/O error's `source` skips the error that it wraps.
fn inside<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn judge(cause: &(dyn Error + 'static), connecting: bool) -> Option<Verdict> {
    if let Some(error) = cause.downcast_ref::<rustls::Error>() {
        return Some((FailureKind::Tls, tls(error)));
    }
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return if connecting {
            connect(error)
        } else {
            transfer(error)
        };
    }
    cause.downcast_ref::<hyper::Error>().and_then(http)
}

fn tls(error: &rustls::Error) -> String {
    let reason = match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the certificate is not valid yet"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the certificate is for another host"
            }
            CertificateError::UnknownIssuer => "the certificate's issuer is unknown",
            CertificateError::Revoked => "the certificate was revoked",
            CertificateError::Other(why) => {
                return format!("TLS: the certificate can't be used: {why}");
            }
            _ => "the certificate is not valid",
        },
        rustls::Error::AlertReceived(alert) => return format!("TLS: the server says {alert:?}"),
        rustls::Error::InvalidMessage(_) | rustls::Error::InappropriateMessage { .. } => {
            "the server does not speak TLS"
        }
        rustls::Error::PeerIncompatible(_) => "no TLS version or cipher in common",
        _ => "the TLS handshake failed",
    };
    format!("TLS: {reason}")
}

/// While connecting. `None`: look deeper.
fn connect(error: &io::Error) -> Option<Verdict> {
    let connect = |message: &str| Some((FailureKind::Connect, message.to_owned()));
    match error.kind() {
        ErrorKind::ConnectionRefused => connect("connection refused"),
        ErrorKind::HostUnreachable => connect("host unreachable"),
        ErrorKind::NetworkUnreachable => connect("network unreachable"),
        ErrorKind::AddrNotAvailable => connect("no local address left"),
        ErrorKind::PermissionDenied => connect("the connection is forbidden here"),
        ErrorKind::UnexpectedEof => Some((
            FailureKind::Tls,
            "TLS: the server hung up in the handshake".to_owned(),
        )),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            Some((FailureKind::Reset, "connection reset".to_owned()))
        }
        _ if error.get_ref().is_some() => None,
        _ => Some((FailureKind::Connect, error.kind().to_string())),
    }
}

/// Once connected: hyper gives a body's faults as I/O errors too.
fn transfer(error: &io::Error) -> Option<Verdict> {
    match error.kind() {
        ErrorKind::UnexpectedEof => Some(cut()),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            Some((FailureKind::Reset, "connection reset".to_owned()))
        }
        ErrorKind::TimedOut => Some((FailureKind::Timeout, "the connection timed out".to_owned())),
        // What the chunk decoder finds, unless it wraps something better known.
        ErrorKind::InvalidInput | ErrorKind::InvalidData
            if !error
                .get_ref()
                .is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>) =>
        {
            Some((
                FailureKind::Protocol,
                "broken chunks in the body".to_owned(),
            ))
        }
        _ if error.get_ref().is_some() => None,
        _ => Some((FailureKind::Reset, error.kind().to_string())),
    }
}

fn cut() -> Verdict {
    (
        FailureKind::Reset,
        "connection closed before the answer was whole".to_owned(),
    )
}

fn http(error: &hyper::Error) -> Option<Verdict> {
    if error.is_parse_too_large() {
        Some((FailureKind::TooLarge, "header over the limit".to_owned()))
    } else if error.is_parse() {
        let detail = format!("the answer is not HTTP ({error})");
        Some((FailureKind::Protocol, detail))
    } else if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        Some(cut())
    } else if error.is_user() {
        Some((
            FailureKind::Other,
            "the request contradicts itself".to_owned(),
        ))
    } else if error.source().is_none() {
        Some((FailureKind::Protocol, error.to_string()))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times() {
        let sizes = [
            (0, "0 bytes"),
            (1, "1 bytes"),
            (1000, "1000 bytes"),
            (1024, "1 KiB"),
        ];
        for (bytes, text) in sizes {
            assert_eq!(bytes_as_text(bytes), text);
        }
        assert_eq!(bytes_as_text(16 << 20), "16 MiB");
        assert_eq!(bytes_as_text((16 << 20) + 1), "16777217 bytes");
        assert_eq!(bytes_as_text(2 << 30), "2 GiB");
        assert_eq!(time_as_text(Duration::from_secs(20)), "20 s");
        assert_eq!(time_as_text(Duration::from_millis(1500)), "1500 ms");
    }

    /// What is made of an I/O error that holds others, while connecting and later.
    fn check(error: &io::Error, connecting: &str, later: &str) {
        for (is_connecting, expected) in [(true, connecting), (false, later)] {
            let verdict = causes(error).find_map(|cause| judge(cause, is_connecting));
            let said = verdict.map(|(kind, message)| format!("{kind:?}: {message}"));
            assert_eq!(said.unwrap_or_default(), expected, "{error:?}");
        }
    }

    #[test]
    fn what_lies_inside_decides() {
        let expired = rustls::Error::InvalidCertificate(CertificateError::Expired);
        let text = "Tls: TLS: the certificate has expired";
        let inner = io::Error::new(ErrorKind::InvalidData, expired);
        check(&io::Error::other(inner), text, text);
        let inner = io::Error::from(ErrorKind::ConnectionRefused);
        let refused = "Connect: connection refused";
        check(
            &io::Error::other(inner),
            refused,
            "Reset: connection refused",
        );
        let reset = "Reset: connection reset";
        check(&ErrorKind::ConnectionReset.into(), reset, reset);
        check(&io::Error::other("no one knows"), "", "");
    }
}
