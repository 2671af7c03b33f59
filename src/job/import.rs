//! Imports: files into the database.
//!
//! In: open files, settings, `now`. Out: receipts. Catalog and tenants change what a run does, so they take the lease;
//! usage only adds rows, each at most once, so it does not. An import that dies is simply run again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::domain::audit::{AuditEvent, sha256_hex};
use crate::domain::proof::RecordSum;
use crate::domain::tenant::Tenant;
use crate::domain::usage::{Judged, Known, UsageRecord};
use crate::ingest::usage::{Judge, JudgedLine};
use crate::ingest::{IngestError, catalog, tenants};
use crate::job::interrupt::Signals;
use crate::job::lease::under_lease;
use crate::job::{Refusal, Settings, catalog_change, current_catalog, new_run_id};
use crate::store::books::StoredCatalog;
use crate::store::ledger::{Ledger, Outcome, Receipt};
use crate::store::{Access, Books, Store};

/// Lines that one transaction takes: enough to spread the cost of a disk flush, few enough to hold in memory thrice.
const LINES_PER_BATCH: usize = 10_000;

/// A file to import, under the name that messages use.
pub struct Input {
    pub name: String,
    pub reader: Box<dyn Read + Send>,
}

/// What became of a catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogReceipt {
    pub catalog_hash: String,
    pub meters: usize,
    pub plans: usize,
    /// Whether it differs from the one before.
    pub changed: bool,
}

pub async fn catalog(
    settings: &Settings,
    input: Input,
    wait: Duration,
    now: Timestamp,
) -> anyhow::Result<CatalogReceipt> {
    let Input { name, reader } = input;
    let body = read_text(reader, &name)?;
    let parsed = catalog::read(&body, &name)?;
    let stored = StoredCatalog { catalog_hash: sha256_hex(body.as_bytes()), body };
    let mut signals = Signals::listen()?;
    let store = signals.unless_interrupted(settings.open(Access::Write)).await?;
    let books = store.books();
    let changed = under_lease(&books, settings.lease_ttl, wait, now, &mut signals, async |lease| {
        let mut view = books.snapshot().await?;
        let before = view.catalog().await?;
        if before.is_some_and(|before| before.catalog_hash == stored.catalog_hash) {
            return Ok(false);
        }
        if let Some(refused) = catalog_change::refusal(&name, &parsed, &mut view).await? {
            return Err(refused.into());
        }
        drop(view);
        let mut write = books.write(lease.term()?).await?;
        write.add_catalog(&stored, now).await?;
        write
            .audit(&AuditEvent::CatalogImported { catalog_hash: stored.catalog_hash.clone() }, "", now)
            .await?;
        write.commit().await?;
        Ok(true)
    })
    .await?;
    store.close().await;
    let (meters, plans) = (parsed.meters.len(), parsed.plans.len());
    Ok(CatalogReceipt { catalog_hash: stored.catalog_hash, meters, plans, changed })
}

/// What became of a tenants file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantsReceipt {
    pub tenants: u64,
    pub rows: u64,
    /// Plans that tenants name and the catalog lacks; their tenants will be parked.
    pub unknown_plans: Vec<String>,
}

pub async fn tenants(
    settings: &Settings,
    input: Input,
    wait: Duration,
    now: Timestamp,
) -> anyhow::Result<TenantsReceipt> {
    let tenants = tenants::read(input.reader, &input.name, &settings.time_zone)?;
    let rows = tenants.iter().map(|tenant| tenant.subscriptions().len() as u64).sum();
    let mut signals = Signals::listen()?;
    let store = signals.unless_interrupted(settings.open(Access::Write)).await?;
    let books = store.books();
    let unknown_plans = under_lease(&books, settings.lease_ttl, wait, now, &mut signals, async |lease| {
        let mut write = books.write(lease.term()?).await?;
        write.replace_tenants(&tenants).await?;
        let event = AuditEvent::TenantsImported { tenants: tenants.len() as u64, rows };
        write.audit(&event, "", now).await?;
        write.commit().await?;
        unknown_plans(&tenants, &books).await
    })
    .await?;
    store.close().await;
    Ok(TenantsReceipt { tenants: tenants.len() as u64, rows, unknown_plans })
}

