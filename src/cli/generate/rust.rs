//! The same spider as the TOML file, in Rust.

use std::fmt::Write;

use url::Url;

use super::columns::{Column, Kind};
use super::draft::{DETAIL, Draft, LIST, Next, Way, table};

/// Names that the file uses for other things.
const TAKEN: [&str; 16] = [
    "Row",
    "Page",
    "Item",
    "Items",
    "Url",
    "Result",
    "Spider",
    "Seeds",
    "Request",
    "Element",
    "Links",
    "Login",
    "Failure",
    "Processed",
    "Self",
    "Option",
];

/// Words that no name may be.
const WORDS: [&str; 50] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "union", "unsafe", "unsized",
    "use", "virtual", "where", "while", "yield", "main",
];
/// And those that it may not be in any form.
const PATHS: [&str; 4] = ["self", "super", "crate", "_"];

/// The name of the file of a spider, without `.rs`: it is a module.
pub(super) fn module(name: &str) -> String {
    let module = name.replace('-', "_");
    let is_own = ["main", "lib", "mod"].contains(&module.as_str());
    if is_own || PATHS.contains(&module.as_str()) {
        format!("{module}_spider")
    } else {
        module
    }
}

/// `my-books` as `MyBooks`.
fn type_of(name: &str) -> String {
    let words = name.split(['-', '_']).filter(|word| !word.is_empty());
    let words = words.map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_ascii_uppercase() + rest
    });
    let name = words.collect::<String>();
    if TAKEN.contains(&name.as_str()) {
        format!("{name}Spider")
    } else {
        name
    }
}

impl Draft {
    /// The file.
    pub(super) fn rust(&self, name: &str, url: &Url) -> String {
        let mut out = format!(
            "//! Made from {url} by nephila gen: names and types are guesses.\n\nuse nephila::prelude::*;\n\n"
        );
        let opened = self.opened();
        match opened {
            Some(details) => item(&mut out, &table(name), None, &details.columns),
            None => item(&mut out, &table(name), Some(self), &self.columns),
        }
        let spider = type_of(name);
        let (numbered, start) = match &self.next {
            Next::Numbered { from, .. } => (Some(*from), String::new()),
            _ => (None, format!(", start = {:?}", url.as_str())),
        };
        let _ = write!(
            out,
            "#[derive(Default)]\nstruct {spider};\n\n#[spider(name = {name:?}{start})]\nimpl {spider} {{\n"
        );
        if let Some(from) = numbered {
            let _ = write!(
                out,
                "    async fn start(&self, seeds: Seeds) -> Result {{\n        \
                 seeds.push({:?}, (Self::{LIST}, {from})).await\n    }}\n\n",
                url.as_str()
            );
        }
        self.list(&mut out);
        if opened.is_some() {
            let _ = write!(
                out,
                "\n    async fn {DETAIL}(&self, page: Page) -> Result<Row> {{\n        page.item()\n    }}\n"
            );
        }
        out + "}\n"
    }

    /// The step that reads the list.
    fn list(&self, out: &mut String) {
        let opened = self.opened();
        let number = match self.next {
            Next::Numbered { .. } => ", number: u32",
            _ => "",
        };
        let result = if opened.is_some() { "" } else { "<Vec<Row>>" };
        let _ = writeln!(
            out,
            "    async fn {LIST}(&self, page: Page{number}) -> Result{result} {{"
        );
        if let Some(details) = opened {
            let _ = match &details.link {
                Way::Links(link) => {
                    writeln!(out, "        page.follow({link:?}, Self::{DETAIL})?;")
                }
                Way::Map(only) => {
                    let only = only.as_ref().map(|only| format!(".only({only:?})?"));
                    let only = only.unwrap_or_default();
                    let follow = format!("follow(Self::{LIST}, Self::{DETAIL})?");
                    writeln!(out, "        page.sitemap()?{only}.{follow};")
                }
            };
        }
        match &self.next {
            Next::None => {}
            Next::Link(selector) => {
                let _ = writeln!(out, "        page.follow({selector:?}, Self::{LIST})?;");
            }
            Next::Numbers { pattern, first } => {
                let deny = first.as_ref().map(|first| format!(".deny({first:?})?"));
                let deny = deny.unwrap_or_default();
                let _ = writeln!(
                    out,
                    "        let pages = Links::new().allow({pattern:?})?{deny};\n        \
                     page.follow_links(&pages, Self::{LIST})?;"
                );
            }
            Next::Numbered { url, condition, .. } => {
                // What stands in braces would be read as a value.
                let url = url
                    .replace('{', "{{")
                    .replace('}', "}}")
                    .replace("{{page}}", "{next}");
                let _ = write!(
                    out,
                    "        if page.get::<bool>({condition:?})? {{\n            let next = number + 1;\n            \
                     page.visit(format!({url:?}), (Self::{LIST}, next))?;\n        }}\n"
                );
            }
        }
        let end = if opened.is_some() {
            "Ok(())".to_owned()
        } else {
            format!("page.items({:?})", self.each)
        };
        let _ = write!(out, "        {end}\n    }}\n");
    }
}

