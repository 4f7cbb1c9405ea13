//! Fields: how they are written, and how they are read from a page.

use std::fmt;

use toml::de::{DeTable, DeValue};

use super::keys::{FIELD, parsers, types};
use super::plan::{FACTS, Fact, Field, Shape, Source, TYPES, Type, pattern, value};
use super::read::scalar;
use super::source::{At, Keys, Read, checked};
use crate::item::{Field as Column, Kind, Value};
use crate::page::{FieldError, FromHit, Miss, Page, Rule, Scope, Selector};
use crate::parse::{PARSERS, Parser};
use crate::settings::closest;

/// The fields of an item, in the order of the file.
pub(super) fn read(keys: &Keys<'_>) -> Read<Vec<Field>> {
    let all = keys.entries("fields")?.into_iter();
    all.map(|(name, value)| {
        let offset = value.span().start;
        match value.get_ref() {
            DeValue::String(text) => short(
                keys,
                &name,
                &At {
                    value: text,
                    offset,
                },
            ),
            DeValue::Table(table) => long(keys, &name, table, offset),
            _ => {
                let reason = format!("field `{}` takes a selector, or a section", name.value);
                Err(keys.error(offset, reason))
            }
        }
    })
    .collect()
}

/// `title = "h1"`
fn short(keys: &Keys<'_>, name: &At<&str>, text: &At<&str>) -> Read<Field> {
    if let Some((_, fact, kind)) = FACTS.iter().find(|(known, ..)| *known == text.value) {
        return Ok(field(name, Source::Page(*fact), *kind, Shape::One));
    }
    if text.value.starts_with('@') {
        let facts: Vec<&str> = FACTS.iter().map(|(name, ..)| *name).collect();
        let reason = format!("no `{}`; there are {}", text.value, facts.join(", "));
        return Err(keys.error(text.offset, reason));
    }
    let selector = parsed(keys, text)?;
    let rule = Rule::new(name.value.to_owned(), selector, Vec::new(), None);
    Ok(field(name, Source::Rule(rule), Type::Text, Shape::One))
}

fn field(name: &At<&str>, source: Source, kind: Type, shape: Shape) -> Field {
    Field {
        name: name.value.to_owned(),
        source,
        kind,
        shape,
        default: None,
    }
}

fn parsed(keys: &Keys<'_>, text: &At<&str>) -> Read<Selector> {
    Selector::parse(text.value).map_err(|error| keys.error(text.offset, error.to_string()))
}

/// `price = { css = "p.price", type = "float" }`
fn long<'a>(
    keys: &Keys<'a>,
    name: &At<&'a str>,
    table: &'a DeTable<'a>,
    offset: usize,
) -> Read<Field> {
    let own = Keys::of(keys.source, &FIELD, name.value, table, offset)?;
    let parser = own
        .text("parse")?
        .map(|text| parser(&own, &text))
        .transpose()?;
    let written = own
        .text("type")?
        .map(|text| typed(&own, &text))
        .transpose()?;
    let (kind, shape) = written.unwrap_or((by_parser(parser), Shape::One));
    if let Some(parser) = parser
        && written.is_some()
        && by_parser(Some(parser)) != kind
    {
        let offset = own.text("type")?.map_or(offset, |text| text.offset);
        let reason = "`parse` says what type it is: write `?` or `[..]` around that one alone";
        return Err(own.error(offset, reason));
    }
    let default = own.value("default").map(|given| fixed(&own, given, kind));
    let default = default.transpose()?;
    if let Some(given) = own.value("value") {
        let value = fixed(&own, given, kind)?;
        return Ok(field(name, Source::Fixed(value), kind, shape));
    }
    let Some(selector) = selector(&own)? else {
        return Err(own.missing("a selector: `css`, `xpath`, `json` or `select`"));
    };
    if let Some((_, fact, kind)) = FACTS.iter().find(|(known, ..)| *known == selector.value) {
        return Ok(field(name, Source::Page(*fact), *kind, Shape::One));
    }
    let selector = At {
        value: selector.value.as_str(),
        offset: selector.offset,
    };
    let rule = rule(&own, name.value, &selector)?;
    let nested = read(&own)?;
    let source = match parser {
        _ if !nested.is_empty() => Source::Nested(rule, nested),
        Some(parser) => Source::Parsed(rule, parser),
        None => Source::Rule(rule),
    };
    let is_nested = matches!(source, Source::Nested(..));
    Ok(Field {
        kind: if is_nested { Type::Json } else { kind },
        // A nested field is a list, unless a type says otherwise.
        shape: if is_nested && written.is_none() {
            Shape::All
        } else {
            shape
        },
        default,
        ..field(name, source, kind, shape)
    })
}

