//! What a line of the shell does.

use std::io::Write;

use regex::Regex;

use super::{Session, find};
use crate::cli::failure::{Failure, meant};
use crate::cli::{output, view};
use crate::page::{Element, Page};
use crate::ui::{clean, count as count_of};

/// Commands, what they take, and what they do.
pub(super) const COMMANDS: [(&str, &str, &str); 15] = [
    (
        "css",
        "SELECTOR",
        "what matches: text, ::attr(x), ::text, ::html",
    ),
    ("xpath", "EXPRESSION", "the same by XPath 1.0"),
    (
        "json",
        "PATH",
        "values of a JSON answer, by JSONPath: $.books[*].title",
    ),
    (
        "ld",
        "TYPE",
        "things that the page's JSON-LD describes: Product",
    ),
    (
        "html",
        "[SELECTOR]",
        "the HTML of what matches, or the whole page",
    ),
    ("count", "SELECTOR", "how many match"),
    (
        "re",
        "PATTERN",
        "matches in the page's text: the first group, or all",
    ),
    ("find", "TEXT", "selectors of what has this text"),
    (
        "links",
        "[SELECTOR]",
        "where links lead, within what matches",
    ),
    ("text", "", "the page's text"),
    ("headers", "", "what the server said of the page"),
    ("fetch", "URL", "another page; may be relative"),
    ("view", "", "the page in the browser"),
    ("help", "", "this"),
    ("quit", "", "the end; ^D, too"),
];

/// What comes after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The next one.
    On,
    /// The next one, on another page.
    Elsewhere,
    /// The next one; this could not be done.
    Wrong,
    End,
}

/// Matches that people are shown; a pipe gets all.
const SHOWN: usize = 40;

impl Session {
    /// Does what a line says.
    pub(super) async fn act(&mut self, line: &str) -> Result<Then, Failure> {
        let line = line.trim();
        let known = of_scrapy(line);
        let line = known.as_deref().unwrap_or(line);
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        if matches!(word, "" | "#") {
            return Ok(Then::On);
        }
        match word {
            "quit" | "exit" | "q" => return Ok(Then::End),
            "fetch" if !rest.is_empty() => return self.go(rest).await,
            _ => {}
        }
        let page = self.looker.page(&self.response);
        let done = match word {
            "help" | "?" => help(),
            "css" if !rest.is_empty() => select(&page, rest),
            "xpath" | "json" | "ld" if !rest.is_empty() => select(&page, &format!("{word}:{rest}")),
            "count" if !rest.is_empty() => count(&page, rest),
            "html" if rest.is_empty() => print(page.text()),
            "html" => select(&page, &format!("{rest}::html")),
            "re" if !rest.is_empty() => search(&page, rest),
            "find" if !rest.is_empty() => propose(&page, unquoted(rest)),
            "links" => links(&page, rest),
            "text" => print(&page.root().text()),
            "headers" => headers(&page),
            "view" => self.view(),
            "css" | "xpath" | "json" | "ld" | "count" | "re" | "find" | "fetch" => {
                Err(format!("{word} what? see: help").into())
            }
            _ => guess(&page, line, word),
        };
        match done {
            Ok(()) => Ok(Then::On),
            Err(error) if error.is::<std::io::Error>() => Err(Failure::broken(error.to_string())),
            Err(error) => {
                output::say(&clean(&error.to_string()));
                Ok(Then::Wrong)
            }
        }
    }

    fn view(&self) -> crate::Result {
        let path = view::write(&self.looker, &self.response);
        let path = path.map_err(|failure| failure.to_string())?;
        print(&path.display().to_string())?;
        if output::stdout_is_terminal() {
            view::open(&path);
        }
        Ok(())
    }
}

/// What somebody types who comes from Scrapy, as we say it: `response.css("h1::text").get()`.
fn of_scrapy(line: &str) -> Option<String> {
    let (kind, rest) = line.strip_prefix("response.")?.split_once('(')?;
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (selector, after) = rest[1..].rsplit_once(&format!("{quote})"))?;
    let ends = ["", ".get()", ".getall()", ".extract()", ".extract_first()"];
    let is_known = matches!(kind, "css" | "xpath") && ends.contains(&after);
    is_known.then(|| format!("{kind} {selector}"))
}

/// A line that is no command is a selector, unless a command was meant.
fn guess(page: &Page, line: &str, word: &str) -> crate::Result {
    let names = COMMANDS.iter().map(|(name, ..)| *name);
    let found = page
        .get::<Vec<String>>(line)
        .is_ok_and(|found| !found.is_empty());
    let meant = meant(word, names);
    if !found && !meant.is_empty() {
        return Err(
            format!("no command `{word}`{meant} (and nothing matches it as a selector)").into(),
        );
    }
    select(page, line)
}

