//! Budgets for a part of a site, and hours in which a crawl is quiet.

use std::time::Duration;

/// So many pages of URLs that begin alike, as the setting `budgets` writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixBudget {
    /// Begins with `/`, for the paths of any host, or with a scheme, for whole URLs.
    pub prefix: String,
    /// Pages, over all runs of a crawl.
    pub pages: u64,
}

impl PrefixBudget {
    /// Reads `"/tag/ 100"` or `"https://shop.example/archive/ 1000"`.
    ///
    /// ```
    /// # use nephila::settings::PrefixBudget;
    /// let budget = PrefixBudget::parse("/tag/ 100").unwrap();
    /// assert_eq!((budget.prefix.as_str(), budget.pages), ("/tag/", 100));
    /// assert_eq!(PrefixBudget::parse("tag 100"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let (prefix, pages) = text.trim().rsplit_once(' ')?;
        let prefix = prefix.trim_end();
        let fits = ["/", "http://", "https://"]
            .iter()
            .any(|start| prefix.starts_with(start));
        Some(Self {
            prefix: fits.then(|| prefix.to_owned())?,
            pages: pages.replace('_', "").parse().ok()?,
        })
    }

    /// Whether a URL counts against it.
    pub fn is_of(&self, url: &url::Url) -> bool {
        let text = if self.prefix.starts_with('/') {
            url.path()
        } else {
            url.as_str()
        };
        text.starts_with(&self.prefix)
    }
}

/// Hours of the day in which nothing is sent, as the setting `quiet_hours` writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// Minutes of the day, UTC.
    from: u32,
    to: u32,
}

const DAY: u32 = 24 * 60;

impl QuietHours {
    /// Reads `"08:00-18:00"` (UTC), over midnight too, or `"08:00-18:00 +02:00"`.
    ///
    /// ```
    /// # use nephila::settings::QuietHours;
    /// assert!(QuietHours::parse("22:00-06:00").is_some());
    /// assert_eq!(QuietHours::parse("08:00-18:00 +02:00"), QuietHours::parse("06:00-16:00"));
    /// assert_eq!(QuietHours::parse("8-18"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (hours, offset) = text.split_once(' ').unwrap_or((text, "+00:00"));
        let (from, to) = hours.split_once('-')?;
        let offset = offset.trim();
        let shift = minutes(offset.get(1..)?)?;
        let shift = match offset.as_bytes().first()? {
            b'+' => DAY - shift,
            b'-' => shift,
            _ => return None,
        };
        let (from, to) = (minutes(from)?, minutes(to)?);
        (from != to).then_some(Self {
            from: (from + shift) % DAY,
            to: (to + shift) % DAY,
        })
    }

    /// The time until they end, if they have begun at this second since 1970.
    pub fn left(self, second: i64) -> Option<Duration> {
        let of_day = second.rem_euclid(86_400).unsigned_abs();
        let since = |minute: u32| (of_day + 86_400 - u64::from(minute) * 60) % 86_400;
        let length = u64::from((self.to + DAY - self.from) % DAY) * 60;
        let passed = since(self.from);
        (passed < length).then(|| Duration::from_secs(length - passed))
    }
}

fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let (hours, minutes) = (hours.parse::<u32>().ok()?, minutes.parse::<u32>().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_against_a_budget() {
        let check = |budget: &str, url: &str, expected| {
            let budget = PrefixBudget::parse(budget).unwrap();
            assert_eq!(
                budget.is_of(&url.parse().unwrap()),
                expected,
                "{budget:?} {url}"
            );
        };
        check("/tag/ 1_000", "http://a.example/tag/x", true);
        check("/tag/ 1", "http://a.example/x?/tag/", false);
        check("https://a.example/b 1", "https://a.example/book", true);
        check("https://a.example/b 1", "http://a.example/book", false);
        for wrong in ["", "/tag", "/tag x", "/tag -1", "tag 1"] {
            assert_eq!(PrefixBudget::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn quiet_hours() {
        let check = |hours: &str, second: i64, minutes: Option<u64>| {
            let left = QuietHours::parse(hours).unwrap().left(second);
            assert_eq!(
                left.map(|left| left.as_secs()),
                minutes.map(|m| m * 60),
                "{hours}"
            );
        };
        let noon = 86_400 * 20_000 + 43_200;
        check("08:00-18:00", noon, Some(360));
        check("08:00-18:00 +02:00", noon, Some(240));
        check("08:00-18:00 -05:00", noon, None);
        check("13:00-14:00", noon, None);
        check("22:00-06:00", noon, None);
        check("22:00-06:00", noon + 12 * 3600, Some(360));
        check("22:00-06:00", noon + 10 * 3600, Some(480));
        check("11:00-12:00", noon, None);
        check("12:00-12:01", noon, Some(1));
        for wrong in [
            "",
            "8-18",
            "08:00",
            "08:00-25:00",
            "08:00-18:00 02:00",
            "08:00-08:00",
        ] {
            assert_eq!(QuietHours::parse(wrong), None, "{wrong}");
        }
    }
}
