//! Closing a month, from the outside: import, run, read the files.

use crate::support::{ENGINES, Workspace, csv_rows};

#[test]
fn a_pro_tenant_with_130_requests_owes_the_base_fee_and_thirty_times_seven_lira() {
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine);
        let run = workspace.run(&["run", "--period", "2026-09", "--json"]).expect(0).json();
        assert_eq!((&run["status"], &run["verdict"]), (&"closed".into(), &"INSUFFICIENT_DATA".into()));
        let lines = csv_rows(&workspace.data_files("2026-09")["lines.csv"]);
        let acme: Vec<(&str, &str, &str, &str)> = lines
            .iter()
            .filter(|line| line["tenant_id"] == "acme" && line["meter"] != "storage_gb")
            .map(|line| (&*line["kind"], &*line["tier"], &*line["quantity"], &*line["amount"]))
            .collect();
        assert_eq!(
            acme,
            [("base", "", "1", "999.00"), ("usage", "1", "100", "0.00"), ("usage", "2", "30", "210.00")]
        );
    }
}