/// The one selector of a field, in the notation that all selectors have.
fn selector(own: &Keys<'_>) -> Read<Option<At<String>>> {
    let mut found: Option<At<String>> = None;
    for (key, prefix) in [
        ("select", ""),
        ("css", ""),
        ("xpath", "xpath:"),
        ("json", "json:"),
    ] {
        let Some(text) = own.text(key)? else { continue };
        if found.is_some() {
            let reason =
                "a field has one of select, css, xpath and json; others to try stand in `or`";
            return Err(own.error(text.offset, reason));
        }
        found = Some(At {
            value: format!("{prefix}{}", text.value),
            offset: text.offset,
        });
    }
    Ok(found)
}

fn rule(own: &Keys<'_>, name: &str, selector: &At<&str>) -> Read<Rule> {
    let selector = parsed(own, selector)?;
    let mut fallbacks = Vec::new();
    for text in own.texts("or")? {
        checked(own.source, &text)?;
        fallbacks.push(parsed(own, &text)?);
    }
    let re = own
        .text("re")?
        .map(|text| pattern(text.value).map_err(|reason| own.error(text.offset, reason)));
    Ok(Rule::new(
        name.to_owned(),
        selector,
        fallbacks,
        re.transpose()?,
    ))
}

fn parser(own: &Keys<'_>, text: &At<&str>) -> Read<Parser> {
    let known = PARSERS.iter().find(|(name, _)| *name == text.value);
    known.map(|(_, parser)| *parser).ok_or_else(|| {
        let names = parsers();
        let meant = closest(text.value, names.iter().copied()).map_or_else(
            || format!("; there are {}", names.join(", ")),
            |name| format!("; did you mean `{name}`?"),
        );
        own.error(
            text.offset,
            format!("no parse function `{}`{meant}", text.value),
        )
    })
}

fn by_parser(parser: Option<Parser>) -> Type {
    match parser {
        None => Type::Text,
        Some(Parser::Real(_)) => Type::Real,
        Some(Parser::Integer(_)) => Type::Integer,
        Some(Parser::Date(_)) => Type::Date,
    }
}

/// `int`, `int?`, `[int]`
fn typed(own: &Keys<'_>, text: &At<&str>) -> Read<(Type, Shape)> {
    let written = text.value.trim();
    let listed = written
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let (name, shape) = match (listed, written.strip_suffix('?')) {
        (Some(name), _) => (name, Shape::All),
        (None, Some(name)) => (name, Shape::Optional),
        (None, None) => (written, Shape::One),
    };
    let known = TYPES.iter().find(|(known, _)| *known == name);
    let kind = known.map(|(_, kind)| *kind).ok_or_else(|| {
        let meant = closest(name, TYPES.iter().map(|(name, _)| *name)).map_or_else(
            || format!("; there are {}", TYPES.map(|(name, _)| name).join(", ")),
            |name| format!("; did you mean `{name}`?"),
        );
        own.error(text.offset, format!("no type `{name}`{meant}"))
    })?;
    if kind == Type::Boolean && shape != Shape::One {
        let reason = "a `bool` says whether something matches: there is always one";
        return Err(own.error(text.offset, reason));
    }
    debug_assert!(types().iter().any(|known| known == written));
    Ok((kind, shape))
}

/// A value that is written down.
fn fixed(own: &Keys<'_>, given: &toml::Spanned<DeValue<'_>>, kind: Type) -> Read<Value> {
    let fitting = scalar(given.get_ref()).and_then(|json| value(&json, kind));
    fitting.ok_or_else(|| {
        let name = TYPES.iter().find(|(_, known)| *known == kind);
        let name = name.map_or("text", |(name, _)| *name);
        own.error(
            given.span().start,
            format!("this is no value of the type `{name}`"),
        )
    })
}

/// What kind of column a field is.
pub(super) fn kind(field: &Field) -> Kind {
    match (field.shape, field.kind) {
        (Shape::All, _) | (_, Type::Json) => Kind::Json,
        (_, Type::Integer) => Kind::Integer,
        (_, Type::Real) => Kind::Real,
        (_, Type::Boolean) => Kind::Boolean,
        _ => Kind::Text,
    }
}

/// Whether a field's column may hold nothing.
pub(super) fn is_nullable(field: &Field) -> bool {
    field.shape == Shape::Optional && field.default.is_none()
}

