//! Parameters of URLs that say nothing of the page: what a user may have dropped.
//!
//! A canonical URL is made by the WHATWG rules alone. What a campaign or a session adds to a URL makes
//! many of one page; that is for a user to say, and is told by `nephila explain`.

use url::Url;

/// Names that campaigns and social networks add to links: `@tracking`.
const TRACKING: &[&str] = &[
    "utm_*",
    "fbclid",
    "gclid",
    "gclsrc",
    "gbraid",
    "wbraid",
    "dclid",
    "msclkid",
    "yclid",
    "ysclid",
    "twclid",
    "ttclid",
    "li_fat_id",
    "igshid",
    "igsh",
    "mc_cid",
    "mc_eid",
    "_hsenc",
    "_hsmi",
    "mkt_tok",
    "vero_id",
    "oly_enc_id",
    "oly_anon_id",
    "_openstat",
    "s_cid",
    "ga_*",
    "_ga",
    "_gl",
    "_gac",
    "pk_*",
    "mtm_*",
    "matomo_*",
    "piwik_*",
    "hsa_*",
    "srsltid",
    "wickedid",
    "rb_clickid",
    "epik",
];

/// Names of sessions in URLs: `@session`.
const SESSION: &[&str] = &[
    "jsessionid",
    "phpsessid",
    "phpsession",
    "aspsessionid*",
    "asp.net_sessionid",
    "cfid",
    "cftoken",
    "sessionid",
    "session_id",
    "sessid",
    "oscsid",
    "zenid",
    "xtcsid",
];

/// Which parameters are dropped, and whether the others are sorted.
#[derive(Clone, Debug, Default)]
pub struct ParamRules {
    exact: Vec<String>,
    prefixes: Vec<String>,
    sort: bool,
}

impl ParamRules {
    /// Rules of the settings `drop_params` and `sort_query`: names in any case, `utm_*` for all that
    /// begin so, and the lists `@tracking` and `@session`.
    pub fn new(drop: &[String], sort: bool) -> Self {
        let mut rules = Self {
            sort,
            ..Self::default()
        };
        for name in drop {
            match name.as_str() {
                "@tracking" => TRACKING.iter().for_each(|name| rules.add(name)),
                "@session" => SESSION.iter().for_each(|name| rules.add(name)),
                name => rules.add(name),
            }
        }
        rules
    }

    fn add(&mut self, name: &str) {
        let name = name.to_ascii_lowercase();
        match name.strip_suffix('*') {
            Some(prefix) => self.prefixes.push(prefix.to_owned()),
            None => self.exact.push(name),
        }
    }

    /// Whether there is nothing to do for any URL.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty() && !self.sort
    }

    /// The URL without what is dropped, and the names that were; none if it stays as it is.
    ///
    /// ```
    /// use nephila::policy::params::ParamRules;
    ///
    /// let rules = ParamRules::new(&["@tracking".into()], false);
    /// let url = "http://shop.example/book/7?utm_source=x&size=2".parse()?;
    /// let changed = rules.apply(&url).ok_or("unchanged")?;
    /// assert_eq!(changed.url.as_str(), "http://shop.example/book/7?size=2");
    /// assert_eq!(changed.dropped, ["utm_source"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply(&self, url: &Url) -> Option<Changed> {
        if self.is_empty() {
            return None;
        }
        let mut dropped = Vec::new();
        let mut changed = url.clone();
        if let Some(query) = url.query() {
            let mut kept: Vec<&str> = Vec::new();
            for pair in query.split('&') {
                match self.dropped(pair.split('=').next().unwrap_or_default()) {
                    Some(name) => dropped.push(name),
                    None => kept.push(pair),
                }
            }
            if self.sort {
                // Stable, for what a repeated name says by its order.
                kept.sort_by_key(|pair| pair.split('=').next());
            }
            let query = kept.join("&");
            let is_gone = query.is_empty() && !dropped.is_empty();
            changed.set_query((!is_gone).then_some(query.as_str()));
        }
        if url.path().contains(';') {
            let path = self.path(url.path(), &mut dropped);
            changed.set_path(&path);
        }
        (changed != *url).then_some(Changed {
            url: changed,
            dropped,
        })
    }

    /// A path whose segments may have parameters of their own: `/a;jsessionid=1F/b`.
    fn path(&self, path: &str, dropped: &mut Vec<String>) -> String {
        let mut out = String::with_capacity(path.len());
        for segment in path.split('/') {
            let mut parts = segment.split(';');
            out.push_str(parts.next().unwrap_or_default());
            for part in parts {
                match self.dropped(part.split('=').next().unwrap_or_default()) {
                    Some(name) => dropped.push(name),
                    None => out.extend([";", part]),
                }
            }
            out.push('/');
        }
        out.pop();
        out
    }

    /// The name as it is, if it is to be dropped.
    fn dropped(&self, name: &str) -> Option<String> {
        let is = |known: &String| known.eq_ignore_ascii_case(name);
        let begins = |prefix: &String| {
            name.get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let found = self.exact.iter().any(is) || self.prefixes.iter().any(begins);
        found.then(|| name.to_owned())
    }
}

