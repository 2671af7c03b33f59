//! Windows from the outside: which usage belongs to which window, segment and plan, and what becomes of the rest.
//!
//! In: small companies, imported and closed by the real binary. Out: the rows of its files. Every run that a test looks
//! at must tie in its control totals, which are added up here from the file's own text. It never reads the clock: all
//! periods lie in the past.

mod anchors;
mod cycles;
mod edges;
mod late;
mod moves;
mod plans;
mod statuses;
mod trials;

use std::collections::BTreeMap;

use crate::support::{CATALOG, Workspace, csv_rows, files};

/// A plan without a quota, per month and per year.
const FLAT: &str = r#"
[[plan]]
key = "flat"
currency = "try"
  [[plan.usage]]
  meter = "b2b.match_request"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "700" }

[[plan]]
key = "flat"
currency = "try"
interval = "year"
  [[plan.usage]]
  meter = "b2b.match_request"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "650" }
"#;

const MATCH: &str = "b2b.match_request";
const STORAGE: &str = "storage_gb";

type Row = BTreeMap<String, String>;

/// A workspace with these plans beside the small company's own, these tenants and this usage.
fn company(workspace: Workspace, plans: &str, tenants: &[&str], usage: &[Used<'_>]) -> Workspace {
    workspace.import(&format!("{CATALOG}\n{plans}"), &tenant_rows(tenants), &usage_rows(usage));
    workspace
}

/// Rows `tenant_id,plan,billing_anchor,started_at,ended_at,interval`; all tenants pay in lira, and all rows of a tenant
/// speak of one subscription at Stripe.
fn tenant_rows(rows: &[&str]) -> String {
    let row = |row: &&str| {
        let tenant = row.split(',').next().unwrap();
        format!("{row},try,cus_{tenant},sub_{tenant}\n")
    };
    let rows: String = rows.iter().map(row).collect();
    let columns = "tenant_id,plan,billing_anchor,started_at,ended_at,interval,currency";
    format!("{columns},stripe_customer_id,stripe_subscription_id\n{rows}")
}

/// Tenant, meter, quantity, instant.
type Used<'a> = (&'a str, &'a str, &'a str, &'a str);

fn usage_rows(usage: &[Used<'_>]) -> String {
    let row = |(tenant, meter, quantity, at): &Used<'_>| {
        format!("{tenant},{meter},{quantity},{at},{meter}/{quantity}/{at}\n")
    };
    let rows: String = usage.iter().map(row).collect();
    format!("tenant_id,meter,quantity,occurred_at,source_event_id\n{rows}")
}

/// More usage, all of which the ledger takes.
fn import_more(workspace: &Workspace, usage: &[Used<'_>]) {
    workspace.write("more.csv", usage_rows(usage));
    let receipt = workspace.run(&["import", "usage", "more.csv", "--json"]).expect(0).json();
    assert_eq!(receipt["accepted"], usage.len());
}

/// What one run of one period said and wrote.
struct Month {
    json: serde_json::Value,
    files: BTreeMap<String, Vec<u8>>,
}

/// Runs a period to the exit code expected, after its usage was pushed in time; the run must have written files that tie.
#[track_caller]
fn run(workspace: &Workspace, period: &str, code: i32) -> Month {
    run_to_one_of(workspace, period, &[code])
}

#[track_caller]
fn run_to_one_of(workspace: &Workspace, period: &str, codes: &[i32]) -> Month {
    if !workspace.path("watched").join(period).exists() {
        workspace.watch(period);
    }
    let ended = workspace.run(&["run", "--period", period, "--as-of", &after(period), "--json"]);
    assert!(ended.code.is_some_and(|code| codes.contains(&code)), "{codes:?}: {ended:?}");
    let json = ended.json();
    let folder = workspace.path(json["reports_dir"].as_str().unwrap());
    let month = Month { json, files: files(&folder) };
    month.assert_ties();
    month
}

/// Noon (UTC) of the next month's last day: all windows of the period have ended and their invoices are final, and those
/// of the next period still take usage.
fn after(period: &str) -> String {
    let first: jiff::civil::Date = format!("{period}-01").parse().unwrap();
    let next = first.last_of_month().tomorrow().unwrap();
    format!("{}T12:00:00Z", next.last_of_month())
}

impl Month {
    fn status(&self) -> &str {
        self.json["status"].as_str().unwrap()
    }

    fn rows(&self, file: &str) -> Vec<Row> {
        csv_rows(&self.files[file])
    }

    /// The chosen columns of a tenant's lines, each line as one text.
    fn lines(&self, tenant: &str, columns: &[&str]) -> Vec<String> {
        let rows = self.rows("lines.csv").into_iter().filter(|row| row["tenant_id"] == tenant);
        rows.map(|row| columns.iter().map(|name| row[*name].as_str()).collect::<Vec<_>>().join(" ")).collect()
    }

    /// The bytes of `lines.csv` that belong to a tenant, line by line.
    fn raw_lines(&self, tenant: &str) -> Vec<String> {
        let text = String::from_utf8(self.files["lines.csv"].clone()).unwrap();
        let of_tenant = format!(",{tenant},");
        text.split_inclusive("\r\n").filter(|line| line.contains(&of_tenant)).map(str::to_owned).collect()
    }

    /// `meter source class ledger Stripe reason` of each comparison of a tenant's usage.
    fn comparison(&self, tenant: &str) -> Vec<String> {
        let columns = ["meter", "source", "class", "ledger_quantity", "stripe_quantity", "reason"];
        let rows = self.rows("reconciliation.csv").into_iter();
        rows.filter(|row| row["tenant_id"] == tenant && !row["meter"].is_empty())
            .map(|row| columns.map(|name| row[name].clone()).join(" "))
            .collect()
    }

    /// `tenant kind reason plan meter records quantity` of each exception.
    fn exceptions(&self) -> Vec<String> {
        let columns = ["tenant_id", "kind", "reason", "plan", "meter", "records", "quantity"];
        let rows = self.rows("exceptions.csv").into_iter();
        rows.map(|row| columns.map(|name| row[name].clone()).join(" ").trim_end().to_owned()).collect()
    }

    /// Stripe's windows are ours, so what was used in them stands on its meters and on its invoices.
    #[track_caller]
    fn assert_matched(&self) {
        let rows = self.rows("reconciliation.csv");
        let of_usage: Vec<&Row> = rows.iter().filter(|row| row["class"] != "out_of_scope").collect();
        assert!(!of_usage.is_empty() && of_usage.iter().all(|row| row["class"] == "matched"), "{of_usage:?}");
    }

    /// Records and quantity of a control measure, as text.
    fn control(&self, meter: &str, measure: &str) -> (String, String) {
        let rows = self.rows("control_totals.csv").into_iter();
        let mut found = rows.filter(|row| row["meter"] == meter && row["measure"] == measure);
        let row = found.next().unwrap_or_else(|| panic!("no {measure} of {meter}"));
        (row["records"].clone(), row["quantity"].clone())
    }

    /// `accepted = in_window + late + excluded + parked`, `used = free + billed + capped + parked`, in every meter.
    fn assert_ties(&self) {
        let rows = self.rows("control_totals.csv");
        let meters: std::collections::BTreeSet<String> =
            rows.into_iter().map(|row| row["meter"].clone()).collect();
        for meter in meters {
            let units = |measures: &[&str]| -> i128 {
                measures.iter().map(|measure| scaled(&self.control(&meter, measure).1)).sum()
            };
            let records = |measures: &[&str]| -> u64 {
                measures.iter().map(|measure| self.control(&meter, measure).0.parse::<u64>().unwrap()).sum()
            };
            let parts = ["in_window", "late", "excluded", "parked"];
            assert_eq!(records(&["accepted"]), records(&parts), "records of {meter}");
            assert_eq!(units(&["accepted"]), units(&parts), "quantity of {meter}");
            assert_eq!(units(&["used"]), units(&["free", "billed", "capped", "parked"]), "units of {meter}");
            assert_eq!(
                units(&["used"]),
                units(&["in_window", "parked"]),
                "used and recorded units of {meter}"
            );
        }
    }
}

/// Decimal text in 10^-12 units.
fn scaled(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<12}").parse().unwrap()
}
