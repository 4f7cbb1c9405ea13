//! The same small page in every content encoding, also those that few clients can undo.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use hyper::header::{CONTENT_ENCODING, VARY};

use super::html::Html;
use super::reply::Reply;

/// The pages at `/encoding/{name}`, all with [`ENCODED_H1`].
///
/// `deflate` is what the standard says (zlib), `raw-deflate` what some servers send under that
/// name, `gzip-gzip` is packed twice (`gzip, gzip`), `gzip-members` is one gzip file of two members,
/// which must not be taken for the first.
pub const ENCODINGS: &[&str] = &[
    "identity",
    "gzip",
    "br",
    "zstd",
    "deflate",
    "raw-deflate",
    "gzip-gzip",
    "gzip-members",
];

/// The text of `h1` on every page of [`ENCODINGS`]; `p.end` on it says `The end`.
pub const ENCODED_H1: &str = "Packed & unpacked";

/// `/encoding/NAME`. The request's `Accept-Encoding` is not asked.
pub(super) fn reply(rest: &str) -> Reply {
    if rest.is_empty() {
        return index();
    }
    let page = page(rest);
    let (bytes, label) = match rest {
        "identity" => (Ok(page), "identity"),
        "gzip" => (gzip(&page), "gzip"),
        "br" => (Ok(stored_brotli(&page)), "br"),
        "zstd" => (zstd::bulk::compress(&page, 3), "zstd"),
        "deflate" => (zlib(&page), "deflate"),
        "raw-deflate" => (raw_deflate(&page), "deflate"),
        "gzip-gzip" => (gzip(&page).and_then(|once| gzip(&once)), "gzip, gzip"),
        "gzip-members" => (members(&page), "gzip"),
        // An encoding that nobody knows.
        "unknown" => (Ok(page), "rot13"),
        // The end is missing.
        "gzip-cut" => (gzip(&page).map(half), "gzip"),
        _ => return Reply::not_found(),
    };
    // Packing in memory does not fail; were it to, the tests would see an empty page.
    Reply::new("text/html; charset=utf-8", bytes.unwrap_or_default())
        .with(CONTENT_ENCODING, label)
        .with(VARY, "Accept-Encoding")
}

fn index() -> Reply {
    let mut html = Html::small("Encodings");
    html.push("<h1>Encodings</h1>\n<ul>\n");
    for name in ENCODINGS.iter().chain(&["unknown", "gzip-cut"]) {
        writeln!(html, "<li><a href=\"/encoding/{name}\">{name}</a></li>");
    }
    html.push("</ul>\n");
    Reply::html(html.end())
}

fn page(name: &str) -> Vec<u8> {
    let mut html = Html::small("Encoding");
    html.push("<h1>Packed &amp; unpacked</h1>\n");
    writeln!(html, "<p class=\"encoding\">{name}</p>");
    html.push(&"<p>over and over again, </p>\n".repeat(20));
    html.push("<p class=\"end\">The end</p>\n");
    html.end().into_bytes().into()
}

pub(super) fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn zlib(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn raw_deflate(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn members(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    let mut packed = gzip(head)?;
    packed.extend(gzip(tail)?);
    Ok(packed)
}

fn half(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() / 2);
    bytes
}

/// Brotli without compression (RFC 7932, section 9.2): a bit for a 64 kB window, an uncompressed
/// meta-block for each 64 kB, and an empty last one.
fn stored_brotli(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(bytes.len() + 8);
    for (number, block) in bytes.chunks(1 << 16).enumerate() {
        let last_byte = block.len() as u32 - 1;
        // ISLAST 0, MNIBBLES 0 (four of them), the length less one, ISUNCOMPRESSED 1.
        let mut bits = last_byte << 3 | 1 << 19;
        if number == 0 {
            bits <<= 1; // WBITS
        }
        packed.extend_from_slice(&bits.to_le_bytes()[..3]);
        packed.extend_from_slice(block);
    }
    if packed.is_empty() {
        // WBITS, ISLAST and ISLASTEMPTY.
        return vec![0b110];
    }
    packed.push(0b11);
    packed
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use brotli_decompressor::Decompressor;
    use flate2::read::{DeflateDecoder, GzDecoder, MultiGzDecoder, ZlibDecoder};

    use super::super::client::{get, site};
    use super::super::html::Text;
    use super::{ENCODED_H1, ENCODINGS, stored_brotli};

    fn all(mut reader: impl Read) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn unpack(name: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match name {
            "gzip" => all(GzDecoder::new(bytes)),
            "br" => all(Decompressor::new(bytes, 4096)),
            "zstd" => zstd::decode_all(bytes),
            "deflate" => all(ZlibDecoder::new(bytes)),
            "raw-deflate" => all(DeflateDecoder::new(bytes)),
            "gzip-gzip" => all(GzDecoder::new(&all(GzDecoder::new(bytes))?[..])),
            "gzip-members" => all(MultiGzDecoder::new(bytes)),
            _ => Ok(bytes.to_vec()),
        }
    }

    #[tokio::test]
    async fn every_encoding_can_be_undone() {
        let site = site().await;
        for name in ENCODINGS {
            let answer = get(&site, &format!("/encoding/{name}")).await;
            let label = match *name {
                "raw-deflate" => "deflate",
                "gzip-gzip" => "gzip, gzip",
                "gzip-members" => "gzip",
                name => name,
            };
            assert_eq!(answer.header("content-encoding"), Some(label));
            let text = String::from_utf8(unpack(name, &answer.body).expect(name)).expect(name);
            assert!(
                text.contains(&format!("<h1>{}</h1>", Text(ENCODED_H1))),
                "{name}: {text}"
            );
            assert!(
                text.contains("<p class=\"end\">The end</p>"),
                "{name}: {text}"
            );
        }
        let cut = get(&site, "/encoding/gzip-cut").await;
        unpack("gzip", &cut.body).expect_err("half a file");
        assert_eq!(get(&site, "/encoding/lzw").await.status, 404);
    }

    #[test]
    fn stored_brotli_is_brotli() {
        let check = |length: usize| {
            let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let packed = stored_brotli(&bytes);
            assert!(
                unpack("br", &packed).expect("valid brotli") == bytes,
                "{length}"
            );
        };
        for length in [0, 1, 100, 65_535, 65_536, 65_537, 200_000] {
            check(length);
        }
    }
}
