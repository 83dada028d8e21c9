//! Which module uses which, read from the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::{self, Visit};

/// Names of a path, from the root of the crate: `["monitoring", "alert", "Alert"]`.
type Names = Vec<String>;

/// The modules of a crate, and what each of them names.
#[derive(Default)]
pub(crate) struct Crate {
    modules: BTreeSet<Names>,
    /// What a `use` makes known under another path: `pub use alert::Alert` in `monitoring`.
    aliases: BTreeMap<(Names, String), Names>,
    /// Paths within the crate, by the module that names them.
    own: Vec<(Names, Names)>,
    /// Paths into other crates, by the module that names them.
    pub(crate) foreign: Vec<(String, String)>,
}

impl Crate {
    /// Reads a crate from its `src`. Tests are left out: they may use what they like.
    pub(crate) fn read(source: &Path) -> Self {
        let mut found = Self::default();
        found.folder(source, &[]);
        found
    }

    fn folder(&mut self, folder: &Path, module: &[String]) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if stem == "tests" {
                continue;
            }
            let inner = [module, std::slice::from_ref(&stem)].concat();
            if path.is_dir() {
                self.folder(&path, &inner);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let is_root = module.is_empty() && (stem == "lib" || stem == "main");
                let name = if is_root { vec![] } else { inner };
                self.source(name, &std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    /// Reads one module.
    pub(crate) fn source(&mut self, module: Names, text: &str) {
        let file = syn::parse_file(text).unwrap();
        self.modules.insert(module.clone());
        Reader { module, found: self }.visit_file(&file);
    }

    /// Pairs of modules with the same parent of which the first uses the second, with the module that does it.
    pub(crate) fn arrows(&self) -> BTreeSet<(Names, String, String)> {
        let arrows = self.own.iter().filter_map(|(from, to)| {
            let to = self.target(to);
            let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            let (here, there) = (from.get(common)?, to.get(common)?);
            self.modules.contains(&to[..=common]).then(|| (from[..common].to_vec(), here.clone(), there.clone()))
        });
        arrows.collect()
    }

    /// Follows what `use` has made known, a bounded number of times.
    fn target(&self, path: &[String]) -> Names {
        let mut path = path.to_vec();
        for _ in 0..8 {
            let alias = (0..path.len()).find_map(|at| {
                let known = self.aliases.get(&(path[..at].to_vec(), path[at].clone()))?;
                let is_module = self.modules.contains(&path[..=at]);
                (!is_module).then(|| [known.as_slice(), &path[at + 1..]].concat())
            });
            match alias {
                Some(next) if next != path => path = next,
                _ => break,
            }
        }
        path
    }
}

struct Reader<'a> {
    module: Names,
    found: &'a mut Crate,
}

impl Reader<'_> {
    fn note(&mut self, names: &[String]) -> Option<Names> {
        let (first, rest) = names.split_first()?;
        let up = names.iter().take_while(|name| *name == "super").count();
        let absolute = match first.as_str() {
            "crate" => rest.to_vec(),
            "self" => [self.module.as_slice(), rest].concat(),
            "super" => [&self.module[..self.module.len().saturating_sub(up)], &names[up..]].concat(),
            // A path that begins with a child of this module.
            _ => {
                self.found.foreign.push((self.module.join("::"), names.join("::")));
                let child = [self.module.as_slice(), names].concat();
                self.found.own.push((self.module.clone(), child.clone()));
                return Some(child);
            }
        };
        self.found.own.push((self.module.clone(), absolute.clone()));
        Some(absolute)
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, before)),
            syn::UseTree::Glob(_) => drop(self.note(before)),
            syn::UseTree::Name(name) if name.ident == "self" => self.leaf(before, before.last().cloned()),
            syn::UseTree::Name(name) => self.leaf(&with(&name.ident), Some(name.ident.to_string())),
            syn::UseTree::Rename(rename) => self.leaf(&with(&rename.ident), Some(rename.rename.to_string())),
        }
    }

    fn leaf(&mut self, names: &[String], alias: Option<String>) {
        if let (Some(absolute), Some(alias)) = (self.note(names), alias) {
            self.found.aliases.insert((self.module.clone(), alias), absolute);
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test"))
    })
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(it) => &it.attrs,
            syn::Item::Fn(it) => &it.attrs,
            syn::Item::Use(it) => &it.attrs,
            syn::Item::Impl(it) => &it.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, inner: &'ast syn::ItemMod) {
        let Some((_, items)) = &inner.content else { return };
        self.module.push(inner.ident.to_string());
        self.found.modules.insert(self.module.clone());
        items.iter().for_each(|item| self.visit_item(item));
        self.module.pop();
    }

    fn visit_item_use(&mut self, used: &'ast syn::ItemUse) {
        self.tree(&used.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 {
            self.note(&names);
        }
        visit::visit_path(self, path);
    }
}