/// Plans that tenants name and the catalog lacks. Without a catalog nothing can be said yet.
async fn unknown_plans(tenants: &[Tenant], books: &Books) -> anyhow::Result<Vec<String>> {
    let mut view = books.snapshot().await?;
    if view.catalog().await?.is_none() {
        return Ok(Vec::new());
    }
    let (_, catalog) = current_catalog(&mut view).await?;
    let named = tenants.iter().flat_map(Tenant::subscriptions).map(|one| &one.plan);
    let unknown: BTreeSet<String> = named
        .filter(|plan| !catalog.plans.contains_key(*plan))
        .map(|plan| format!("{}/{}/{}", plan.key, plan.interval.as_str(), plan.currency))
        .collect();
    Ok(unknown.into_iter().collect())
}

/// What became of a usage file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageReceipt {
    pub counts: Receipt,
    /// The first quarantined lines, in words.
    pub quarantined: Vec<String>,
    /// Of what the ledger took.
    pub sum: RecordSum,
}

/// How many quarantined lines are shown; all are in the database.
const QUARANTINED_SHOWN: usize = 10;

/// Imports usage. `progress` hears the number of lines that are safe.
pub async fn usage(
    settings: &Settings,
    input: Input,
    now: Timestamp,
    progress: impl Fn(u64),
) -> anyhow::Result<UsageReceipt> {
    refuse_own_ledger(settings)?;
    let mut signals = Signals::listen()?;
    let store = signals.unless_interrupted(settings.open(Access::Write)).await?;
    let receipt = signals.unless_interrupted(import_usage(settings, input, now, progress, &store)).await;
    store.close().await;
    receipt
}

/// What is imported would never be looked at.
fn refuse_own_ledger(settings: &Settings) -> Result<(), Refusal> {
    let Some(ledger) = &settings.ledger else { return Ok(()) };
    Err(Refusal::Configuration(format!(
        "usage is read from {}, the table `ledger` of the settings, so nothing is imported: add the records there, or take \
         that table out of the settings",
        ledger.table
    )))
}

async fn import_usage(
    settings: &Settings,
    input: Input,
    now: Timestamp,
    progress: impl Fn(u64),
    store: &Store,
) -> anyhow::Result<UsageReceipt> {
    let judge = judge(settings, input.name.clone(), now, store).await?;
    let counts = Receipt { receipt: new_run_id(now), file: input.name, ..Receipt::default() };
    let mut receipt = UsageReceipt { counts, ..UsageReceipt::default() };
    let (lines, mut batches) = mpsc::channel::<Vec<JudgedLine>>(1);
    let judge = std::sync::Arc::new(judge);
    let reading = tokio::task::spawn_blocking({
        let judge = judge.clone();
        move || read_batches(&judge, input.reader, &lines)
    });
    let ledger = store.ledger();
    // What a correction names may stand further down in the file.
    let mut corrections = Vec::new();
    while let Some(mut batch) = batches.recv().await {
        corrections.extend(batch.extract_if(.., |line| line.is_correction()));
        take_batch(batch, &BTreeSet::new(), &judge, &ledger, &mut receipt, now).await?;
        progress(receipt.counts.read);
    }
    let founded = founded(&corrections, &ledger).await?;
    while !corrections.is_empty() {
        let batch = corrections.drain(..corrections.len().min(LINES_PER_BATCH)).collect();
        take_batch(batch, &founded, &judge, &ledger, &mut receipt, now).await?;
        progress(receipt.counts.read);
    }
    let read = reading.await.context("the reader ended")?;
    // A file that ends in a fault has a receipt too: its lines before the fault are in the ledger.
    let mut append = store.books().append().await?;
    append.receipt(&receipt.counts, receipt.sum, now).await?;
    append.commit().await?;
    read.with_context(|| {
        format!("{} lines before the fault are in; mend the file and import it again", receipt.counts.read)
    })?;
    Ok(receipt)
}

async fn judge(settings: &Settings, file: String, now: Timestamp, store: &Store) -> anyhow::Result<Judge> {
    let mut view = store.books().snapshot().await?;
    let (_, catalog) = current_catalog(&mut view).await?;
    let tenants = view.tenants().await?;
    let known = Known {
        meters: catalog.meters,
        tenants: tenants.iter().map(|tenant| tenant.id().to_owned()).collect(),
    };
    Ok(Judge { known, zone: settings.time_zone.clone(), now, file })
}

