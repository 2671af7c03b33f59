//! A lint over the SQL of the ledger: only statements that can be pushed down to shards (`shared/facts/scale.md`, R1,
//! R2, R3, R6, R7).
//!
//! In: the string literals of `src/store`, the migrations. Out: one line per fault. It knows the tables from the
//! migrations, and it is shown a faulty text for every rule, so that it cannot pass by seeing nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};

const LEDGER: &str = "usage_ledger";
/// Clocks and calendars of a database: instants are bound, so that every shard answers for the same one.
const CLOCKS: [&str; 10] = [
    "now",
    "now_ms",
    "clock_timestamp",
    "statement_timestamp",
    "strftime",
    "datetime",
    "unixepoch",
    "julianday",
    "date_trunc",
    "localtimestamp",
];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// String literals of a source text, also those in macros; documentation is none.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(source.parse().unwrap(), &mut found);
    found
}

fn collect(tokens: TokenStream, found: &mut Vec<String>) {
    let mut after_hash = false;
    for token in tokens {
        match &token {
            TokenTree::Group(group) if !after_hash => collect(group.stream(), found),
            TokenTree::Literal(literal) => {
                if let syn::Lit::Str(text) = syn::Lit::new(literal.clone()) {
                    found.push(text.value());
                }
            }
            _ => {}
        }
        let is = |sign| matches!(&token, TokenTree::Punct(punct) if punct.as_char() == sign);
        after_hash = is('#') || (after_hash && is('!'));
    }
}

fn words(sql: &str) -> Vec<String> {
    let parts = sql.split(|one: char| !one.is_ascii_alphanumeric() && one != '_');
    parts.filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect()
}

/// Every table but the ledger.
fn other_tables() -> BTreeSet<String> {
    let mut tables = BTreeSet::from(["_sqlx_migrations".to_owned()]);
    for file in ["0001_usage_ledger", "0002_books"] {
        let words = words(&read(&format!("migrations/sqlite/{file}.sql")));
        let named = words.windows(3).filter(|three| three[0] == "create" && three[1] == "table");
        tables.extend(named.map(|three| three[2].clone()));
    }
    assert!(tables.remove(LEDGER) && tables.len() > 10, "{tables:?}");
    tables
}

/// What is wrong with one text, if it is SQL on the ledger.
fn faults(sql: &str) -> Vec<String> {
    let words = words(sql);
    let mut faults = Vec::new();
    let after = |phrase: &[&str]| {
        let found =
            words.windows(phrase.len() + 1).filter(|part| part.iter().zip(phrase).all(|(a, b)| a == b));
        found.map(|part| part[phrase.len()].clone()).collect::<Vec<_>>()
    };
    // The suffix of an insert stands apart from the table's name.
    let is_suffix = words.starts_with(&["on".to_owned(), "conflict".to_owned()]);
    if !words.iter().any(|word| word == LEDGER) && !is_suffix {
        return faults;
    }
    faults.extend(
        after(&["on", "conflict"])
            .into_iter()
            .filter(|next| next != "do")
            .map(|next| format!("R6: a conflict target, {next}")),
    );
    faults.extend(
        after(&["on", "conflict", "do"])
            .into_iter()
            .filter(|next| next != "nothing")
            .map(|next| format!("R6: DO {next}")),
    );
    let others = other_tables();
    faults.extend(words.iter().filter(|word| others.contains(*word)).map(|word| format!("R1: names {word}")));
    for keyword in ["from", "join", "into", "using"] {
        faults.extend(
            after(&[keyword])
                .into_iter()
                .filter(|next| next != LEDGER)
                .map(|next| format!("R1: reads {next}")),
        );
    }
    faults.extend(
        after(&["group", "by"])
            .into_iter()
            .filter(|next| next != "tenant_id")
            .map(|next| format!("R2: groups by {next} first")),
    );
    let clock = |word: &&String| CLOCKS.contains(&word.as_str()) || word.starts_with("current_");
    faults.extend(words.iter().filter(clock).map(|word| format!("binds no instant: {word}")));
    let banned = ["limit", "offset", "over", "distinct", "update", "delete", "truncate", "replace"];
    faults.extend(
        words.iter().filter(|word| banned.contains(&word.as_str())).map(|word| format!("R7: {word}")),
    );
    faults
}

/// All `.rs` files of the store.
fn store_sources() -> Vec<(String, String)> {
    let mut sources = Vec::new();
    for folder in ["src/store", "src/store/books"] {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if Path::new(&name).extension().is_some_and(|extension| extension == "rs") {
                let path = format!("{folder}/{name}");
                sources.push((path.clone(), read(&path)));
            }
        }
    }
    sources
}

#[test]
fn every_statement_on_the_ledger_can_be_pushed_down() {
    let statements = literals(&read("src/store/ledger.rs"));
    let on_ledger = statements.iter().filter(|sql| words(sql).contains(&LEDGER.to_owned())).count();
    assert!(on_ledger >= 3, "an insert, a look-up and the totals at least: {statements:?}");
    assert!(statements.iter().any(|sql| words(sql).starts_with(&["on".to_owned(), "conflict".to_owned()])));
    let faulty: Vec<_> =
        statements.iter().map(|sql| (faults(sql), sql)).filter(|(faults, _)| !faults.is_empty()).collect();
    assert!(faulty.is_empty(), "{faulty:#?}");
}

