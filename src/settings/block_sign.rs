//! What tells a block page, as the setting `blocked` writes it.

/// A sign of a block page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockSign {
    /// `"418"`: the answer's status.
    Status(u16),
    /// `"title: Access denied"`: a pattern that is looked for in the title.
    Title(String),
    /// `"Access denied"`: a pattern that is looked for in the whole body.
    Text(String),
}

impl BlockSign {
    /// Reads a sign: a status, or a text, or a `/pattern/`, perhaps with `title:` before it.
    ///
    /// ```
    /// # use nephila::settings::BlockSign;
    /// assert_eq!(BlockSign::parse("403"), BlockSign::Status(403));
    /// assert_eq!(BlockSign::parse("Are you human?"), BlockSign::Text(r"Are you human\?".into()));
    /// assert_eq!(BlockSign::parse("title: /^sorry/"), BlockSign::Title("^sorry".into()));
    /// ```
    pub fn parse(sign: &str) -> Self {
        match sign.parse() {
            Ok(status @ 100..=999) => Self::Status(status),
            _ => match sign.strip_prefix("title:") {
                Some(title) => Self::Title(pattern(title.trim())),
                None => Self::Text(pattern(sign)),
            },
        }
    }

    /// Whether it can be looked for.
    pub fn is_valid(&self) -> bool {
        match self {
            Self::Status(_) => true,
            Self::Title(pattern) | Self::Text(pattern) => {
                !pattern.is_empty() && regex::Regex::new(pattern).is_ok()
            }
        }
    }
}

fn pattern(text: &str) -> String {
    let inner = text
        .strip_prefix('/')
        .and_then(|rest| rest.strip_suffix('/'));
    inner.map_or_else(|| regex::escape(text), str::to_owned)
}
