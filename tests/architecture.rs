//! The floor plan of the house, enforced.
//!
//! `PLAN` lists the rooms from the ground up. A room names only rooms that stand before it, so a
//! circle cannot be; neighbours on the third floor do not know each other. Crates have homes. Each
//! check is shown to catch what it is for.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its subject has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;

/// Floors; on the isolated one neighbours do not know each other.
const GROUND: u8 = 0;
const FIRST: u8 = 1;
const SECOND: u8 = 2;
const THIRD: u8 = 3;
const ROOF: u8 = 4;
const ISOLATED: u8 = THIRD;

/// Every room in the order of lib.rs. Rooms of later issues may be missing.
const PLAN: &[(&str, u8)] = &[
    ("clock", GROUND),
    ("ids", GROUND),
    ("db", GROUND),
    ("observe", GROUND),
    ("web", GROUND),
    ("job", GROUND),
    ("access", FIRST),
    ("asset", FIRST),
    ("reading", FIRST),
    ("event", FIRST),
    ("twin", FIRST),
    ("score", FIRST),
    ("expert", FIRST),
    ("prior", FIRST),
    ("model", FIRST),
    ("quality", SECOND),
    ("features", SECOND),
    ("forecast", SECOND),
    ("ingest", THIRD),
    ("scenario", THIRD),
    ("training", THIRD),
    ("backtest", THIRD),
    ("alarm", THIRD),
    ("webhook", THIRD),
    ("dashboard", ROOF),
    ("demo", ROOF),
    ("evaluate", ROOF),
    ("server", ROOF),
    ("config", ROOF),
];

/// Where a crate may be named: a folder (with a slash at its end), a file of `src`, or a file name
/// in any room.
const HOMES: &[(&str, &[&str])] = &[
    ("tch", &["model/"]),
    ("torch_sys", &["model/"]),
    ("sqlx::query", &["db/", "*/store.rs", "*/lease.rs"]),
    ("axum", &["web/", "server/", "dashboard/", "*/routes.rs", "*/routes/"]),
    ("utoipa_axum", &["web/", "server/", "dashboard/", "*/routes.rs", "*/routes/"]),
    ("utoipa_swagger_ui", &["server/"]),
    ("prometheus_client", &["observe.rs", "observe/"]),
    ("rumqttc", &["ingest/mqtt.rs"]),
];

const MAX_LINES: usize = 400;
const NAMES_THAT_SAY_NOTHING: &[&str] = &["utils", "util", "helpers", "common", "manager", "service", "core", "misc"];
const TOP_LEVEL: &[&str] =
    &["Cargo.toml", "Cargo.lock", "src", "migrations", "tests", "docker", "README.md", ".env.example"];

/// A source file: its path below `src` and what it names.
struct Source {
    path: String,
    /// Rooms that `crate::` or climbing `super::` paths lead to.
    rooms: BTreeSet<String>,
    /// First segments of all other paths, and `sqlx::query` for each of that family.
    crates: BTreeSet<String>,
}

impl Source {
    fn parse(path: &str, text: &str) -> Self {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("src/{path}: {error}"));
        let mut reader = Reader { module: module_of(path), ..Reader::default() };
        reader.visit_file(&file);
        Self { path: path.to_owned(), rooms: reader.rooms, crates: reader.crates }
    }

    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }
}

