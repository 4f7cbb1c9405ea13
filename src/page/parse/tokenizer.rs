//! From text to tokens, by the [tokenization](https://html.spec.whatwg.org/#tokenization) of the HTML
//! standard.
//!
//! html5ever's own tokenizer takes its input piece by piece and a character at a time, and that was
//! more than half of what a page cost. Here the whole text is at hand, so that a state of the
//! standard's machine becomes a position, and most of the text is passed by `memchr`. Every part is
//! linear in the text, whatever stands in it. What comes out is what html5ever would say, which tests
//! hold against it; runs of text come in one token.

use std::borrow::Cow;

use html5ever::buffer_queue::BufferQueue;
use html5ever::data::{C1_REPLACEMENTS, NAMED_ENTITIES};
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    Doctype, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer as Html5ever, TokenizerOpts,
};
use html5ever::{Attribute, LocalName, QualName, ns};
use memchr::{memchr, memchr2, memchr3, memmem};

use super::gate::Gate;

/// What a token has of a text at most, about.
const PIECE_BYTES: usize = 64 * 1024;

/// Feeds the tokens of `text` to `gate`, until the end or until that shuts.
pub(super) fn tokenize(text: &str, gate: &Gate<'_>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = with_plain_newlines(text);
    let mut tokenizer = Tokenizer {
        text: &text,
        at: 0,
        pending: 0,
        decoded: String::new(),
        gate,
    };
    tokenizer.run();
    let _ = tokenizer.emit(Token::EOFToken);
    gate.end();
}

struct Tokenizer<'a> {
    text: &'a str,
    /// What was read.
    at: usize,
    /// Text from here to `at` is yet to be emitted, after `decoded`.
    pending: usize,
    decoded: String,
    gate: &'a Gate<'a>,
}

