//! The settings of an own ledger: which table or view holds the usage, and what its columns are called.
//!
//! In: the table `ledger` after all layers, the URL of its database as text. Out: a [`LedgerConfig`]. It only takes the names
//! apart: what a name may be, PostgreSQL says, and the store asks it. Never shows the URL.

use secrecy::SecretString;
use serde::Deserialize;

use crate::config::{ConfigError, secret};

/// A URL may hold a password, so it never stands in the file.
const URL: &str = "BILLRECON_LEDGER_URL";

#[derive(Clone, Debug)]
pub struct LedgerConfig {
    /// `None`: the database of the books.
    pub url: Option<SecretString>,
    pub schema: Option<String>,
    pub table: String,
    pub columns: LedgerColumns,
}

/// The user's column for each of ours.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct LedgerColumns {
    pub tenant_id: String,
    pub source_event_id: String,
    pub meter: String,
    pub quantity: String,
    pub occurred_at: String,
    pub recorded_at: Option<String>,
    pub outcome: Option<String>,
    pub source: Option<String>,
    pub properties: Option<String>,
}

/// The table as it was written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct RawLedger {
    table: String,
    columns: LedgerColumns,
}

/// `wrong` names a key's place.
pub fn check(
    raw: Option<RawLedger>,
    wrong: &dyn Fn(&str, &str) -> ConfigError,
) -> Result<Option<LedgerConfig>, ConfigError> {
    let url = secret(URL)?;
    let Some(RawLedger { table, columns }) = raw else {
        let Some(url) = url else { return Ok(None) };
        let problem = "is set, and no table `ledger` of the settings says which table is meant: write [ledger] and \
                       [ledger.columns] (docs/adopting.md), or take it away";
        return Err(ConfigError::Key { origin: url.origin, key: url.name, problem: problem.to_owned() });
    };
    let parts = parts(&table).ok_or_else(|| {
        wrong(
            "ledger.table",
            "is no name such as usage_events, billing.usage_events or billing.\"usage events\"",
        )
    })?;
    let [schema, table] = parts;
    Ok(Some(LedgerConfig { url: url.map(|url| url.text), schema, table: table.unwrap_or_default(), columns }))
}

impl LedgerConfig {
    /// What figures depend on.
    pub fn rules(&self) -> String {
        format!("{:?}\n{:?}\n{:?}", self.schema, self.table, self.columns)
    }
}

/// Schema and table. A part stands for itself, capitals included, or in quotes as SQL has them: then it may hold a dot.
fn parts(text: &str) -> Option<[Option<String>; 2]> {
    let (mut parts, mut rest) = (Vec::new(), text);
    loop {
        let (part, after) = if let Some(inner) = rest.strip_prefix('"') {
            quoted(inner)?
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            (rest[..end].to_owned(), &rest[end..])
        };
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(more) => rest = more,
            None if after.is_empty() => break,
            None => return None,
        }
    }
    let table = parts.pop();
    let schema = parts.pop();
    parts.is_empty().then_some([schema, table])
}

/// What stands before the closing quote, and what stands after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut name, mut rest) = (String::new(), text);
    loop {
        let (before, after) = rest.split_once('"')?;
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(Option<String>, String)> {
        parts(text).map(|[schema, table]| (schema, table.unwrap()))
    }

    #[test]
    fn a_table_has_a_schema_or_none_and_quotes_hold_anything() {
        let name = |schema: Option<&str>, table: &str| Some((schema.map(str::to_owned), table.to_owned()));
        assert_eq!(read("usage"), name(None, "usage"));
        assert_eq!(read("Billing.Usage events"), name(Some("Billing"), "Usage events"));
        assert_eq!(read(r#"billing."a.""b""#), name(Some("billing"), "a.\"b"));
        assert_eq!(read(r#""a.b".c"#), name(Some("a.b"), "c"));
        for text in ["", ".", "a.", ".a", "a.b.c", r#""a"#, r#""a"b"#, r#""""#, "a..b"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
