//! Objects in an S3-compatible store: there whole, or not at all.
//!
//! A large object goes in parts as it is written, and the store makes an object of them only when it is told that
//! all are there; parts of one that is given up are removed. A thread of its own does that, so that who writes
//! needs no runtime. Keys come from the environment and stay in the signatures.

use std::env;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, RetryConfig};
use tokio::runtime::{Builder, Runtime};

use super::Whole;

/// Bytes of a part; a store takes at least 5 MiB, but for the last.
const PART: usize = 8 * 1024 * 1024;
/// Parts of a size, since a store takes 10,000: the next ones are larger.
const OF_A_SIZE: usize = 1_000;

/// An object in the making; dropped before [`publish`](Whole::publish), nothing is left of it.
#[derive(Debug)]
pub struct Upload {
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<io::Result<()>>>,
    part: Vec<u8>,
    parts: usize,
}

#[derive(Debug)]
enum Order {
    Part(Bytes),
    /// The last part, and the end.
    Publish(Bytes),
}

/// Where an object is to be.
struct Target {
    store: AmazonS3,
    path: Path,
    runtime: Runtime,
}

impl Upload {
    /// Begins the object `s3://BUCKET/KEY`; one of this name stays until it is replaced.
    ///
    /// # Errors
    /// If the URL is none of these, or the environment has no keys.
    pub fn create(url: &str) -> io::Result<Self> {
        let target = Target::new(url)?;
        // The one before the last is sent while the next is gathered.
        let (orders, taken) = sync_channel(1);
        let thread = std::thread::Builder::new().name("upload".to_owned());
        let thread = thread.spawn(move || target.upload(&taken))?;
        Ok(Self {
            orders: Some(orders),
            thread: Some(thread),
            part: Vec::new(),
            parts: 0,
        })
    }

    /// Whether the object could be written: begins it, and gives it up.
    ///
    /// # Errors
    /// What the store says.
    pub fn check(url: &str) -> io::Result<()> {
        let target = Target::new(url)?;
        let thread = std::thread::Builder::new().name("upload".to_owned());
        let thread = thread.spawn(move || {
            let Target {
                store,
                path,
                runtime,
            } = target;
            runtime.block_on(async { store.put_multipart(&path).await?.abort().await })
        })?;
        let checked = thread.join().map_err(|_| gone())?;
        checked.map_err(said)
    }

    fn order(&mut self, order: Order) -> io::Result<()> {
        let sent = self.orders.as_ref().map(|orders| orders.send(order));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => self.end().and(Err(gone())),
        }
    }

    /// Waits for the end: what became of it.
    fn end(&mut self) -> io::Result<()> {
        self.orders = None;
        match self.thread.take() {
            Some(thread) => thread.join().unwrap_or_else(|_| Err(gone())),
            None => Err(gone()),
        }
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.extend_from_slice(bytes);
        if self.part.len() >= PART * (1 + self.parts / OF_A_SIZE) {
            let part = std::mem::take(&mut self.part);
            self.parts += 1;
            self.order(Order::Part(part.into()))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Whole for Upload {
    fn seal(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn publish(&mut self) -> io::Result<()> {
        let last = std::mem::take(&mut self.part);
        self.order(Order::Publish(last.into()))?;
        self.end()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.thread.is_some() {
            let _ = self.end();
        }
    }
}

impl Target {
    fn new(url: &str) -> io::Result<Self> {
        let rest = url.strip_prefix("s3://").unwrap_or_default();
        let (bucket, key) = rest.split_once('/').unwrap_or_default();
        if bucket.is_empty() || key.is_empty() {
            return Err(invalid(format!("{url} is no s3://BUCKET/NAME")));
        }
        // Without keys the store's client would look for those of a machine in a cloud, which takes a while.
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            if env::var(name).unwrap_or_default().is_empty() {
                return Err(invalid(format!(
                    "the environment variable {name} is not set"
                )));
            }
        }
        let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
        let endpoint = endpoint.iter().find_map(|name| env::var(name).ok());
        let retry = RetryConfig {
            max_retries: 5,
            retry_timeout: Duration::from_mins(2),
            ..RetryConfig::default()
        };
        let store = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_allow_http(endpoint.is_some_and(|url| url.starts_with("http://")))
            .with_retry(retry)
            .build()
            .map_err(said)?;
        Ok(Self {
            store,
            path: Path::parse(key).map_err(|error| invalid(error.to_string()))?,
            runtime: Builder::new_current_thread().enable_all().build()?,
        })
    }

    /// Does what is ordered, until the object is there or nobody wants it any more.
    fn upload(self, orders: &Receiver<Order>) -> io::Result<()> {
        let mut begun = None;
        let done = self.follow(orders, &mut begun);
        if let Some(mut upload) = begun {
            // A store that can't be reached keeps the parts; its own rules remove them some day.
            let _ = self.runtime.block_on(upload.abort());
        }
        done.map_err(said)
    }

    /// Leaves in `begun` what is to be given up.
    fn follow(
        &self,
        orders: &Receiver<Order>,
        begun: &mut Option<Box<dyn MultipartUpload>>,
    ) -> object_store::Result<()> {
        let Self {
            store,
            path,
            runtime,
        } = self;
        loop {
            match orders.recv() {
                Ok(Order::Part(part)) => {
                    if begun.is_none() {
                        *begun = Some(runtime.block_on(store.put_multipart(path))?);
                    }
                    if let Some(upload) = begun {
                        runtime.block_on(upload.put_part(part.into()))?;
                    }
                }
                Ok(Order::Publish(last)) => {
                    let Some(upload) = begun else {
                        return runtime.block_on(store.put(path, last.into())).map(drop);
                    };
                    if !last.is_empty() {
                        runtime.block_on(upload.put_part(last.into()))?;
                    }
                    runtime.block_on(upload.complete())?;
                    *begun = None;
                    return Ok(());
                }
                Err(_) => return Ok(()),
            }
        }
    }
}

fn said(error: object_store::Error) -> io::Error {
    io::Error::other(error)
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

fn gone() -> io::Error {
    io::Error::other("the upload has ended")
}