/// `reading/store.rs` is the module `reading::store`, `reading/mod.rs` is `reading`.
fn module_of(path: &str) -> Vec<String> {
    let mut module: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

#[derive(Default)]
struct Reader {
    module: Vec<String>,
    rooms: BTreeSet<String>,
    crates: BTreeSet<String>,
}

impl Reader {
    fn note(&mut self, segments: &[String]) {
        let supers = segments.iter().take_while(|segment| *segment == "super").count();
        let from_root: Vec<String> = match segments.first().map(String::as_str) {
            Some("crate" | "counterpart") => segments[1..].to_vec(),
            Some("super") => {
                let kept = self.module.len().saturating_sub(supers);
                self.module[..kept].iter().chain(&segments[supers..]).cloned().collect()
            }
            Some(first) => {
                self.crates.insert(first.to_owned());
                if first == "sqlx" && segments.get(1).is_some_and(|second| second.starts_with("query")) {
                    self.crates.insert("sqlx::query".to_owned());
                }
                return;
            }
            None => return,
        };
        self.rooms.extend(from_root.into_iter().next());
    }

    fn note_tree(&mut self, prefix: &[String], tree: &syn::UseTree) {
        let with = |ident: &syn::Ident| prefix.iter().cloned().chain([ident.to_string()]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => self.note_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.note(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.note(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.note(prefix),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.note_tree(prefix, item)),
        }
    }

    /// What a macro is given is not parsed: its paths are found among the tokens.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.note_long(&path);
                        path.clear();
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.note_long(&path);
                    path.clear();
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.note_tokens(group.stream());
                    }
                }
            }
        }
        self.note_long(&path);
    }

    fn note_long(&mut self, path: &[String]) {
        if path.len() > 1 {
            self.note(path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        syn::visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.note_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.note_long(&segments);
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.note_tokens(item.tokens.clone());
        syn::visit::visit_macro(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.note_tokens(list.tokens.clone());
        }
    }
}

fn place(room: &str) -> Option<(usize, u8)> {
    PLAN.iter().position(|(name, _)| *name == room).map(|place| (place, PLAN[place].1))
}

/// What a source names that the plan does not allow.
fn against_the_plan(source: &Source) -> Vec<String> {
    if matches!(source.path.as_str(), "lib.rs" | "main.rs") {
        return Vec::new();
    }
    let Some((own, floor)) = place(source.room()) else {
        return vec![format!("src/{}: the plan has no room {}", source.path, source.room())];
    };
    let others = source.rooms.iter().filter(|other| *other != source.room());
    // Names that are no room are items of the crate's root, such as exported macros.
    let placed = others.filter_map(|other| place(other).map(|(place, floor)| (other, place, floor)));
    placed
        .filter(|(_, place, other_floor)| *place > own || (floor == ISOLATED && *other_floor == ISOLATED))
        .map(|(other, place, _)| {
            let why = if place > own { "stands above it" } else { "is a neighbour on the third floor" };
            format!("src/{} names {other}, which {why}", source.path)
        })
        .collect()
}

/// Crates that a source names away from their homes.
fn away_from_home(source: &Source) -> Vec<String> {
    let at_home = |homes: &[&str]| {
        homes.iter().any(|home| match home.strip_prefix('*') {
            Some(folder) if folder.ends_with('/') => source.path.contains(folder),
            Some(file) => source.path.ends_with(file),
            None => source.path == *home || (home.ends_with('/') && source.path.starts_with(home)),
        })
    };
    let strangers = HOMES.iter().filter(|(name, homes)| source.crates.contains(*name) && !at_home(homes));
    strangers
        .map(|(name, homes)| format!("src/{} names {name}, whose home is {}", source.path, homes.join(", ")))
        .collect()
}

fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > MAX_LINES).then(|| format!("src/{path} has {lines} lines: above {MAX_LINES} it is two things"))
}

fn says_nothing(path: &str) -> Option<String> {
    let mut names = path.split('/').map(|part| part.split('.').next().unwrap_or_default());
    names.find(|name| NAMES_THAT_SAY_NOTHING.contains(name)).map(|name| format!("src/{path}: {name} names nothing"))
}

/// Rooms that lib.rs declares out of the plan's order, or that the plan lacks.
fn out_of_order(declared: &[String]) -> Vec<String> {
    let unknown = declared.iter().filter(|room| place(room).is_none()).map(|room| format!("{room} is not in the plan"));
    let pairs = declared.windows(2).filter(|pair| place(&pair[0]) > place(&pair[1]));
    unknown.chain(pairs.map(|pair| format!("lib.rs declares {} before {}", pair[0], pair[1]))).collect()
}

