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

/// Lets large blocks go back to the system when they are freed. For a program's `main` to call, before
/// there are threads; where the C library is not glibc it does nothing.
pub fn return_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, value) in [
        (libc::M_MMAP_THRESHOLD, LARGE_BYTES),
        (libc::M_TRIM_THRESHOLD, KEPT_BYTES),
    ] {
        // SAFETY: sets two numbers that malloc reads, under its own lock. One that it does not take
        // leaves everything as it was.
        #[expect(unsafe_code, reason = "the C library has no other way")]
        unsafe {
            libc::mallopt(parameter, value);
        }
    }
}
