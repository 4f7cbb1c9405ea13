use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use futures_util::FutureExt;
use http::HeaderValue;

use super::super::budget::Budget;
use super::*;

const LIMIT: usize = 1 << 20;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::stream::encode_all(bytes, 3).unwrap()
}

/// Brotli without an encoder: one uncompressed meta-block of up to 64 KiB, then an empty last one.
fn brotli(bytes: &[u8]) -> Vec<u8> {
    // Window 16 (one bit 0), not last, 4 nibbles of length, length - 1, uncompressed.
    let length = u32::try_from(bytes.len()).unwrap() - 1;
    assert!(length < 1 << 16);
    let header = length << 4 | 1 << 20;
    let mut encoded = header.to_le_bytes()[..3].to_vec();
    encoded.extend(bytes);
    encoded.push(0b11);
    encoded
}

fn text() -> Vec<u8> {
    (0..20_000_u32)
        .flat_map(|n| n.to_string().into_bytes())
        .take(20_000)
        .collect()
}

/// Decodes in pieces of `piece` bytes.
/// A body alone waits for nobody.
fn at_once<T>(push: impl Future<Output = T>) -> T {
    push.now_or_never().unwrap()
}

fn decode(encoding: &str, wire: &[u8], piece: usize) -> Result<Bytes, String> {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_ENCODING,
        HeaderValue::from_str(encoding).unwrap(),
    );
    let said = |error: FetchError| format!("{:?}: {error}", error.kind);
    let budget = Budget::new(0);
    let mut decoder = Decoder::new(&headers, LIMIT, budget.share()).map_err(said)?;
    for piece in wire.chunks(piece) {
        at_once(decoder.push(piece)).map_err(said)?;
    }
    decoder.finish().map_err(said)
}

fn check(encoding: &str, wire: &[u8], expected: Result<&[u8], &str>) {
    // Long ones byte by byte would only take long.
    let pieces = [4096, usize::MAX, 7, 1];
    let tried = if wire.len() < 50_000 { 4 } else { 2 };
    for &piece in pieces.iter().take(tried) {
        let decoded = decode(encoding, wire, piece);
        let decoded = decoded.as_deref().map_err(String::as_str);
        assert!(
            decoded == expected,
            "{encoding} in pieces of {piece}: {:?}",
            decoded.map(<[u8]>::len)
        );
    }
}

#[test]
fn every_encoding() {
    let text = text();
    check("", &text, Ok(&text));
    check("identity", &text, Ok(&text));
    check("gzip", &gzip(&text), Ok(&text));
    check(" X-GZIP ", &gzip(&text), Ok(&text));
    check("deflate", &zlib(&text), Ok(&text));
    check("deflate", &raw_deflate(&text), Ok(&text));
    check("br", &brotli(&text), Ok(&text));
    check("zstd", &zstd(&text), Ok(&text));
}

#[test]
fn nothing_under_an_encoding_is_nothing() {
    for encoding in ["gzip", "deflate", "br", "zstd", "gzip, br"] {
        check(encoding, b"", Ok(b""));
    }
}

#[test]
fn stacked() {
    let text = text();
    check("gzip, gzip", &gzip(&gzip(&text)), Ok(&text));
    check("deflate,identity, , gzip", &gzip(&zlib(&text)), Ok(&text));
    let wire = gzip(&zstd(&raw_deflate(&gzip(&brotli(&text)))));
    check("br, gzip, deflate, zstd, gzip", &wire, Ok(&text));
    let six = ["gzip"; 6].join(",");
    check(
        &six,
        b"",
        Err("Encoding: 6 content encodings, one in another"),
    );
}

