//! One rule's pattern, and the one spelling that patterns and paths are compared in.

/// A path pattern of an `Allow` or `Disallow` line.
///
/// Invariant: `text` is ASCII and normalised, and each `*` in it is a wildcard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    text: String,
    /// The pattern ended in `$`: the path must end where it ends.
    anchored: bool,
}

impl Pattern {
    pub(super) fn new(value: &[u8]) -> Self {
        let (body, anchored) = match value.strip_suffix(b"$") {
            Some(body) => (body, true),
            None => (value, false),
        };
        Self {
            text: normalise(body, true),
            anchored,
        }
    }

    /// How specific the pattern is: its length in octets, wildcards included, as Google counts.
    pub(super) fn weight(&self) -> usize {
        self.text.len() + usize::from(self.anchored)
    }

    /// For `/dir/index.html`, the pattern of `/dir/` itself: Google reads an `Allow` so.
    pub(super) fn of_folder(&self) -> Option<Self> {
        let slash = self.text.rfind('/')?;
        let (folder, page) = self.text.split_at(slash + 1);
        page.starts_with("index.htm").then(|| Self {
            text: folder.to_owned(),
            anchored: true,
        })
    }

    /// Does it match a path that [`normalise_path`] made? Adds the octets looked at to `steps`.
    ///
    /// Taking each part between two stars at its first occurrence is enough: a later one leaves
    /// less room for the rest. So there is no way back, path and pattern are walked once, and
    /// the work is linear, as `str::find` (Two-Way) is.
    pub(super) fn matches(&self, path: &str, steps: &mut usize) -> bool {
        let mut parts = self.text.split('*');
        let first = parts.next().unwrap_or_default();
        *steps += first.len();
        let Some(mut rest) = path.strip_prefix(first) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return !self.anchored || rest.is_empty();
        };
        for part in parts {
            *steps += part.len() + 1;
            let Some(at) = rest.find(part) else {
                *steps += rest.len();
                return false;
            };
            *steps += at;
            rest = rest.split_at(at + part.len()).1;
        }
        *steps += last.len() + rest.len();
        if self.anchored {
            rest.ends_with(last)
        } else {
            rest.contains(last)
        }
    }
}

/// The spelling of a path that patterns are matched against: a `*` or `$` in it is no wildcard.
pub(super) fn normalise_path(path: &str) -> String {
    normalise(path.as_bytes(), false)
}

/// RFC 9309 2.2.2: escapes of unreserved characters are decoded, other escapes get capital
/// digits, octets that no URI may hold are escaped. `*` and `$` are escaped where they are
/// literal, so that `%2A` and `%24` in a pattern stand for them (2.2.3). The result is ASCII.
fn normalise(raw: &[u8], stars: bool) -> String {
    let mut normal = String::with_capacity(raw.len());
    let mut rest = raw;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (*byte, escaped(rest)) {
            (b'%', Some((octet, tail))) => {
                rest = tail;
                push(&mut normal, octet, is_unreserved(octet));
            }
            (b'*', _) => push(&mut normal, b'*', stars),
            (octet, _) => push(
                &mut normal,
                octet,
                is_unreserved(octet) || is_reserved(octet),
            ),
        }
    }
    normal
}

/// The octet that two hexadecimal digits stand for, and what follows them.
fn escaped(after_percent: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, tail @ ..] = after_percent else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some(((digit(*high)? * 16 + digit(*low)?) as u8, tail))
}

fn push(normal: &mut String, octet: u8, as_is: bool) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    if as_is {
        normal.push(char::from(octet));
    } else {
        normal.extend([
            '%',
            DIGITS[usize::from(octet >> 4)],
            DIGITS[usize::from(octet & 15)],
        ]);
    }
}

/// RFC 3986 2.3.
fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-._~".contains(&octet)
}