/// The struct of a row. What a list itself says of its rows has a key if a column is one; a page's is its URL.
fn item(out: &mut String, table: &str, list: Option<&Draft>, columns: &[Column]) {
    let key = match list {
        Some(draft) => {
            let key = draft.columns.iter().find(|column| column.is_key);
            key.map(|column| column.name.as_str())
        }
        None => Some("url"),
    };
    let key = key.map_or_else(String::new, |key| format!(", key = {key:?}"));
    let _ = write!(
        out,
        "/// A row of the table `{table}`.\n#[derive(Item)]\n#[item(table = {table:?}{key})]\nstruct Row {{\n"
    );
    if list.is_none() {
        out.push_str("    #[url]\n    url: Url,\n");
    }
    for column in columns {
        field(out, column);
    }
    out.push_str("}\n\n");
}

fn field(out: &mut String, column: &Column) {
    let (kind, parse) = match column.kind {
        Kind::Text => ("String", ""),
        Kind::Int => ("i64", ""),
        Kind::Float => ("f64", ""),
        Kind::Bool => ("bool", ""),
        Kind::Money => ("f64", "money"),
        Kind::Integer => ("i64", "integer"),
        Kind::Number => ("f64", "number"),
        Kind::Date => ("nephila::jiff::civil::Date", "date"),
        Kind::DayFirst => ("nephila::jiff::civil::Date", "date_day_first"),
        Kind::MonthFirst => ("nephila::jiff::civil::Date", "date_month_first"),
        Kind::Url => ("Url", ""),
        Kind::Timestamp => ("nephila::jiff::Timestamp", ""),
        Kind::List("int") => ("Vec<i64>", ""),
        Kind::List("json") => ("Vec<serde_json::Value>", ""),
        Kind::List(_) => ("Vec<String>", ""),
    };
    let has_none = column.optional && !matches!(column.kind, Kind::Bool | Kind::List(_));
    let kind = if has_none {
        format!("Option<{kind}>")
    } else {
        kind.to_owned()
    };
    let parse = match parse {
        "" => String::new(),
        parse => format!(", parse = nephila::parse::{parse}"),
    };
    let name = column.name.as_str();
    if PATHS.contains(&name) {
        let _ = writeln!(out, "    #[item(name = {name:?})]");
    }
    let name = if PATHS.contains(&name) {
        format!("{name}_")
    } else if WORDS.contains(&name) {
        format!("r#{name}")
    } else {
        name.to_owned()
    };
    let _ = writeln!(
        out,
        "    #[css({:?}{parse})]\n    {name}: {kind},",
        column.selector
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |name: &str, expected: (&str, &str)| {
            assert_eq!((module(name).as_str(), type_of(name).as_str()), expected);
        };
        check("books", ("books", "Books"));
        check("my-books2", ("my_books2", "MyBooks2"));
        check("item", ("item", "ItemSpider"));
        check("main", ("main_spider", "Main"));
        check("self", ("self_spider", "SelfSpider"));
        check("loop", ("loop", "Loop"));
    }
}
