//! Parking: holds and releases, which windows are parked and since when, what closed windows are charged, drafts seen.
//!
//! In: values of the domain. Out: the same. A hold is ended by a later row, so the tables of people's words only grow.
//! `parked_windows` is what the last run of each period found. Never decides who is parked.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::bounds::{Charge, Histories, History};
use crate::domain::money::Currency;
use crate::domain::parking::{Hold, Parking, Release, Word};
use crate::domain::period::{Period, Window};
use crate::domain::tenant::ParkReason;
use crate::store::books::rules::word;
use crate::store::books::runs::period;
use crate::store::books::{BooksView, BooksWrite};
use crate::store::connection::Value;
use crate::store::error::StoreError;
use crate::store::row::Row;

/// How many of a tenant's closed windows its next one is compared with.
const LAST_WINDOWS: i64 = 12;

/// A window that the last run of its period set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedWindow {
    pub tenant_id: String,
    pub window: Window,
    pub period: Period,
    pub reason: ParkReason,
    /// `now` of the first run that set it aside for this reason, and that run.
    pub since: Timestamp,
    pub run_id: String,
    /// Usage of it was kept back, for this reason or an earlier one.
    pub kept_back: bool,
}

/// How many windows of a period closed, and how many of those were seen as drafts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DraftWatch {
    pub period: Period,
    pub windows: u64,
    pub seen: u64,
}

impl BooksView {
    /// Every row of holds, oldest first: the hold, and whether it goes on from there or ends.
    pub async fn hold_rows(&mut self) -> Result<Vec<(Hold, bool)>, StoreError> {
        let sql = "SELECT tenant_id, period, held, held_by, note, recorded_at FROM holds ORDER BY position";
        let hold = |mut row: Row| {
            let (tenant_id, period, goes_on) = (row.text()?, known(&row.text()?)?, row.integer()? != 0);
            Ok((Hold { tenant_id, period, word: word_of(&mut row)? }, goes_on))
        };
        self.tx.fetch_map(sql, Vec::new(), hold).await
    }

    /// The holds that nobody has ended, and all releases, oldest first.
    pub async fn parking(&mut self) -> Result<Parking, StoreError> {
        let mut holds: BTreeMap<(String, Option<Period>), Hold> = BTreeMap::new();
        for (hold, goes_on) in self.hold_rows().await? {
            let key = (hold.tenant_id.clone(), hold.period);
            if goes_on {
                holds.insert(key, hold);
            } else {
                holds.remove(&key);
            }
        }
        let sql = "SELECT tenant_id, period, window_start, window_end, reason, released_by, note, recorded_at
            FROM releases ORDER BY position";
        let releases = self.tx.fetch_map(sql, Vec::new(), release_of).await?;
        Ok(Parking { holds: holds.into_values().collect(), releases })
    }

    /// What is parked in a period.
    pub async fn parked_in(&mut self, of: Period) -> Result<Vec<ParkedWindow>, StoreError> {
        let sql = "SELECT tenant_id, window_start, window_end, period, reason, since, run_id, kept_back
            FROM parked_windows
            WHERE period = ? ORDER BY tenant_id, window_start";
        self.tx.fetch_map(sql, vec![of.to_string().into()], parked_of).await
    }

    /// All that is parked, by tenant and time.
    pub async fn parked(&mut self) -> Result<Vec<ParkedWindow>, StoreError> {
        let sql = "SELECT tenant_id, window_start, window_end, period, reason, since, run_id, kept_back
            FROM parked_windows
            ORDER BY tenant_id, window_start";
        self.tx.fetch_map(sql, Vec::new(), parked_of).await
    }

    /// Of each tenant and basis: how many of its last closed windows there are, and the highest.
    pub async fn charge_histories(&mut self) -> Result<Histories, StoreError> {
        let sql = "SELECT tenant_id, basis, COUNT(*), MAX(amount_minor) FROM
            (SELECT tenant_id, basis, amount_minor, ROW_NUMBER() OVER
                (PARTITION BY tenant_id, basis ORDER BY window_start DESC) AS place
            FROM window_charges WHERE basis <> '') AS newest
            WHERE place <= ? GROUP BY tenant_id, basis";
        let history = |mut row: Row| {
            let key = (row.text()?, row.text()?);
            Ok((key, History { windows: row.count()?, highest: row.integer()? }))
        };
        Ok(self.tx.fetch_map(sql, vec![LAST_WINDOWS.into()], history).await?.into_iter().collect())
    }

    /// What the closed windows of a period came to.
    pub async fn charged(&mut self, of: Period) -> Result<BTreeMap<Currency, i128>, StoreError> {
        // In two halves, so that no sum of any number of them leaves 64 bits.
        let sql = "SELECT currency, CAST(SUM(amount_minor / 1000000) AS BIGINT), CAST(SUM(amount_minor % 1000000) AS BIGINT)
            FROM window_charges WHERE period = ? GROUP BY currency";
        let sum = |mut row: Row| {
            let currency = Currency::parse(&row.text()?);
            let currency = currency.map_err(|error| StoreError::inconsistent("a charge", error))?;
            Ok((currency, i128::from(row.integer()?) * 1_000_000 + i128::from(row.integer()?)))
        };
        Ok(self.tx.fetch_map(sql, vec![of.to_string().into()], sum).await?.into_iter().collect())
    }

