//! The own ledger of the settings as the store knows it.
//!
//! In: the configuration, the database of the books. Out: an [`OwnLedger`], where one is configured. It asks no server.

use secrecy::ExposeSecret;

use crate::config::Config;
use crate::store::ledger::{Columns, OwnLedger, TableName};
use crate::store::{Database, StoreError};

pub fn of(config: &Config, books: &Database) -> Result<Option<OwnLedger>, StoreError> {
    let Some(ledger) = config.ledger.clone() else { return Ok(None) };
    let columns = ledger.columns;
    let columns = Columns {
        tenant_id: columns.tenant_id,
        source_event_id: columns.source_event_id,
        meter: columns.meter,
        quantity: columns.quantity,
        occurred_at: columns.occurred_at,
        recorded_at: columns.recorded_at,
        outcome: columns.outcome,
        source: columns.source,
        properties: columns.properties,
    };
    let table = TableName { schema: ledger.schema, name: ledger.table };
    OwnLedger::new(ledger.url.as_ref().map(ExposeSecret::expose_secret), books, table, columns).map(Some)
}
