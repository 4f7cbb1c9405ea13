//! Which SQL people may ask a reader.
//!
//! That nothing is written is seen to by the read-only connection; this is for clear words, and
//! against what even a read-only connection can do to other files (`ATTACH`, `VACUUM INTO`).

use super::StoreError;

const QUERIES: [&str; 5] = ["SELECT", "WITH", "VALUES", "EXPLAIN", "PRAGMA"];

/// Checks that `sql` is one query.
///
/// # Errors
/// If it is none, more than one, or does not begin like something that only reads.
pub(super) fn check_query(sql: &str) -> Result<(), StoreError> {
    let mut words = Words(sql);
    let Some(first) = words.next() else {
        return Err(StoreError::Query("there is no query".into()));
    };
    let first = first.to_ascii_uppercase();
    if !QUERIES.contains(&first.as_str()) {
        return Err(StoreError::Query(format!(
            "`{first}` is no query: the results can only be read here"
        )));
    }
    let is_more = words
        .skip_while(|word| *word != ";")
        .any(|word| word != ";");
    if is_more {
        return Err(StoreError::Query("one query at a time".into()));
    }
    Ok(())
}

/// Words, semicolons and other signs, without comments, text and white space.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            self.0 = self.0.trim_start();
            let first = self.0.chars().next()?;
            let end = match first {
                _ if self.0.starts_with("--") => after(self.0, "\n", 2),
                _ if self.0.starts_with("/*") => after(self.0, "*/", 2),
                '\'' => after(self.0, "'", 1),
                '"' => after(self.0, "\"", 1),
                '`' => after(self.0, "`", 1),
                '[' => after(self.0, "]", 1),
                _ => {
                    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
                    let end = self
                        .0
                        .find(|letter| !is_word(letter))
                        .unwrap_or(self.0.len());
                    let (word, rest) = self.0.split_at(end.max(first.len_utf8()));
                    self.0 = rest;
                    return Some(word);
                }
            };
            self.0 = &self.0[end..];
        }
    }
}

/// The place after `end`, which is looked for from `from` on.
fn after(text: &str, end: &str, from: usize) -> usize {
    text[from..]
        .find(end)
        .map_or(text.len(), |at| from + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql: &str, expected: &str) {
        let outcome = check_query(sql).map_or_else(|error| error.to_string(), |()| "fine".into());
        assert_eq!(outcome, expected, "{sql}");
    }

    #[test]
    fn one_query() {
        check("select 1", "fine");
        check(
            " -- a comment; or two\n/* ; */ WITH a AS (SELECT ';') SELECT * FROM a ; ",
            "fine",
        );
        check("SELECT ';' || \"a;b\", `;`, [;] -- ;", "fine");
        check("select 'it''s; fine'", "fine");
        check("explain query plan select 1", "fine");
        check("", "there is no query");
        check("-- nothing", "there is no query");
        check("select 1; select 2", "one query at a time");
        check("select 1; -- so\nattach 'x' as y", "one query at a time");
        check(
            "drop table books",
            "`DROP` is no query: the results can only be read here",
        );
        check(
            "attach 'x' as y",
            "`ATTACH` is no query: the results can only be read here",
        );
        check("/*", "there is no query");
        check("'select'", "there is no query");
        check("é", "`é` is no query: the results can only be read here");
    }
}
