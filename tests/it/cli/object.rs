//! `-o s3://BUCKET/NAME`, against a store of a few lines.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::{Folder, Ran};

const SECRET: &str = "secret-that-nobody-sees";

/// What a store has: objects, and uploads that are not complete.
#[derive(Default)]
struct Store {
    objects: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    completed: usize,
    aborted: usize,
    unsigned: usize,
    /// The part that is refused.
    refused: Option<u32>,
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    is_signed: bool,
    body: Vec<u8>,
}

fn serve(store: &Arc<Mutex<Store>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let store = Arc::clone(store);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let store = Arc::clone(&store);
            std::thread::spawn(move || while answer(&stream, &store).is_some() {});
        }
    });
    address
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut from = BufReader::new(stream);
    let mut line = String::new();
    from.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut is_signed) = (0, false);
    loop {
        let mut header = String::new();
        from.read_line(&mut header).ok()?;
        let header = header.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.parse().ok()?;
        }
        is_signed |= header.starts_with("authorization: aws4-hmac-sha256 credential=me/")
            && header.contains("signature=");
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pairs = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    Some(Request {
        method,
        path: path.to_owned(),
        query: pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        is_signed,
        body,
    })
}

fn answer(mut stream: &TcpStream, store: &Mutex<Store>) -> Option<()> {
    let request = read(stream)?;
    let (status, body) = store.lock().unwrap().reply(request);
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nETag: \"e\"\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .ok()
}

impl Store {
    fn reply(&mut self, request: Request) -> (u16, String) {
        let Request {
            method,
            path,
            query,
            is_signed,
            body,
        } = request;
        self.unsigned += usize::from(!is_signed);
        let upload = query.get("uploadId").cloned();
        match (method.as_str(), upload) {
            ("POST", None) => {
                let id = format!("u{}", self.uploads.len() + self.completed + self.aborted);
                self.uploads.insert(id.clone(), BTreeMap::new());
                let text = format!(
                    "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>{id}</UploadId>\
                     </InitiateMultipartUploadResult>"
                );
                (200, text)
            }
            ("PUT", Some(id)) => {
                let part = query["partNumber"].parse().unwrap();
                if self.refused == Some(part) {
                    return (403, "<Error><Code>AccessDenied</Code></Error>".to_owned());
                }
                self.uploads.get_mut(&id).unwrap().insert(part, body);
                (200, String::new())
            }
            ("POST", Some(id)) => {
                let parts = self.uploads.remove(&id).unwrap();
                self.objects
                    .insert(path, parts.into_values().flatten().collect());
                self.completed += 1;
                let text =
                    "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>";
                (200, text.to_owned())
            }
            ("DELETE", Some(id)) => {
                self.uploads.remove(&id);
                self.aborted += 1;
                (204, String::new())
            }
            ("PUT", None) => {
                self.objects.insert(path, body);
                (200, String::new())
            }
            _ => (404, String::new()),
        }
    }
}

/// A folder with a database.
fn with_crawl() -> Folder {
    let folder = Folder::new();
    folder.run("crawl http://127.0.0.1:9/ --limit 1 -s retries=0");
    folder
}

/// Writes `rows` rows of about 2 KB each.
fn export(store: &Arc<Mutex<Store>>, rows: usize, args: &[&str]) -> Ran {
    let folder = with_crawl();
    let sql = format!(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < {rows}) \
         select i, hex(zeroblob(1000)) as text from n"
    );
    let mut command = folder.nephila(&[&["export", &sql], args].concat());
    command
        .env("AWS_ACCESS_KEY_ID", "me")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_ENDPOINT_URL", format!("http://{}", serve(store)))
        .env("NEPHILA_LOG", "trace");
    let ran = Ran::from(&command.output().unwrap());
    assert!(!ran.stderr.contains(SECRET), "{}", ran.stderr);
    ran
}

#[test]
fn a_small_object_is_written_at_once() {
    let store = Arc::new(Mutex::new(Store::default()));
    let ran = export(&store, 3, &["-o", "s3://shop/a/big.csv"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("3 rows in s3://shop/a/big.csv"),
        "{}",
        ran.stderr
    );
    let store = store.lock().unwrap();
    let text = String::from_utf8(store.objects["/shop/a/big.csv"].clone()).unwrap();
    assert!(
        text.starts_with("i,text\n1,0000") && text.lines().count() == 4,
        "{text:.100}"
    );
    assert_eq!((store.unsigned, store.uploads.len()), (0, 0));
}

#[test]
fn a_large_object_is_written_in_parts() {
    let store = Arc::new(Mutex::new(Store::default()));
    let ran = export(&store, 9_000, &["-o", "s3://shop/big.jsonl"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let store = store.lock().unwrap();
    let lines = store.objects["/shop/big.jsonl"].split(|byte| *byte == b'\n');
    let numbers = lines.filter(|line| !line.is_empty()).map(|line| {
        let row: serde_json::Value = serde_json::from_slice(line).unwrap();
        row["i"].as_u64().unwrap()
    });
    assert!(numbers.eq(1..=9_000));
    assert_eq!(
        (store.completed, store.unsigned, store.uploads.len()),
        (1, 0, 0)
    );
}

#[test]
fn parts_of_what_fails_are_given_up() {
    let refused = Store {
        refused: Some(2),
        ..Store::default()
    };
    let store = Arc::new(Mutex::new(refused));
    let ran = export(&store, 9_000, &["-o", "s3://shop/big.jsonl"]);
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("AccessDenied"), "{}", ran.stderr);
    let store = store.lock().unwrap();
    assert!(store.objects.is_empty() && store.uploads.is_empty());
    // One that was begun to see whether it can be, one that failed.
    assert_eq!(store.aborted, 2);
}

#[test]
fn files_of_a_split_appear_together() {
    let store = Arc::new(Mutex::new(Store::default()));
    let args = ["-o", "s3://shop/big.csv", "--split", "9MB"];
    let ran = export(&store, 9_000, &args);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let store = store.lock().unwrap();
    let names: Vec<_> = store.objects.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "/shop/big-0001.csv",
            "/shop/big-0002.csv",
            "/shop/big-0003.csv"
        ]
    );
    let has_header = |object: &Vec<u8>| object.starts_with(b"i,text\n");
    assert!(store.objects.values().all(has_header));
}

#[test]
fn without_keys() {
    let ran = with_crawl().run("export big -o s3://shop/big.csv");
    assert!(
        ran.stderr.contains("AWS_ACCESS_KEY_ID is not set"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.code, 2);
}
