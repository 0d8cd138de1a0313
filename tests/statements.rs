//! Every SQL statement of the source is static and prepares on the migrated database: a misspelt
//! column, or a migration that forgot a statement, fails here with its file and line.
//!
//! This stands in for sqlx's checking macros, which would want a database, or prepared answers in
//! the repository, for every build.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its subject has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use counterpart::db::fixture;
use sqlx::{AssertSqlSafe, Executor as _, SqlSafeStr as _};
use syn::parse::Parser as _;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::visit::Visit;

/// Files whose statements are put together while running, how many each has, and why.
const PUT_TOGETHER: &[(&str, usize, &str)] = &[
    ("db/fixture.rs", 1, "the name of a test's database cannot be a parameter"),
    ("reading/partition/store.rs", 2, "names and bounds of partitions cannot be parameters"),
];

#[derive(Debug)]
struct Statement {
    at: String,
    sql: String,
}

#[derive(Default)]
struct Reader {
    path: String,
    consts: BTreeMap<String, String>,
    statements: Vec<Statement>,
    put_together: Vec<String>,
}

impl Reader {
    fn read(path: &str, text: &str) -> Self {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("src/{path}: {error}"));
        let mut consts = Consts::default();
        consts.visit_file(&file);
        let mut reader = Self { path: path.to_owned(), consts: consts.0, ..Self::default() };
        reader.visit_file(&file);
        reader
    }
}

/// Text constants, by name.
#[derive(Default)]
struct Consts(BTreeMap<String, String>);

impl<'ast> Visit<'ast> for Consts {
    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        if let Some(text) = text_of(&item.expr) {
            self.0.insert(item.ident.to_string(), text);
        }
    }
}

fn text_of(expression: &syn::Expr) -> Option<String> {
    match expression {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}

/// `sqlx::query("...")` and its family, by whatever path it is called.
fn makes_a_statement(path: &syn::Path) -> bool {
    let last = path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
    let rooted = path.segments.len() == 1 || path.segments[0].ident == "sqlx";
    let family = ["query", "query_as", "query_scalar", "query_with", "query_as_with", "query_scalar_with", "raw_sql"];
    rooted && family.contains(&last.as_str())
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func
            && makes_a_statement(&function.path)
            && let Some(argument) = call.args.first()
        {
            let at = format!("src/{}:{}", self.path, call.span().start().line);
            let named = match argument {
                syn::Expr::Path(name) => name.path.get_ident().and_then(|name| self.consts.get(&name.to_string())),
                _ => None,
            };
            match text_of(argument).or_else(|| named.cloned()) {
                Some(sql) => self.statements.push(Statement { at, sql }),
                None => self.put_together.push(at),
            }
        }
        syn::visit::visit_expr_call(self, call);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let arguments = Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated.parse2(item.tokens.clone());
        match arguments {
            Ok(arguments) => {
                for argument in arguments {
                    // The visitor wants to borrow for as long as the file; this is gone before.
                    let mut inner =
                        Reader { path: self.path.clone(), consts: self.consts.clone(), ..Reader::default() };
                    inner.visit_expr(&argument);
                    self.statements.append(&mut inner.statements);
                    self.put_together.append(&mut inner.put_together);
                }
            }
            Err(_) if item.tokens.to_string().contains("sqlx :: query") => {
                self.put_together.push(format!("src/{}:{}", self.path, item.span().start().line));
            }
            Err(_) => {}
        }
    }
}

fn read_all() -> Vec<Reader> {
    fn walk(dir: &Path, src: &Path, found: &mut Vec<Reader>) {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, src, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(src).unwrap().to_string_lossy().into_owned();
                found.push(Reader::read(&name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&src, &src, &mut found);
    found
}

async fn failures(statements: &[Statement]) -> Vec<String> {
    let fixture = fixture::fresh().await;
    let mut connection = fixture.pool.acquire().await.unwrap();
    let mut failures = Vec::new();
    for Statement { at, sql } in statements {
        // The text was a literal of our source.
        if let Err(error) = connection.prepare(AssertSqlSafe(sql.as_str()).into_sql_str()).await {
            failures.push(format!("{at}: {error}\n    {}", sql.trim()));
        }
    }
    failures
}

#[tokio::test]
async fn every_statement_prepares_on_the_migrated_database() {
    let statements: Vec<Statement> = read_all().into_iter().flat_map(|reader| reader.statements).collect();
    assert!(statements.len() >= 5, "found only {} statements", statements.len());
    let failures = failures(&statements).await;
    assert!(failures.is_empty(), "\n  {}\n", failures.join("\n  "));
}

#[test]
fn statements_are_put_together_only_where_it_is_agreed() {
    for reader in read_all() {
        let agreed = PUT_TOGETHER.iter().find(|(path, _, _)| *path == reader.path).map_or(0, |(_, count, _)| *count);
        assert_eq!(reader.put_together.len(), agreed, "not a literal: {:?}", reader.put_together);
    }
}

#[tokio::test]
async fn the_checks_catch_what_they_are_for() {
    let text = r##"
        const NAMED: &str = "select 3 from nowhere";
        async fn f(db: &Pool) {
            sqlx::query("select 1").execute(db).await;
            sqlx::query_as::<_, Row>(r#"select no_such_column from asset"#).fetch_all(db).await;
            query_scalar(NAMED).fetch_one(db).await;
            sqlx::query(&format!("select {x}")).execute(db).await;
            tokio::try_join!(sqlx::query("selec").execute(db), sqlx::query(sql).execute(db));
            uri.query("not a statement");
        }
    "##;
    let reader = Reader::read("asset/store.rs", text);
    assert_eq!(reader.statements.len(), 4, "{:?}", reader.statements);
    assert_eq!(reader.put_together, ["src/asset/store.rs:7", "src/asset/store.rs:8"]);
    let failures = failures(&reader.statements).await;
    assert_eq!(failures.len(), 3, "{failures:?}");
    assert!(failures[0].starts_with("src/asset/store.rs:5: "), "{failures:?}");
}