impl<'a> Tokenizer<'a> {
    fn run(&mut self) {
        while self.at < self.text.len() && !self.gate.is_shut() {
            let Some(found) = memchr3(b'<', b'&', 0, self.rest().as_bytes()) else {
                self.at = self.text.len();
                break;
            };
            self.at += found;
            match self.byte(0) {
                Some(b'<') => self.less_than(),
                Some(b'&') => self.reference(),
                _ => self.null(),
            }
        }
        self.flush();
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The byte so many after the position.
    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    /// The text up to the next byte that is an end, which becomes the position.
    fn take_until(&mut self, is_end: impl FnMut(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.bytes().position(is_end).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// The text up to `end`, which is passed too; all of it if there is no end.
    fn take_through(&mut self, end: &str) -> &'a str {
        let rest = self.rest();
        let found = memmem::find(rest.as_bytes(), end.as_bytes());
        let length = found.unwrap_or(rest.len());
        self.at += found.map_or(length, |found| found + end.len());
        &rest[..length]
    }

    fn emit(&self, token: Token) -> TokenSinkResult<super::sink::Handle> {
        self.gate.process_token(token, 1)
    }

    /// Emits the text before the position.
    fn flush(&mut self) {
        let text = &self.text[self.pending..self.at];
        self.pending = self.at;
        let text = if self.decoded.is_empty() {
            text
        } else {
            self.decoded.push_str(text);
            &self.decoded
        };
        self.emit_text(text);
        self.decoded.clear();
    }

    /// Emits text in pieces, so that a large one is not held twice more on its way into the tree.
    fn emit_text(&self, mut text: &str) {
        while !text.is_empty() {
            let (piece, rest) = text.split_at(text.floor_char_boundary(PIECE_BYTES));
            let _ = self.emit(Token::CharacterTokens(StrTendril::from_slice(piece)));
            text = rest;
        }
    }

    /// Passes `length` bytes of markup, before which all text is emitted.
    fn open(&mut self, length: usize) {
        self.flush();
        self.at += length;
    }

    /// Text begins at the position.
    fn close(&mut self) {
        self.pending = self.at;
    }

    /// At a `<`: markup, or a character like any other.
    fn less_than(&mut self) {
        match (self.byte(1), self.byte(2)) {
            (Some(first), _) if first.is_ascii_alphabetic() => {
                self.open(1);
                self.tag(TagKind::StartTag);
            }
            (Some(b'/'), Some(first)) if first.is_ascii_alphabetic() => {
                self.open(2);
                self.tag(TagKind::EndTag);
            }
            (Some(b'/'), Some(b'>')) => self.open(3),
            (Some(b'/'), Some(_)) => {
                self.open(2);
                self.bogus_comment();
            }
            (Some(b'!'), _) => {
                self.open(2);
                self.declaration();
            }
            (Some(b'?'), _) => {
                self.open(1);
                self.bogus_comment();
            }
            _ => {
                self.at += 1;
                return;
            }
        }
        self.close();
    }

    /// At a `&` in text.
    fn reference(&mut self) {
        match Reference::read(&self.text[self.at + 1..], false) {
            None => self.at += 1,
            Some(reference) => {
                self.decoded.push_str(&self.text[self.pending..self.at]);
                self.decoded.extend(reference.chars());
                self.at += 1 + reference.length;
                self.pending = self.at;
                if self.decoded.len() >= PIECE_BYTES {
                    self.flush();
                }
            }
        }
    }

    /// What U+0000 becomes depends on where it stands in the tree.
    fn null(&mut self) {
        self.open(1);
        let _ = self.emit(Token::NullCharacterToken);
        self.close();
    }

    /// After `<!`.
    fn declaration(&mut self) {
        let rest = self.rest();
        let starts_with = |start: &str| {
            let head = rest.as_bytes().get(..start.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
        };
        if rest.starts_with("--") {
            self.at += 2;
            self.comment();
        } else if starts_with("doctype") {
            self.doctype();
        } else if rest.starts_with("[CDATA[")
            && self
                .gate
                .adjusted_current_node_present_but_not_in_html_namespace()
        {
            self.at += "[CDATA[".len();
            self.cdata();
        } else {
            self.bogus_comment();
        }
    }

    /// After `<!--`.
    fn comment(&mut self) {
        let rest = self.rest();
        if let Some(end) = [">", "->"].iter().find(|end| rest.starts_with(**end)) {
            self.at += end.len();
            self.emit_comment("");
            return;
        }
        let mut from = 0;
        while let Some(found) = memmem::find(&rest.as_bytes()[from..], b"--") {
            let end = from + found;
            for closing in ["-->", "--!>"] {
                if rest[end..].starts_with(closing) {
                    self.at += end + closing.len();
                    self.emit_comment(&rest[..end]);
                    return;
                }
            }
            from = end + 1;
        }
        self.at = self.text.len();
        let unfinished = ["--!", "--", "-"];
        let text = unfinished.iter().find_map(|end| rest.strip_suffix(end));
        self.emit_comment(text.unwrap_or(rest));
    }

    fn bogus_comment(&mut self) {
        let text = self.take_through(">");
        self.emit_comment(text);
    }

    fn emit_comment(&self, text: &str) {
        let text = with_visible_nulls(text);
        let _ = self.emit(Token::CommentToken(StrTendril::from_slice(&text)));
    }

    /// After `<!`: once a page, and with states of its own that are best left to html5ever.
    fn doctype(&mut self) {
        let text = self.take_through(">");
        let input = BufferQueue::default();
        input.push_back(StrTendril::from_slice("<!"));
        input.push_back(StrTendril::from_slice(text));
        if self.text[..self.at].ends_with('>') {
            input.push_back(StrTendril::from_slice(">"));
        }
        let tokenizer = Html5ever::new(Catch::default(), TokenizerOpts::default());
        let _ = tokenizer.feed(&input);
        tokenizer.end();
        if let Some(doctype) = tokenizer.sink.0.take() {
            let _ = self.emit(Token::DoctypeToken(doctype));
        }
    }

    /// After `<![CDATA[` in SVG or MathML.
    fn cdata(&mut self) {
        for (position, text) in self.take_through("]]>").split('\0').enumerate() {
            if position > 0 {
                let _ = self.emit(Token::NullCharacterToken);
            }
            self.emit_text(text);
        }
    }

    /// At a tag's name.
    fn tag(&mut self, kind: TagKind) {
        let name = local_name(self.take_until(|byte| ends_name(byte) && byte != b'='));
        let mut tag = Tag {
            kind,
            name,
            self_closing: false,
            attrs: Vec::new(),
            had_duplicate_attributes: false,
        };
        loop {
            match self.byte(0) {
                // A tag without an end is none.
                None => return,
                Some(b'>') => break,
                Some(b'/') => {
                    self.at += 1;
                    tag.self_closing = self.byte(0) == Some(b'>');
                }
                Some(byte) if is_space(byte) => self.at += 1,
                Some(_) => self.attribute(&mut tag),
            }
        }
        self.at += 1;
        let raw = (kind == TagKind::StartTag).then(|| tag.name.clone());
        match (self.emit(Token::TagToken(tag)), raw) {
            (TokenSinkResult::RawData(kind), Some(name)) => self.raw(kind, &name),
            (TokenSinkResult::Plaintext, _) => {
                let rest = self.rest();
                self.at = self.text.len();
                self.emit_raw(rest);
            }
            _ => {}
        }
    }

    /// At an attribute's name, whose first character may be any.
    fn attribute(&mut self, tag: &mut Tag) {
        let mut is_first = true;
        let name = self.take_until(|byte| !std::mem::take(&mut is_first) && ends_name(byte));
        self.take_until(|byte| !is_space(byte));
        let value = if self.byte(0) == Some(b'=') {
            self.at += 1;
            self.value()
        } else {
            ""
        };
        // The tree never looks at those of an end tag.
        if tag.kind == TagKind::EndTag {
            return;
        }
        if tag.attrs.len() >= self.gate.max_attributes() {
            self.gate.drop_attributes();
            return;
        }
        let name = local_name(name);
        if tag.attrs.iter().any(|known| known.name.local == name) {
            tag.had_duplicate_attributes = true;
            return;
        }
        tag.attrs.push(Attribute {
            name: QualName::new(None, ns!(), name),
            value: attribute_value(value),
        });
    }

    /// After an attribute's `=`: its value, as written.
    fn value(&mut self) -> &'a str {
        self.take_until(|byte| !is_space(byte));
        match self.byte(0) {
            Some(quote @ (b'"' | b'\'')) => {
                self.at += 1;
                let rest = self.rest();
                let end = memchr(quote, rest.as_bytes()).unwrap_or(rest.len());
                self.at = (self.at + end + 1).min(self.text.len());
                &rest[..end]
            }
            _ => self.take_until(|byte| is_space(byte) || byte == b'>'),
        }
    }

    /// The content of an element that has no elements, up to its end tag.
    fn raw(&mut self, kind: RawKind, name: &str) {
        let rest = self.rest();
        let end = match kind {
            RawKind::ScriptData => script_end(rest, name),
            _ => end_tag(rest, 0, name),
        };
        self.at += end.unwrap_or(rest.len());
        let text = &rest[..end.unwrap_or(rest.len())];
        match kind {
            RawKind::Rcdata => self.emit_raw(&with_references(text, false)),
            _ => self.emit_raw(text),
        }
        if end.is_some() && !self.gate.is_shut() {
            self.at += 2;
            self.tag(TagKind::EndTag);
        }
    }

    fn emit_raw(&self, mut text: &str) {
        while !text.is_empty() {
            let (piece, rest) = text.split_at(text.floor_char_boundary(PIECE_BYTES));
            self.emit_text(&with_visible_nulls(piece));
            text = rest;
        }
    }
}

/// Keeps a doctype.
#[derive(Default)]
struct Catch(std::cell::RefCell<Option<Doctype>>);

impl TokenSink for Catch {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        if let Token::DoctypeToken(doctype) = token {
            self.0.replace(Some(doctype));
        }
        TokenSinkResult::Continue
    }
}

/// A character reference, like `&amp;`.
struct Reference {
    first: char,
    second: Option<char>,
    /// Without the `&`.
    length: usize,
}

impl Reference {
    /// Reads what follows a `&`; nothing if that is just a `&`.
    fn read(text: &str, in_attribute: bool) -> Option<Self> {
        match text.as_bytes().first()? {
            b'#' => Self::numeric(text),
            first if first.is_ascii_alphanumeric() => Self::named(text, in_attribute),
            _ => None,
        }
    }

