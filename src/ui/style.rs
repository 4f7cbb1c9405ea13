//! Colours, where they are wanted.

use std::fmt::Display;

/// Whether to use colours, and whether to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Colours and bold.
    pub color: bool,
    /// It is a terminal that can move its cursor.
    pub terminal: bool,
}

impl Style {
    /// No colours, no drawing: for files, pipes and tests.
    pub const PLAIN: Self = Self {
        color: false,
        terminal: false,
    };

    /// Of a stream, by whether it is a terminal (`tty`) and what the environment says: `NO_COLOR`,
    /// `CLICOLOR_FORCE`, `TERM=dumb`, `CI`.
    pub fn of(tty: bool, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| variable(name).is_some_and(|value| !value.is_empty());
        let dumb = variable("TERM").is_some_and(|term| term == "dumb");
        let forced = variable("CLICOLOR_FORCE").is_some_and(|value| !matches!(&*value, "" | "0"));
        Self {
            color: !set("NO_COLOR") && (forced || (tty && !dumb)),
            terminal: tty && !dumb && !set("CI"),
        }
    }

    fn paint(self, code: &str, text: impl Display) -> String {
        if self.color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }

    /// Important.
    pub fn bold(self, text: impl Display) -> String {
        self.paint("1", text)
    }

    /// Less important.
    pub fn dim(self, text: impl Display) -> String {
        self.paint("2", text)
    }

    /// Bad.
    pub fn red(self, text: impl Display) -> String {
        self.paint("1;31", text)
    }

    /// Good.
    pub fn green(self, text: impl Display) -> String {
        self.paint("32", text)
    }

    /// To be looked at.
    pub fn yellow(self, text: impl Display) -> String {
        self.paint("33", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_environment_says() {
        let check = |tty, variables: &[(&str, &str)], color, terminal| {
            let style = Style::of(tty, |name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            });
            assert_eq!(style, Style { color, terminal }, "{variables:?}");
        };
        check(true, &[], true, true);
        check(false, &[], false, false);
        check(true, &[("NO_COLOR", "1")], false, true);
        check(true, &[("TERM", "dumb")], false, false);
        check(true, &[("CI", "true")], true, false);
        check(false, &[("CLICOLOR_FORCE", "1")], true, false);
        check(
            false,
            &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")],
            false,
            false,
        );
    }
}
