//! What one Rust module defines, imports and mentions, less what is there for its tests only.

use std::collections::BTreeMap;
use std::sync::Mutex;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, Meta, UseTree};

/// A name in a module's scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// Defined right here.
    Item,
    /// A module below.
    Module,
    /// Imported from this path.
    Import(Vec<String>),
}

/// One module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// One name may stand for a module and for a function.
    pub(crate) names: BTreeMap<String, Vec<Name>>,
    /// What `use …::*` names.
    pub(crate) globs: Vec<Vec<String>>,
    /// Every path in the code, imports too.
    pub(crate) paths: Vec<Vec<String>>,
    /// Modules below: the text of those that stand in the same file.
    pub(crate) modules: Vec<(String, Option<Self>)>,
    /// A macro is called where items stand, so there may be names that cannot be seen here.
    pub(crate) has_made_names: bool,
    /// It holds more than modules and imports.
    pub(crate) has_code: bool,
    /// `#[path = …]`, which hides where a module's file is.
    pub(crate) has_path_attribute: bool,
}

impl Facts {
    /// # Panics
    /// If `text` is no Rust.
    pub(crate) fn read(text: &str) -> Self {
        // Each planted fault is in one file of hundreds: the others are parsed once.
        static KNOWN: Mutex<BTreeMap<String, Facts>> = Mutex::new(BTreeMap::new());
        if let Some(facts) = KNOWN.lock().unwrap().get(text) {
            return facts.clone();
        }
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{error} in\n{text}"));
        let mut facts = Self::default();
        facts.take(&file.items);
        KNOWN.lock().unwrap().insert(text.to_owned(), facts.clone());
        facts
    }

    fn take(&mut self, items: &[Item]) {
        for item in items.iter().filter(|item| !is_for_tests(attributes(item))) {
            match item {
                Item::Mod(module) => {
                    let name = module.ident.to_string();
                    self.has_path_attribute |=
                        module.attrs.iter().any(|attribute| attribute.path().is_ident("path"));
                    self.name(name.clone(), Name::Module);
                    let inside = module.content.as_ref().map(|(_, items)| {
                        let mut facts = Self::default();
                        facts.take(items);
                        facts
                    });
                    self.has_code |= inside.is_some();
                    self.modules.push((name, inside));
                    continue;
                }
                Item::Use(_) => {}
                Item::Macro(called) if called.ident.is_none() => {
                    self.has_made_names = true;
                    self.has_code = true;
                }
                _ => {
                    self.has_code = true;
                    if let Some(name) = defined(item) {
                        self.name(name, Name::Item);
                    }
                }
            }
            self.visit_item(item);
        }
    }

    fn name(&mut self, name: String, is: Name) {
        self.names.entry(name).or_default().push(is);
    }

    fn import(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.import(&with(&path.ident), &path.tree),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(before, tree)),
            UseTree::Glob(_) => {
                self.paths.push(before.to_vec());
                self.globs.push(before.to_vec());
            }
            UseTree::Name(name) if name.ident == "self" => {
                self.imported(before.last().cloned().unwrap_or_default(), before.to_vec());
            }
            UseTree::Name(name) => self.imported(name.ident.to_string(), with(&name.ident)),
            UseTree::Rename(name) if name.ident == "self" => {
                self.imported(name.rename.to_string(), before.to_vec());
            }
            UseTree::Rename(name) => self.imported(name.rename.to_string(), with(&name.ident)),
        }
    }

    fn imported(&mut self, name: String, path: Vec<String>) {
        self.paths.push(path.clone());
        self.name(name, Name::Import(path));
    }

    /// The paths of at least two steps in the text of a macro or attribute.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.long_path(&mut path);
                    }
                    path.push(ident.to_string());
                }
                TokenTree::Group(group) => {
                    self.long_path(&mut path);
                    self.tokens(group.stream());
                }
                TokenTree::Literal(literal) => {
                    self.long_path(&mut path);
                    self.quoted(&literal.to_string());
                }
                TokenTree::Punct(_) => self.long_path(&mut path),
            }
            colons = 0;
        }
        self.long_path(&mut path);
    }

    fn long_path(&mut self, path: &mut Vec<String>) {
        if path.len() > 1 {
            self.paths.push(std::mem::take(path));
        }
        path.clear();
    }

    /// A path in quotes, as serde's attributes have them.
    fn quoted(&mut self, literal: &str) {
        let text = literal.trim_matches('"');
        if text.contains("::")
            && let Ok(path) = syn::parse_str::<syn::Path>(text)
        {
            self.visit_path(&path);
        }
    }
}

impl<'ast> Visit<'ast> for Facts {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes: &[Attribute] = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    // An import inside a function too: its name is taken for the module's.
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.import(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter().map(|segment| segment.ident.to_string());
        self.paths.push(names.collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        visit::visit_macro(self, called);
        self.tokens(called.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
        }
    }

    // `pub(super)` needs nothing of it.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}

/// Exactly `#[cfg(test)]`.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        matches!(&attribute.meta, Meta::List(list)
            if list.path.is_ident("cfg") && list.tokens.to_string() == "test")
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn defined(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}