fn read_batches(
    judge: &Judge,
    reader: Box<dyn Read + Send>,
    lines: &mpsc::Sender<Vec<JudgedLine>>,
) -> Result<(), IngestError> {
    let mut batch = Vec::with_capacity(LINES_PER_BATCH);
    let read = judge.read(reader, |line| {
        batch.push(line);
        // A closed channel means that the writer failed; it says why.
        batch.len() < LINES_PER_BATCH || lines.blocking_send(std::mem::take(&mut batch)).is_ok()
    });
    // What was read before a fault is sent as well.
    let _writer_failed = lines.blocking_send(batch).is_err();
    read
}

/// Tenant and source event id of a record.
type RecordKey = (String, String);

/// Which of the corrected records the ledger holds, or will hold: a correction may itself be corrected.
async fn founded(corrections: &[JudgedLine], ledger: &Ledger) -> anyhow::Result<BTreeSet<RecordKey>> {
    let owned = |(tenant, id): (&str, &str)| (tenant.to_owned(), id.to_owned());
    let mut corrected_by: BTreeMap<RecordKey, Vec<RecordKey>> = BTreeMap::new();
    for line in corrections {
        if let (Some(corrects), Ok(judged)) = (line.corrects(), &line.outcome) {
            let own = (judged.record.tenant_id.clone(), judged.record.source_event_id.clone());
            corrected_by.entry(owned(corrects)).or_default().push(own);
        }
    }
    let keys: Vec<(&str, &str)> =
        corrected_by.keys().map(|(tenant, id)| (tenant.as_str(), id.as_str())).collect();
    let mut founded = BTreeSet::new();
    for keys in keys.chunks(LINES_PER_BATCH) {
        founded.extend(ledger.begin().await?.founded(keys).await?);
    }
    let mut next: Vec<RecordKey> = founded.iter().cloned().collect();
    while let Some(key) = next.pop() {
        for own in corrected_by.get(&key).into_iter().flatten() {
            if founded.insert(own.clone()) {
                next.push(own.clone());
            }
        }
    }
    Ok(founded)
}

/// One transaction: what it accepts and what it quarantines belong together. `founded` are the records that a correction
/// may name.
async fn take_batch(
    batch: Vec<JudgedLine>,
    founded: &BTreeSet<RecordKey>,
    judge: &Judge,
    ledger: &Ledger,
    receipt: &mut UsageReceipt,
    now: Timestamp,
) -> anyhow::Result<()> {
    receipt.counts.read += batch.len() as u64;
    let mut write = ledger.begin().await?;
    let (mut numbers, mut records, mut quarantined) = (Vec::new(), Vec::new(), Vec::new());
    for line in batch {
        match line.outcome {
            Ok(Judged { record, corrects: Some(id) })
                if !founded.contains(&(record.tenant_id.clone(), id.clone())) =>
            {
                quarantined.push(judge.unfounded(line.number, &record, &id));
            }
            Ok(Judged { record, .. }) => {
                numbers.push(line.number);
                records.push(record);
            }
            Err(rejected) => quarantined.push(*rejected),
        }
    }
    let outcomes = write.add(&records, now).await?;
    let mut accepted: Vec<&UsageRecord> = Vec::new();
    for ((number, record), outcome) in numbers.iter().zip(&records).zip(outcomes) {
        match outcome {
            Outcome::Accepted => {
                receipt.sum.add(record);
                accepted.push(record);
            }
            Outcome::Duplicate => receipt.counts.duplicate += 1,
            Outcome::Conflict => quarantined.push(judge.conflict(*number, record)),
        }
    }
    receipt.counts.accepted += accepted.len() as u64;
    receipt.counts.quarantined += quarantined.len() as u64;
    let free = QUARANTINED_SHOWN.saturating_sub(receipt.quarantined.len());
    let shown = quarantined.iter().take(free);
    receipt.quarantined.extend(
        shown.map(|one| format!("{}: line {}: {}: {}", one.file, one.line, one.reason.as_str(), one.detail)),
    );
    // In this order: a bad line may be mended further down in the same batch.
    write.quarantine(quarantined, now).await?;
    write.resolve_quarantine(&accepted, now).await?;
    Ok(write.commit().await?)
}

pub(in crate::job) fn read_text(mut reader: Box<dyn Read + Send>, file: &str) -> Result<String, IngestError> {
    let mut text = String::new();
    let read = reader.read_to_string(&mut text);
    read.map(|_| text).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::InvalidData => {
            IngestError::Toml { file: file.to_owned(), problem: "is not UTF-8".to_owned() }
        }
        _ => IngestError::Io { file: file.to_owned(), cause },
    })
}
