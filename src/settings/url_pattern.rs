//! Patterns of URLs, as the settings `include` and `exclude` take them.

use regex::Regex;

/// The regular expression of a pattern.
///
/// `re:…` is one, found anywhere in a URL. Anything else is a glob: `*` stands for any text without a
/// slash, `**` for any text, `{a,b}` for one of these. One that begins with `/` is for the path and
/// query of every host, one with `://` for a whole URL, any other for the end of a URL: `*.pdf`.
///
/// ```
/// let shop = nephila::settings::url_pattern("/book/*")?;
/// assert!(shop.is_match("https://shop.example/book/7?size=2"));
/// assert!(!shop.is_match("https://shop.example/book/7/reviews"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If it is no regular expression, or empty.
pub fn url_pattern(text: &str) -> Result<Regex, regex::Error> {
    if let Some(expression) = text.strip_prefix("re:") {
        return Regex::new(expression);
    }
    if text.trim().is_empty() {
        return Err(regex::Error::Syntax("an empty pattern".to_owned()));
    }
    let beginning = match text {
        text if text.starts_with('/') => "^[a-z]+://[^/]*",
        text if text.contains("://") => "^",
        _ => "^.*",
    };
    Regex::new(&format!("{beginning}{}$", of_glob(text)))
}

/// A glob as a regular expression.
fn of_glob(text: &str) -> String {
    let mut expression = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['*', '{']) {
        expression.push_str(&regex::escape(&rest[..at]));
        rest = &rest[at..];
        let stars = rest.len() - rest.trim_start_matches('*').len();
        if stars > 0 {
            expression.push_str(if stars == 1 { "[^/]*" } else { ".*" });
            rest = &rest[stars..];
        } else if let Some((choice, after)) = choice(rest) {
            let choice: Vec<String> = choice.split(',').map(of_glob).collect();
            expression.extend(["(?:", &choice.join("|"), ")"]);
            rest = after;
        } else {
            expression.push_str("\\{");
            rest = &rest[1..];
        }
    }
    expression + &regex::escape(rest)
}

/// What stands in the braces that a text begins with, if there is a comma in them, and what comes after them.
fn choice(text: &str) -> Option<(&str, &str)> {
    let (choice, after) = text.strip_prefix('{')?.split_once('}')?;
    (choice.contains(',') && !choice.contains('{')).then_some((choice, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matches() {
        let check = |pattern: &str, url: &str, expected| {
            let regex = url_pattern(pattern).unwrap();
            assert_eq!(regex.is_match(url), expected, "{pattern} {url}");
        };
        check("/book/*", "http://e.x/book/1", true);
        check("/book/*", "http://e.x:81/book/1?a=b", true);
        check("/book/*", "http://e.x/book/", true);
        check("/book/*", "http://e.x/book", false);
        check("/book/*", "http://e.x/a/book/1", false);
        check("/book/*", "http://e.x/book/1/2", false);
        check("/book/**", "http://e.x/book/1/2", true);
        check("/**/book", "http://e.x/a/b/book", true);
        check("/?page=*", "http://e.x/?page=2", true);
        check("/?page=*", "http://e.x/xpage=2", false);
        check("/", "http://e.x/", true);
        check("/", "http://e.x/a", false);
        check("http*://e.x/a.b", "https://e.x/a.b", true);
        check("http*://e.x/a.b", "https://e.x/acb", false);
        check("https://e.x/**", "http://e.x/a", false);
        check("*.pdf", "http://e.x/a/b.pdf", true);
        check("*.pdf", "http://e.x/a/b.pdf?x", false);
        check("e.x/a", "http://e.x/a", true);
        check("**", "http://e.x/a", true);
        check("/{book,toy}/*", "http://e.x/toy/1", true);
        check("/{book,toy}/*", "http://e.x/game/1", false);
        check("/book/{1*,22,}", "http://e.x/book/123", true);
        check("/book/{1*,22,}", "http://e.x/book/", true);
        check("/book/{1*,22,}", "http://e.x/book/222", false);
        check("*.{jpg,png}", "http://e.x/a.png", true);
        check("/?q={a}", "http://e.x/?q={a}", true);
        check("/?q={{a,b}", "http://e.x/?q={b", true);
        check("/?q={a,b", "http://e.x/?q={a,b", true);
        check("re:/book/\\d+$", "http://e.x/book/12", true);
        check("re:/book/\\d+$", "http://e.x/book/12a", false);
        check("re:(?i)LOGOUT", "http://e.x/a?logout", true);
        check("/a(b", "http://e.x/a(b", true);
    }

    #[test]
    fn what_is_none() {
        for pattern in ["", " ", "re:(", "re:a{999999999}"] {
            assert!(url_pattern(pattern).is_err(), "{pattern}");
        }
    }
}
