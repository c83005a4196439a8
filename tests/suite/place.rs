//! Where the sources are, and the binary.

use std::path::PathBuf;

/// The root of the repository.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The broker that was built with these tests.
pub(crate) fn binary() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let built = here.parent().and_then(|deps| deps.parent()).unwrap();
    let binary = built.join("herenow");
    assert!(binary.exists(), "{} is not there: cargo build makes it", binary.display());
    binary
}
