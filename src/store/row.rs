//! One row of either database, read from left to right.
//!
//! In: a driver's row. Out: values of the domain. Never turns a number into a binary float, and never guesses: a column
//! that holds something else is an error.

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use crate::domain::number::{Quantity, QuantitySum, UnitAmount};
use crate::store::error::StoreError;

pub(in crate::store) enum DriverRow {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A row, read from left to right.
pub(in crate::store) struct Row {
    row: DriverRow,
    column: usize,
}

impl From<DriverRow> for Row {
    fn from(row: DriverRow) -> Self {
        Self { row, column: 0 }
    }
}

impl Row {
    pub fn integer(&mut self) -> Result<i64, StoreError> {
        let column = self.take();
        Ok(match &self.row {
            DriverRow::Sqlite(row) => row.try_get(column)?,
            DriverRow::Postgres(row) => row.try_get(column)?,
        })
    }

    pub fn optional_integer(&mut self) -> Result<Option<i64>, StoreError> {
        let column = self.take();
        Ok(match &self.row {
            DriverRow::Sqlite(row) => row.try_get(column)?,
            DriverRow::Postgres(row) => row.try_get(column)?,
        })
    }

    pub fn text(&mut self) -> Result<String, StoreError> {
        let column = self.take();
        Ok(match &self.row {
            DriverRow::Sqlite(row) => row.try_get(column)?,
            DriverRow::Postgres(row) => row.try_get(column)?,
        })
    }

    pub fn optional_text(&mut self) -> Result<Option<String>, StoreError> {
        let column = self.take();
        Ok(match &self.row {
            DriverRow::Sqlite(row) => row.try_get(column)?,
            DriverRow::Postgres(row) => row.try_get(column)?,
        })
    }

    pub fn count(&mut self) -> Result<u64, StoreError> {
        let number = self.integer()?;
        u64::try_from(number).map_err(|_| StoreError::inconsistent("a count", number))
    }

    pub fn optional_count(&mut self) -> Result<Option<u64>, StoreError> {
        let count = |number| u64::try_from(number).map_err(|_| StoreError::inconsistent("a count", number));
        self.optional_integer()?.map(count).transpose()
    }

    pub fn instant(&mut self) -> Result<Timestamp, StoreError> {
        let number = self.integer()?;
        Timestamp::from_nanosecond(number.into())
            .map_err(|error| StoreError::inconsistent("an instant", error))
    }

    pub fn optional_instant(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let Some(number) = self.optional_integer()? else { return Ok(None) };
        let instant = Timestamp::from_nanosecond(number.into());
        instant.map(Some).map_err(|error| StoreError::inconsistent("an instant", error))
    }

    /// A column selected with `{exact:…}`.
    pub fn quantity(&mut self) -> Result<Quantity, StoreError> {
        let read = match self.row {
            DriverRow::Sqlite(_) => Quantity::from_floor_and_fraction(self.integer()?, self.integer()?),
            DriverRow::Postgres(_) => QuantitySum::parse(&self.text()?).and_then(QuantitySum::to_quantity),
        };
        read.map_err(|error| StoreError::inconsistent("a quantity", error))
    }

    /// A column selected with `{exact:…}`.
    pub fn unit_amount(&mut self) -> Result<UnitAmount, StoreError> {
        match self.row {
            DriverRow::Sqlite(_) => Ok(UnitAmount::from_floor_and_fraction(self.integer()?, self.integer()?)),
            DriverRow::Postgres(_) => UnitAmount::parse_stored(&self.text()?)
                .map_err(|error| StoreError::inconsistent("a unit amount", error)),
        }
    }

    /// A column selected with `{sum:…}`.
    pub fn quantity_sum(&mut self) -> Result<QuantitySum, StoreError> {
        let read = match self.row {
            DriverRow::Sqlite(_) => {
                let (high, low) = (self.integer()?, self.integer()?);
                let (rest_high, rest_low) = (self.integer()?, self.integer()?);
                QuantitySum::from_parts(join(high, low), join(rest_high, rest_low))
            }
            DriverRow::Postgres(_) => QuantitySum::parse(&self.text()?),
        };
        read.map_err(|error| StoreError::inconsistent("a sum", error))
    }

    /// A column selected with `{exact:…}`, whatever it is a number of.
    pub fn exact_text(&mut self) -> Result<String, StoreError> {
        let read = match self.row {
            DriverRow::Sqlite(_) => QuantitySum::from_parts(self.integer()?.into(), self.integer()?.into()),
            DriverRow::Postgres(_) => QuantitySum::parse(&self.text()?),
        };
        read.map(|sum| sum.to_string()).map_err(|error| StoreError::inconsistent("a number", error))
    }

    fn take(&mut self) -> usize {
        self.column += 1;
        self.column - 1
    }
}

/// Puts the two halves of a partial sum together; see the `{sum:…}` token.
fn join(high: i64, low: i64) -> i128 {
    i128::from(high) * 1_000_000 + i128::from(low)
}
