//! The model of the hand-over (`tests/handover`) copies functions of the real code. When one of
//! these changes, this fails: somebody has to look whether the model still does the same.
//! `tests/handover/copied.txt` says which function stands for which.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use quote::ToTokens;
use sha2::{Digest, Sha256};
use syn::{Attribute, Block, ImplItem, Item, Signature, Type};

use crate::place::ROOT;

const TABLE: &str = "tests/handover/copied.txt";
const RENEW: &str = "HERENOW_RENEW_COPIES";
/// The files of the model that copy code. The others are its world: sockets, clients, scenarios.
const COPIES: [&str; 3] = ["hub.rs", "outlet.rs", "task.rs"];

/// The text of each function of a file, by its name: `function` or `Type::function`.
type Functions = BTreeMap<String, String>;

fn root() -> PathBuf {
    PathBuf::from(ROOT)
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .any(|it| it.path().is_ident("cfg") && it.to_token_stream().to_string().contains("test"))
}

/// What the compiler sees of a function: neither comments nor white space, and no attributes.
fn add(functions: &mut Functions, name: String, signature: &Signature, block: &Block) {
    let text = format!("{} {}\n", signature.to_token_stream(), block.to_token_stream());
    functions.entry(name).or_default().push_str(&text);
}

fn functions(source: &str) -> syn::Result<Functions> {
    let mut functions = Functions::new();
    for item in syn::parse_file(source)?.items {
        match item {
            Item::Fn(item) if !is_test(&item.attrs) => {
                add(&mut functions, item.sig.ident.to_string(), &item.sig, &item.block);
            }
            Item::Impl(item) if !is_test(&item.attrs) => {
                let Type::Path(path) = &*item.self_ty else { continue };
                let Some(owner) = path.path.segments.last() else { continue };
                for member in &item.items {
                    if let ImplItem::Fn(member) = member {
                        let name = format!("{}::{}", owner.ident, member.sig.ident);
                        add(&mut functions, name, &member.sig, &member.block);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(functions)
}

fn fingerprint(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest[..6].iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// Files read and parsed, each once.
#[derive(Default)]
struct Sources(BTreeMap<PathBuf, Functions>);

impl Sources {
    /// The functions of a file; none if there is no such file any more.
    fn of(&mut self, path: &Path) -> &Functions {
        self.0.entry(path.to_owned()).or_insert_with(|| {
            match fs::read_to_string(root().join(path)) {
                Ok(source) => {
                    functions(&source).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
                }
                Err(_) => Functions::new(),
            }
        })
    }
}

/// A line of the table that names a function of the model.
struct Copy<'a> {
    model: &'a str,
    copy: &'a str,
    /// File, function and fingerprint of the real one.
    real: Option<(&'a str, &'a str, Option<&'a str>)>,
}

impl<'a> Copy<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<_> = line.split_whitespace().collect();
        let (model, copy, real) = match words[..] {
            [] => return None,
            [model, copy, "-"] => (model, copy, None),
            [model, copy, file, name] => (model, copy, Some((file, name, None))),
            [model, copy, file, name, known] => (model, copy, Some((file, name, Some(known)))),
            _ => panic!("{TABLE}: {line}"),
        };
        Some(Self { model, copy, real })
    }

    /// What is wrong with it.
    fn fault(&self, sources: &mut Sources) -> Option<String> {
        let Self { model, copy, real } = self;
        let path = format!("tests/handover/{model}");
        if !sources.of(Path::new(&path)).contains_key(*copy) {
            return Some(format!("{path} has no {copy} any more: {TABLE} names it"));
        }
        let (file, name, known) = (*real)?;
        let Some(text) = sources.of(Path::new(file)).get(name) else {
            return Some(format!(
                "{file} has no {name} any more, of which {copy} in {path} is the copy: see what \
                 became of it, and name that in {TABLE}"
            ));
        };
        (known != Some(&fingerprint(text))).then(|| {
            format!("{name} in {file} has changed: does {copy} in {path} still do the same?")
        })
    }

    /// The line with the fingerprint of today.
    fn renewed(&self, sources: &mut Sources) -> String {
        let Self { model, copy, real } = self;
        let rest = match real {
            None => "-".to_owned(),
            Some((file, name, known)) => {
                let text = sources.of(Path::new(file)).get(*name);
                let known = text.map(|text| fingerprint(text)).or(known.map(str::to_owned));
                format!("{file:<30} {name:<26} {}", known.unwrap_or_default())
            }
        };
        format!("{model:<11} {copy:<29} {rest}").trim_end().to_owned()
    }
}

#[test]
fn the_model_of_the_hand_over_follows_the_code() {
    let table = fs::read_to_string(root().join(TABLE)).unwrap();
    let mut sources = Sources::default();
    if std::env::var_os(RENEW).is_some() {
        let renewed = table.lines().map(|line| match Copy::parse(line) {
            Some(copy) => copy.renewed(&mut sources),
            None => line.to_owned(),
        });
        let renewed: Vec<_> = renewed.collect();
        fs::write(root().join(TABLE), renewed.join("\n") + "\n").unwrap();
    }
    let table = fs::read_to_string(root().join(TABLE)).unwrap();
    let copies: Vec<_> = table.lines().filter_map(Copy::parse).collect();
    let mut faults: Vec<_> = copies.iter().filter_map(|copy| copy.fault(&mut sources)).collect();
    for model in COPIES {
        let listed: BTreeSet<_> =
            copies.iter().filter(|copy| copy.model == model).map(|copy| copy.copy).collect();
        let path = format!("tests/handover/{model}");
        let unlisted =
            sources.of(Path::new(&path)).keys().filter(|name| !listed.contains(name.as_str()));
        faults.extend(
            unlisted.map(|name| format!("{TABLE} does not say what {name} in {path} copies")),
        );
    }
    assert!(
        faults.is_empty(),
        "the hand-over's model and the code have drifted apart:\n  {}\nOnce the model is right: \
         {RENEW}=1 cargo test -p herenow --test suite drift",
        faults.join("\n  ")
    );
}

#[test]
fn only_what_the_compiler_sees_counts() {
    let before = "impl<T> Task<T> { /// Says.\n fn say(&self) -> u8 { 1 + 2 } }\nfn free() {}";
    let same = "impl<T>  Task<T> {\n // Of another.\n #[must_use]\n fn say(\n&self) -> u8 {\n1 + \
                /* and */ 2 }\n}";
    let other = before.replace("1 + 2", "1 - 2");
    let say = |source: &str| fingerprint(&functions(source).unwrap()["Task::say"]);
    assert_eq!(say(before), say(same));
    assert_ne!(say(before), say(&other));
    assert_eq!(functions(before).unwrap().into_keys().collect::<Vec<_>>(), ["Task::say", "free"]);
}
