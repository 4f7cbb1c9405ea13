//! What URLs of one kind have in common.

use url::Url;

/// The host, the path with its numbers taken out, and the names of its parameters:
/// `shop.example/calendar/{n}/{n}?view`.
///
/// ```
/// let url = "http://shop.example/calendar/2035/07?view=day&x".parse()?;
/// let pattern = nephila::policy::traps::pattern_of(&url);
/// assert_eq!(pattern, "shop.example/calendar/{n}/{n}?view&x");
/// # Ok::<(), url::ParseError>(())
/// ```
pub fn pattern_of(url: &Url) -> String {
    let mut out = String::with_capacity(url.as_str().len());
    out.push_str(&url[url::Position::BeforeHost..url::Position::BeforePath]);
    let mut in_number = false;
    for c in url.path().chars() {
        if !c.is_ascii_digit() {
            out.push(c);
        } else if !in_number {
            out.push_str("{n}");
        }
        in_number = c.is_ascii_digit();
    }
    for (place, pair) in url
        .query()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .enumerate()
    {
        out.push(if place == 0 { '?' } else { '&' });
        out.push_str(pair.split('=').next().unwrap_or_default());
    }
    out
}
