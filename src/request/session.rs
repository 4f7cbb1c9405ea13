//! Who a request is made as.

use std::sync::Arc;

/// Which identity (cookies, proxy, user agent, headers) makes a request.
///
/// Stored with the request, so that a resumed crawl keeps it. What
/// [`Page::session`](crate::page::Page::session) returns may be given to
/// [`RequestBuilder::session`](super::RequestBuilder::session), and so may a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Session {
    /// Whichever is due: requests rotate over the sessions of the settings, and there is just one
    /// unless they say otherwise.
    #[default]
    Any,
    /// The one that fetched the page where this was found; any other would do as well.
    Same(Arc<str>),
    /// This one and no other. What it sees is its own, so the name is part of the request's identity.
    Named(Arc<str>),
}

impl Session {
    /// Its name, if it is a certain one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Any => None,
            Self::Same(name) | Self::Named(name) => Some(name),
        }
    }

    /// What makes a request another than that of another session.
    pub(crate) fn identity(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Any | Self::Same(_) => None,
        }
    }
}

impl From<&str> for Session {
    fn from(name: &str) -> Self {
        Self::Named(name.into())
    }
}

impl From<String> for Session {
    fn from(name: String) -> Self {
        Self::Named(name.into())
    }
}