#[test]
fn several_headers_are_one_list() {
    let mut headers = HeaderMap::new();
    headers.append(
        header::CONTENT_ENCODING,
        HeaderValue::from_static("deflate"),
    );
    headers.append(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    let budget = Budget::new(0);
    let mut decoder = Decoder::new(&headers, LIMIT, budget.share()).unwrap();
    at_once(decoder.push(&gzip(&zlib(b"both")))).unwrap();
    assert_eq!(&*decoder.finish().unwrap(), b"both");
}

#[test]
fn several_members_and_frames() {
    check(
        "gzip",
        &[gzip(b"a"), gzip(b""), gzip(b"b")].concat(),
        Ok(b"ab"),
    );
    check("zstd", &[zstd(b"a"), zstd(b"b")].concat(), Ok(b"ab"));
}

#[test]
fn gzip_header_with_everything() {
    let mut wire = flate2::GzBuilder::new()
        .extra(vec![b'x'; 300])
        .filename("a name")
        .comment("a comment")
        .write(Vec::new(), Compression::fast());
    wire.write_all(b"text").unwrap();
    check("gzip", &wire.finish().unwrap(), Ok(b"text"));
    // The header's own checksum is skipped; the bytes below are it.
    let mut wire = gzip(b"text");
    wire[3] = 1 << 1;
    wire.splice(10..10, *b"..");
    check("gzip", &wire, Ok(b"text"));
}

#[test]
fn padding_behind_the_end_is_dropped() {
    for padding in [
        b"\0\0\0\0".as_slice(),
        b"\n",
        b"\x1f",
        b"<!-- served in 3 ms -->",
    ] {
        check("gzip", &[&gzip(b"text"), padding].concat(), Ok(b"text"));
        check("deflate", &[&zlib(b"text"), padding].concat(), Ok(b"text"));
        check("br", &[&brotli(b"text"), padding].concat(), Ok(b"text"));
    }
}

#[test]
fn truncated() {
    let text = text();
    let table = [
        ("gzip", gzip(&text)),
        ("deflate", zlib(&text)),
        ("deflate", raw_deflate(&text)),
        ("br", brotli(&text)),
        ("zstd", zstd(&text)),
    ];
    for (encoding, wire) in table {
        let error = format!("Encoding: truncated {encoding} body");
        for cut in [1, 2, 5, wire.len() / 2, wire.len() - 1] {
            check(encoding, &wire[..cut], Err(&error));
        }
    }
    let inner = gzip(&text);
    let wire = zlib(&inner[..inner.len() - 1]);
    check("gzip, deflate", &wire, Err("Encoding: truncated gzip body"));
}

#[test]
fn broken() {
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let error = format!("Encoding: broken {encoding} body");
        check(
            encoding,
            b"\xff<html>this is not compressed</html>",
            Err(&error),
        );
    }
    for at in [2, 3, 20] {
        let mut wire = gzip(&text());
        wire[at] ^= 0xff;
        check("gzip", &wire, Err("Encoding: broken gzip body"));
    }
    let mut wire = gzip(b"text");
    let checksum = wire.len() - 8;
    wire[checksum] ^= 1;
    check("gzip", &wire, Err("Encoding: broken gzip body"));
}

#[test]
fn unknown_encodings() {
    check(
        "compress",
        b"x",
        Err("Encoding: unknown content encoding `compress`"),
    );
    check(
        "gzip, utf-8",
        b"x",
        Err("Encoding: unknown content encoding `utf-8`"),
    );
}

#[test]
fn the_limit_is_exact() {
    let (fits, over) = (vec![b'x'; LIMIT], vec![b'x'; LIMIT + 1]);
    let error = Err("TooLarge: body over 1 MiB");
    check("", &fits, Ok(&fits));
    check("", &over, error);
    check("gzip", &gzip(&fits), Ok(&fits));
    check("gzip", &gzip(&over), error);
    check("zstd", &zstd(&over), error);
    check("deflate", &zlib(&over), error);
}

#[test]
fn a_bomb_ends_at_the_limit() {
    let zeros = vec![0; 8 << 20];
    let wire = gzip(&gzip(&zeros));
    let mut headers = HeaderMap::new();
    let stacked = HeaderValue::from_static("gzip, gzip");
    headers.insert(header::CONTENT_ENCODING, stacked);
    let budget = Budget::new(0);
    let mut decoder = Decoder::new(&headers, LIMIT, budget.share()).unwrap();
    let error = at_once(decoder.push(&wire)).unwrap_err();
    assert_eq!(error.kind, FailureKind::TooLarge);
    let Sink::Memory { bytes, .. } = &decoder.body.sink else {
        panic!("a body in memory");
    };
    assert!(bytes.capacity() <= 2 * LIMIT);
}

#[test]
fn what_a_layer_writes_counts_even_if_nothing_is_left_of_it() {
    // Padding behind an empty body: tiny on the wire, large within, nothing in the end.
    let padded = [zlib(b""), vec![0; LIMIT]].concat();
    let wire = gzip(&padded);
    check("deflate, gzip", &wire, Err("TooLarge: body over 1 MiB"));
}

#[test]
fn members_without_end() {
    let few = gzip(b"").repeat(10_000);
    check("gzip", &few, Ok(b""));
    let many = gzip(b"").repeat(10_001);
    check("gzip", &many, Err("Encoding: broken gzip body"));
}

#[test]
fn windows_over_the_limit_are_refused() {
    // A frame header that asks for a window of 16 MiB, then a block.
    let wire = [0x28, 0xb5, 0x2f, 0xfd, 0x00, (24 - 10) << 3, 1, 0, 0];
    check("zstd", &wire, Err("Encoding: broken zstd body"));
    // The large-window escape of brotli.
    check("br", &[0x11, 30, 0x03], Err("Encoding: broken br body"));
}
