//! The audit log: its chain, and whether it tells of all that is there.
//!
//! In: the log, runs, receipts, catalogs, people's words. Out: the first thing that does not hold, and what the log says of a
//! run. The chain alone cannot show that its last rows are missing: but what they told of is there, and misses them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::audit::{AuditEvent, AuditRow, prove_chain, sha256_hex};
use crate::domain::parking::{Hold, Release};
use crate::domain::proof::Finding;
use crate::domain::tenant::ParkReason;
use crate::store::StoreError;
use crate::store::books::{Approval, BooksView, CatalogVersion, RunFiles, RunState, details};
use crate::store::ledger::Receipt;

type Details = BTreeMap<String, String>;

/// The log, and what it must tell of.
pub struct Log {
    pub rows: Vec<AuditRow>,
    pub runs: Vec<RunFiles>,
    closing: BTreeSet<String>,
    receipts: Vec<(Receipt, Timestamp)>,
    catalogs: Vec<CatalogVersion>,
    /// Holds with whether they go on, and releases, oldest first.
    holds: Vec<(Hold, bool)>,
    releases: Vec<Release>,
    /// By run: which rows are about it, oldest first.
    by_run: BTreeMap<String, Vec<usize>>,
}

/// Where the log ends: position and hash.
pub type Head = (i64, String);