#[test]
fn no_other_file_of_the_store_names_the_ledger() {
    let sources = store_sources();
    assert!(sources.len() > 8, "{}", sources.len());
    for (path, source) in sources.iter().filter(|(path, _)| path != "src/store/ledger.rs") {
        // Its bare name, in a list of tables, is no statement.
        let names_it = |text: &String| text != LEDGER && words(text).contains(&LEDGER.to_owned());
        let named = literals(source).into_iter().find(names_it);
        assert_eq!(named, None, "{path}");
    }
}

#[test]
fn the_lint_finds_each_kind_of_faulty_statement() {
    for (sql, fault) in [
        (
            "SELECT COUNT(*) FROM usage_ledger JOIN tenants USING (tenant_id) GROUP BY tenant_id",
            "R1: names tenants",
        ),
        ("SELECT 1 FROM usage_ledger, lease WHERE tenant_id = ?", "R1: names lease"),
        ("SELECT 1 FROM usage_ledger WHERE meter IN (SELECT meter FROM a_view)", "R1: reads a_view"),
        (
            "SELECT meter, SUM(quantity) FROM usage_ledger GROUP BY meter, tenant_id",
            "R2: groups by meter first",
        ),
        ("SELECT 1 FROM usage_ledger WHERE occurred_at < now()", "binds no instant: now"),
        ("SELECT 1 FROM usage_ledger WHERE occurred_at < {now_ms}", "binds no instant: now_ms"),
        (
            "SELECT 1 FROM usage_ledger WHERE recorded_at < CURRENT_TIMESTAMP",
            "binds no instant: current_timestamp",
        ),
        ("SELECT 1 FROM usage_ledger WHERE occurred_at < strftime('%s')", "binds no instant: strftime"),
        (
            "INSERT INTO usage_ledger VALUES (?) ON CONFLICT (tenant_id) DO NOTHING",
            "R6: a conflict target, tenant_id",
        ),
        ("ON CONFLICT DO UPDATE SET quantity = 0", "R6: DO update"),
        ("SELECT 1 FROM usage_ledger ORDER BY tenant_id LIMIT 100", "R7: limit"),
        ("SELECT 1 FROM usage_ledger ORDER BY tenant_id\n            LIMIT ?", "R7: limit"),
        ("UPDATE usage_ledger SET quantity = 0", "R7: update"),
        ("DELETE FROM usage_ledger WHERE tenant_id = ?", "R7: delete"),
    ] {
        assert!(faults(sql).contains(&fault.to_owned()), "{sql}: {:?}", faults(sql));
    }
    assert_eq!(faults("SELECT COUNT(*), now() FROM quarantine LIMIT 1"), [""; 0], "it is not on the ledger");
}

#[test]
fn the_lint_reads_literals_wherever_they_stand() {
    let source = "/// a doc\nfn f() { let _ = format!(\"one {x}\"); g(r#\"two\"#); }\n#[expect(a, reason = \"three\")] mod m { const X: &str = \"four\"; }";
    assert_eq!(literals(source), ["one {x}", "two", "four"]);
}

/// R3: what the statement that creates the ledger, and any other that names it, must not say.
fn table_faults(migration: &str) -> Vec<String> {
    let without_comments: String = migration
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n");
    let banned = ["trigger", "serial", "bigserial", "identity", "references", "unique", "autoincrement"];
    let mut faults = Vec::new();
    for statement in
        without_comments.split(';').filter(|statement| words(statement).contains(&LEDGER.to_owned()))
    {
        let words = words(statement);
        faults.extend(words.iter().filter(|word| banned.contains(&word.as_str())).cloned());
        let keys = words.windows(3).filter(|three| three[0] == "primary" && three[1] == "key");
        faults
            .extend(keys.filter(|three| three[2] != "tenant_id").map(|three| format!("key on {}", three[2])));
    }
    faults
}

#[test]
fn the_ledger_table_can_be_distributed_by_tenant() {
    for engine in ["sqlite", "postgres"] {
        for file in ["0001_usage_ledger", "0002_books"] {
            assert_eq!(table_faults(&read(&format!("migrations/{engine}/{file}.sql"))), [""; 0]);
        }
    }
    for faulty in [
        "CREATE TABLE usage_ledger (id BIGSERIAL, tenant_id TEXT)",
        "CREATE TABLE usage_ledger (a TEXT, tenant_id TEXT, PRIMARY KEY (a, tenant_id))",
        "CREATE UNIQUE INDEX one ON usage_ledger (source_event_id)",
        "CREATE TRIGGER t BEFORE UPDATE ON usage_ledger",
    ] {
        assert_eq!(table_faults(faulty).len(), 1, "{faulty}");
    }
}