    /// The longest name that there is, which need not end with a `;`.
    fn named(text: &str, in_attribute: bool) -> Option<Self> {
        let mut found = None;
        for (start, character) in text.char_indices() {
            let length = start + character.len_utf8();
            match NAMED_ENTITIES.get(&text[..length]) {
                None => break,
                // The beginning of a name.
                Some((0, _)) => {}
                Some(&characters) => found = Some((length, characters)),
            }
        }
        let (length, (first, second)) = found?;
        let next = text.as_bytes().get(length);
        // `?a=1&copy=2` is an old way to write a link.
        let is_query = in_attribute
            && !text[..length].ends_with(';')
            && next.is_some_and(|next| *next == b'=' || next.is_ascii_alphanumeric());
        (!is_query).then_some(Self {
            first: char::from_u32(first)?,
            second: char::from_u32(second).filter(|second| *second != '\0'),
            length,
        })
    }

    /// `#38;` or `#x26;`.
    fn numeric(text: &str) -> Option<Self> {
        let (radix, start) = match text.as_bytes().get(1) {
            Some(b'x' | b'X') => (16, 2),
            _ => (10, 1),
        };
        let digits = text.get(start..)?;
        let count = digits
            .bytes()
            .take_while(|digit| char::from(*digit).is_digit(radix))
            .count();
        if count == 0 {
            return None;
        }
        // Too large for a u32 is too large for a character.
        let code = u32::from_str_radix(&digits[..count], radix).unwrap_or(u32::MAX);
        let first = match code {
            0 => char::REPLACEMENT_CHARACTER,
            0x80..=0x9f => {
                let known = C1_REPLACEMENTS.get(code as usize - 0x80).copied().flatten();
                known
                    .or(char::from_u32(code))
                    .unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
        };
        let has_end = digits.as_bytes().get(count) == Some(&b';');
        Some(Self {
            first,
            second: None,
            length: start + count + usize::from(has_end),
        })
    }

    fn chars(&self) -> impl Iterator<Item = char> {
        std::iter::once(self.first).chain(self.second)
    }
}

fn attribute_value(text: &str) -> StrTendril {
    if memchr2(b'&', 0, text.as_bytes()).is_none() {
        return StrTendril::from_slice(text);
    }
    let text = with_visible_nulls(text);
    StrTendril::from_slice(&with_references(&text, true))
}

fn with_references(text: &str, in_attribute: bool) -> Cow<'_, str> {
    let mut rest = text;
    let mut decoded = String::new();
    let mut from = 0;
    while let Some(found) = memchr(b'&', &rest.as_bytes()[from..]) {
        let at = from + found;
        match Reference::read(&rest[at + 1..], in_attribute) {
            None => from = at + 1,
            Some(reference) => {
                decoded.push_str(&rest[..at]);
                decoded.extend(reference.chars());
                rest = &rest[at + 1 + reference.length..];
                from = 0;
            }
        }
    }
    if decoded.is_empty() {
        return Cow::Borrowed(rest);
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

/// U+0000 as browsers show it.
fn with_visible_nulls(text: &str) -> Cow<'_, str> {
    if memchr(0, text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('\0', "\u{fffd}"))
}

fn with_plain_newlines(text: &str) -> Cow<'_, str> {
    if memchr(b'\r', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for (number, line) in text.split('\r').enumerate() {
        if number > 0 {
            plain.push('\n');
        }
        let is_second = number > 0 && line.starts_with('\n');
        plain.push_str(line.get(usize::from(is_second)..).unwrap_or_default());
    }
    Cow::Owned(plain)
}

fn local_name(name: &str) -> LocalName {
    if name
        .bytes()
        .any(|byte| byte.is_ascii_uppercase() || byte == 0)
    {
        let name = name.to_ascii_lowercase();
        return LocalName::from(&*with_visible_nulls(&name));
    }
    LocalName::from(name)
}

/// Where the next end tag of `name` begins.
fn end_tag(text: &str, from: usize, name: &str) -> Option<usize> {
    let starts = memmem::find_iter(&text.as_bytes()[from..], b"</");
    let mut starts = starts.map(|found| from + found);
    starts.find(|start| is_word(text, start + 2, name))
}

/// Whether `name` stands at `at`, as a whole word.
fn is_word(text: &str, at: usize, name: &str) -> bool {
    let text = text.as_bytes().get(at..).unwrap_or_default();
    let word = text.get(..name.len()).unwrap_or_default();
    let next = text.get(name.len());
    word.eq_ignore_ascii_case(name.as_bytes())
        && next.is_some_and(|next| ends_name(*next) && *next != b'=')
}

/// Where a script's end tag begins: not within `<!-- <script> -->`, as old pages have it.
fn script_end(text: &str, name: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let starts_with = |at: usize, start: &[u8]| bytes[at..].starts_with(start);
    // Within a comment; within a script within a comment.
    let (mut is_escaped, mut is_double) = (false, false);
    let mut at = 0;
    loop {
        at += if is_escaped {
            memchr2(b'<', b'-', &bytes[at..])?
        } else {
            memchr(b'<', &bytes[at..])?
        };
        if is_escaped && starts_with(at, b"-->") {
            (is_escaped, is_double) = (false, false);
            at += 2;
        } else if is_double && starts_with(at, b"</") {
            is_double = !is_word(text, at + 2, "script");
        } else if starts_with(at, b"</") {
            if is_word(text, at + 2, name) {
                return Some(at);
            }
        } else if is_escaped && starts_with(at, b"<") {
            is_double = is_double || is_word(text, at + 1, "script");
        } else if starts_with(at, b"<!--") {
            is_escaped = true;
            // Its dashes may be those of a `-->`, too.
            at += 1;
        }
        at += 1;
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0c)
}

fn ends_name(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b'/' | b'>' | b'=')
}