impl Log {
    pub async fn read(view: &mut BooksView) -> Result<Self, StoreError> {
        let rows = view.audit_log().await?;
        let mut by_run: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, row) in rows.iter().enumerate() {
            by_run.entry(row.run_id.clone()).or_default().push(index);
        }
        Ok(Self {
            rows,
            by_run,
            runs: view.run_files().await?,
            closing: view.closing_runs().await?,
            receipts: view.receipts().await?,
            catalogs: view.catalog_versions().await?,
            holds: view.hold_rows().await?,
            releases: view.parking().await?.releases,
        })
    }

    pub fn head(&self) -> Option<Head> {
        self.rows.last().map(|row| (row.position, row.hash.clone()))
    }

    /// `kept` is a head that somebody wrote down elsewhere.
    pub fn check(&self, kept: Option<&Head>) -> Finding {
        let chain = prove_chain(&self.rows).map_err(|fault| fault.to_string());
        let proved = chain
            .and_then(|()| kept.map_or(Ok(()), |kept| self.has(kept)))
            .and_then(|()| self.tells_of_runs())
            .and_then(|()| self.tells_of_imports())
            .and_then(|()| self.tells_of_catalogs())
            .and_then(|()| self.tells_of_words());
        match (proved, self.head()) {
            (Err(fault), _) => Finding::Fails(fault),
            (Ok(()), None) => Finding::Holds("the log is empty, and nothing misses a row in it".to_owned()),
            (Ok(()), Some((position, hash))) => {
                Finding::Holds(format!("{position} rows; keep elsewhere that its head is {position}:{hash}"))
            }
        }
    }

    /// The last row of that name about a run.
    pub fn event(&self, run_id: &str, event: &str) -> Option<(i64, Details)> {
        let row = self.about(run_id).rfind(|row| row.event == event)?;
        Some((row.position, details(row)))
    }

    /// The manifest's hash of a run that is finished and closed something.
    pub fn closed_manifest(&self, run: &RunFiles) -> Option<String> {
        self.event(&run.run_id, "run_committed").filter(|_| run.state == RunState::Finished)?;
        self.event(&run.run_id, "reports_written")?.1.remove("manifest_sha256")
    }

    pub fn approvals(&self, run_id: &str) -> Vec<Approval> {
        self.about(run_id).filter_map(Approval::of).collect()
    }

    /// The rows about a run, oldest first.
    fn about(&self, run_id: &str) -> impl DoubleEndedIterator<Item = &AuditRow> {
        self.by_run.get(run_id).into_iter().flatten().filter_map(|index| self.rows.get(*index))
    }

    /// Imports of usage: what the log says of each, with the instant.
    pub fn imports(&self) -> impl Iterator<Item = (&AuditRow, Details)> {
        self.rows.iter().filter(|row| row.event == "usage_imported").map(|row| (row, details(row)))
    }

    fn has(&self, (position, hash): &Head) -> Result<(), String> {
        let row = self.rows.iter().find(|row| row.position == *position);
        match row {
            Some(row) if row.hash == *hash => Ok(()),
            Some(_) => Err(format!(
                "audit_log: the row at position {position} has another hash than the head that was kept: the log was \
                 written anew"
            )),
            None => Err(format!(
                "audit_log: ends at position {}, but a head of position {position} was kept: its last rows are missing",
                self.rows.len()
            )),
        }
    }

    fn tells_of_runs(&self) -> Result<(), String> {
        for run in &self.runs {
            let needed = match run.state {
                RunState::Abandoned => Some("run_abandoned"),
                RunState::Finished => Some("reports_written"),
                RunState::Started | RunState::Committed => None,
            };
            let closing = (run.state == RunState::Committed || self.closing.contains(&run.run_id))
                .then_some("run_committed");
            for event in needed.into_iter().chain(closing) {
                if self.event(&run.run_id, event).is_none() {
                    return Err(format!(
                        "audit_log: no row {event} for run {} of {}, which is {}: the last rows of the log are \
                         missing, or the table runs was changed",
                        run.run_id,
                        run.period,
                        run.state.as_str()
                    ));
                }
            }
            if let Some((position, written)) = self.event(&run.run_id, "reports_written")
                && written.get("manifest_sha256") != Some(&run.manifest_sha256)
            {
                return Err(format!(
                    "runs: manifest_sha256 of run {} is {}, audit position {position} says another",
                    run.run_id, run.manifest_sha256
                ));
            }
        }
        let known: BTreeSet<&str> = self.runs.iter().map(|run| run.run_id.as_str()).collect();
        let named =
            self.rows.iter().find(|row| !row.run_id.is_empty() && !known.contains(row.run_id.as_str()));
        named.map_or(Ok(()), |row| {
            Err(format!("runs: run {} is missing; audit position {} tells of it", row.run_id, row.position))
        })
    }

    fn tells_of_imports(&self) -> Result<(), String> {
        let mut told: BTreeMap<String, (&AuditRow, Details)> = BTreeMap::new();
        for (row, details) in self.imports() {
            told.insert(details.get("receipt").cloned().unwrap_or_default(), (row, details));
        }
        for (receipt, at) in &self.receipts {
            let name = &receipt.receipt;
            let Some((row, details)) = told.remove(name) else {
                return Err(format!(
                    "audit_log: no row usage_imported for receipt {name}: the last rows of the log are missing, or \
                     import_receipts was changed"
                ));
            };
            let columns = [
                ("file", receipt.file.clone()),
                ("read", receipt.read.to_string()),
                ("accepted", receipt.accepted.to_string()),
                ("duplicate", receipt.duplicate.to_string()),
                ("quarantined", receipt.quarantined.to_string()),
            ];
            for (column, stored) in columns {
                // Earlier versions did not tell the file.
                if let Some(told) = details.get(column).filter(|told| **told != stored) {
                    let position = row.position;
                    return Err(format!(
                        "import_receipts, receipt {name}, {column}: `{stored}`, audit position {position} says `{told}`"
                    ));
                }
            }
            if *at != row.recorded_at {
                return Err(format!(
                    "import_receipts, receipt {name}, recorded_at: {at}, audit position {} says {}",
                    row.position, row.recorded_at
                ));
            }
        }
        told.pop_first().map_or(Ok(()), |(name, (row, _))| {
            Err(format!("import_receipts: receipt {name} of audit position {} is missing", row.position))
        })
    }

    fn tells_of_catalogs(&self) -> Result<(), String> {
        let mut told = self.rows.iter().filter(|row| row.event == "catalog_imported");
        for (version, catalog) in (1..).zip(&self.catalogs) {
            let place = format!("catalog_versions, version {version}");
            if catalog.version != version {
                return Err(format!("{place}: is missing; the next one there is {}", catalog.version));
            }
            if sha256_hex(catalog.body.as_bytes()) != catalog.catalog_hash {
                return Err(format!(
                    "{place}: body or catalog_hash was changed: one is not the hash of the other"
                ));
            }
            let Some(row) = told.next() else {
                return Err(format!(
                    "audit_log: no row catalog_imported for {place}: its last rows are missing"
                ));
            };
            if details(row).get("catalog_hash") != Some(&catalog.catalog_hash) {
                return Err(format!("{place}: is another catalog than audit position {} says", row.position));
            }
            if row.recorded_at != catalog.recorded_at {
                return Err(format!(
                    "{place}, recorded_at: {}, audit position {} says {}",
                    catalog.recorded_at, row.position, row.recorded_at
                ));
            }
        }
        told.next().map_or(Ok(()), |row| {
            Err(format!("catalog_versions: the catalog of audit position {} is missing", row.position))
        })
    }

    /// Every run acts on people's words, so each of them must have its row, to the letter.
    fn tells_of_words(&self) -> Result<(), String> {
        let holds =
            self.holds.iter().map(|(hold, goes_on)| (AuditEvent::of_hold(hold, *goes_on), hold.word.at));
        let releases = self.releases.iter().map(|one| (AuditEvent::of_release(one), one.word.at));
        let ends_hold = |row: &&AuditRow| {
            details(row).get("reason").is_some_and(|reason| reason == ParkReason::Held.as_str())
        };
        let words =
            self.rows.iter().filter(|row| row.event == "tenant_held" || row.event == "tenant_released");
        let (of_holds, of_releases) =
            words.partition::<Vec<&AuditRow>, _>(|row| row.event == "tenant_held" || ends_hold(row));
        same_words("holds", holds, &of_holds)?;
        same_words("releases", releases, &of_releases)
    }
}

fn same_words(
    table: &str,
    stored: impl Iterator<Item = (AuditEvent, Timestamp)>,
    told: &[&AuditRow],
) -> Result<(), String> {
    let mut told = told.iter();
    for (number, (event, at)) in (1..).zip(stored) {
        let own: Details = event.details().into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
        let whose = own.get("tenant_id").map(String::as_str).unwrap_or_default();
        let Some(row) = told.next() else {
            return Err(format!(
                "{table}, position {number} (tenant `{whose}`): no row {} of the audit log tells of it: it was not said to \
                 billrecon, or the last rows of the log are missing",
                event.name()
            ));
        };
        if row.event != event.name() || details(row) != own || row.recorded_at != at {
            return Err(format!(
                "{table}, position {number} (tenant `{whose}`): audit position {} tells of another word: {} {}",
                row.position, row.event, row.details
            ));
        }
    }
    told.next().map_or(Ok(()), |row| {
        Err(format!("{table}: the word that audit position {} tells of is missing", row.position))
    })
}