    /// The newest periods with closed windows that are billed through Stripe, oldest first.
    pub async fn drafts_watched(&mut self) -> Result<Vec<DraftWatch>, StoreError> {
        let sql = "SELECT c.period, COUNT(*), SUM(CASE WHEN d.run_id IS NULL THEN 0 ELSE 1 END)
            FROM window_charges c LEFT JOIN draft_windows d ON d.tenant_id = c.tenant_id
                AND d.window_start = c.window_start AND d.window_end = c.window_end
            WHERE c.period IN (SELECT period FROM window_charges GROUP BY period ORDER BY period DESC LIMIT 3)
            GROUP BY c.period ORDER BY c.period";
        let watch = |mut row: Row| {
            Ok(DraftWatch { period: period(&row.text()?)?, windows: row.count()?, seen: row.count()? })
        };
        self.tx.fetch_map(sql, Vec::new(), watch).await
    }
}

impl BooksWrite {
    /// Sets a tenant aside, or ends that.
    pub async fn add_hold(&mut self, hold: &Hold, goes_on: bool) -> Result<(), StoreError> {
        let sql = "INSERT INTO holds (position, tenant_id, period, held, held_by, note, recorded_at)
            SELECT COALESCE(MAX(position), 0) + 1, ?, ?, ?, ?, ?, ? FROM holds";
        let values = vec![
            hold.tenant_id.as_str().into(),
            hold.period.map(|one| one.to_string()).unwrap_or_default().into(),
            i64::from(goes_on).into(),
            hold.word.by.as_str().into(),
            hold.word.note.as_str().into(),
            hold.word.at.into(),
        ];
        self.tx.execute(sql, values).await.map(|_| ())
    }

    pub async fn add_release(&mut self, release: &Release) -> Result<(), StoreError> {
        let sql = "INSERT INTO releases (position, tenant_id, period, window_start, window_end, reason, released_by, note,
                recorded_at)
            SELECT COALESCE(MAX(position), 0) + 1, ?, ?, ?, ?, ?, ?, ?, ? FROM releases";
        let window = release.window.as_ref();
        let values = vec![
            window.map_or("", |(tenant_id, _)| tenant_id.as_str()).into(),
            release.period.to_string().into(),
            window.map(|(_, window)| window.start).into(),
            window.map(|(_, window)| window.end).into(),
            release.reason.as_str().into(),
            release.word.by.as_str().into(),
            release.word.note.as_str().into(),
            release.word.at.into(),
        ];
        self.tx.execute(sql, values).await.map(|_| ())
    }

    /// Replaces what is parked in a period.
    pub async fn save_parked(&mut self, of: Period, parked: &[ParkedWindow]) -> Result<(), StoreError> {
        let sql = "DELETE FROM parked_windows WHERE period = ?";
        self.tx.execute(sql, vec![of.to_string().into()]).await?;
        let columns =
            &["tenant_id", "window_start", "window_end", "period", "reason", "since", "run_id", "kept_back"];
        let rows = parked.iter().map(|one| {
            vec![
                one.tenant_id.as_str().into(),
                one.window.start.into(),
                one.window.end.into(),
                one.period.to_string().into(),
                one.reason.as_str().into(),
                one.since.into(),
                one.run_id.as_str().into(),
                i64::from(one.kept_back).into(),
            ]
        });
        self.tx.insert("parked_windows", columns, rows, "").await.map(|_| ())
    }

    /// What the windows that close now are charged at the price in force.
    pub async fn add_charges(&mut self, of: Period, charges: &[Charge]) -> Result<(), StoreError> {
        let columns =
            &["tenant_id", "window_start", "window_end", "period", "basis", "currency", "amount_minor"];
        let mut rows: Vec<Vec<Value>> = Vec::with_capacity(charges.len());
        for one in charges {
            let minor = i64::try_from(one.amount.minor);
            let minor = minor.map_err(|error| StoreError::inconsistent("a charge", error))?;
            rows.push(vec![
                one.tenant_id.as_str().into(),
                one.window.start.into(),
                one.window.end.into(),
                of.to_string().into(),
                one.basis.as_str().into(),
                one.amount.currency.code().into(),
                minor.into(),
            ]);
        }
        self.tx.insert("window_charges", columns, rows, "").await.map(|_| ())
    }

    /// Keeps who saw a window as a draft first.
    pub async fn add_drafts(&mut self, windows: &[(String, Window)], run_id: &str) -> Result<(), StoreError> {
        let columns = &["tenant_id", "window_start", "window_end", "run_id"];
        let rows = windows.iter().map(|(tenant_id, window)| {
            vec![tenant_id.as_str().into(), window.start.into(), window.end.into(), run_id.into()]
        });
        self.tx.insert("draft_windows", columns, rows, "ON CONFLICT DO NOTHING").await.map(|_| ())
    }
}

/// Empty text is no period.
fn known(label: &str) -> Result<Option<Period>, StoreError> {
    (!label.is_empty()).then(|| period(label)).transpose()
}

fn word_of(row: &mut Row) -> Result<Word, StoreError> {
    Ok(Word { by: row.text()?, note: row.text()?, at: row.instant()? })
}

fn release_of(mut row: Row) -> Result<Release, StoreError> {
    let (tenant_id, label) = (row.text()?, row.text()?);
    let (start, end) = (row.optional_instant()?, row.optional_instant()?);
    let window = start.zip(end).map(|(start, end)| (tenant_id, Window { start, end }));
    let reason = word(&row.text()?, ParkReason::parse)?;
    Ok(Release { period: period(&label)?, window, reason, word: word_of(&mut row)? })
}

fn parked_of(mut row: Row) -> Result<ParkedWindow, StoreError> {
    Ok(ParkedWindow {
        tenant_id: row.text()?,
        window: Window { start: row.instant()?, end: row.instant()? },
        period: period(&row.text()?)?,
        reason: word(&row.text()?, ParkReason::parse)?,
        since: row.instant()?,
        run_id: row.text()?,
        kept_back: row.integer()? != 0,
    })
}
