//! Where the sources are, and the binary.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// A file, gone with this.
pub(crate) struct TextFile(PathBuf);

impl TextFile {
    /// With this text, and with `name` in its own.
    pub(crate) fn new(name: &str, text: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = format!("herenow-{}-{number}-{name}", std::process::id());
        let path = std::env::temp_dir().join(file);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TextFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
