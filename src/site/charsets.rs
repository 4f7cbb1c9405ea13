//! Fifteen ways to say, or not to say, what a page's bytes mean.

use encoding_rs::{Encoding, UTF_8};

use super::html::Html;
use super::reply::Reply;

/// A page at `/charset/{name}`, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Charset {
    /// The end of its path.
    pub name: &'static str,
    /// The text of its `h1` as a browser shows it (WHATWG: byte order mark, then header, then meta,
    /// then a guess).
    pub h1: &'static str,
    /// The encoding that a browser reads it with, by its WHATWG name.
    pub encoding: &'static str,
    header: Option<&'static str>,
    meta: Option<&'static str>,
    written: Written,
}

/// How the text became bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// In the encoding that a browser reads it with.
    Honestly,
    WithMark,
    /// In another one.
    As(&'static str, &'static str),
}

impl Charset {
    /// Where the page is.
    pub fn path(&self) -> String {
        format!("/charset/{}", self.name)
    }
}

const FRENCH: &str = "Élan vital – “à la carte”";
const JAPANESE: &str = "日本語のページへようこそ";
const CHINESE: &str = "欢迎光临中文书店";
const RUSSIAN: &str = "Добро пожаловать в книжный магазин";

const fn page(name: &'static str, h1: &'static str, encoding: &'static str) -> Charset {
    Charset {
        name,
        h1,
        encoding,
        header: None,
        meta: None,
        written: Written::Honestly,
    }
}

/// The pages, all linked from `/charset`.
pub const CHARSETS: &[Charset] = &[
    Charset {
        header: Some("utf-8"),
        ..page("utf-8", "Ĉio en ordo: £, €, 日本, ж", "UTF-8")
    },
    Charset {
        written: Written::WithMark,
        ..page("utf-8-bom", "Ĉio kun marko: ж", "UTF-8")
    },
    Charset {
        meta: Some("utf-8"),
        ..page("utf-8-meta", "Ĉio per meta: ж", "UTF-8")
    },
    Charset {
        header: Some("windows-1252"),
        ..page("windows-1252", FRENCH, "windows-1252")
    },
    // To a browser ISO-8859-1 is a name of windows-1252.
    Charset {
        meta: Some("iso-8859-1"),
        ..page("iso-8859-1", "Ça va, Zoë?", "windows-1252")
    },
    Charset {
        meta: Some("shift_jis"),
        ..page("shift_jis", JAPANESE, "Shift_JIS")
    },
    Charset {
        meta: Some("gbk"),
        ..page("gbk", CHINESE, "GBK")
    },
    Charset {
        header: Some("koi8-r"),
        ..page("koi8-r", RUSSIAN, "KOI8-R")
    },
    Charset {
        written: Written::WithMark,
        ..page("utf-16le", "Zwei Bytes: ж, 日本", "UTF-16LE")
    },
    // Nothing says it; the paragraphs are long enough to guess from.
    page("undeclared", RUSSIAN, "windows-1251"),
    Charset {
        header: Some("iso-8859-1"),
        written: Written::WithMark,
        ..page("mark-beats-header", "La marko venkas: ж", "UTF-8")
    },
    Charset {
        header: Some("windows-1251"),
        meta: Some("utf-8"),
        ..page("header-beats-meta", RUSSIAN, "windows-1251")
    },
    // A meta element that can be read is not UTF-16, so the standard takes it for UTF-8.
    Charset {
        meta: Some("utf-16"),
        ..page("meta-utf-16", "Neniel UTF-16: ж", "UTF-8")
    },
    Charset {
        header: Some("klingon"),
        meta: Some("windows-1252"),
        ..page("unknown-header", FRENCH, "windows-1252")
    },
    // The header lies, and nothing in the page helps.
    Charset {
        header: Some("utf-8"),
        written: Written::As("windows-1252", "Zoë à Orléans"),
        ..page("mislabelled", "Zo\u{fffd} \u{fffd} Orl\u{fffd}ans", "UTF-8")
    },
];

