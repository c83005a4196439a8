//! All modules of our crates, and in which file what a path names is defined: through facades'
//! `pub use`, renamed, grouped and by `*`.

use std::collections::BTreeMap;

use super::graph::Arrow;
use super::sources::Sources;
use super::syntax::{Facts, Name};

/// The file that a crate begins with, and the name by which others know it.
const CRATES: [(&str, Option<&str>); 5] = [
    ("protocol/src/lib.rs", Some("herenow_protocol")),
    ("src/lib.rs", Some("herenow")),
    ("src/main.rs", None),
    ("bench/src/main.rs", None),
    ("bench/benches/micro/main.rs", None),
];

/// More steps than any path of ours takes through facades.
const MOST_STEPS: usize = 16;

/// What was read off the Rust sources.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Which file needs which. A file needs those of the modules that it declares.
    pub(crate) arrows: Vec<Arrow>,
    /// File, and a path that leads out of our crates, spelled in full.
    pub(crate) outside: Vec<(String, String)>,
    /// Files that hold more than modules and imports.
    pub(crate) has_code: Vec<String>,
    /// What cannot be followed.
    pub(crate) faults: Vec<String>,
}

struct Module {
    file: String,
    root: usize,
    parent: usize,
    below: BTreeMap<String, usize>,
    facts: Facts,
}

enum Found {
    /// An item of this file.
    Item(String),
    /// A module.
    Module(usize),
    /// Somebody else's, or a local name.
    Outside(Vec<String>),
    /// Nothing of this name is where the path leads.
    Missing,
}

struct Tree<'a> {
    sources: &'a Sources,
    modules: Vec<Module>,
    crates: BTreeMap<&'static str, usize>,
    reading: Reading,
}

/// Reads all crates.
pub(crate) fn read(sources: &Sources) -> Reading {
    let mut tree =
        Tree { sources, modules: Vec::new(), crates: BTreeMap::new(), reading: Reading::default() };
    for (path, name) in CRATES {
        let Some(text) = sources.get(path) else {
            tree.reading.faults.push(format!("{path} is not there"));
            continue;
        };
        let root = tree.modules.len();
        tree.plant(path.into(), root, root, Facts::read(text));
        tree.crates.extend(name.map(|name| (name, root)));
    }
    let arrows: Vec<_> = (0..tree.modules.len()).flat_map(|at| tree.follow(at)).collect();
    tree.reading.arrows.extend(arrows);
    tree.reading.arrows.sort();
    tree.reading.arrows.dedup_by(|again, first| again.from == first.from && again.to == first.to);
    tree.reading
}

