//! The table of an own ledger as PostgreSQL's catalog tells it: its name, the types of its columns, whether ids are unique.
//!
//! In: names from the settings. Out: a [`Relation`] with quoted names and known types, or what is wrong, with table, column and
//! what to do. Never takes a column that cannot be read exactly, and never puts a name into SQL unquoted.

use std::collections::BTreeMap;

use crate::domain::text::printable;
use crate::store::connection::Tx;
use crate::store::error::StoreError;
use crate::store::ledger::own::OwnLedger;

/// A longer name is cut by PostgreSQL, and another column may be meant then.
const NAME_BYTES: usize = 63;
/// The first with `trim_scale`, by the number that a server tells of itself.
const OLDEST_SERVER: i64 = 130_000;

pub struct Relation {
    /// Schema and name, quoted.
    pub(super) from: String,
    pub(super) tenant_id: Column,
    pub(super) source_event_id: Column,
    pub(super) meter: Column,
    pub(super) quantity: Column,
    pub(super) occurred_at: Column,
    pub(super) recorded_at: Option<Column>,
    pub(super) outcome: Option<Column>,
    pub(super) source: Option<Column>,
    pub(super) properties: Option<Column>,
    /// An index proves that no tenant has an id twice.
    pub(super) ids_are_unique: bool,
}

/// A column: its quoted name and how it is read.
pub(super) struct Column {
    pub name: String,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Uuid,
    Whole,
    Enumerated,
    Numeric,
    Instant,
    Json,
}

/// What a column of ours is read from.
#[derive(Clone, Copy)]
enum Wanted {
    Id,
    Number,
    Instant,
    Properties,
}

/// A column as the catalog has it.
struct Found {
    type_name: String,
    is_enum: bool,
    is_readable: bool,
}

/// The relation as it is being looked up.
struct LookUp<'a> {
    /// As somebody wrote it.
    table: String,
    ledger: &'a OwnLedger,
    found: BTreeMap<String, Found>,
}

impl Relation {
    pub(super) async fn look_up(tx: &mut Tx, ledger: &OwnLedger) -> Result<Self, StoreError> {
        let table = ledger.table.to_string();
        let schema = ledger.table.schema.as_deref().map(|name| quoted(name, "ledger.table")).transpose()?;
        let name = quoted(&ledger.table.name, "ledger.table")?;
        let written = schema.map_or_else(|| name.clone(), |schema| format!("{schema}.{name}"));
        check_names(ledger)?;
        let from = find(tx, &table, &written).await?;
        let looked = LookUp { found: columns(tx, &from).await?, table, ledger };
        let columns = &ledger.columns;
        let optional = |key: &str, name: &Option<String>, wanted: Wanted| {
            name.as_ref().map(|name| looked.column(key, name, wanted)).transpose()
        };
        let (tenant, id) = (&columns.tenant_id, &columns.source_event_id);
        Ok(Self {
            tenant_id: looked.column("tenant_id", tenant, Wanted::Id)?,
            source_event_id: looked.column("source_event_id", id, Wanted::Id)?,
            meter: looked.column("meter", &columns.meter, Wanted::Id)?,
            quantity: looked.column("quantity", &columns.quantity, Wanted::Number)?,
            occurred_at: looked.column("occurred_at", &columns.occurred_at, Wanted::Instant)?,
            recorded_at: optional("recorded_at", &columns.recorded_at, Wanted::Instant)?,
            outcome: optional("outcome", &columns.outcome, Wanted::Id)?,
            source: optional("source", &columns.source, Wanted::Id)?,
            properties: optional("properties", &columns.properties, Wanted::Properties)?,
            ids_are_unique: ids_are_unique(tx, &from, [tenant, id]).await?,
            from,
        })
    }

    pub(super) fn knows_recorded_at(&self) -> bool {
        self.recorded_at.is_some()
    }
}

/// The one place that makes a name part of a statement.
fn quoted(name: &str, key: &str) -> Result<String, StoreError> {
    let problem = if name.is_empty() {
        "is empty"
    } else if name.len() > NAME_BYTES {
        "is longer than 63 bytes, which no name in PostgreSQL is"
    } else if name.chars().any(char::is_control) {
        "holds a control character"
    } else {
        return Ok(format!("\"{}\"", name.replace('"', "\"\"")));
    };
    Err(StoreError::OwnLedger(format!("{key}: the name `{}` {problem}", printable(name))))
}

