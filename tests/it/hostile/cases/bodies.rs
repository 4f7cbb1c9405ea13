//! Content encodings and their bombs.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::{Cases, document, http};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
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
    ::zstd::stream::encode_all(bytes, 1).unwrap()
}

/// Brotli without an encoder: stored pieces of up to 64 KiB, then an empty last one.
fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for (number, piece) in bytes.chunks(1 << 16).enumerate() {
        let length = piece.len() as u32 - 1;
        // Window 16 before the first (one bit 0); not last, 4 nibbles, length - 1, stored.
        if number == 0 {
            encoded.extend(&(length << 4 | 1 << 20).to_le_bytes()[..3]);
        } else {
            encoded.extend(&(length << 3 | 1 << 19).to_le_bytes()[..3]);
        }
        encoded.extend(piece);
    }
    encoded.push(0b11);
    encoded
}

/// A brotli bomb: a meta-block of 16 MiB that copies one byte over and over is beyond hand-writing, so
/// this one is stored many times, in gzip.
fn stored_bomb() -> Vec<u8> {
    gzip(&brotli(&vec![b' '; 20 << 20]))
}

pub(super) fn add(cases: &mut Cases) {
    let encoded =
        |encoding: &str, bytes: &[u8]| http(&format!("Content-Encoding: {encoding}\r\n"), bytes);
    sound(cases, &encoded);
    broken(cases, &encoded);
    let first = cases.len();
    bombs(cases, &encoded);
    cases.heavy(first);
}

type Encoded<'a> = &'a dyn Fn(&str, &[u8]) -> Vec<u8>;

fn sound(cases: &mut Cases, encoded: Encoded<'_>) {
    let page = |name: &str| document(name, &"<p>text".repeat(100)).into_bytes();
    for (name, encoding, encode) in [
        ("gzip", "gzip", gzip as fn(&[u8]) -> Vec<u8>),
        ("x-gzip", "X-GZip", gzip),
        ("deflate", "deflate", zlib),
        ("deflate-raw", "deflate", raw_deflate),
        ("zstd", "zstd", zstd),
        ("br", "br", brotli),
        ("gzip-twice", "gzip, gzip", |bytes| gzip(&gzip(bytes))),
        ("gzip-in-zstd-in-deflate", "gzip, zstd, deflate", |bytes| {
            zlib(&zstd(&gzip(bytes)))
        }),
        ("encoding-identity", "identity", <[u8]>::to_vec),
        ("encoding-empty", "", <[u8]>::to_vec),
    ] {
        cases.send(name, "page", encoded(encoding, &encode(&page(name))));
    }
    let two = |name: &str| {
        let page = page(name);
        [gzip(&page[..40]), gzip(&page[40..])].concat()
    };
    cases.send(
        "gzip-members",
        "page",
        encoded("gzip", &two("gzip-members")),
    );
    let padded = [gzip(&page("gzip-padded")), vec![0; 100]].concat();
    cases.send("gzip-padded", "page", encoded("gzip", &padded));
    let header = "Content-Encoding: gzip\r\nContent-Encoding: deflate\r\n";
    cases.send(
        "encodings-in-two-fields",
        "page",
        http(header, zlib(&gzip(&page("encodings-in-two-fields")))),
    );
    // Not a field value, so there is none.
    cases.send(
        "encoding-escape",
        "page",
        encoded("\x1b[31mred", &page("encoding-escape")),
    );
    cases.send("gzip-of-nothing", "untitled", encoded("gzip", &gzip(b"")));
    cases.send("gzip-empty", "untitled", encoded("gzip", b""));
}

fn broken(cases: &mut Cases, encoded: Encoded<'_>) {
    let text = "text that is long enough to be cut somewhere ".repeat(50);
    let text = text.as_bytes();
    let half = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
    for (name, encoding, bytes) in [
        ("gzip-cut", "gzip", half(gzip(text))),
        ("deflate-cut", "deflate", half(zlib(text))),
        ("deflate-raw-cut", "deflate", half(raw_deflate(text))),
        ("zstd-cut", "zstd", half(zstd(text))),
        ("br-cut", "br", half(brotli(text))),
        ("gzip-that-is-none", "gzip", text.to_vec()),
        (
            "deflate-that-is-none",
            "deflate",
            b"\xff\xff<html>".to_vec(),
        ),
        ("zstd-that-is-none", "zstd", text.to_vec()),
        (
            "br-that-is-none",
            "br",
            b"\xff<html>this is not compressed</html>".to_vec(),
        ),
        ("gzip-wrong-sum", "gzip", {
            let mut bytes = gzip(text);
            let at = bytes.len() - 8;
            bytes[at] ^= 1;
            bytes
        }),
        (
            "gzip-inside-is-cut",
            "gzip, deflate",
            zlib(&half(gzip(text))),
        ),
        ("encoding-unknown", "compress", text.to_vec()),
        ("encoding-aws", "aws-chunked", text.to_vec()),
        (
            "encodings-six",
            "gzip, gzip, gzip, gzip, gzip, gzip",
            gzip(text),
        ),
        ("encodings-many", &"gzip,".repeat(2_000), gzip(text)),
        (
            "zstd-window",
            "zstd",
            vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, (30 - 10) << 3, 1, 0, 0],
        ),
        ("gzip-members-endless", "gzip", gzip(b"").repeat(20_000)),
    ] {
        cases.send(name, "failed encoding", encoded(encoding, &bytes));
    }
}

fn bombs(cases: &mut Cases, encoded: Encoded<'_>) {
    let spaces = vec![b' '; 32 << 20];
    let gzipped = gzip(&spaces);
    for (name, encoding, bytes) in [
        ("bomb-gzip", "gzip", gzipped.clone()),
        (
            "bomb-gzip-members",
            "gzip",
            gzip(&spaces[..1 << 20]).repeat(200),
        ),
        ("bomb-deflate", "deflate", zlib(&spaces)),
        ("bomb-deflate-raw", "deflate", raw_deflate(&spaces)),
        ("bomb-zstd", "zstd", zstd(&spaces)),
        (
            "bomb-zstd-frames",
            "zstd",
            zstd(&spaces[..1 << 20]).repeat(200),
        ),
        ("bomb-gzip-twice", "gzip, gzip", gzip(&gzipped)),
        (
            "bomb-stacked",
            "gzip, deflate, zstd, gzip, deflate",
            zlib(&gzip(&zstd(&zlib(&gzipped)))),
        ),
        ("bomb-br-in-gzip", "br, gzip", stored_bomb()),
        (
            "bomb-that-vanishes",
            "deflate, gzip",
            gzip(&[zlib(b""), vec![0; 20 << 20]].concat()),
        ),
    ] {
        cases.send(name, "failed too_large", encoded(encoding, &bytes));
    }
}