impl Tree<'_> {
    /// Takes in a module and all modules below it.
    fn plant(&mut self, file: String, root: usize, parent: usize, mut facts: Facts) -> usize {
        let at = self.modules.len();
        let below = std::mem::take(&mut facts.modules);
        if facts.has_path_attribute {
            self.reading.faults.push(format!("{file} hides a module's file behind #[path]"));
        }
        if facts.has_code {
            self.reading.has_code.push(file.clone());
        }
        self.modules.push(Module { file, root, parent, below: BTreeMap::new(), facts });
        for (name, inside) in below {
            let planted = match inside {
                Some(facts) => {
                    let file = self.modules[at].file.clone();
                    Some(self.plant(file, root, at, facts))
                }
                None => self.plant_file(at, &name),
            };
            if let Some(planted) = planted {
                self.modules[at].below.insert(name, planted);
            }
        }
        at
    }

    fn plant_file(&mut self, parent: usize, name: &str) -> Option<usize> {
        let Module { file: declaring, root, .. } = &self.modules[parent];
        let (declaring, root) = (declaring.clone(), *root);
        let (folder, file) = declaring.rsplit_once('/')?;
        let folder = match file.strip_suffix(".rs") {
            Some("mod" | "lib" | "main") | None => folder.to_owned(),
            Some(stem) => format!("{folder}/{stem}"),
        };
        let paths = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")];
        let Some(path) = paths.into_iter().find(|path| self.sources.contains_key(path)) else {
            self.reading.faults.push(format!("{declaring} declares {name}, which has no file"));
            return None;
        };
        let arrow = Arrow { from: declaring, to: path.clone(), what: format!("mod {name}") };
        self.reading.arrows.push(arrow);
        let facts = Facts::read(&self.sources[&path]);
        Some(self.plant(path, root, parent, facts))
    }

    /// The arrows from a module, and its paths that lead outside.
    fn follow(&mut self, at: usize) -> Vec<Arrow> {
        let mut arrows = Vec::new();
        let from = self.modules[at].file.clone();
        for path in std::mem::take(&mut self.modules[at].facts.paths) {
            let what = path.join("::");
            let to = match self.find(at, &path, None, MOST_STEPS) {
                Found::Item(file) => file,
                Found::Module(module) => self.modules[module].file.clone(),
                Found::Outside(path) => {
                    self.reading.outside.push((from.clone(), path.join("::")));
                    continue;
                }
                Found::Missing => {
                    let fault = format!("{from}: nobody can tell where {what} is defined");
                    self.reading.faults.push(fault);
                    continue;
                }
            };
            if to != from {
                arrows.push(Arrow { from: from.clone(), to, what });
            }
        }
        arrows
    }

    /// Where `path` leads from a module. An import does not lead to itself: that is `but`.
    fn find(&self, at: usize, path: &[String], but: Option<&str>, steps: usize) -> Found {
        let module = &self.modules[at];
        let Some((first, rest)) = path.split_first() else { return Found::Module(at) };
        if steps == 0 {
            return Found::Missing;
        }
        match first.as_str() {
            "crate" => return self.descend(module.root, rest, steps - 1),
            "self" => return self.descend(at, rest, steps - 1),
            "super" if rest.first().is_some_and(|next| next == "super") => {
                return self.find(module.parent, rest, None, steps - 1);
            }
            "super" => return self.descend(module.parent, rest, steps - 1),
            _ => {}
        }
        match self.look_up(at, path, but, steps - 1) {
            Found::Missing => {}
            found => return found,
        }
        match self.crates.get(first.as_str()) {
            Some(&root) => self.descend(root, rest, steps - 1),
            None => Found::Outside(path.to_vec()),
        }
    }

    /// Where `path` leads inside a module, which must have it.
    fn descend(&self, at: usize, path: &[String], steps: usize) -> Found {
        match self.look_up(at, path, None, steps) {
            Found::Missing if self.modules[at].facts.has_made_names => {
                Found::Item(self.modules[at].file.clone())
            }
            found => found,
        }
    }

    fn look_up(&self, at: usize, path: &[String], but: Option<&str>, steps: usize) -> Found {
        let module = &self.modules[at];
        let Some((first, rest)) = path.split_first() else { return Found::Module(at) };
        if steps == 0 {
            return Found::Missing;
        }
        let names = module.facts.names.get(first).map_or(&[][..], |names| &names[..]);
        if let Some(&below) = module.below.get(first)
            && (!rest.is_empty() || names == [Name::Module])
        {
            return self.descend(below, rest, steps - 1);
        }
        for name in names {
            match name {
                Name::Item => return Found::Item(module.file.clone()),
                Name::Import(from) if but != Some(first) => {
                    return self.find(at, &[from, rest].concat(), Some(first), steps - 1);
                }
                Name::Import(_) | Name::Module => {}
            }
        }
        for glob in &module.facts.globs {
            if let Found::Module(all) = self.find(at, glob, None, steps - 1)
                && all != at
                && let found @ (Found::Item(_) | Found::Module(_)) =
                    self.look_up(all, path, None, steps - 1)
            {
                return found;
            }
        }
        Found::Missing
    }
}
