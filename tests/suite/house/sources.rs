//! The texts that the house test reads.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::place::ROOT;

/// Path from the top of the repository → text.
pub(crate) type Sources = BTreeMap<String, String>;

/// Folders, and what the names of the files end with that are read there.
const READ: [(&str, &str); 6] = [
    ("src", ".rs"),
    ("protocol/src", ".rs"),
    ("bench/src", ".rs"),
    ("bench/benches", ".rs"),
    ("web-demo", ".js"),
    ("clients/javascript/src", ".js"),
];

/// Every source of ours.
pub(crate) fn ours() -> Sources {
    let top = Path::new(ROOT);
    let mut sources = Sources::new();
    for (folder, ending) in READ {
        let before = sources.len();
        walk(top, folder, ending, &mut sources);
        assert!(sources.len() > before, "{folder} has no sources");
    }
    let plan = "ARCHITECTURE.md";
    sources.insert(plan.into(), fs::read_to_string(top.join(plan)).unwrap());
    sources
}

fn walk(top: &Path, folder: &str, ending: &str, sources: &mut Sources) {
    for entry in fs::read_dir(top.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            walk(top, &path, ending, sources);
        } else if path.ends_with(ending) {
            sources.insert(path, fs::read_to_string(entry.path()).unwrap());
        }
    }
}
