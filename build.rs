//! A new file in `spiders/` is a new spider: rebuild when the folder changes.

fn main() {
    println!("cargo::rerun-if-changed=spiders");
}
