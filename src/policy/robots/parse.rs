//! From the octets of a robots.txt to the rules of one product token.

use std::borrow::Cow;
use std::time::Duration;

use super::pattern::Pattern;
use super::{MAX_LINE_BYTES, MatchedRule, Robots, Rule, product_token};
use crate::policy::retry::LONGEST;

/// Reads the file for `token`; an empty token is named by no group. Rules are left in the order
/// of the file.
pub(super) fn read(body: &[u8], token: &str) -> Robots {
    let mut reader = Reader {
        token,
        ..Reader::default()
    };
    for (number, line) in lines(without_mark(body)) {
        if let Some((key, value)) = key_and_value(line) {
            reader.record(Key::of(key), value, number, line);
        }
    }
    let Reader {
        ours,
        everyones,
        sitemaps,
        ..
    } = reader;
    let Group {
        rules, crawl_delay, ..
    } = if ours.is_named { ours } else { everyones };
    Robots {
        rules,
        crawl_delay,
        sitemaps,
    }
}

#[derive(Default)]
struct Reader<'t> {
    token: &'t str,
    ours: Group,
    everyones: Group,
    sitemaps: Vec<String>,
    rule_scope: Scope,
    delay_scope: Scope,
}

#[derive(Default)]
struct Group {
    is_named: bool,
    rules: Vec<Rule>,
    crawl_delay: Option<Duration>,
}

/// Whom the lines being read are for. Consecutive `User-agent` lines add up; the first one after
/// a line that closes the scope begins a new one.
///
/// Rules and Crawl-delay have a scope each: a Crawl-delay between two `User-agent` lines must
/// not part them (RFC 9309 2.2.4), yet belongs to the one above it only.
#[derive(Default)]
struct Scope {
    names_us: bool,
    names_everyone: bool,
    is_closed: bool,
}

enum Named {
    Us,
    Everyone,
    Others,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    UserAgent,
    Allow,
    Disallow,
    CrawlDelay,
    Sitemap,
    Unknown,
}

impl Reader<'_> {
    fn record(&mut self, key: Key, value: &[u8], number: u32, line: &[u8]) {
        match key {
            Key::UserAgent => self.user_agent(value),
            Key::Allow | Key::Disallow => self.rule(key == Key::Allow, value, number, line),
            Key::CrawlDelay => self.crawl_delay(value),
            Key::Sitemap if value.is_empty() => {}
            Key::Sitemap => self
                .sitemaps
                .push(String::from_utf8_lossy(value).into_owned()),
            Key::Unknown => {}
        }
    }

    fn user_agent(&mut self, value: &[u8]) {
        let named = named(value, self.token);
        match named {
            Named::Us => self.ours.is_named = true,
            Named::Everyone => self.everyones.is_named = true,
            Named::Others => {}
        }
        self.rule_scope.add(&named);
        self.delay_scope.add(&named);
    }

    fn rule(&mut self, allow: bool, value: &[u8], number: u32, line: &[u8]) {
        self.rule_scope.is_closed = true;
        self.delay_scope.is_closed = true;
        let Some(group) = self.rule_scope.group(&mut self.ours, &mut self.everyones) else {
            return;
        };
        if value.is_empty() {
            return;
        }
        let pattern = Pattern::new(value);
        let text = String::from_utf8_lossy(line.trim_ascii()).into_owned();
        let shown = MatchedRule { line: number, text };
        if allow && let Some(pattern) = pattern.of_folder() {
            group.rules.push(Rule {
                pattern,
                allow,
                shown: shown.clone(),
            });
        }
        group.rules.push(Rule {
            pattern,
            allow,
            shown,
        });
    }

    fn crawl_delay(&mut self, value: &[u8]) {
        self.delay_scope.is_closed = true;
        if let Some(group) = self.delay_scope.group(&mut self.ours, &mut self.everyones) {
            group.crawl_delay = group.crawl_delay.max(seconds(value));
        }
    }
}

