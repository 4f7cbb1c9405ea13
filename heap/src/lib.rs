//! How Nephila's programs want the C library to manage their heap.
//!
//! glibc gives a large block pages of its own, which go back to the system with it. But each that is
//! freed raises the size from which a block is large, up to 32 MiB, and what is below stays with the
//! thread that freed it. A crawl that met a few large pages would keep their memory, once per thread:
//! 180 MB where 90 are in use. So the limits are fixed here. That takes an `unsafe` call, and so this
//! crate: everything else forbids it.

/// Blocks from here on go back to the system when they are freed. Those of usual pages are smaller.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE_BYTES: libc::c_int = 1024 * 1024;
/// What a thread may keep for its next blocks.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES: libc::c_int = 2 * 1024 * 1024;

/// A process that is no larger is left alone.
const SMALL_BYTES: u64 = 64 * 1024 * 1024;
/// Growth of the process from which on looking for free pages is worth its while.
const GROWTH_BYTES: u64 = 8 * 1024 * 1024;

/// Heaps that threads share: one per core, not eight, for each keeps what its largest page took.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn heaps() -> libc::c_int {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    libc::c_int::try_from(cores.max(2)).unwrap_or(2)
}

/// Lets large blocks go back to the system when they are freed, and threads share heaps. For a program's `main` to call, before
/// there are threads; where the C library is not glibc it does nothing.
pub fn return_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, value) in [
        (libc::M_MMAP_THRESHOLD, LARGE_BYTES),
        (libc::M_TRIM_THRESHOLD, KEPT_BYTES),
        (libc::M_ARENA_MAX, heaps()),
    ] {
        // SAFETY: sets numbers that malloc reads, under its own lock. One that it does not take
        // leaves everything as it was.
        #[expect(unsafe_code, reason = "the C library has no other way")]
        unsafe {
            libc::mallopt(parameter, value);
        }
    }
}

/// Gives the pages back that lie free between blocks in use.
///
/// glibc does that by itself only at the end of a thread's heap. The tree of one large page is a hundred
/// thousand small blocks, and what is made meanwhile and lives on keeps the pages of all of them.
#[derive(Debug, Default)]
pub struct FreePages {
    /// Bytes in memory after the last time.
    least: u64,
}

impl FreePages {
    /// Gives free pages back if the process is large, and has grown by 8 MB since that was done last. For a
    /// program to call some times a second; it takes a microsecond, or some milliseconds if there is
    /// something to do. Where there is no Linux, or the C library is not glibc, it does nothing.
    pub fn give_back(&mut self) {
        let Some(bytes) = resident() else { return };
        self.least = self.least.min(bytes);
        if bytes < SMALL_BYTES.max(self.least + GROWTH_BYTES) {
            return;
        }
        trim();
        self.least = resident().unwrap_or(bytes);
    }
}

/// Bytes of the process in memory, with pages of 4 KiB: larger ones only make them seem fewer.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    // SAFETY: looks through the heaps under malloc's own locks, and touches only what is free.
    #[expect(unsafe_code, reason = "the C library has no other way")]
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn pages_between_blocks_in_use_go_back() {
        let mut blocks: Vec<Option<Vec<u8>>> = (0..1_000_000).map(|_| Some(vec![1; 100])).collect();
        for (number, block) in blocks.iter_mut().enumerate() {
            if number % 1_000 != 0 {
                *block = None;
            }
        }
        let before = resident().unwrap();
        FreePages::default().give_back();
        let after = resident().unwrap();
        assert!(after + 80_000_000 < before, "{before} to {after}");
        let kept = blocks.iter().flatten().count();
        assert_eq!(kept, 1_000);
    }
}