/// A URL that a rule has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// As it is crawled.
    pub url: Url,
    /// The names that were dropped; if there are none, parameters were sorted.
    pub dropped: Vec<String>,
}

impl Changed {
    /// What happened to it: `tracking parameter dropped: utm_source`.
    pub fn why(&self) -> String {
        let kind = match self.dropped.as_slice() {
            [] => return "query sorted".to_owned(),
            names if names.iter().all(|name| is_of(TRACKING, name)) => "tracking ",
            names if names.iter().all(|name| is_of(SESSION, name)) => "session ",
            _ => "",
        };
        let s = if self.dropped.len() == 1 { "" } else { "s" };
        format!("{kind}parameter{s} dropped: {}", self.dropped.join(", "))
    }
}

fn is_of(list: &[&str], name: &str) -> bool {
    let names = list
        .iter()
        .map(|name| (*name).to_owned())
        .collect::<Vec<_>>();
    ParamRules::new(&names, false).dropped(name).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(drop: &[&str], sort: bool, url: &str, expected: &str) {
        let drop: Vec<_> = drop.iter().map(|name| (*name).to_owned()).collect();
        let rules = ParamRules::new(&drop, sort);
        let url: Url = format!("http://e.x{url}").parse().unwrap();
        let found = match rules.apply(&url) {
            None => "same".to_owned(),
            Some(changed) => {
                assert!(rules.apply(&changed.url).is_none(), "{url} is not done");
                format!(
                    "{} ({})",
                    &changed.url.as_str()["http://e.x".len()..],
                    changed.why()
                )
            }
        };
        assert_eq!(found, expected, "{url}");
    }

    #[test]
    fn parameters_are_dropped() {
        check(&[], false, "/?utm_source=x", "same");
        let tracking = &["@tracking"];
        check(tracking, false, "/?a=1", "same");
        check(tracking, false, "/?", "same");
        check(
            tracking,
            false,
            "/?utm_a=1",
            "/ (tracking parameter dropped: utm_a)",
        );
        check(
            tracking,
            false,
            "/?x&UTM_A&y=2&fbclid=&utm=3#z",
            "/?x&y=2&utm=3#z (tracking parameters dropped: UTM_A, fbclid)",
        );
        check(tracking, false, "/?a=utm_source&&b", "same");
        check(
            &["ref", "sid*"],
            false,
            "/?sid=1&refs=2&ref",
            "/?refs=2 (parameters dropped: sid, ref)",
        );
        check(&["*"], false, "/?a=1&b", "/ (parameters dropped: a, b)");
    }

    #[test]
    fn sessions_are_dropped_from_paths_too() {
        let session = &["@session"];
        check(
            session,
            false,
            "/a;jsessionid=1F.b/c;v=2?PHPSESSID=3&d",
            "/a/c;v=2?d (session parameters dropped: PHPSESSID, jsessionid)",
        );
        check(session, false, "/a;v=1;w/", "same");
        check(
            session,
            false,
            "/;JSESSIONID=1",
            "/ (session parameter dropped: JSESSIONID)",
        );
    }

    #[test]
    fn a_query_may_be_sorted() {
        check(&[], true, "/?b=1&a=2&b=0", "/?a=2&b=1&b=0 (query sorted)");
        check(&[], true, "/?a=2&b", "same");
        check(&["c"], true, "/?b&c&a", "/?a&b (parameter dropped: c)");
    }

    proptest! {
        #[test]
        fn once_is_enough(path in "[a-z;/=%&?\u{e4}]{0,40}", name in "[a-z*]{0,3}") {
            let rules = ParamRules::new(&[name, "@session".into()], true);
            let url: Url = format!("http://e.x/{path}").parse().unwrap();
            if let Some(changed) = rules.apply(&url) {
                prop_assert_eq!(rules.apply(&changed.url), None);
            }
        }
    }

    #[test]
    fn a_megabyte_is_no_matter() {
        let rules = ParamRules::new(&["@tracking".into(), "@session".into()], true);
        for piece in ["&", "a=b&", ";", "/", ";a", "utm_a&"] {
            let text = piece.repeat((1 << 18) / piece.len());
            let url: Url = format!("http://e.x/{text}?{text}").parse().unwrap();
            let _ = rules.apply(&url);
        }
    }
}
