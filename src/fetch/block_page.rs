//! Block pages: answers that say "not you" instead of what was asked for.
//!
//! Many come with status 200, and a selector may even match on them. So they are told from pages
//! before a step sees them, and count as failures of the host: it is left alone for a while, and the
//! request is tried again.

use std::sync::LazyLock;

use regex::{Regex, RegexBuilder, bytes};

use super::middleware::{Middleware, Next};
use super::{FailureKind, FetchError, FetchSetupError};
use crate::request::{Request, Response, charset};
use crate::settings::{BlockSign, Settings};

/// What is looked at of a page; a block page says early what it is.
const HEAD_BYTES: usize = 32 * 1024;
/// A page that came with success is only taken for a challenge if it is no larger.
const SMALL_BYTES: usize = 16 * 1024;

/// Texts that stand on challenge pages and on no others, and whose they are. What such services put
/// on the pages that they let through, too, is no sign.
const CHALLENGES: &[(&str, &str)] = &[
    ("_cf_chl_opt", "Cloudflare"),
    ("Attention Required! | Cloudflare", "Cloudflare"),
    ("captcha-delivery.com/captcha", "DataDome"),
    ("captcha-delivery.com/interstitial", "DataDome"),
    ("https://ct.captcha-delivery.com/", "DataDome"),
    ("id=\"px-captcha\"", "HUMAN"),
    ("Request unsuccessful. Incapsula incident ID", "Imperva"),
    ("https://errors.edgesuite.net/", "Akamai"),
    ("action=\"/errors/validateCaptcha\"", "Amazon"),
    ("Sucuri Website Firewall - Access Denied", "Sucuri"),
    ("<title>DDoS-Guard</title>", "DDoS-Guard"),
    ("id=\"anubis_challenge\"", "Anubis"),
    (
        "The requested URL was rejected. Please consult with your administrator.",
        "F5",
    ),
    (
        "Our systems have detected unusual traffic from your computer network",
        "Google",
    ),
];

/// Header fields that say so, with the value that does; any if none is given.
const CHALLENGE_HEADERS: &[(&str, Option<&str>, &str)] = &[
    ("cf-mitigated", Some("challenge"), "Cloudflare"),
    ("x-vercel-mitigated", Some("challenge"), "Vercel"),
    ("x-amzn-waf-action", None, "AWS"),
];

static CHALLENGE: LazyLock<bytes::Regex> = LazyLock::new(|| {
    let texts = CHALLENGES.iter().map(|(text, _)| regex::escape(text));
    let pattern = texts.collect::<Vec<_>>().join("|");
    bytes::Regex::new(&pattern).expect("escaped texts are a pattern")
});

static TITLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?is)<title[^>]*>([^<]*)").expect("a constant that a test has read")
});

/// Tells block pages by `blocked` and `challenges` of the settings.
#[derive(Debug)]
pub(crate) struct BlockPages {
    challenges: bool,
    statuses: Vec<u16>,
    body: Option<Regex>,
    title: Option<Regex>,
}

impl BlockPages {
    /// None if the settings look for nothing.
    pub(crate) fn new(settings: &Settings) -> Result<Option<Self>, FetchSetupError> {
        let (mut statuses, mut body, mut title) = (Vec::new(), Vec::new(), Vec::new());
        for sign in &settings.blocked {
            match BlockSign::parse(sign) {
                BlockSign::Status(status) => statuses.push(status),
                BlockSign::Title(pattern) => title.push(pattern),
                BlockSign::Text(pattern) => body.push(pattern),
            }
        }
        if settings.blocked.is_empty() && !settings.challenges {
            return Ok(None);
        }
        Ok(Some(Self {
            challenges: settings.challenges,
            statuses,
            body: any_of(&body)?,
            title: any_of(&title)?,
        }))
    }

    /// Why `response` is a block page.
    fn sign(&self, response: &Response) -> Option<String> {
        if self.statuses.contains(&response.status.as_u16()) {
            return Some(format!("answered {}", response.status));
        }
        if self.challenges
            && let Some(whose) = challenge(response)
        {
            let status = response.status.as_u16();
            return Some(format!("{whose}'s challenge page, with status {status}"));
        }
        self.said(response)
    }

    /// What of the user's texts stands on the page.
    fn said(&self, response: &Response) -> Option<String> {
        if self.body.is_none() && self.title.is_none() {
            return None;
        }
        let content_type = response.header("content-type");
        let (text, _) = charset::decode(content_type, &response.body);
        let title = || TITLE.captures(&text)?.get(1).map(|title| title.as_str());
        if let Some(pattern) = &self.title
            && let Some(found) = title().and_then(|title| pattern.find(title))
        {
            return Some(format!("its title says {:?}", found.as_str()));
        }
        let found = self.body.as_ref()?.find(&text)?;
        Some(format!("the page says {:?}", found.as_str()))
    }
}

/// One case-insensitive pattern of all.
fn any_of(patterns: &[String]) -> Result<Option<Regex>, FetchSetupError> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let pattern = format!("(?:{})", patterns.join(")|(?:"));
    let built = RegexBuilder::new(&pattern).case_insensitive(true).build();
    built.map(Some).map_err(FetchSetupError::Blocked)
}

/// Whose challenge page it is, if it is one that is known.
fn challenge(response: &Response) -> Option<&'static str> {
    for (name, value, whose) in CHALLENGE_HEADERS {
        if let Some(found) = response.headers.get(*name)
            && value.is_none_or(|value| found.as_bytes() == value.as_bytes())
        {
            return Some(whose);
        }
    }
    let body = &response.body;
    if response.status.is_redirection()
        || response.status.is_success() && body.len() > SMALL_BYTES
        || !is_html(response)
    {
        return None;
    }
    let found = CHALLENGE.find(body.get(..HEAD_BYTES).unwrap_or(body))?;
    let known = |(text, _): &&(&str, &str)| text.as_bytes() == found.as_bytes();
    CHALLENGES.iter().find(known).map(|(_, whose)| *whose)
}

