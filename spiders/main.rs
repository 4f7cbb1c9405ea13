//! Nephila.
fn main() {}
