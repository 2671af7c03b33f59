//! A company whose names are formulas, commas and quotes.
//!
//! In: nothing. Out: a workspace with its September imported and looked at in time, and its tenants' names.

use crate::support::{CATALOG, Engine, Workspace};

/// Ids and names that a spreadsheet would run, or that break a careless CSV writer; and some whose order by bytes is
/// not the order of any language.
pub const NAMES: &[&str] = &[
    "=HYPERLINK(\"http://x\")",
    "=1+1",
    "+1",
    "-1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(A1:A9)",
    "a,b",
    "q\"u\"o\"te",
    "; drop",
    "'apostrophe",
    "Zeta",
    "alpha",
    "Ärger",
    "ılık",
    "10",
    "9",
    "🧾",
];

/// A company whose tenants, plan and meter have such names. Half a unit costs half a lira, so figures have decimals.
pub fn hostile(engine: Engine) -> Workspace {
    let catalog = CATALOG.replace("b2b.match_request", "=meter,\\\"one\\\"");
    // The policy judges `pro`, so that plan is there as well.
    let pro = &catalog[catalog.find("[[plan]]\nkey = \"pro\"").unwrap()..];
    let catalog = format!("{}\n{pro}", catalog.replace("\"pro\"", "\"@pro\""));
    let mut tenants = csv::Writer::from_writer(Vec::new());
    let mut usage = csv::Writer::from_writer(Vec::new());
    let columns = ["tenant_id", "name", "plan", "currency", "started_at"];
    let ids = ["stripe_customer_id", "stripe_subscription_id"];
    tenants.write_record(columns.iter().chain(&ids)).unwrap();
    usage.write_record(["tenant_id", "meter", "quantity", "occurred_at", "source_event_id"]).unwrap();
    for (number, name) in NAMES.iter().enumerate() {
        let plan = ["@pro", "@pro", "pro", "starter"][number % 4];
        let (customer, subscription) = (format!("cus_{number}"), format!("sub_{number}"));
        tenants.write_record([name, name, plan, "try", "2026-09-01", &customer, &subscription]).unwrap();
        let id = format!("=id-{number}");
        usage.write_record([name, "=meter,\"one\"", "100.5", "2026-09-10T00:00:00Z", &id]).unwrap();
    }
    // Strangers' texts reach the exceptions as well.
    usage.write_record(["=stranger", "+meter", "1", "2026-09-10T00:00:00Z", "x"]).unwrap();
    usage.write_record(["\t=stranger", "\n+meter", "1", "2026-09-10T00:00:00Z", "y"]).unwrap();
    let workspace = Workspace::new(engine);
    workspace.write("catalog.toml", catalog);
    workspace.write("tenants.csv", tenants.into_inner().unwrap());
    workspace.write("usage.csv", usage.into_inner().unwrap());
    workspace.run(&["import", "catalog", "catalog.toml"]).expect(0);
    workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
    workspace.run(&["import", "usage", "usage.csv"]).expect(3);
    workspace.watch("2026-09");
    workspace
}