/// Before the server is asked for anything.
fn check_names(ledger: &OwnLedger) -> Result<(), StoreError> {
    let columns = &ledger.columns;
    let required = [
        ("ledger.columns.tenant_id", Some(&columns.tenant_id)),
        ("ledger.columns.source_event_id", Some(&columns.source_event_id)),
        ("ledger.columns.meter", Some(&columns.meter)),
        ("ledger.columns.quantity", Some(&columns.quantity)),
        ("ledger.columns.occurred_at", Some(&columns.occurred_at)),
        ("ledger.columns.recorded_at", columns.recorded_at.as_ref()),
        ("ledger.columns.outcome", columns.outcome.as_ref()),
        ("ledger.columns.source", columns.source.as_ref()),
        ("ledger.columns.properties", columns.properties.as_ref()),
    ];
    for (key, name) in required {
        name.map(|name| quoted(name, key)).transpose()?;
    }
    Ok(())
}

/// Schema and name of the relation that is meant, quoted: a later change of `search_path` means no other.
async fn find(tx: &mut Tx, table: &str, written: &str) -> Result<String, StoreError> {
    let sql = "SELECT n.nspname::text, c.relname::text, current_setting('server_encoding'),
        current_setting('server_version_num')::bigint, CASE WHEN c.relkind IN ('r', 'v', 'm', 'f', 'p') THEN 1 ELSE 0 END::bigint
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(?)::oid";
    let Some(mut row) = tx.fetch(sql, vec![written.into()]).await?.pop() else {
        return Err(StoreError::OwnLedger(format!(
            "{table}: there is no such table or view in that database. Names are taken as they are written, capitals \
             included; write SCHEMA.TABLE where the role's search_path does not find it"
        )));
    };
    let (schema, name, encoding) = (row.text()?, row.text()?, row.text()?);
    let (version, is_table) = (row.integer()?, row.integer()? == 1);
    let problem = if version < OLDEST_SERVER {
        "PostgreSQL 13 or newer is needed".to_owned()
    } else if encoding != "UTF8" {
        format!("its database is encoded in {encoding}, and only UTF8 is read")
    } else if !is_table {
        "it is neither a table nor a view".to_owned()
    } else {
        return Ok(format!("{}.{}", quoted(&schema, "ledger.table")?, quoted(&name, "ledger.table")?));
    };
    Err(StoreError::OwnLedger(format!("{table}: {problem}")))
}

/// A domain is what it is made of.
async fn columns(tx: &mut Tx, from: &str) -> Result<BTreeMap<String, Found>, StoreError> {
    let sql = "SELECT a.attname::text, CASE WHEN COALESCE(b.typnamespace, t.typnamespace) = 'pg_catalog'::regnamespace
            THEN COALESCE(b.typname, t.typname)::text ELSE format_type(t.oid, NULL) END,
        CASE WHEN COALESCE(b.typtype, t.typtype) = 'e' THEN 1 ELSE 0 END::bigint,
        CASE WHEN has_column_privilege(a.attrelid, a.attnum, 'SELECT') THEN 1 ELSE 0 END::bigint
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        LEFT JOIN pg_catalog.pg_type b ON t.typtype = 'd' AND b.oid = t.typbasetype
        WHERE a.attrelid = to_regclass(?)::oid AND a.attnum > 0 AND NOT a.attisdropped";
    let rows = tx.fetch(sql, vec![from.into()]).await?;
    let found = rows.into_iter().map(|mut row| {
        let (name, type_name) = (row.text()?, row.text()?);
        let (is_enum, is_readable) = (row.integer()? == 1, row.integer()? == 1);
        Ok((name, Found { type_name, is_enum, is_readable }))
    });
    found.collect()
}

/// Whether a whole and valid unique index lies on nothing but tenant and id. A table that others inherit from shows their rows
/// too, and its index does not know those.
async fn ids_are_unique(tx: &mut Tx, from: &str, names: [&str; 2]) -> Result<bool, StoreError> {
    let sql = "SELECT COUNT(*) FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
        WHERE i.indrelid = to_regclass(?)::oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
        AND i.indexprs IS NULL AND (c.relkind = 'p' OR NOT c.relhassubclass)
        AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid
            AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) AND a.attname::text <> ALL (?))";
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let rows = tx.fetch(sql, vec![from.into(), names.into()]).await?;
    rows.into_iter().next().map_or(Ok(false), |mut row| Ok(row.count()? > 0))
}