/// Reads a field within a scope.
pub(super) fn extract(field: &Field, page: &Page, scope: &Scope<'_>) -> Result<Value, FieldError> {
    let read = match &field.source {
        Source::Page(fact) => return Ok(fact_of(*fact, page)),
        Source::Fixed(value) => return Ok(value.clone()),
        Source::Rule(rule) => ruled(field, rule, scope),
        Source::Parsed(rule, Parser::Real(parse)) => parsed_by(field, rule, scope, parse),
        Source::Parsed(rule, Parser::Integer(parse)) => parsed_by(field, rule, scope, parse),
        Source::Parsed(rule, Parser::Date(parse)) => parsed_by(field, rule, scope, parse),
        Source::Nested(rule, fields) => nested(field, rule, fields, page, scope),
    };
    match (&field.default, read) {
        (Some(default), Ok(Value::Null)) => Ok(default.clone()),
        (Some(default), Err(error)) if error.is_nothing() => Ok(default.clone()),
        (_, read) => read,
    }
}

fn fact_of(fact: Fact, page: &Page) -> Value {
    match fact {
        Fact::Url => Value::Text(page.url().to_string()),
        Fact::Status => Value::Integer(page.status().as_u16().into()),
        Fact::Depth => Value::Integer(page.depth().into()),
        Fact::Main => Value::Text(page.markdown()),
    }
}

fn ruled(field: &Field, rule: &Rule, scope: &Scope<'_>) -> Result<Value, FieldError> {
    match field.kind {
        Type::Text => as_type::<String>(field, rule, scope),
        Type::Integer => as_type::<i64>(field, rule, scope),
        Type::Real => as_type::<f64>(field, rule, scope),
        Type::Url => as_type::<url::Url>(field, rule, scope),
        Type::Date => as_type::<jiff::civil::Date>(field, rule, scope),
        Type::DateTime => as_type::<jiff::civil::DateTime>(field, rule, scope),
        Type::Timestamp => as_type::<jiff::Timestamp>(field, rule, scope),
        Type::Json => as_type::<serde_json::Value>(field, rule, scope),
        Type::Boolean => stored(field, scope.read::<bool>(rule)?),
    }
}

fn as_type<T: FromHit + Column>(
    field: &Field,
    rule: &Rule,
    scope: &Scope<'_>,
) -> Result<Value, FieldError> {
    match field.shape {
        Shape::One => stored(field, scope.read::<T>(rule)?),
        Shape::Optional => stored(field, scope.read::<Option<T>>(rule)?),
        Shape::All => stored(field, scope.read::<Vec<T>>(rule)?),
    }
}

fn parsed_by<T: Column, E: fmt::Display>(
    field: &Field,
    rule: &Rule,
    scope: &Scope<'_>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Value, FieldError> {
    match field.shape {
        Shape::One => stored(field, scope.read_with(rule, parse)?),
        Shape::Optional => stored(field, scope.read_optional_with(rule, parse)?),
        Shape::All => stored(field, scope.read_all_with(rule, parse)?),
    }
}

fn stored(field: &Field, value: impl Column) -> Result<Value, FieldError> {
    value.into_value().map_err(|why| FieldError {
        field: field.name.clone(),
        selector: String::new(),
        pattern: None,
        miss: Miss::Failed(why.into()),
        closest: None,
    })
}

fn nested(
    field: &Field,
    rule: &Rule,
    fields: &[Field],
    page: &Page,
    scope: &Scope<'_>,
) -> Result<Value, FieldError> {
    let mut objects = Vec::new();
    for scope in scope.scopes(rule)? {
        let object = fields.iter().map(|inner| {
            let value = extract(inner, page, &scope).map_err(|error| FieldError {
                field: field.name.clone(),
                miss: Miss::Nested(Box::new(error)),
                selector: String::new(),
                pattern: None,
                closest: None,
            })?;
            Ok((inner.name.clone(), value.to_json()))
        });
        objects.push(object.collect::<Result<serde_json::Map<_, _>, FieldError>>()?);
        if field.shape != Shape::All {
            break;
        }
    }
    if field.shape == Shape::All {
        return Ok(Value::Json(serde_json::Value::from(objects).to_string()));
    }
    match objects.pop() {
        Some(object) => Ok(Value::Json(serde_json::Value::from(object).to_string())),
        None if field.shape == Shape::Optional => Ok(Value::Null),
        None => Err(scope.nothing(rule)),
    }
}
