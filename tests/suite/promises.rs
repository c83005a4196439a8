//! Each sentence of the protocol's reference that promises without exception has a test that fails
//! when it is broken: `tests/promises.toml` says which.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::place::ROOT;

const LIST: &str = "tests/promises.toml";
const REFERENCE: &str = "protocol/README.md";
const WORDS: [&str; 7] = ["always", "never", "exactly", "at most", "each", "all", "untouched"];
/// Where tests are.
const FOLDERS: [&str; 4] = ["src", "tests/suite", "protocol/src", "protocol/tests"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    promise: Vec<Promise>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Promise {
    /// The sentence, without the asterisks of bold type.
    says: String,
    /// What fails when it is broken.
    #[serde(default)]
    tests: Vec<String>,
    /// Why it is none, if nothing does.
    why: Option<String>,
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(file)).unwrap()
}

/// Whether one of the words stands in it as a word of its own.
fn promises(sentence: &str) -> bool {
    let lower = sentence.to_lowercase();
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    WORDS.iter().any(|word| {
        lower.match_indices(word).any(|(start, _)| {
            let (before, after) = (&lower[..start], &lower[start + word.len()..]);
            !is_letter(before.chars().next_back()) && !is_letter(after.chars().next())
        })
    })
}

/// The sentences outside of code blocks. Cells of tables stand by themselves.
fn sentences(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
        }
        if in_code || line.starts_with("```") {
            continue;
        }
        let line = line.replace("**", "");
        let cells = if line.starts_with('|') { line.split('|').collect() } else { vec![&*line] };
        for cell in cells {
            let marked = ['.', '?', '!'].iter().fold(cell.to_owned(), |cell, end| {
                cell.replace(&format!("{end} "), &format!("{end}\n"))
            });
            let whole = marked.lines().map(|s| s.trim().trim_start_matches("- ").to_owned());
            found.extend(whole.filter(|sentence| promises(sentence)));
        }
    }
    found
}

/// The tests of a file, as `file::function`.
fn tests_of(path: &Path, found: &mut BTreeSet<String>) {
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| tests_of(&entry.unwrap().path(), found));
        return;
    }
    let stem = path.file_stem().unwrap();
    let named = if stem == "tests" { path.parent().unwrap().file_name().unwrap() } else { stem };
    let mut is_next = false;
    for line in fs::read_to_string(path).unwrap_or_default().lines().map(str::trim) {
        is_next |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let line = line.trim_start_matches("async ");
        if let Some(name) = line.strip_prefix("fn ")
            && std::mem::take(&mut is_next)
        {
            let name = name.split(['(', '<']).next().unwrap();
            found.insert(format!("{}::{name}", named.display()));
        }
    }
}

#[test]
fn each_promise_has_a_test_that_is_there() {
    let list: List = toml::from_str(&read(LIST)).unwrap();
    let root = Path::new(ROOT);
    let mut tests = BTreeSet::new();
    FOLDERS.iter().for_each(|folder| tests_of(&root.join(folder), &mut tests));
    let mut faults = String::new();
    let mut listed = BTreeMap::new();
    for promise in &list.promise {
        let says = promise.says.as_str();
        if listed.insert(says, ()).is_some() {
            writeln!(faults, "listed twice: {says}").unwrap();
        }
        if promise.tests.is_empty() == promise.why.is_none() {
            writeln!(faults, "either `tests` or `why`: {says}").unwrap();
        }
        for test in promise.tests.iter().filter(|test| !tests.contains(*test)) {
            writeln!(faults, "there is no test {test}, for: {says}").unwrap();
        }
    }
    let said = sentences(&read(REFERENCE));
    for says in said.iter().filter(|says| !listed.contains_key(says.as_str())) {
        let entry = format!("[[promise]]\nsays = '''{says}'''\ntests = [\"file::function\"]");
        writeln!(faults, "not in {LIST}, so add it, with a test that you saw fail:\n{entry}\n")
            .unwrap();
    }
    for says in listed.keys().filter(|says| !said.contains(**says)) {
        writeln!(faults, "no longer in {REFERENCE}: {says}").unwrap();
    }
    assert!(faults.is_empty(), "\n{faults}");
}

#[test]
fn a_new_promise_is_found_wherever_it_stands() {
    let text = "- **Two.** It never does. Overall it may.\n| a | At most 3 |\n```\nalways\n```\n";
    let found: Vec<_> = sentences(text).into_iter().collect();
    assert_eq!(found, ["At most 3", "It never does."]);
}