impl LookUp<'_> {
    fn column(&self, key: &str, name: &str, wanted: Wanted) -> Result<Column, StoreError> {
        let wrong = |problem: String| {
            let (table, name) = (&self.table, printable(name));
            StoreError::OwnLedger(format!("{table}: its column `{name}` (ledger.columns.{key}) {problem}"))
        };
        let Some(found) = self.found.get(name) else {
            let known: Vec<_> = self.found.keys().map(|name| printable(name)).collect();
            return Err(wrong(format!(
                "is not there; names are taken as they are written, capitals included. There are: {}",
                known.join(", ")
            )));
        };
        if !found.is_readable {
            let (table, name) = (&self.table, printable(name));
            return Err(StoreError::Forbidden(format!(
                "the role may not SELECT column `{name}` of {table}, the own ledger"
            )));
        }
        let kind = kind(found, wanted).ok_or_else(|| wrong(self.refused(name, &found.type_name, wanted)))?;
        Ok(Column { name: quoted(name, key)?, kind })
    }

    fn refused(&self, name: &str, type_name: &str, wanted: Wanted) -> String {
        let (table, name) = (&self.ledger.table, printable(name));
        match (wanted, type_name) {
            (Wanted::Number, "float4" | "float8") => format!(
                "is a binary float ({type_name}), which holds no decimal exactly: make it numeric, or map a view that \
                 rounds to the digits that are meant, SELECT …, round({name}::numeric, 6) AS {name} FROM {table}"
            ),
            (Wanted::Instant, "timestamp" | "date") => format!(
                "is a {type_name} without time zone, so nothing says which instant it means: make it timestamptz, or map a \
                 view that says so, SELECT …, {name} AT TIME ZONE 'UTC' AS {name} FROM {table}"
            ),
            (Wanted::Instant, "int4" | "int8" | "numeric") => format!(
                "holds numbers ({type_name}): map a view that makes instants of them, \
                 SELECT …, to_timestamp({name}) AS {name} FROM {table} (seconds since 1970)"
            ),
            (Wanted::Id, _) => {
                format!(
                    "has the type {type_name}; text, varchar, uuid, an enum and whole numbers can be read"
                )
            }
            (Wanted::Number, _) => {
                format!("has the type {type_name}; numeric, whole numbers and decimal text can be read")
            }
            (Wanted::Instant, _) => format!("has the type {type_name}; only timestamptz is an instant"),
            (Wanted::Properties, _) => format!("has the type {type_name}; only jsonb can be read"),
        }
    }
}

fn kind(found: &Found, wanted: Wanted) -> Option<Kind> {
    match (wanted, found.type_name.as_str()) {
        (Wanted::Id | Wanted::Number, "text" | "varchar") => Some(Kind::Text),
        (Wanted::Id | Wanted::Number, "int2" | "int4" | "int8") => Some(Kind::Whole),
        (Wanted::Id, "uuid") => Some(Kind::Uuid),
        (Wanted::Id, _) if found.is_enum => Some(Kind::Enumerated),
        (Wanted::Number, "numeric") => Some(Kind::Numeric),
        (Wanted::Instant, "timestamptz") => Some(Kind::Instant),
        (Wanted::Properties, "jsonb") => Some(Kind::Json),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_whatever_stands_in_it() {
        for (name, expected) in [
            ("usage", "\"usage\""),
            ("Usage \"Events\"", "\"Usage \"\"Events\"\"\""),
            ("a\"; DROP TABLE runs; --", "\"a\"\"; DROP TABLE runs; --\""),
            ("ölçüm?{exact:x}$1", "\"ölçüm?{exact:x}$1\""),
        ] {
            assert_eq!(quoted(name, "k").unwrap(), expected);
        }
        for name in ["", "a\0b", "a\nb", &"x".repeat(64)] {
            assert!(matches!(quoted(name, "k"), Err(StoreError::OwnLedger(_))), "{name:?}");
        }
    }
}