fn is_html(response: &Response) -> bool {
    let Some(value) = response.headers.get(http::header::CONTENT_TYPE) else {
        return true;
    };
    let value = value.as_bytes().trim_ascii_start();
    let starts = |name: &str| {
        let head = value.get(..name.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(name.as_bytes()))
    };
    starts("text/html") || starts("application/xhtml")
}

impl Middleware for BlockPages {
    async fn handle(&self, request: &Request, next: Next) -> Result<Response, FetchError> {
        let response = next.fetch(request).await?;
        // Rules are no page: what they mean with which status is said in RFC 9309.
        if request.step.is_robots() {
            return Ok(response);
        }
        match self.sign(&response) {
            None => Ok(response),
            Some(why) => Err(FetchError {
                response: Some(Box::new(response)),
                ..FetchError::new(FailureKind::BlockPage, format!("blocked: {why}"))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, StatusCode};

    use super::*;
    use crate::request::StepRef;

    fn pages(blocked: &[&str], challenges: bool) -> BlockPages {
        let settings = Settings {
            blocked: blocked.iter().map(|&sign| sign.to_owned()).collect(),
            challenges,
            ..Settings::default()
        };
        BlockPages::new(&settings).unwrap().unwrap()
    }

    fn response(status: u16, body: impl Into<::bytes::Bytes>) -> Response {
        Response {
            status: StatusCode::from_u16(status).unwrap(),
            ..Response::new("http://e.x/".parse().unwrap(), body)
        }
    }

    fn check(blocked: &[&str], status: u16, body: &str, expected: Option<&str>) {
        let sign = pages(blocked, true).sign(&response(status, body.to_owned()));
        assert_eq!(sign.as_deref(), expected, "{blocked:?} on {body}");
    }

    #[test]
    fn what_the_user_said() {
        let denied = "<title>Shop</title><h1>ACCESS denied</h1>";
        let says = Some("the page says \"ACCESS denied\"");
        check(&["access Denied"], 200, denied, says);
        check(&["title: access denied"], 200, denied, None);
        let title = Some("its title says \"Shop\"");
        check(&["title: shop"], 200, denied, title);
        check(&["418"], 418, "", Some("answered 418 I'm a teapot"));
        check(&["418"], 200, "418", None);
        check(&["a.c"], 200, "abc", None);
        check(&["/a.c/"], 200, "abc", Some("the page says \"abc\""));
        check(
            &["nothing", "/z+/"],
            200,
            "xzz",
            Some("the page says \"zz\""),
        );
    }

    #[test]
    fn in_the_pages_own_charset() {
        let mut page = response(200, &b"<p>Zugriff verweigert f\xfcr Sie"[..]);
        let latin = HeaderValue::from_static("text/html; charset=latin1");
        page.headers.insert("content-type", latin);
        assert!(pages(&["verweigert für"], false).sign(&page).is_some());
    }

    #[test]
    fn challenges() {
        let cloudflare = "<script>window._cf_chl_opt={cvId:'3'}</script>";
        let expected = Some("Cloudflare's challenge page, with status 403");
        check(&[], 403, cloudflare, expected);
        check(
            &[],
            200,
            cloudflare,
            Some("Cloudflare's challenge page, with status 200"),
        );
        let article = format!("{cloudflare}{}", "x".repeat(SMALL_BYTES));
        check(&[], 200, &article, None);
        check(&[], 403, &article, expected);
        check(
            &[],
            200,
            "<script src=/cdn-cgi/challenge-platform/scripts/jsd/main.js>",
            None,
        );
        let mut json = response(200, cloudflare);
        let kind = HeaderValue::from_static("application/json");
        json.headers.insert("content-type", kind);
        assert_eq!(pages(&[], true).sign(&json), None);
        let mut header = response(403, "");
        let value = HeaderValue::from_static("challenge");
        header.headers.insert("cf-mitigated", value);
        assert_eq!(pages(&[], true).sign(&header).as_deref(), expected);
        assert_eq!(pages(&["500"], false).sign(&header), None);
    }

    #[test]
    fn every_challenge_is_found_by_its_text() {
        for (text, whose) in CHALLENGES {
            let page = response(503, format!("<html><head>{text}</head>"));
            assert_eq!(challenge(&page), Some(*whose));
        }
    }

    #[tokio::test]
    async fn rules_are_no_pages() {
        let answer = |request: Request, _: Next| async move {
            Ok::<_, FetchError>(Response::new(request.url, "Access denied"))
        };
        let stage = pages(&["access denied"], true);
        let url: url::Url = "http://e.x/robots.txt".parse().unwrap();
        let rules = Request::new(url.clone(), StepRef::robots());
        assert!(stage.handle(&rules, Next::stage(answer)).await.is_ok());
        let page = Request::new(url, StepRef::named("page"));
        let error = stage.handle(&page, Next::stage(answer)).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::BlockPage);
        assert_eq!(error.message, "blocked: the page says \"Access denied\"");
        assert!(error.response.is_some());
    }

    #[test]
    fn nothing_to_look_for_is_no_stage() {
        let settings = Settings {
            challenges: false,
            ..Settings::default()
        };
        assert!(BlockPages::new(&settings).unwrap().is_none());
        let broken = Settings {
            blocked: vec!["/(/".to_owned()],
            ..Settings::default()
        };
        assert!(BlockPages::new(&broken).is_err());
        assert_eq!(broken.out_of_range(), Some("blocked"));
    }
}
