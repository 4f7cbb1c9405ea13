//! Columns: what they are called, and of what type they are, by their values.

use std::collections::HashSet;

use super::draft::quoted;
use crate::parse;

/// A field of the file.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) selector: String,
    pub(super) kind: Kind,
    /// Whether it was missing somewhere.
    pub(super) optional: bool,
    /// Whether it tells rows apart by what it is.
    pub(super) is_key: bool,
    /// What it is in each row.
    pub(super) values: Vec<Option<String>>,
}

/// A type, and how it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Float,
    Bool,
    Money,
    Integer,
    Number,
    Date,
    DayFirst,
    MonthFirst,
    Timestamp,
    Url,
    /// Of texts, numbers (`int`) or JSON.
    List(&'static str),
}

/// The longest name.
const NAME: usize = 40;

impl Column {
    /// A column of these values; none if there is nothing in them that is worth a column.
    pub(super) fn of(name: &str, selector: String, values: Vec<Option<String>>) -> Option<Self> {
        let is_empty = |value: &Option<String>| value.as_ref().is_none_or(String::is_empty);
        let present: Vec<&str> = values.iter().flatten().map(String::as_str).collect();
        let present: Vec<&str> = present
            .into_iter()
            .filter(|value| !value.is_empty())
            .collect();
        if present.is_empty() {
            return None;
        }
        let kind = if selector.ends_with("::attr(href)") || selector.ends_with("::attr(src)") {
            Kind::Url
        } else {
            kind_of(&present)
        };
        let distinct: HashSet<&&str> = present.iter().collect();
        Some(Self {
            name: named(name),
            selector,
            kind,
            optional: values.iter().any(is_empty),
            is_key: kind == Kind::Url && distinct.len() == values.len(),
            values,
        })
    }

    /// What a page is called, for pages of which nothing is known.
    pub(super) fn title() -> Self {
        Self {
            name: "title".to_owned(),
            selector: "title".to_owned(),
            kind: Kind::Text,
            optional: true,
            is_key: false,
            values: Vec::new(),
        }
    }

    /// Its values, numbers and amounts as what they are worth.
    fn meant(&self) -> Vec<Option<String>> {
        let amount = |text: &String| match (text.parse::<f64>(), parse::money(text)) {
            (Ok(number), _) => number.to_string(),
            (_, Ok(amount)) if has_currency(text) => amount.to_string(),
            _ => text.clone(),
        };
        let values = self.values.iter();
        values.map(|value| value.as_ref().map(amount)).collect()
    }

    /// What stands in the file.
    pub(super) fn toml(&self) -> String {
        let null = if self.optional { "?" } else { "" };
        let selector = quoted(&self.selector);
        let (kind, parse) = match self.kind {
            Kind::Text if !self.optional => return selector,
            Kind::Text => ("text", ""),
            Kind::Int => ("int", ""),
            Kind::Float => ("float", ""),
            Kind::Bool => ("bool", ""),
            Kind::Money => ("float", "money"),
            Kind::Integer => ("int", "integer"),
            Kind::Number => ("float", "number"),
            Kind::Date => ("date", "date"),
            Kind::DayFirst => ("date", "date_day_first"),
            Kind::MonthFirst => ("date", "date_month_first"),
            Kind::Timestamp => ("timestamp", ""),
            Kind::Url => ("url", ""),
            Kind::List(of) => return format!("{{ select = {selector}, type = \"[{of}]\" }}"),
        };
        let null = if self.kind == Kind::Bool { "" } else { null };
        let written = if parse.is_empty() {
            format!("type = \"{kind}{null}\"")
        } else if null.is_empty() {
            format!("parse = \"{parse}\"")
        } else {
            format!("parse = \"{parse}\", type = \"{kind}{null}\"")
        };
        format!("{{ select = {selector}, {written} }}")
    }
}

/// The type that all values are of.
fn kind_of(values: &[&str]) -> Kind {
    let all = |is: &dyn Fn(&str) -> bool| values.iter().all(|value| is(value));
    // What begins with a zero is a number of something.
    let is_code = |text: &str| text.len() > 1 && text.starts_with('0') && !text.starts_with("0.");
    let short = |text: &str| text.chars().count() <= 24;
    let dates = |read: fn(&str) -> Result<jiff::civil::Date, parse::Unclear>| {
        all(&|text| text.len() <= 40 && read(text).is_ok())
    };
    if all(&|text| text.parse::<i64>().is_ok() && !is_code(text)) {
        Kind::Int
    } else if all(&|text| {
        text.parse::<f64>().is_ok_and(f64::is_finite) && !is_code(text) && !text.ends_with('.')
    }) {
        Kind::Float
    } else if all(&|text| {
        short(text) && has_currency(text) && !is_range(text) && parse::money(text).is_ok()
    }) {
        Kind::Money
    } else if all(&|text| text.parse::<jiff::Timestamp>().is_ok()) {
        Kind::Timestamp
    } else if all(&is_url) {
        Kind::Url
    } else if dates(parse::date) {
        Kind::Date
    } else if dates(parse::date_day_first) != dates(parse::date_month_first) {
        // One of them says which it is, for all.
        if dates(parse::date_day_first) {
            Kind::DayFirst
        } else {
            Kind::MonthFirst
        }
    } else if all(&|text| short(text) && is_counted(text) && parse::integer(text).is_ok()) {
        Kind::Integer
    } else if all(&|text| short(text) && is_decimal(text) && parse::number(text).is_ok()) {
        Kind::Number
    } else {
        Kind::Text
    }
}

