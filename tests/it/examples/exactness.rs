//! From import to report no digit is lost: the smallest and the largest quantities, on both databases.
//!
//! In: usage with up to 12 places, one record for each tenant. Out: the same digits in `lines.csv`, and products that
//! `bigdecimal` computes too. It only observes: a push takes no more than 15 digits.

use bigdecimal::BigDecimal;

use crate::support::{ENGINES, Engine, Workspace, csv_rows};

const CATALOG: &str = r#"
[[meter]]
key = "sum"
aggregation = "sum"
[[meter]]
key = "peak"
aggregation = "max"
per = "source"
[[meter]]
key = "newest"
aggregation = "last"
[[plan]]
key = "exact"
currency = "usd"
  [[plan.usage]]
  meter = "sum"
  price = { billing_scheme = "tiered", tiers_mode = "volume", tiers = [{ up_to = "inf", unit_amount_decimal = "0.000000000007" }] }
  [[plan.usage]]
  meter = "peak"
  price = { unit_amount_decimal = "123456.123456789012" }
  [[plan.usage]]
  meter = "newest"
  price = { unit_amount = 3 }
"#;

const QUANTITIES: [&str; 11] = [
    "0.000000000001",
    "999999999999.5",
    "0.1",
    "0.333333333333",
    "123456789012.123456789012",
    "1",
    "0.999999999999",
    "9007199254740.993",
    "0.5",
    "31.000000000009",
    "72057594037.927937",
];

fn quantities() -> Vec<(String, &'static str)> {
    (0..).zip(QUANTITIES).map(|(number, quantity): (usize, _)| (format!("t-{number:02}"), quantity)).collect()
}

fn closed(engine: Engine) -> Workspace {
    let workspace = Workspace::new(engine).observing();
    let (mut tenants, mut usage) = (
        "tenant_id,plan,currency,stripe_customer_id,stripe_subscription_id,started_at\n".to_owned(),
        "tenant_id,meter,quantity,occurred_at,source_event_id,source\n".to_owned(),
    );
    for (tenant, quantity) in quantities() {
        tenants.push_str(&format!("{tenant},exact,usd,cus_{tenant},sub_{tenant},2026-10-01T00:00:00Z\n"));
        for meter in ["sum", "peak", "newest"] {
            usage.push_str(&format!("{tenant},{meter},{quantity},2026-10-15T00:00:00Z,{meter},east\n"));
        }
        // A smaller reading of the peak and an older one of the newest do not count.
        usage.push_str(&format!("{tenant},peak,0,2026-10-16T00:00:00Z,low,east\n"));
        usage.push_str(&format!("{tenant},newest,999,2026-10-14T00:00:00Z,old,east\n"));
    }
    workspace.import(CATALOG, &tenants, &usage);
    workspace.watch("2026-10");
    workspace.run(&["run", "--period", "2026-10", "--as-of", "2026-11-02T00:00:00Z"]).expect(0);
    workspace
}

#[test]
fn no_digit_is_lost_between_import_and_report_on_either_database() {
    let [sqlite, postgres] = ENGINES.map(|engine| closed(engine).data_files("2026-10"));
    assert_eq!(sqlite, postgres);
    let rows = csv_rows(&sqlite["lines.csv"]);
    assert_eq!(rows.len(), 3 * quantities().len());
    let number = |text: &str| text.parse::<BigDecimal>().unwrap();
    for (tenant, quantity) in quantities() {
        for (meter, price) in [("sum", "0.000000000007"), ("peak", "123456.123456789012"), ("newest", "3")] {
            let row = rows.iter().find(|row| row["tenant_id"] == tenant && row["meter"] == meter).unwrap();
            assert_eq!(row["quantity"], quantity, "{meter}");
            assert_eq!(row["unit_amount_decimal"], price, "{meter}");
            let exact = (number(quantity) * number(price)).normalized().to_plain_string();
            assert_eq!(row["exact_amount_minor"], exact, "{meter} of {quantity}");
            let rounded = number(&exact).with_scale_round(0, bigdecimal::RoundingMode::HalfUp);
            assert_eq!(row["amount_minor"], rounded.to_plain_string(), "{meter} of {quantity}");
        }
    }
}

/// The calculator says the same as the report.
#[test]
fn rate_says_what_the_report_says() {
    let workspace = closed(Engine::Sqlite);
    let rows = csv_rows(&workspace.data_files("2026-10")["lines.csv"]);
    for (tenant, quantity) in quantities() {
        let used = ["sum", "peak", "newest"].map(|meter| format!("{meter}={quantity}"));
        let mut arguments = vec!["rate", "--catalog", "catalog.toml", "--plan", "exact", "--json"];
        arguments.extend(used.iter().flat_map(|one| ["--use", one.as_str()]));
        let quote = workspace.run(&arguments).expect(0).json();
        for line in quote["lines"].as_array().unwrap() {
            let row = rows
                .iter()
                .find(|row| row["tenant_id"] == tenant && row["meter"] == line["meter"].as_str().unwrap())
                .unwrap();
            for column in ["kind", "quantity", "priced_quantity", "unit_amount_decimal", "exact_amount_minor"]
            {
                assert_eq!(line[column], *row[column], "{tenant}: {column}");
            }
            assert_eq!(line["amount_minor"].to_string(), row["amount_minor"]);
        }
    }
}