fn select(page: &Page, selector: &str) -> crate::Result {
    let found: Vec<String> = page.get(selector)?;
    if found.is_empty() {
        let error = page.get::<String>(selector).err();
        let closest = page.nearest(selector);
        let closest = closest.map_or_else(String::new, |closest| format!("; {closest}"));
        return Err(match error {
            Some(error) if !error.to_string().contains("matches nothing") => error,
            _ => format!("nothing matches{closest}").into(),
        });
    }
    list(&found)
}

fn count(page: &Page, selector: &str) -> crate::Result {
    let found: Vec<String> = page.get(selector)?;
    print(&found.len().to_string())
}

/// One a line; of many people are shown the first.
fn list(found: &[String]) -> crate::Result {
    let shown = if output::stdout_is_terminal() {
        SHOWN
    } else {
        usize::MAX
    };
    let mut to = output::stdout();
    for text in found.iter().take(shown) {
        let text = if output::stdout_is_terminal() {
            clean(text)
        } else {
            text.replace('\n', " ").into()
        };
        writeln!(to, "{text}")?;
    }
    to.flush()?;
    let more = found.len().saturating_sub(shown);
    let more = match more {
        0 => String::new(),
        more => format!(", {more} not shown"),
    };
    output::say(&format!("{}{more}", matches(found.len())));
    Ok(())
}

fn matches(number: usize) -> String {
    let es = if number == 1 { "" } else { "es" };
    format!("{} match{es}", count_of(number as u64))
}

fn print(text: &str) -> crate::Result {
    let mut to = output::stdout();
    if output::stdout_is_terminal() {
        for line in text.lines() {
            writeln!(to, "{}", clean(line))?;
        }
    } else {
        writeln!(to, "{}", text.trim_end())?;
    }
    Ok(to.flush()?)
}

fn search(page: &Page, pattern: &str) -> crate::Result {
    let regex = Regex::new(pattern).map_err(|error| {
        let last = error.to_string();
        format!(
            "invalid pattern: {}",
            last.lines().last().unwrap_or_default().trim()
        )
    })?;
    let found: Vec<String> = regex
        .captures_iter(page.text())
        .filter_map(|groups| groups.get(1).or_else(|| groups.get(0)))
        .map(|group| group.as_str().to_owned())
        .collect();
    if found.is_empty() {
        return Err("the pattern matches nothing in the page's source".into());
    }
    list(&found)
}

fn propose(page: &Page, text: &str) -> crate::Result {
    let proposals = find::proposals(page, text);
    if proposals.is_empty() {
        let in_source = page.text().contains(text);
        return Err(if in_source {
            "it stands in the page's source, but no selector finds it by itself; try: re"
        } else {
            "it is not on the page; what a browser shows may come from a script: look at its requests"
        }
        .into());
    }
    let mut to = output::stdout();
    let width = proposals
        .iter()
        .map(|proposal| proposal.selector.chars().count())
        .max();
    for proposal in &proposals {
        let matches = matches(proposal.matches);
        let (selector, sample) = (clean(&proposal.selector), clean(&proposal.sample));
        let width = width.unwrap_or_default();
        writeln!(to, "{selector:<width$}  {matches:<11} {sample}")?;
    }
    Ok(to.flush()?)
}

fn links(page: &Page, within: &str) -> crate::Result {
    let selector = match within {
        "" => "a[href], area[href]".to_owned(),
        within => format!(":is({within}) :is(a, area)[href], :is({within}):is(a, area)[href]"),
    };
    let line = |link: &Element| {
        let url = page.join(link.attr("href")?.trim()).ok()?;
        let text = link.text();
        Some(format!("{url}  {text}").trim_end().to_owned())
    };
    let found: Vec<String> = page.css(&selector)?.iter().filter_map(line).collect();
    if found.is_empty() {
        return Err("no links".into());
    }
    list(&found)
}

fn headers(page: &Page) -> crate::Result {
    let mut text = format!("{} {}\n", page.status().as_u16(), page.url());
    for (name, value) in page.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        text.extend([name.as_str(), ": ", &value, "\n"]);
    }
    print(&text)
}

fn help() -> crate::Result {
    use std::fmt::Write;

    let mut text = String::new();
    for (name, takes, does) in COMMANDS {
        let command = format!("{name} {takes}");
        let _ = writeln!(text, "{command:<20} {does}");
    }
    text += "A line that is no command is a selector, in the notation of items: h1, a::attr(href), xpath://h1,\n\
             json:$.title, ld:Product >> json:name, script#data >> json:$.books[*], meta:og:title, link:next, main:, feed:,\n\
             xml:item, csv:, table:table, micro:Product";
    print(&text)
}

/// A text without the quotes around it.
fn unquoted(text: &str) -> &str {
    let quoted = ['"', '\'']
        .iter()
        .find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
    quoted.unwrap_or(text)
}
