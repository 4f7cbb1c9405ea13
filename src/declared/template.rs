//! Start URLs that stand for many: `{1..50}`, `{a,b}`, `{name}` of an argument.

use std::collections::BTreeMap;

/// A piece of a template.
enum Piece<'a> {
    Plain(&'a str),
    Argument(&'a str),
    /// From, to, and how many digits they have at least.
    Range(u64, u64, usize),
    Choice(Vec<&'a str>),
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        let (inner, after) = after
            .split_once('}')
            .ok_or_else(|| format!("`{text}`: a {{ without its }}"))?;
        pieces.push(Piece::Plain(before));
        pieces.push(match inner.split_once("..") {
            Some((from, to)) => {
                let number = |digits: &str| digits.parse::<u64>().ok();
                let (Some(first), Some(last)) = (number(from), number(to)) else {
                    return Err(format!("`{{{inner}}}` is no range, as {{1..50}} is"));
                };
                let width = if from.starts_with('0') { from.len() } else { 1 };
                Piece::Range(first, last, width)
            }
            None if inner.contains(',') => Piece::Choice(inner.split(',').map(str::trim).collect()),
            None => Piece::Argument(inner),
        });
        rest = after;
    }
    pieces.push(Piece::Plain(rest));
    Ok(pieces)
}

/// Checks a template whose arguments are `known`.
pub(super) fn check(text: &str, known: &[&str]) -> Result<(), String> {
    for piece in pieces(text)? {
        if let Piece::Argument(name) = piece
            && !known.contains(&name)
        {
            let meant = match crate::settings::closest(name, known.iter().copied()) {
                Some(known) => format!("; did you mean `{known}`?"),
                None => "; name it under [args]".to_owned(),
            };
            return Err(format!("no argument `{name}`{meant}"));
        }
    }
    Ok(())
}

/// The texts that a template stands for, one by one: it may stand for millions.
pub(super) fn expand(
    text: &str,
    args: &BTreeMap<String, String>,
) -> Result<impl Iterator<Item = String> + use<>, String> {
    let mut parts = Vec::new();
    for piece in pieces(text)? {
        parts.push(match piece {
            Piece::Plain(text) => Part::Fixed(vec![text.to_owned()]),
            Piece::Choice(choices) => Part::Fixed(choices.into_iter().map(str::to_owned).collect()),
            Piece::Range(from, to, width) => Part::Range(from, to, width),
            Piece::Argument(name) => match args.get(name) {
                Some(value) => Part::Fixed(vec![value.clone()]),
                None => return Err(format!("the argument `{name}` is missing: -a {name}=…")),
            },
        });
    }
    let total = parts.iter().map(Part::len).fold(1, u64::saturating_mul);
    Ok((0..total).map(move |number| {
        // The last piece changes fastest.
        let mut number = number;
        let mut texts: Vec<String> = parts
            .iter()
            .rev()
            .map(|part| {
                let at = number % part.len();
                number /= part.len();
                part.at(at)
            })
            .collect();
        texts.reverse();
        texts.concat()
    }))
}

enum Part {
    Fixed(Vec<String>),
    Range(u64, u64, usize),
}

impl Part {
    fn len(&self) -> u64 {
        match self {
            Self::Fixed(texts) => texts.len() as u64,
            Self::Range(from, to, _) => from.abs_diff(*to).saturating_add(1),
        }
    }

    fn at(&self, position: u64) -> String {
        match self {
            Self::Fixed(texts) => texts.get(position as usize).cloned().unwrap_or_default(),
            Self::Range(from, to, width) => {
                let number = if from <= to {
                    from + position
                } else {
                    from - position
                };
                format!("{number:0width$}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_templates_stand_for() {
        let args = BTreeMap::from([("site".to_owned(), "http://e.x".to_owned())]);
        let check = |text: &str, expected: &[&str]| {
            let all: Vec<String> = expand(text, &args).unwrap().collect();
            assert_eq!(all, expected, "{text}");
        };
        check("http://e.x/", &["http://e.x/"]);
        check(
            "{site}/{1..3}",
            &["http://e.x/1", "http://e.x/2", "http://e.x/3"],
        );
        check(
            "/{a, b}/{08..10}",
            &["/a/08", "/a/09", "/a/10", "/b/08", "/b/09", "/b/10"],
        );
        check("/{2..1}", &["/2", "/1"]);
        assert_eq!(
            expand("/{1..1000000000}", &args)
                .unwrap()
                .nth(999_999)
                .unwrap(),
            "/1000000"
        );
        let error = check_error;
        error("{sit}", "no argument `sit`; did you mean `site`?");
        error("{x}", "no argument `x`; name it under [args]");
        error("{1..x}", "`{1..x}` is no range, as {1..50} is");
        error("{1", "`{1`: a { without its }");
    }

    fn check_error(text: &str, expected: &str) {
        assert_eq!(check(text, &["site"]).unwrap_err(), expected);
    }
}
