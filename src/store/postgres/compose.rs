//! Statements with a varying number of parts, each with values of its own.

use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::{Arguments, AssertSqlSafe, Encode, Type};

use super::error::Failure;

/// SQL and its values. All texts are literals or checked identifiers; values are bound.
#[derive(Default)]
pub(super) struct Composed {
    parts: Vec<String>,
    arguments: PgArguments,
}

impl Composed {
    /// Takes a value in; its place and type: `$7::INT8[]`.
    pub(super) fn bind<T>(&mut self, value: T) -> Result<String, Failure>
    where
        T: for<'v> Encode<'v, Postgres> + Type<Postgres>,
    {
        self.arguments.add(value).map_err(sqlx::Error::Encode)?;
        Ok(format!("${}::{}", self.arguments.len(), T::type_info()))
    }

    /// Adds `name AS (…)`.
    pub(super) fn with(&mut self, part: String) {
        self.parts.push(part);
    }

    /// `WITH` the parts, `select`: one row.
    pub(super) async fn fetch(
        self,
        select: &str,
        db: &mut sqlx::PgConnection,
    ) -> Result<PgRow, Failure> {
        let statement = sqlx::query_with(AssertSqlSafe(self.text(select)), self.arguments);
        Ok(statement.fetch_one(db).await?)
    }

    pub(super) fn text(&self, select: &str) -> String {
        format!("WITH {}\n{select}", self.parts.join(",\n"))
    }
}

/// Text as PostgreSQL can hold it: U+0000 becomes U+FFFD.
pub(super) fn clean(text: &str) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text.to_owned()
    }
}

/// JSON as JSONB can hold it: an escaped U+0000 becomes U+FFFD.
pub(super) fn clean_json(json: &str) -> String {
    if !json.contains("\\u0000") {
        return clean(json);
    }
    let mut cleaned = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        cleaned.push_str(before);
        let zero = "\\u0000";
        let end = if escape.starts_with(zero) {
            cleaned.push('\u{fffd}');
            zero.len()
        } else {
            // The next letter belongs to this escape, also if it is a backslash.
            let end = escape.chars().take(2).map(char::len_utf8).sum();
            cleaned.push_str(&escape[..end]);
            end
        };
        rest = &escape[end..];
    }
    cleaned.push_str(rest);
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postgres_can_not_hold_is_replaced() {
        assert_eq!(clean("a\0b"), "a\u{fffd}b");
        let check = |json: &str, expected: &str| assert_eq!(clean_json(json), expected);
        check(r#"["a"]"#, r#"["a"]"#);
        check(r#"["\u0000x\n"]"#, "[\"\u{fffd}x\\n\"]");
        check(r#"["\\u0000"]"#, r#"["\\u0000"]"#);
        check(r#"["\\\u0000é"]"#, "[\"\\\\\u{fffd}é\"]");
    }
}