/// `/charset/NAME`.
pub(super) fn reply(rest: &str) -> Reply {
    let Some(charset) = CHARSETS.iter().find(|charset| charset.name == rest) else {
        return if rest.is_empty() {
            index()
        } else {
            Reply::not_found()
        };
    };
    let reply = Reply::new("text/html", bytes(charset));
    match charset.header {
        Some(label) => reply.with_type(&format!("text/html; charset={label}")),
        None => reply,
    }
}

fn index() -> Reply {
    let mut html = Html::small("Charsets");
    html.push("<h1>Charsets</h1>\n<ul>\n");
    for charset in CHARSETS {
        writeln!(
            html,
            "<li><a href=\"{}\">{}</a></li>",
            charset.path(),
            charset.name
        );
    }
    html.push("</ul>\n");
    Reply::html(html.end())
}

fn bytes(charset: &Charset) -> Vec<u8> {
    let (encoding, h1) = match charset.written {
        Written::As(encoding, h1) => (encoding, h1),
        Written::Honestly | Written::WithMark => (charset.encoding, charset.h1),
    };
    let mut text = String::new();
    if charset.written == Written::WithMark {
        text.push('\u{feff}');
    }
    text.push_str(&document(charset, h1));
    if encoding == "UTF-16LE" {
        return text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    }
    let encoding = Encoding::for_label(encoding.as_bytes()).unwrap_or(UTF_8);
    encoding.encode(&text).0.into_owned()
}

fn document(charset: &Charset, h1: &str) -> String {
    let mut html = Html::default();
    html.push("<!DOCTYPE html>\n<html>\n<head>\n");
    if let Some(label) = charset.meta {
        writeln!(html, "<meta charset=\"{label}\">");
    }
    writeln!(
        html,
        "<title>{}</title>\n</head>\n<body>\n<h1>{h1}</h1>",
        charset.name
    );
    if charset.encoding == "windows-1251" {
        html.push(
            "<p>Здесь можно найти старые книги, карты и письма. Мы открыты каждый день, кроме \
             понедельника, и всегда рады гостям. Если нужной книги нет, мы постараемся её \
             найти.</p>\n<p>Спросите продавца, он знает почти всё.</p>\n",
        );
    }
    html.end().into_string()
}

#[cfg(test)]
mod tests {
    use encoding_rs::Encoding;

    use super::super::client::{get, site};
    use super::{CHARSETS, bytes};

    #[tokio::test]
    async fn every_page_is_served_with_its_label() {
        let site = site().await;
        assert_eq!(get(&site, "/charset").await.links().len(), CHARSETS.len());
        for charset in CHARSETS {
            let answer = get(&site, &charset.path()).await;
            let expected = match charset.header {
                Some(label) => format!("text/html; charset={label}"),
                None => "text/html".to_owned(),
            };
            assert_eq!(
                answer.header("content-type"),
                Some(expected.as_str()),
                "{}",
                charset.name
            );
            assert_eq!(answer.body, bytes(charset), "{}", charset.name);
        }
        assert_eq!(get(&site, "/charset/none").await.status, 404);
    }

    /// The browser's encoding gives the promised heading.
    #[test]
    fn every_page_is_readable_as_promised() {
        for charset in CHARSETS {
            let encoding = Encoding::for_label(charset.encoding.as_bytes()).expect("known");
            assert_eq!(encoding.name(), charset.encoding);
            let bytes = bytes(charset);
            let (text, _) = encoding.decode_with_bom_removal(&bytes);
            let heading = format!("<h1>{}</h1>", charset.h1);
            assert!(text.contains(&heading), "{}: {text}", charset.name);
        }
    }

    #[test]
    fn an_undeclared_page_can_be_guessed() {
        let charset = CHARSETS
            .iter()
            .find(|charset| charset.name == "undeclared")
            .expect("there");
        let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Deny);
        detector.feed(&bytes(charset), true);
        let guess = detector.guess(None, chardetng::Utf8Detection::Allow);
        assert_eq!(guess.name(), charset.encoding);
    }
}