/// A whole URL: what is relative is one only where it is said to be.
fn is_url(text: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
        && url::Url::parse(text).is_ok()
}

fn has_currency(text: &str) -> bool {
    let symbols = ['$', '£', '€', '¥', '₹', '₽'];
    let codes = ["USD", "EUR", "GBP", "CHF", "JPY"];
    text.contains(symbols) || codes.iter().any(|code| text.contains(code))
}

/// From one amount to another.
fn is_range(text: &str) -> bool {
    let parts = text.split([' ', '-', '\u{2013}', '\u{2014}']);
    let has_digit = |part: &&str| part.contains(|c: char| c.is_ascii_digit());
    let is_parted = text.contains(['-', '\u{2013}', '\u{2014}']) || text.contains(" to ");
    is_parted && parts.filter(has_digit).count() > 1
}

/// `1,204`, `(22)` or `7.`: digits, and nothing but what groups or encloses them.
fn is_counted(text: &str) -> bool {
    let rest = text.trim_matches(['(', ')', '[', ']', ' ']);
    let rest = rest.strip_suffix('.').unwrap_or(rest);
    let digits = rest.bytes().filter(u8::is_ascii_digit).count();
    // Digits alone that are no number are a code: `007`.
    let is_marked = rest.len() < text.len() || rest.contains(',');
    is_marked
        && digits > 0
        && rest
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b',')
}

/// `1,50` or `1.234,5`, and not `1.2.3`: what marks the fraction stands once.
fn is_decimal(text: &str) -> bool {
    let mark = text.rfind(['.', ',']).map(|at| &text[at..=at]);
    let has_one = mark.is_some_and(|mark| text.matches(mark).count() == 1);
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '\'');
    has_one && text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(plain)
}

/// A name that a column can have.
pub(super) fn named(text: &str) -> String {
    let (mut name, mut before) = (String::new(), ' ');
    for c in text.trim().chars() {
        // `datePublished` has two words, `UPC` has one.
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            name.push('_');
        }
        before = c;
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
        if name.len() >= NAME {
            break;
        }
    }
    let name = name.trim_end_matches('_');
    match name.bytes().next() {
        None => "field".to_owned(),
        Some(first) if first.is_ascii_alphabetic() => name.to_owned(),
        Some(_) => format!("field_{name}"),
    }
}

/// Gives each column a name of its own, and drops those that say what another has said.
pub(super) fn settled(columns: Vec<Column>, taken: &[&str]) -> Vec<Column> {
    let mut kept: Vec<Column> = Vec::new();
    for mut column in columns {
        if kept.iter().any(|other| other.meant() == column.meant()) {
            continue;
        }
        let base = column.name.clone();
        let mut number = 2;
        while taken.contains(&column.name.as_str())
            || kept.iter().any(|other| other.name == column.name)
        {
            column.name = format!("{base}_{number}");
            number += 1;
        }
        kept.push(column);
    }
    // One column tells rows apart.
    let mut has_key = false;
    for column in &mut kept {
        column.is_key &= !has_key && !column.optional;
        has_key |= column.is_key;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_by_values() {
        let check = |values: &[&str], expected: Kind| {
            assert_eq!(kind_of(values), expected, "{values:?}");
        };
        check(&["1", "-22"], Kind::Int);
        check(&["1", "2.5"], Kind::Float);
        check(&["007", "123"], Kind::Text);
        check(&["£5", "$1,000.50"], Kind::Money);
        check(&["£5", "Call us"], Kind::Text);
        check(&["$50,000 - $70,000", "$5"], Kind::Text);
        check(&["2026-01-02", "3 March 2026"], Kind::Date);
        check(&["1/2/2026", "13/2/2026"], Kind::DayFirst);
        check(&["1/2/2026", "2/13/2026"], Kind::MonthFirst);
        check(&["1/2/2026", "2/3/2026"], Kind::Text);
        check(&["(22)", "1,204"], Kind::Integer);
        check(&["1.", "22."], Kind::Integer);
        check(&["1,50", "1.234,5"], Kind::Number);
        check(&["1,50", "1.2.3"], Kind::Text);
        check(&["22 left", "x"], Kind::Text);
        check(&["2026-01-02T03:04:05Z"], Kind::Timestamp);
        check(&["https://e.x/1", "http://e.x/"], Kind::Url);
        check(&["https://e.x/1", "/2"], Kind::Text);
    }

    #[test]
    fn names() {
        let check = |text: &str, expected: &str| assert_eq!(named(text), expected, "{text}");
        check("price_color", "price_color");
        check("Product type", "product_type");
        check(" Price (excl. tax) ", "price_excl_tax");
        check("datePublished", "date_published");
        check("UPC", "upc");
        check("2nd", "field_2nd");
        check("—", "field");
    }
}
