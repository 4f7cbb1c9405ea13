//! Cookies as they are kept from run to run.

/// A stored cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCookie {
    /// Which jar.
    pub session: String,
    /// Domain, path and name, as the jar's key.
    pub key: String,
    /// The cookie as JSON; `None` deletes it.
    pub json: Option<String>,
}