/// RFC 3986 2.2 without `*` and `$`, and with the `%` of no escape, which stays what it is.
fn is_reserved(octet: u8) -> bool {
    b":/?#[]@!&'()+,;=%".contains(&octet)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pattern_matches_path() {
        let check = |pattern: &str, path: &str, expected: bool| {
            let matched = Pattern::new(pattern.as_bytes()).matches(&normalise_path(path), &mut 0);
            assert_eq!(matched, expected, "{pattern} on {path}");
        };
        check("/", "/anything", true);
        check("/web", "/website", true);
        check("/web", "/Web", false);
        check("/web/", "/web", false);
        check("web", "/web", false);
        check("*web", "/a/web", true);
        check("/web*", "/web", true);
        check("/*/b", "/b", false);
        check("/*/b", "/a/c/b.html", true);
        check("/a*b*c", "/a-c-b", false);
        check("/a*b*c", "/a-b-b-c-", true);
        check("/a**b", "/ab", true);
        // the end of the path
        check("/web$", "/web", true);
        check("/web$", "/web/", false);
        check("/*.gif$", "/a.gif.gif", true);
        check("/*.gif$", "/a.gif?", false);
        check("/*ab$", "/ab-b", false);
        check("/a*a$", "/a", false);
        check("/a*$", "/a/b", true);
        check("$", "/", false);
        // a dollar elsewhere, and escaped wildcards, are text
        check("/$a", "/$a", true);
        check("/a$$", "/a$", true);
        check("/a$$", "/a", false);
        check("/%2Ab", "/*b", true);
        check("/%2ab", "/%2Ab", true);
        check("/%2Ab", "/xb", false);
        check("/a%24", "/a$b", true);
        check("/a%24", "/a", false);
        // spellings
        check("/%62%61r", "/bar", true);
        check("/bar", "/%62%61%72", true);
        check("/%7ejoe", "/~joe", true);
        check("/~joe", "/%7Ejoe", true);
        check("/caf\u{e9}", "/caf%c3%a9", true);
        check("/caf%C3%A9", "/caf\u{e9}", true);
        check("/a b", "/a%20b", true);
        check("/a<b>", "/a%3cb%3E", true);
        check("/a%2fb", "/a%2Fb", true);
        check("/a%2fb", "/a/b", false);
        check("/a%3Fb", "/a?b", false);
        check("/100%", "/100%", true);
        check("/%zz", "/%zz", true);
        check("/%f", "/%F", false);
        check("/caf%E9", "/caf\u{e9}", false);
    }

    #[test]
    fn folder_of_an_index_page() {
        let check = |pattern: &str, folder: Option<&str>| {
            let found = Pattern::new(pattern.as_bytes()).of_folder();
            assert_eq!(
                found,
                folder.map(|folder| Pattern::new(folder.as_bytes())),
                "{pattern}"
            );
        };
        check("/a/index.html", Some("/a/$"));
        check("/index.htm$", Some("/$"));
        check("/a/index.php", None);
        check("/a/index.html/b", None);
        check("index.html", None);
    }

    /// Every place of the path that a prefix of the pattern can reach, at once: slow and plain.
    fn matches_slowly(pattern: &str, path: &str) -> bool {
        let (pattern, anchored) = match pattern.strip_suffix('$') {
            Some(body) => (body, true),
            None => (pattern, false),
        };
        let mut reached = vec![false; path.len() + 1];
        reached[0] = true;
        for wanted in pattern.bytes() {
            if wanted == b'*' {
                let first = reached.iter().position(|at| *at).unwrap_or(reached.len());
                reached.iter_mut().skip(first).for_each(|at| *at = true);
            } else {
                let next = path
                    .bytes()
                    .enumerate()
                    .map(|(i, b)| reached[i] && b == wanted);
                reached = std::iter::once(false).chain(next).collect();
            }
        }
        if anchored {
            reached[path.len()]
        } else {
            reached.contains(&true)
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_matcher(pattern in "/[ab*]{0,12}[$]?", path in "/[ab]{0,16}") {
            let fast = Pattern::new(pattern.as_bytes()).matches(&path, &mut 0);
            prop_assert_eq!(fast, matches_slowly(&pattern, &path));
        }

        #[test]
        fn work_is_linear(
            unit in "[ab]{0,3}[*][ab]{0,3}",
            times in 1_usize..3000,
            end in "[abc]?[$]?",
            path in "[ab]{0,3}",
            repeat in 1_usize..3000,
        ) {
            let pattern = Pattern::new(format!("/{}{end}", unit.repeat(times)).as_bytes());
            let path = format!("/{}", path.repeat(repeat));
            let mut steps = 0;
            pattern.matches(&path, &mut steps);
            prop_assert!(steps <= 2 * (path.len() + pattern.weight()), "{steps} steps");
        }

        #[test]
        fn normal_is_ascii_and_stays(raw: Vec<u8>) {
            let normal = normalise(&raw, false);
            prop_assert!(normal.is_ascii() && !normal.contains(['*', '$']));
            let path = String::from_utf8_lossy(&raw);
            let pattern = Pattern::new(normalise_path(&path).as_bytes());
            prop_assert!(raw.contains(&b'%') || pattern.matches(&normalise_path(&path), &mut 0));
        }
    }
}