impl Scope {
    fn add(&mut self, named: &Named) {
        if self.is_closed {
            *self = Self::default();
        }
        self.names_us |= matches!(named, Named::Us);
        self.names_everyone |= matches!(named, Named::Everyone);
    }

    fn group<'g>(&self, ours: &'g mut Group, everyones: &'g mut Group) -> Option<&'g mut Group> {
        match self {
            Self { names_us: true, .. } => Some(ours),
            Self {
                names_everyone: true,
                ..
            } => Some(everyones),
            _ => None,
        }
    }
}

impl Key {
    /// The spellings that Google accepts. Only the beginning counts: `Disallowed` is a Disallow.
    fn of(key: &[u8]) -> Self {
        const SPELLINGS: [(&str, Key); 14] = [
            ("user-agent", Key::UserAgent),
            ("useragent", Key::UserAgent),
            ("user agent", Key::UserAgent),
            ("allow", Key::Allow),
            ("disallow", Key::Disallow),
            ("dissallow", Key::Disallow),
            ("dissalow", Key::Disallow),
            ("disalow", Key::Disallow),
            ("diasllow", Key::Disallow),
            ("disallaw", Key::Disallow),
            ("sitemap", Key::Sitemap),
            ("site-map", Key::Sitemap),
            ("crawl-delay", Key::CrawlDelay),
            ("crawldelay", Key::CrawlDelay),
        ];
        let begins_with = |spelling: &str| {
            key.get(..spelling.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(spelling.as_bytes()))
        };
        SPELLINGS
            .iter()
            .find(|(spelling, _)| begins_with(spelling))
            .map_or(Key::Unknown, |(_, key)| *key)
    }
}

/// Whom a `User-agent` value names.
///
/// Our token is compared with the whole product name and with its beginning of letters, `-` and
/// `_`, which is all that RFC 9309 and Google know: `FooBot/2.1`, `FooBot*` and `FooBot2` name
/// FooBot, and `FooBot2` names FooBot2 too.
fn named(value: &[u8], token: &str) -> Named {
    match value {
        [b'*'] => return Named::Everyone,
        [b'*', next, ..] if next.is_ascii_whitespace() => return Named::Everyone,
        _ => {}
    }
    let value = String::from_utf8_lossy(value);
    let name = product_token(&value);
    let is_identifier = |c: char| c.is_ascii_alphabetic() || c == '-' || c == '_';
    let identifier = name.split(|c| !is_identifier(c)).next().unwrap_or_default();
    let is_ours = |name: &str| !name.is_empty() && name.eq_ignore_ascii_case(token);
    if is_ours(name) || is_ours(identifier) {
        Named::Us
    } else {
        Named::Others
    }
}

/// Decimal seconds, without sign or exponent; anything else says nothing.
fn seconds(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?;
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return None;
    }
    let seconds: f64 = text.parse().ok()?;
    Some(
        Duration::try_from_secs_f64(seconds)
            .unwrap_or(LONGEST)
            .min(LONGEST),
    )
}

/// A file in UTF-16, which some editors write, as UTF-8; RFC 9309 knows UTF-8 only. Its byte order mark
/// alone is no proof: it also stands before files of plain octets, and is skipped there.
pub(super) fn in_utf8(body: &[u8]) -> Cow<'_, [u8]> {
    let (units, is_little) = match body {
        [0xFF, 0xFE, units @ ..] => (units, true),
        [0xFE, 0xFF, units @ ..] => (units, false),
        _ => return Cow::Borrowed(body),
    };
    let starts_ascii = matches!((units, is_little), ([_, 0, ..], true) | ([0, _, ..], false));
    if !starts_ascii {
        return Cow::Borrowed(units);
    }
    let (pairs, _) = units.as_chunks::<2>();
    let units = pairs.iter().map(|pair| {
        if is_little {
            u16::from_le_bytes(*pair)
        } else {
            u16::from_be_bytes(*pair)
        }
    });
    let text: String = char::decode_utf16(units)
        .map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    Cow::Owned(text.into_bytes())
}

