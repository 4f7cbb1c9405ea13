//! The proxy of one request.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// The way out of one request: a proxy, or none. Shown without its login.
///
/// ```
/// # use nephila::request::Proxy;
/// let proxy: Proxy = "http://ann:secret@proxy.example:3128".parse()?;
/// assert_eq!(proxy.to_string(), "proxy proxy.example:3128");
/// # Ok::<(), nephila::request::NoProxy>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(Option<Box<Url>>);

/// Something that is no proxy: its text without a login.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no proxy: it takes `http://`, `https://`, `socks5://` or `socks5h://`, a host and a \
     port, as in http://user:password@proxy:3128, or `direct`"
)]
pub struct NoProxy(String);

impl FromStr for Proxy {
    type Err = NoProxy;

    fn from_str(text: &str) -> Result<Self, NoProxy> {
        if text == "direct" {
            return Ok(Self(None));
        }
        match Url::parse(text) {
            Ok(url) if is_proxy(&url) => Ok(Self(Some(url.into()))),
            _ => {
                let shown = text.rsplit_once('@').map_or(text, |(_, host)| host);
                Err(NoProxy(shown.to_owned()))
            }
        }
    }
}

fn is_proxy(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h")
        && url.host_str().is_some_and(|host| !host.is_empty())
}

impl Proxy {
    /// Its URL, login and all; `None` goes out directly.
    pub(crate) fn url(&self) -> Option<&Url> {
        self.0.as_deref()
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        self.url().map_or("direct", Url::as_str)
    }

    /// User name and password as they stand in the URL.
    pub(crate) fn login(&self) -> Option<String> {
        let url = self.url()?;
        match (url.username(), url.password()) {
            ("", None) => None,
            (user, None) => Some(user.to_owned()),
            (user, Some(password)) => Some(format!("{user}:{password}")),
        }
    }

    /// Puts another in its place.
    pub(crate) fn set_login(&mut self, login: &str) {
        if let Some(url) = &mut self.0 {
            let (user, password) = match login.split_once(':') {
                None => (login, None),
                Some((user, password)) => (user, Some(password)),
            };
            // Neither fails for a URL with a host, and no other is a proxy.
            let _ = url.set_username(user);
            let _ = url.set_password(password);
        }
    }
}

/// Its host and port, for people.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(url) = self.url() else {
            return f.write_str("the direct way");
        };
        write!(f, "proxy {}", url.host_str().unwrap_or_default())?;
        match url.port() {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_proxy() {
        let check = |text: &str, expected: &str| {
            let said = match text.parse::<Proxy>() {
                Ok(proxy) => format!("{proxy}"),
                Err(error) => error.to_string(),
            };
            assert!(said.starts_with(expected), "{text}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        };
        check("direct", "the direct way");
        check("http://ann:hunter2@a:1", "proxy a:1");
        check("https://a", "proxy a");
        check("socks5h://ann:hunter2@[::1]:1080", "proxy [::1]:1080");
        check("ftp://ann:hunter2@a:1", "`a:1` is no proxy: it takes");
        check("a:1", "`a:1` is no proxy");
        check("http://", "`http://` is no proxy");
        check("", "`` is no proxy");
    }

    #[test]
    fn logins_go_and_come_back() {
        for text in [
            "http://ann:hunter2@a:1/",
            "socks5://ann@a:1",
            "http://a%40b:c%3Ad%20@a:1/",
            "https://:x@a:1/",
        ] {
            let proxy: Proxy = text.parse().unwrap();
            let login = proxy.login().unwrap();
            let mut other = proxy.clone();
            other.set_login("kept%3A-5");
            assert_eq!(other.login().as_deref(), Some("kept%3A-5"), "{text}");
            assert!(!other.as_str().contains("hunter2"));
            other.set_login(&login);
            assert_eq!(other, proxy);
        }
        assert_eq!("http://a:1".parse::<Proxy>().unwrap().login(), None);
    }
}
