//! Usage tables of a company that meters already: none is called as ours is.
//!
//! In: a PostgreSQL database, a shape. Out: a table or view with hostile names, rows in it, and the mapping, as a value and as
//! settings. It only ever writes to what it made.

use billrecon::domain::usage::UsageRecord;
use billrecon::store::ledger::{Columns, OwnLedger, TableName};
use billrecon::store::{Database, Store};
use jiff::Timestamp;

use crate::support::block_on;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A table whose key proves that ids are unique.
    Keyed,
    /// A table without any index: ids are looked at one by one.
    Loose,
    /// A view that joins events with customers.
    View,
}

pub const SHAPES: [Shape; 3] = [Shape::Keyed, Shape::Loose, Shape::View];

/// A table of usage, and where it lies.
#[derive(Clone, Debug)]
pub struct OwnTable {
    pub url: String,
    pub shape: Shape,
}

const SCHEMA: &str = "Usage Data";
const TABLE: &str = "raw \"Events\"?{exact:x}";

const COLUMNS: &str = r#""Tenant ID" text, "event.id" text, "What" text, "Qty ""net""" numeric, "at?" timestamptz,
    seen timestamptz, "Result" text, "from" text, "{facts}" jsonb"#;

impl OwnTable {
    /// Makes it, empty.
    pub fn create(url: &str, shape: Shape) -> Self {
        let own = Self { url: url.to_owned(), shape };
        let table = Self::sql_name();
        let statement = match shape {
            Shape::Keyed => format!("CREATE TABLE {table} ({COLUMNS}, PRIMARY KEY (\"Tenant ID\", \"event.id\"))"),
            Shape::Loose => format!("CREATE TABLE {table} ({COLUMNS})"),
            Shape::View => format!(
                "CREATE TABLE customers (no bigserial PRIMARY KEY, tenant text UNIQUE);
                CREATE TABLE events (customer bigint REFERENCES customers, \"event.id\" text, \"What\" text,
                    \"Qty \"\"net\"\"\" numeric, \"at?\" timestamptz, seen timestamptz, \"Result\" text, \"from\" text, \"{{facts}}\" jsonb);
                CREATE VIEW {table} AS SELECT tenant AS \"Tenant ID\", events.* FROM events
                    LEFT JOIN customers ON customer = no"
            ),
        };
        own.execute(&format!("CREATE SCHEMA \"{SCHEMA}\"; {statement}"));
        own
    }

    /// As SQL names it.
    pub fn sql_name() -> String {
        format!("\"{SCHEMA}\".\"{}\"", TABLE.replace('"', "\"\""))
    }

    pub fn execute(&self, statement: &str) {
        block_on(self.run(statement));
    }

    pub async fn run(&self, statement: &str) {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        let done = connection.execute(AssertSqlSafe(statement.to_owned())).await;
        done.unwrap_or_else(|error| panic!("{error}: {}", statement.chars().take(2_000).collect::<String>()));
    }

    /// One row as it is written in SQL: tenant, id, meter, quantity, time, result, source and properties.
    pub fn add(&self, row: &str) {
        self.execute(&self.statement(row));
    }

    /// The statement that adds it, as of the beginning of November.
    pub fn statement(&self, row: &str) -> String {
        self.insert(&[row.to_owned()], "'2026-11-01Z'")
    }

    /// The records, as if they had come at `recorded_at`.
    pub async fn add_records(&self, records: &[UsageRecord], recorded_at: Timestamp) {
        let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let row = |one: &UsageRecord| {
            let [tenant, id, meter] = [&one.tenant_id, &one.source_event_id, &one.meter].map(|id| text(id));
            let (quantity, at) = (one.quantity, one.occurred_at);
            let [outcome, source, facts] =
                [&one.outcome, &one.source, &one.properties].map(|field| text(field));
            format!("{tenant}, {id}, {meter}, {quantity}, '{at}', {outcome}, {source}, {facts}")
        };
        for some in records.chunks(1_000) {
            let rows: Vec<String> = some.iter().map(row).collect();
            self.run(&self.insert(&rows, &format!("'{recorded_at}'"))).await;
        }
    }

    /// `rows` hold tenant, id, meter, quantity, time, result, source and properties.
    fn insert(&self, rows: &[String], seen: &str) -> String {
        let rows: Vec<String> = rows.iter().map(|row| format!("({row})")).collect();
        let given = format!("(VALUES {}) AS v (t, i, m, q, a, r, s, p)", rows.join(", "));
        let values = format!(
            "i::text, m::text, q::numeric, a::timestamptz, {seen}::timestamptz, r::text, s::text, p::jsonb"
        );
        if self.shape != Shape::View {
            return format!("INSERT INTO {} SELECT t::text, {values} FROM {given}", Self::sql_name());
        }
        format!(
            "INSERT INTO customers (tenant) SELECT DISTINCT t::text FROM {given} WHERE t IS NOT NULL ON CONFLICT DO NOTHING;
            INSERT INTO events SELECT no, {values} FROM {given} LEFT JOIN customers ON tenant = t::text"
        )
    }

    /// The mapping of all columns.
    pub fn ledger(&self, beside_books: bool) -> OwnLedger {
        let some = |name: &str| Some(name.to_owned());
        OwnLedger {
            database: (!beside_books).then(|| Database::parse(&self.url, std::path::Path::new("")).unwrap()),
            table: TableName { schema: some(SCHEMA), name: TABLE.to_owned() },
            columns: Columns {
                tenant_id: "Tenant ID".to_owned(),
                source_event_id: "event.id".to_owned(),
                meter: "What".to_owned(),
                quantity: "Qty \"net\"".to_owned(),
                occurred_at: "at?".to_owned(),
                recorded_at: some("seen"),
                outcome: some("Result"),
                source: some("from"),
                properties: some("{facts}"),
            },
        }
    }

    /// The same as settings.
    pub fn settings() -> String {
        format!(
            "[ledger]\ntable = '\"{SCHEMA}\".\"{}\"'\n[ledger.columns]\ntenant_id = \"Tenant ID\"\nsource_event_id = \"event.id\"\n\
             meter = \"What\"\nquantity = 'Qty \"net\"'\noccurred_at = \"at?\"\nrecorded_at = \"seen\"\noutcome = \"Result\"\n\
             source = \"from\"\nproperties = \"{{facts}}\"\n",
            TABLE.replace('"', "\"\"")
        )
    }

    /// A store that reads it.
    pub fn under(&self, books: Store, beside_books: bool) -> Store {
        books.with_own_ledger(self.ledger(beside_books))
    }
}
