//! `billrecon import`: opens the file, calls the job, prints the receipt.
//!
//! In: a file's path or `-`. Out: the receipt on stdout; quarantined lines in words on stderr, exit code 3 for them.

use std::fs::File;
use std::io::Read;

use indicatif::ProgressBar;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::{GlobalFlags, Import};
use crate::commands::{catalog_preview, configured, print, progress, start_logging};
use crate::config::Config;
use crate::exit_code::ExitCode;
use crate::ingest::IngestError;
use crate::job::import::{self, Input, UsageReceipt};

pub async fn execute(global: &GlobalFlags, what: &Import, now: Timestamp) -> anyhow::Result<ExitCode> {
    let config = Config::load(global)?;
    start_logging(&config.log)?;
    let settings = configured(&config)?;
    match what {
        Import::Catalog(flags) => {
            if flags.dry_run {
                return catalog_preview::execute(&settings, &flags.import, now).await;
            }
            let flags = &flags.import;
            let (input, _) = open(&flags.file)?;
            let receipt = import::catalog(&settings, input, flags.lock_wait, now).await?;
            let changed = if receipt.changed {
                "is the current catalog now"
            } else {
                "was the current catalog already"
            };
            print::data(&if flags.json {
                let import::CatalogReceipt { catalog_hash, meters, plans, changed } = receipt;
                print::json(&json!({"catalog_hash": catalog_hash, "meters": meters, "plans": plans, "changed": changed}).to_string())
            } else {
                format!("{}: {} meters, {} plans; {changed}", flags.file, receipt.meters, receipt.plans)
            })?;
            Ok(ExitCode::Done)
        }
        Import::Tenants(flags) => {
            let (input, _) = open(&flags.file)?;
            let receipt = import::tenants(&settings, input, flags.lock_wait, now).await?;
            for plan in &receipt.unknown_plans {
                print::words(&format!("warning: the catalog has no plan {plan}; its tenants will be parked"));
            }
            print::data(&if flags.json {
                print::json(&json!({"tenants": receipt.tenants, "rows": receipt.rows, "unknown_plans": receipt.unknown_plans}).to_string())
            } else {
                format!("{}: {} tenants in {} rows", flags.file, receipt.tenants, receipt.rows)
            })?;
            Ok(ExitCode::Done)
        }
        Import::Usage(flags) => {
            let (input, bar) = open(&flags.file)?;
            let receipt =
                import::usage(&settings, input, now, |lines| bar.set_message(lines.to_string())).await;
            bar.finish_and_clear();
            Ok(print_usage(&receipt?, flags.json)?)
        }
    }
}

fn print_usage(receipt: &UsageReceipt, as_json: bool) -> std::io::Result<ExitCode> {
    let counts = &receipt.counts;
    for line in &receipt.quarantined {
        print::words(&format!("quarantined: {line}"));
    }
    let hidden = counts.quarantined - receipt.quarantined.len() as u64;
    if hidden > 0 {
        print::words(&format!("quarantined: … and {hidden} more lines; all are in the table quarantine"));
    }
    print::data(&if as_json {
        let receipt = json!({
            "receipt": counts.receipt, "file": counts.file, "read": counts.read, "accepted": counts.accepted,
            "duplicate": counts.duplicate, "quarantined": counts.quarantined,
        });
        print::json(&receipt.to_string())
    } else {
        let (read, accepted, duplicate) = (counts.read, counts.accepted, counts.duplicate);
        format!(
            "{}: {read} read = {accepted} accepted + {duplicate} duplicate + {} quarantined",
            counts.file, counts.quarantined
        )
    })?;
    Ok(if counts.quarantined > 0 { ExitCode::Unfinished } else { ExitCode::Done })
}

pub(in crate::commands) fn open(path: &str) -> Result<(Input, ProgressBar), IngestError> {
    if path == "-" {
        let bar = progress::bar(None);
        let reader = progress::through(&bar, std::io::stdin());
        return Ok((Input { name: "standard input".to_owned(), reader }, bar));
    }
    let failed = |cause| IngestError::Io { file: path.to_owned(), cause };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let bar = progress::bar(Some(length));
    let reader: Box<dyn Read + Send> = progress::through(&bar, file);
    Ok((Input { name: path.to_owned(), reader }, bar))
}
