//! Catalog versions and tenants.
//!
//! In: a catalog's text and hash; tenants with all their rows. Out: the same. Every catalog version is kept; a tenant's
//! rows are replaced as a whole, so that a wrong date can be mended. Never parses a catalog: that is the importer's.

use jiff::Timestamp;

use crate::domain::catalog::PlanId;
use crate::domain::money::Currency;
use crate::domain::period::Interval;
use crate::domain::tenant::{Subscription, SubscriptionStatus, Tenant};
use crate::store::books::{BooksView, BooksWrite};
use crate::store::connection::Value;
use crate::store::error::StoreError;
use crate::store::row::Row;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCatalog {
    pub catalog_hash: String,
    /// TOML as it was imported.
    pub body: String,
}

impl BooksView {
    /// The version imported last.
    pub async fn catalog(&mut self) -> Result<Option<StoredCatalog>, StoreError> {
        let sql = "SELECT catalog_hash, body FROM catalog_versions ORDER BY version DESC LIMIT 1";
        let row = self.tx.fetch(sql, Vec::new()).await?.pop();
        row.map(|mut row| Ok(StoredCatalog { catalog_hash: row.text()?, body: row.text()? })).transpose()
    }

    /// Any version, by its hash.
    pub async fn catalog_version(&mut self, catalog_hash: &str) -> Result<Option<StoredCatalog>, StoreError> {
        let sql =
            "SELECT catalog_hash, body FROM catalog_versions WHERE catalog_hash = ? ORDER BY version LIMIT 1";
        let row = self.tx.fetch(sql, vec![catalog_hash.into()]).await?.pop();
        row.map(|mut row| Ok(StoredCatalog { catalog_hash: row.text()?, body: row.text()? })).transpose()
    }

    /// All versions, newest first.
    pub async fn catalogs(&mut self) -> Result<Vec<StoredCatalog>, StoreError> {
        let sql = "SELECT catalog_hash, body FROM catalog_versions ORDER BY version DESC";
        let read = |mut row: Row| Ok(StoredCatalog { catalog_hash: row.text()?, body: row.text()? });
        self.tx.fetch_map(sql, Vec::new(), read).await
    }

    /// Whether usage of a meter was closed, or pushed or planned to be.
    pub async fn holds_figures_of(&mut self, meter: &str) -> Result<bool, StoreError> {
        for sql in [
            "SELECT meter FROM window_usage WHERE meter = ? LIMIT 1",
            "SELECT meter FROM intents WHERE meter = ? LIMIT 1",
        ] {
            if !self.tx.fetch(sql, vec![meter.into()]).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Grows with every import of tenants, so that a closed period is looked at again only when a window can have come
    /// to it.
    pub async fn tenants_version(&mut self) -> Result<i64, StoreError> {
        let sql = "SELECT COUNT(*) FROM audit_log WHERE event = 'tenants_imported'";
        self.tx.fetch(sql, Vec::new()).await?.pop().map_or(Ok(0), |mut row| row.integer())
    }

    /// All tenants, by id.
    pub async fn tenants(&mut self) -> Result<Vec<Tenant>, StoreError> {
        let sql = "SELECT tenant_id, name, plan, plan_interval, currency, stripe_customer_id, stripe_subscription_id,
                status, billing_anchor, trial_end, started_at, ended_at
            FROM tenants ORDER BY tenant_id, position";
        let mut tenants = Vec::new();
        let mut rows: Vec<Subscription> = Vec::new();
        for subscription in self.tx.fetch_map(sql, Vec::new(), subscription_of).await? {
            if rows.first().is_some_and(|first| first.tenant_id != subscription.tenant_id) {
                tenants.push(tenant_of(std::mem::take(&mut rows))?);
            }
            rows.push(subscription);
        }
        if !rows.is_empty() {
            tenants.push(tenant_of(rows)?);
        }
        Ok(tenants)
    }
}

impl BooksWrite {
    /// Makes a catalog the current one.
    pub async fn add_catalog(&mut self, catalog: &StoredCatalog, now: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT INTO catalog_versions (version, catalog_hash, body, recorded_at)
            SELECT COALESCE(MAX(version), 0) + 1, ?, ?, ? FROM catalog_versions";
        let values = vec![catalog.catalog_hash.as_str().into(), catalog.body.as_str().into(), now.into()];
        self.tx.execute(sql, values).await.map(|_| ())
    }

    /// Replaces all rows of each tenant given; others stay.
    pub async fn replace_tenants(&mut self, tenants: &[Tenant]) -> Result<(), StoreError> {
        let columns = &[
            "tenant_id",
            "position",
            "name",
            "plan",
            "plan_interval",
            "currency",
            "stripe_customer_id",
            "stripe_subscription_id",
            "status",
            "billing_anchor",
            "trial_end",
            "started_at",
            "ended_at",
        ];
        let ids = tenants.iter().map(|tenant| vec![tenant.id().into()]).collect();
        self.tx.for_keys("DELETE FROM tenants WHERE tenant_id IN (VALUES", ids).await?;
        let rows = tenants.iter().flat_map(|tenant| {
            (0i64..).zip(tenant.subscriptions()).map(|(position, one)| row_of(position, one))
        });
        self.tx.insert("tenants", columns, rows, "").await.map(|_| ())
    }
}

fn row_of(position: i64, one: &Subscription) -> Vec<Value> {
    vec![
        one.tenant_id.as_str().into(),
        position.into(),
        one.name.as_str().into(),
        one.plan.key.as_str().into(),
        one.plan.interval.as_str().into(),
        one.plan.currency.code().into(),
        one.stripe_customer_id.as_str().into(),
        one.stripe_subscription_id.as_str().into(),
        one.status.as_str().into(),
        one.billing_anchor.into(),
        one.trial_end.into(),
        one.started_at.into(),
        one.ended_at.into(),
    ]
}

fn subscription_of(mut row: Row) -> Result<Subscription, StoreError> {
    Ok(Subscription {
        tenant_id: row.text()?,
        name: row.text()?,
        plan: plan_id(&mut row)?,
        stripe_customer_id: row.text()?,
        stripe_subscription_id: row.text()?,
        status: word(&row.text()?, SubscriptionStatus::parse)?,
        billing_anchor: row.optional_instant()?,
        trial_end: row.optional_instant()?,
        started_at: row.optional_instant()?,
        ended_at: row.optional_instant()?,
    })
}

fn tenant_of(rows: Vec<Subscription>) -> Result<Tenant, StoreError> {
    let id = rows.first().map(|first| first.tenant_id.clone()).unwrap_or_default();
    Tenant::new(id.clone(), rows).map_err(|fault| StoreError::inconsistent(&format!("tenant `{id}`"), fault))
}

/// Reads the three columns plan, `plan_interval`, currency.
pub(in crate::store::books) fn plan_id(row: &mut Row) -> Result<PlanId, StoreError> {
    let key = row.text()?;
    let interval = word(&row.text()?, Interval::parse)?;
    let currency = row.text()?;
    let currency = Currency::parse(&currency).map_err(|error| StoreError::inconsistent("a plan", error))?;
    Ok(PlanId { key, interval, currency })
}

/// Reads one of our own words.
pub(in crate::store::books) fn word<T>(text: &str, parse: fn(&str) -> Option<T>) -> Result<T, StoreError> {
    parse(text).ok_or_else(|| StoreError::inconsistent("an unknown word", text))
}
