//! Closed records: every row that a run wrote for good, as hashes.
//!
//! In: a run. Out: [`ClosedRecords`], by table: its rows in the order of their key, each a line of JSON, hashed one after the
//! other. Numbers are text and instants nanoseconds, so both databases give the same. The commit and the auditor ask the
//! same question here; the answer of the commit lies in the audit log. Never looks into a row: all its columns count.

use crate::domain::proof::{ClosedRecords, LinesHash};
use crate::store::books::{BooksView, BooksWrite};
use crate::store::connection::{Tx, Value};
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::row::Row;

/// A table with rows of runs.
struct Table {
    name: &'static str,
    /// Which rows are a run's: as many times its id as there are question marks.
    rows: &'static str,
    /// The key, without the run.
    order: &'static str,
    /// Columns that change after the commit. `run_id` is never part of a row: it says whose the row is.
    left_out: &'static [&'static str],
}

/// Of the windows that the run closed.
const OF_WINDOWS: &str =
    "period = (SELECT period FROM runs WHERE run_id = ?) AND (tenant_id, window_start) IN
    (SELECT tenant_id, window_start FROM billing_windows WHERE run_id = ? AND status = 'closed')";
const OF_RUN: &str = "run_id = ?";

const TABLES: [Table; 14] = [
    Table {
        name: "billing_windows",
        rows: "run_id = ? AND status = 'closed'",
        order: "tenant_id, window_start, window_end",
        left_out: &[],
    },
    Table {
        name: "window_usage",
        rows: OF_WINDOWS,
        order: "tenant_id, window_start, position",
        left_out: &[],
    },
    Table {
        name: "window_lines",
        rows: OF_WINDOWS,
        order: "tenant_id, window_start, position",
        left_out: &[],
    },
    Table { name: "reconciliation", rows: OF_RUN, order: "position", left_out: &[] },
    Table { name: "run_exceptions", rows: OF_RUN, order: "position", left_out: &[] },
    Table { name: "run_control_totals", rows: OF_RUN, order: "meter, measure", left_out: &[] },
    Table { name: "run_evidence", rows: OF_RUN, order: "position", left_out: &[] },
    Table { name: "run_decisions", rows: OF_RUN, order: "position", left_out: &[] },
    Table {
        name: "adjustments",
        rows: OF_RUN,
        order: "tenant_id, window_start, window_end, segment_start, meter",
        left_out: &[],
    },
    Table {
        name: "limit_events",
        rows: "period = (SELECT period FROM runs WHERE run_id = ?) AND run_id = ?",
        order: "tenant_id, window_start, window_end, meter, level",
        left_out: &[],
    },
    Table { name: "run_accruals", rows: OF_RUN, order: "position", left_out: &[] },
    Table { name: "run_facts", rows: OF_RUN, order: "run_id", left_out: &[] },
    Table { name: "run_totals", rows: OF_RUN, order: "currency", left_out: &[] },
    // It becomes finished, and learns of its manifest.
    Table { name: "runs", rows: OF_RUN, order: "run_id", left_out: &["state", "manifest_sha256"] },
];

impl BooksWrite {
    /// What the run has written in this transaction and before, to be kept in the audit log.
    pub async fn closed_records(&mut self, run_id: &str) -> Result<ClosedRecords, StoreError> {
        records(&mut self.tx, run_id, &ClosedRecords::default()).await
    }
}

impl BooksView {
    /// The same now, with no more columns than `closed` has: later ones were not there then.
    pub async fn closed_records(
        &mut self,
        run_id: &str,
        closed: &ClosedRecords,
    ) -> Result<ClosedRecords, StoreError> {
        records(&mut self.tx, run_id, closed).await
    }
}

async fn records(tx: &mut Tx, run_id: &str, closed: &ClosedRecords) -> Result<ClosedRecords, StoreError> {
    let mut records = ClosedRecords::default();
    for table in &TABLES {
        let mut columns = columns(tx, table).await?;
        columns.truncate(closed.0.get(table.name).map_or(usize::MAX, |closed| closed.columns));
        let selected: Vec<String> = columns.iter().map(Column::selected).collect();
        let Table { name, rows, order, .. } = table;
        // By the table's columns: PostgreSQL would take the bare name for the text that is selected under it.
        let order: Vec<String> = order.split(", ").map(|column| format!("{name}.{column}")).collect();
        let (selected, order) = (selected.join(", "), order.join(", "));
        let sql = format!("SELECT {selected} FROM {name} WHERE {rows} ORDER BY {order}");
        let values = rows.matches('?').map(|_| Value::from(run_id)).collect();
        let mut hash = LinesHash::default();
        let add = |mut row: Row| {
            let cells: Result<Vec<Option<String>>, StoreError> =
                columns.iter().map(|column| column.text(&mut row)).collect();
            let line = serde_json::to_string(&cells?);
            hash.add(&line.map_err(|error| StoreError::inconsistent(name, error))?);
            Ok(())
        };
        tx.for_each(tx.dialect().render(&sql), values, add).await?;
        records.0.insert((*name).to_owned(), hash.finish(columns.len()));
    }
    Ok(records)
}

/// A column as both databases know it.
enum Column {
    /// Text, whole number or nothing.
    Plain(String),
    /// `NUMERIC`, or floor and rest.
    Exact(String),
}

impl Column {
    fn name(&self) -> &str {
        let (Self::Plain(name) | Self::Exact(name)) = self;
        name
    }

    fn selected(&self) -> String {
        match self {
            Self::Plain(name) => format!("CAST({name} AS TEXT)"),
            Self::Exact(name) => format!("{{exact:{name}}}"),
        }
    }

    fn text(&self, row: &mut Row) -> Result<Option<String>, StoreError> {
        match self {
            Self::Plain(_) => row.optional_text(),
            Self::Exact(_) => row.exact_text().map(Some),
        }
    }
}

/// The columns of a table in its own order, to which migrations only ever add.
async fn columns(tx: &mut Tx, table: &Table) -> Result<Vec<Column>, StoreError> {
    let sql = match tx.dialect() {
        Dialect::Sqlite => "SELECT name, 0 FROM pragma_table_info(?) ORDER BY cid",
        Dialect::Postgres => {
            "SELECT attname::text, CASE WHEN atttypid = 'numeric'::regtype THEN 1 ELSE 0 END::bigint
             FROM pg_attribute WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        }
    };
    let mut columns = Vec::new();
    for mut row in tx.fetch(sql, vec![table.name.into()]).await? {
        let (name, is_exact) = (row.text()?, row.integer()? == 1);
        if let Some(name) = name.strip_suffix("_floor") {
            columns.push(Column::Exact(name.to_owned()));
        } else if is_exact {
            columns.push(Column::Exact(name));
        } else if !name.ends_with("_rest") {
            columns.push(Column::Plain(name));
        }
    }
    columns.retain(|column| column.name() != "run_id" && !table.left_out.contains(&column.name()));
    Ok(columns)
}
