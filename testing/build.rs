//! Does nothing: cargo knows build dependencies of packages with a build script alone.

fn main() {}
