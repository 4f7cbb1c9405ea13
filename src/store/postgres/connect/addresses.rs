//! A URL with several hosts, as libpq has them.

/// A URL for each of the hosts, and the session that is wanted (`target_session_attrs`).
pub(super) fn split(url: &str) -> Result<(Vec<String>, Option<String>), String> {
    let (url, attrs) = take_attrs(url);
    if let Some(attrs) = &attrs
        && !matches!(
            &**attrs,
            "any" | "read-write" | "primary" | "prefer-standby"
        )
    {
        return Err(format!(
            "target_session_attrs={attrs}: write any, read-write, primary or prefer-standby"
        ));
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return Ok((vec![url], attrs));
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), authority),
    };
    let hosts = hosts
        .split(',')
        .map(|host| format!("{scheme}://{user}{host}{tail}"));
    Ok((hosts.collect(), attrs))
}

/// The URL without the parameter that sqlx does not know, and that.
fn take_attrs(url: &str) -> (String, Option<String>) {
    let Some((before, query)) = url.split_once('?') else {
        return (url.to_owned(), None);
    };
    let name = "target_session_attrs=";
    let (attrs, kept): (Vec<&str>, Vec<&str>) =
        query.split('&').partition(|part| part.starts_with(name));
    let query = kept.join("&");
    let url = if query.is_empty() {
        before.to_owned()
    } else {
        format!("{before}?{query}")
    };
    (
        url,
        attrs.first().map(|attrs| attrs[name.len()..].to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_for_each_host() {
        let check = |url, expected: &[&str], attrs: Option<&str>| {
            let (urls, said) = split(url).unwrap();
            assert_eq!(
                (urls, said.as_deref()),
                (expected.iter().map(ToString::to_string).collect(), attrs)
            );
        };
        check("postgres://a/x", &["postgres://a/x"], None);
        check(
            "postgres://u:p,q@a:1,b/x?sslmode=require&target_session_attrs=any",
            &[
                "postgres://u:p,q@a:1/x?sslmode=require",
                "postgres://u:p,q@b/x?sslmode=require",
            ],
            Some("any"),
        );
        check(
            "postgres:///x?host=/run",
            &["postgres:///x?host=/run"],
            None,
        );
        check(
            "postgres://a,b?target_session_attrs=primary",
            &["postgres://a", "postgres://b"],
            Some("primary"),
        );
        assert!(split("postgres://a/x?target_session_attrs=no").is_err());
    }
}