/// Skips a UTF-8 byte order mark, or the beginning of one.
pub(super) fn without_mark(mut body: &[u8]) -> &[u8] {
    for byte in *b"\xEF\xBB\xBF" {
        match body.strip_prefix(&[byte]) {
            Some(rest) => body = rest,
            None => break,
        }
    }
    body
}

/// The lines, cut to their bound, with their numbers. LF, CR and CRLF each end one.
fn lines(body: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let mut rest = Some(body);
    let lines = std::iter::from_fn(move || {
        let text = rest?;
        let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let (line, tail) = text.split_at(end.unwrap_or(text.len()));
        rest = match tail {
            [b'\r', b'\n', tail @ ..] | [_, tail @ ..] => Some(tail),
            [] => None,
        };
        Some(line.get(..MAX_LINE_BYTES).unwrap_or(line))
    });
    (1..).zip(lines)
}

/// `key: value`, without the comment. People forget the colon: two words will do.
fn key_and_value(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line
        .split(|byte| *byte == b'#')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let colon = line.iter().position(|byte| *byte == b':');
    let end = colon.or_else(|| line.iter().position(is_blank))?;
    let (key, value) = line.split_at(end);
    let (key, value) = (
        key.trim_ascii(),
        value.get(1..).unwrap_or_default().trim_ascii(),
    );
    let has_more_words = colon.is_none() && value.iter().any(is_blank);
    (!key.is_empty() && !has_more_words).then_some((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_and_numbers() {
        let check = |body: &str, expected: &[&str]| {
            let found: Vec<_> = lines(body.as_bytes()).collect();
            let expected: Vec<_> = (1..)
                .zip(expected.iter().map(|line| line.as_bytes()))
                .collect();
            assert_eq!(found, expected, "{body:?}");
        };
        check("", &[""]);
        check("a", &["a"]);
        check("a\nb\n", &["a", "b", ""]);
        check("a\rb\r\nc", &["a", "b", "c"]);
        check("a\n\rb", &["a", "", "b"]);
        check("a\r\r\nb", &["a", "", "b"]);
        let long = "x".repeat(MAX_LINE_BYTES + 9);
        check(&format!("{long}\nb"), &[&long[..MAX_LINE_BYTES], "b"]);
    }

    #[test]
    fn keys_and_values() {
        let check = |line: &str, expected: Option<(&str, &str)>| {
            let expected = expected.map(|(key, value)| (key.as_bytes(), value.as_bytes()));
            assert_eq!(key_and_value(line.as_bytes()), expected, "{line:?}");
        };
        check("Allow: /a", Some(("Allow", "/a")));
        check("\t allow\t:/a b  # why", Some(("allow", "/a b")));
        check("allow:", Some(("allow", "")));
        check("allow: http://a/", Some(("allow", "http://a/")));
        check("allow /a", Some(("allow", "/a")));
        check("allow \t /a", Some(("allow", "/a")));
        check("allow /a /b", None);
        check("allow", None);
        check(": /a", None);
        check("# allow: /a", None);
        check("", None);
    }

    #[test]
    fn crawl_delay_values() {
        let check = |value: &str, expected: Option<Duration>| {
            assert_eq!(seconds(value.as_bytes()), expected, "{value:?}");
        };
        check("10", Some(Duration::from_secs(10)));
        check("0.25", Some(Duration::from_millis(250)));
        check(".5", Some(Duration::from_millis(500)));
        check("0", Some(Duration::ZERO));
        check(&"9".repeat(400), Some(LONGEST));
        for value in [
            "", ".", "1.2.3", "-1", "+1", "1e3", "inf", "nan", "10s", "1,5", "\u{661}",
        ] {
            check(value, None);
        }
    }
}