fn unexpected_at_the_top(names: &[String]) -> Vec<String> {
    names.iter().filter(|name| !TOP_LEVEL.contains(&name.as_str())).cloned().collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `src` with one of the extensions: path and text.
fn files(extensions: &[&str]) -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            if entry.path().is_dir() { walk(&entry.path(), found) } else { found.push(entry.path()) }
        }
    }
    let src = root().join("src");
    let mut found = Vec::new();
    walk(&src, &mut found);
    found.sort();
    let chosen = found.iter().filter(|path| path.extension().is_some_and(|have| extensions.iter().any(|e| have == *e)));
    chosen
        .map(|path| {
            (path.strip_prefix(&src).unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn sources() -> Vec<Source> {
    files(&["rs"]).iter().filter(|(path, _)| path != "build.rs").map(|(path, text)| Source::parse(path, text)).collect()
}

fn none(violations: &[String]) {
    assert!(violations.is_empty(), "\n  {}\n", violations.join("\n  "));
}

#[test]
fn rooms_name_only_rooms_below_them() {
    none(&sources().iter().flat_map(against_the_plan).collect::<Vec<_>>());
}

#[test]
fn crates_stay_at_home() {
    none(&sources().iter().flat_map(away_from_home).collect::<Vec<_>>());
}

#[test]
fn lib_lists_the_rooms_in_the_order_of_the_plan() {
    let lib = syn::parse_file(&fs::read_to_string(root().join("src/lib.rs")).unwrap()).unwrap();
    let modules =
        lib.items.iter().filter_map(|item| if let syn::Item::Mod(module) = item { Some(module) } else { None });
    let declared: Vec<String> = modules.map(|module| module.ident.to_string()).collect();
    none(&out_of_order(&declared));
}

#[test]
fn no_file_is_two_things() {
    let long = files(&["rs", "js", "mjs", "css", "html"]);
    none(&long.iter().filter_map(|(path, text)| too_long(path, text)).collect::<Vec<_>>());
}

#[test]
fn names_say_something() {
    none(&files(&["rs", "js", "css"]).iter().filter_map(|(path, _)| says_nothing(path)).collect::<Vec<_>>());
}

#[test]
fn the_top_of_the_checkout_stays_small() {
    let entries = fs::read_dir(root()).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    // What .gitignore names is not part of the checkout.
    let visible: Vec<String> =
        names.filter(|name| !name.starts_with('.') && !["target", "data"].contains(&name.as_str())).collect();
    none(&unexpected_at_the_top(&visible));
}

#[test]
fn the_checks_catch_what_they_are_for() {
    let names = |path: &str, text: &str| against_the_plan(&Source::parse(path, text)).len();
    assert_eq!(names("asset/mod.rs", "use crate::twin::Twin;"), 1, "upwards");
    assert_eq!(names("asset/mod.rs", "use crate::{clock::Clock, twin::{self, store}};"), 1, "in a group");
    assert_eq!(names("asset/mod.rs", "fn f() -> crate::server::Server { todo!() }"), 1, "a path in a type");
    assert_eq!(names("asset/store.rs", "use super::super::twin::Twin;"), 1, "climbing");
    assert_eq!(names("asset/store.rs", "mod tests { use super::super::super::twin::Twin; }"), 1, "climbing further");
    assert_eq!(names("asset/store.rs", "mod tests { use super::super::Asset; }"), 0, "climbing inside the room");
    assert_eq!(names("asset/mod.rs", "fn f() { println!(\"{}\", crate::forecast::now()) }"), 1, "in a macro");
    assert_eq!(names("training/mod.rs", "use crate::scenario::Plan;"), 1, "a neighbour on the third floor");
    assert_eq!(names("twin/mod.rs", "use crate::reading::Frame; use crate::asset::Asset;"), 0, "downwards");
    assert_eq!(names("attic/mod.rs", ""), 1, "not in the plan");

    let strays = |path: &str, text: &str| away_from_home(&Source::parse(path, text)).len();
    assert_eq!(strays("forecast/mod.rs", "use tch::Tensor;"), 1);
    assert_eq!(strays("main.rs", "fn main() { tch::set_num_threads(1); }"), 1);
    assert_eq!(strays("twin/mod.rs", "fn f() { sqlx::query_as::<_, T>(\"select 1\"); }"), 1);
    assert_eq!(strays("twin/mod.rs", "use sqlx::{PgPool, query_scalar};"), 1);
    assert_eq!(strays("twin/mod.rs", "fn f() { tokio::try_join!(sqlx::query(\"select 1\").execute(db)); }"), 1);
    assert_eq!(strays("twin/store.rs", "fn f() { sqlx::query(\"select 1\"); }"), 0);
    assert_eq!(strays("twin/mod.rs", "use axum::Json;"), 1);
    assert_eq!(strays("twin/routes.rs", "use axum::Json;"), 0);
    assert_eq!(strays("observe.rs", "use prometheus_client::registry::Registry;"), 0);
    assert_eq!(strays("model/head.rs", "use tch::nn;"), 0);

    assert!(too_long("a.rs", &"\n".repeat(401)).is_some());
    assert!(too_long("a.rs", &"\n".repeat(400)).is_none());
    assert!(says_nothing("asset/utils.rs").is_some());
    assert!(says_nothing("asset/common/mod.rs").is_some());
    assert!(says_nothing("asset/schema.rs").is_none());
    assert_eq!(out_of_order(&["ids".into(), "clock".into()]).len(), 1);
    assert_eq!(out_of_order(&["clock".into(), "attic".into()]).len(), 2);
    assert_eq!(unexpected_at_the_top(&["src".into(), "scripts".into()]), ["scripts"]);
}
