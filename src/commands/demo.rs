//! `billrecon demo`: a made-up company's two months, played from import to reports in ./billrecon-demo.
//!
//! In: nothing. Out: the same words and files each time. It makes its own folder and touches nothing else; a folder of
//! that name that it did not make is left alone.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::cli::GlobalFlags;
use crate::commands::{print, run, start_logging};
use crate::config::slack_webhook;
use crate::domain::audit::sha256_hex;
use crate::exit_code::ExitCode;
use crate::job::import::{self, Input};
use crate::job::{self, Refusal, RunOptions, Settings, StripeSettings};
use crate::store::Database;

const FOLDER: &str = "billrecon-demo";
/// The first line of the demo's config; it marks a folder as ours.
const MARK: &str = "# Written by `billrecon demo`, which makes this folder anew each time.";
/// Months that the demo plays, with the instant at which each is closed: three hours after its end.
const MONTHS: [(&str, &str); 2] = [("2026-09", "2026-10-01T03:00:00Z"), ("2026-10", "2026-11-01T03:00:00Z")];
const PRO_TENANTS: u64 = 120;

const CATALOG: &str = r#"# Match requests, priced in lira (minor units: kuruş).
[[meter]]
key = "b2b.match_request"
aggregation = "sum"

[[plan]]
key = "starter"                 # sells no access to the meter
currency = "try"
amount = 49900

[[plan]]
key = "pro"
currency = "try"
amount = 99900
  [[plan.usage]]
  meter = "b2b.match_request"
  free_quota = 100
  price = { billing_scheme = "per_unit", unit_amount_decimal = "700" }

[[plan]]
key = "enterprise"
currency = "try"
amount = 249900
  [[plan.usage]]
  meter = "b2b.match_request"
  free_quota = 1000
  price = { billing_scheme = "per_unit", unit_amount_decimal = "500" }
"#;

pub async fn execute(global: &GlobalFlags) -> anyhow::Result<ExitCode> {
    start_logging(global.log.as_deref().unwrap_or("warn"))?;
    let folder = Path::new(FOLDER);
    make_folder(folder)?;
    let settings = settings(folder)?;
    print::data(
        "LEDGER ONLY demo: a company bills match requests. Stripe is not asked, so nothing can be GO.",
    )?;
    let started: Timestamp = MONTHS[0].1.parse()?;
    let catalog =
        import::catalog(&settings, input(folder, "catalog.toml", CATALOG)?, Duration::ZERO, started).await?;
    let tenants =
        import::tenants(&settings, input(folder, "tenants.csv", &tenants())?, Duration::ZERO, started)
            .await?;
    print::data(&format!("imported {} plans and {} tenants", catalog.plans, tenants.tenants))?;
    for (month, closed_at) in MONTHS {
        let now = closed_at.parse()?;
        let file = format!("usage-{month}.csv");
        let receipt =
            import::usage(&settings, input(folder, &file, &usage(month))?, now, |_| ()).await?.counts;
        let (accepted, quarantined) = (receipt.accepted, receipt.quarantined);
        print::data(&format!("\n{now}  {file}: {accepted} records accepted, {quarantined} quarantined"))?;
        run::print_wake(&job::run(&settings, &RunOptions::default(), now).await?, false)?;
    }
    print::data(&format!(
        "\nEverything is in ./{FOLDER}: the files it was made from, the database and the reports. Look around:\n  \
         cd {FOLDER} && billrecon status"
    ))?;
    Ok(ExitCode::Done)
}

fn make_folder(folder: &Path) -> anyhow::Result<()> {
    let config = folder.join("billrecon.toml");
    if folder.exists() {
        let ours = fs::read_to_string(&config).is_ok_and(|text| text.starts_with(MARK));
        if !ours {
            let text = format!(
                "./{FOLDER} is there and was not made by the demo: move it away, or go to another folder"
            );
            return Err(Refusal::CannotCreate(text).into());
        }
        fs::remove_dir_all(folder)?;
    }
    let made = fs::create_dir(folder).and_then(|()| {
        fs::write(&config, format!("{MARK}\ndatabase = \"sqlite://billrecon.db\"\nreports = \"reports\"\n"))
    });
    made.map_err(|error| Refusal::CannotCreate(format!("./{FOLDER} cannot be made: {error}")).into())
}

fn settings(folder: &Path) -> anyhow::Result<Settings> {
    Ok(Settings {
        database: Database::parse("sqlite://billrecon.db", folder)?,
        reports: folder.join("reports"),
        time_zone: TimeZone::UTC,
        time_zone_name: "UTC".to_owned(),
        first_period: None,
        settle_delay: SignedDuration::from_hours(2),
        lease_ttl: Duration::from_mins(1),
        rules_hash: sha256_hex(CATALOG.as_bytes()),
        stripe: StripeSettings { api_key: None, api_base: String::new(), sandbox: true, sandbox_state: None },
        push_mode: None,
        slack_webhook: slack_webhook()?,
        demo: true,
    })
}

/// Keeps the file for the person who looks, and hands its text to the importer.
fn input(folder: &Path, name: &str, text: &str) -> anyhow::Result<Input> {
    let path: PathBuf = folder.join(name);
    fs::write(&path, text)?;
    Ok(Input { name: path.display().to_string(), reader: Box::new(Cursor::new(text.to_owned())) })
}

/// One tenant is on a plan that the catalog does not have: it is parked, and the others are closed.
fn tenants() -> String {
    let mut csv = "tenant_id,name,plan,currency,status,started_at\n".to_owned();
    let plans = (1..=40)
        .map(|_| "starter")
        .chain((1..=PRO_TENANTS).map(|_| "pro"))
        .chain((1..=15).map(|_| "enterprise"));
    for (number, plan) in (1..).zip(plans) {
        csv.push_str(&format!("t{number:03},Company {number:03},{plan},try,active,2026-09-01\n"));
    }
    csv.push_str("t900,Old Friends Ltd,legacy,try,active,2026-09-01\n");
    csv
}

/// A month of records: most Pro tenants stay below their quota, some go far beyond. One Starter tenant uses what it has
/// not bought, and one line is negative.
fn usage(month: &str) -> String {
    let mut csv = "tenant_id,meter,quantity,occurred_at,source_event_id\n".to_owned();
    let mut dice = Dice(if month == MONTHS[0].0 { 7 } else { 11 });
    for tenant in 41..=40 + PRO_TENANTS + 15 {
        let records = if dice.roll(8) == 0 { 20 + dice.roll(25) } else { 1 + dice.roll(14) };
        for record in 0..records {
            let (day, hour, quantity) = (1 + dice.roll(30), dice.roll(24), 1 + dice.roll(11));
            csv.push_str(&format!(
                "t{tenant:03},b2b.match_request,{quantity},{month}-{day:02}T{hour:02}:00:00Z,{month}-t{tenant:03}-{record}\n"
            ));
        }
    }
    csv.push_str(&format!("t007,b2b.match_request,3,{month}-12T08:00:00Z,{month}-t007-0\n"));
    csv.push_str(&format!("t900,b2b.match_request,12,{month}-15T08:00:00Z,{month}-t900-0\n"));
    csv.push_str(&format!("t050,b2b.match_request,-4,{month}-20T10:00:00Z,{month}-t050-negative\n"));
    csv
}

/// The same numbers on every machine (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}
