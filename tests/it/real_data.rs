//! A month of real cloud usage, closed to the last digit, and the same bytes whatever the database, its collation, the
//! order of the records and the format they came in.
//!
//! In: the shipped made-up month always, the real one where `shared/data` is there. Out: `lines.csv` against amounts
//! multiplied here, digit by digit in 128-bit integers, and against the provider's own cost. It never computes with the
//! program's numbers.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use crate::support::cloud::{Cloud, Expected};
use crate::support::postgres::TestDatabase;
use crate::support::{ENGINES, Ended, Engine, OBSERVE, Workspace, csv_rows};

type Files = BTreeMap<String, Vec<u8>>;

fn months() -> Vec<Cloud> {
    std::iter::once(Cloud::shipped()).chain(Cloud::real()).collect()
}

/// Imports what the usage is judged by. Sums of such usage have more digits than Stripe takes, so nothing is pushed.
fn import_rules(workspace: &Workspace, cloud: &Cloud) {
    workspace.write("billrecon.toml", OBSERVE);
    workspace.write("catalog.toml", cloud.catalog());
    workspace.write("tenants.csv", cloud.tenants());
    workspace.run(&["import", "catalog", "catalog.toml"]).expect(0);
    workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
}

/// Imports usage from a file; read, accepted and duplicate records.
fn import_usage(workspace: &Workspace, file: &str, text: &str) -> [u64; 3] {
    workspace.write(file, text);
    counts(&workspace.run(&["import", "usage", file, "--json"]))
}

fn counts(ended: &Ended) -> [u64; 3] {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let receipt = ended.json();
    ["read", "accepted", "duplicate"].map(|name| receipt[name].as_u64().unwrap())
}

/// Closes the month; its data files.
fn close(workspace: &Workspace, cloud: &Cloud) -> Files {
    let run = workspace.run(&["run", "--period", cloud.period(), "--json"]).expect(0).json();
    assert_eq!(run["status"], "closed");
    workspace.data_files(cloud.period())
}

/// The data files of the month on a workspace, imported from its CSV as it is.
fn files_on(workspace: &Workspace, cloud: &Cloud) -> Files {
    import_rules(workspace, cloud);
    let records = record_lines(cloud).len() as u64;
    assert_eq!(import_usage(workspace, "usage.csv", &cloud.usage()), [records, records, 0]);
    close(workspace, cloud)
}

/// The same on SQLite, closed once for all tests.
fn reference(cloud: &Cloud) -> Files {
    static CLOSED: Mutex<BTreeMap<&str, Files>> = Mutex::new(BTreeMap::new());
    let mut closed = CLOSED.lock().unwrap_or_else(PoisonError::into_inner);
    let files = closed.entry(cloud.period());
    files.or_insert_with(|| files_on(&Workspace::new(Engine::Sqlite), cloud)).clone()
}

/// Every way on either engine with the shipped month; the real one, whose tenants have hundreds of prices at Stripe, takes
/// each way and each engine once.
fn pairs<T: Copy>(cloud: &Cloud, ways: &[T]) -> Vec<(Engine, T)> {
    if cloud.period() == Cloud::shipped().period() {
        return ENGINES.into_iter().flat_map(|engine| ways.iter().map(move |way| (engine, *way))).collect();
    }
    let engines = [Engine::Postgres, Engine::Sqlite].into_iter().cycle();
    engines.zip(ways.iter().copied()).collect()
}

fn record_lines(cloud: &Cloud) -> Vec<String> {
    cloud.usage().lines().skip(1).map(str::to_owned).collect()
}

fn with_header(cloud: &Cloud, lines: &[String]) -> String {
    let header = cloud.usage().lines().next().unwrap().to_owned();
    std::iter::once(&header).chain(lines).map(|line| format!("{line}\n")).collect()
}

/// Fails with the first line that differs, and not with two whole files.
#[track_caller]
fn assert_same_bytes(found: &Files, expected: &Files) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, expected) in expected {
        let (found, expected) = (String::from_utf8_lossy(&found[name]), String::from_utf8_lossy(expected));
        let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
        assert_eq!(differs, None, "{name}");
        assert!(found == expected, "{name} differs in its length or its line ends");
    }
}

/// A decimal number that is not negative: `digits × 10^-places`.
#[derive(Clone, Copy)]
struct Decimal {
    digits: i128,
    places: u32,
}

impl Decimal {
    fn parse(text: &str) -> Self {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{fraction}").parse().unwrap();
        Self { digits, places: u32::try_from(fraction.len()).unwrap() }
    }

    fn times(self, other: Self) -> Self {
        Self { digits: self.digits.checked_mul(other.digits).unwrap(), places: self.places + other.places }
    }

    fn at_places(self, places: u32) -> i128 {
        self.digits.checked_mul(10i128.pow(places - self.places)).unwrap()
    }

    /// To the nearest whole number, a half away from zero.
    fn rounded(self) -> i128 {
        let one = 10i128.pow(self.places);
        self.digits / one + i128::from(self.digits % one * 2 >= one)
    }

    /// Without trailing zeros.
    fn text(self) -> String {
        let digits = format!("{:0>width$}", self.digits, width = self.places as usize + 1);
        let (whole, fraction) = digits.split_at(digits.len() - self.places as usize);
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
    }
}

#[test]
fn the_arithmetic_of_this_witness_is_right() {
    let cents =
        |quantity, price| Decimal::parse(quantity).times(Decimal::parse(price)).times(Decimal::parse("100"));
    for (quantity, price, exact, rounded) in [
        ("0.625", "0.008", "0.5", 1),
        ("0.62499999999", "0.008", "0.499999999992", 0),
        ("1.5", "0.01", "1.5", 2),
        ("0.00000000001", "0.0000000001", "0.0000000000000000001", 0),
        ("0", "0.09", "0", 0),
        ("420743227.45422647352", "40.96", "1723364259652.51163553792", 1_723_364_259_653),
    ] {
        let found = cents(quantity, price);
        assert_eq!((found.text().as_str(), found.rounded()), (exact, rounded), "{quantity} x {price}");
    }
}

/// One line against the quantity, the list price and the provider's own cost.
fn assert_exact(line: &BTreeMap<String, String>, expected: &Expected) {
    let quantity = Decimal::parse(&expected.quantity);
    let unit_amount = Decimal::parse(&expected.list_price_usd).times(Decimal::parse("100"));
    let exact = quantity.times(unit_amount);
    assert_eq!(line["quantity"], quantity.text(), "{line:?}");
    assert_eq!(line["unit_amount_decimal"], unit_amount.text(), "{line:?}");
    assert_eq!(line["exact_amount_minor"], exact.text(), "{line:?}");
    assert_eq!(line["amount_minor"], exact.rounded().to_string(), "{line:?}");
    let amount = format!("{:0>3}", exact.rounded());
    let (dollars, cents) = amount.split_at(amount.len() - 2);
    assert_eq!(
        (&line["amount"], line["currency"].as_str()),
        (&format!("{dollars}.{cents}"), "usd"),
        "{line:?}"
    );
    // The provider prints eleven decimals, rounded record by record: a millionth of a cent is its own error.
    let cost = Decimal::parse(&expected.list_cost_usd).times(Decimal::parse("100"));
    let off = exact.at_places(24) - cost.at_places(24);
    assert!(off.abs() <= 10i128.pow(18), "{line:?}, but the provider's cost is {} cents", cost.text());
}

#[test]
fn every_usage_line_is_quantity_times_list_price_to_the_last_digit() {
    for cloud in months() {
        let expected = cloud.expected();
        assert_eq!(expected.len(), if cloud.period() == "2024-09" { 448 } else { 26 });
        for engine in ENGINES {
            let files = match engine {
                Engine::Sqlite => reference(&cloud),
                Engine::Postgres => files_on(&Workspace::new(engine), &cloud),
            };
            let lines = csv_rows(&files["lines.csv"]);
            let keys: Vec<_> =
                lines.iter().map(|line| (line["tenant_id"].clone(), line["meter"].clone())).collect();
            // Sorted by bytes, one line each, no base fee.
            assert_eq!(keys, expected.keys().cloned().collect::<Vec<_>>(), "{engine:?}");
            for (line, expected) in lines.iter().zip(expected.values()) {
                assert_eq!((line["kind"].as_str(), line["tier"].as_str()), ("usage", ""));
                assert_exact(line, expected);
            }
            assert_eq!(accepted_records(&files), records_by_meter(&expected), "{engine:?}");
        }
    }
}

/// Accepted records by meter in the control totals.
fn accepted_records(files: &Files) -> BTreeMap<String, u64> {
    let rows = csv_rows(&files["control_totals.csv"]).into_iter();
    let accepted = rows.filter(|row| row["measure"] == "accepted");
    accepted.map(|row| (row["meter"].clone(), row["records"].parse().unwrap())).collect()
}

fn records_by_meter(expected: &BTreeMap<(String, String), Expected>) -> BTreeMap<String, u64> {
    let mut records = BTreeMap::new();
    for ((_, meter), one) in expected {
        *records.entry(meter.clone()).or_default() += one.records;
    }
    records
}

/// Always the same order, and not the given one.
fn shuffle(lines: &mut [String]) {
    let mut state = 20_260_201u64;
    for end in (1..lines.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let choices = u64::try_from(end + 1).unwrap();
        lines.swap(end, usize::try_from((state >> 33) % choices).unwrap());
    }
}

#[test]
fn a_month_imported_twice_and_shuffled_gives_the_same_bytes() {
    for cloud in months() {
        let reference = reference(&cloud);
        let lines = record_lines(&cloud);
        let records = lines.len() as u64;
        for (engine, ()) in pairs(&cloud, &[()]) {
            let workspace = Workspace::new(engine);
            import_rules(&workspace, &cloud);
            let mut twice = [lines.clone(), lines.clone()].concat();
            shuffle(&mut twice);
            assert_ne!(twice[..lines.len()], lines);
            let shuffled = import_usage(&workspace, "shuffled.csv", &with_header(&cloud, &twice));
            assert_eq!(shuffled, [2 * records, records, records]);
            assert_eq!(import_usage(&workspace, "again.csv", &cloud.usage()), [records, 0, records]);
            assert_same_bytes(&close(&workspace, &cloud), &reference);
        }
    }
}

/// A database whose collation and zone would change results wherever the SQL leaves something to it.
fn turkish_database() -> TestDatabase {
    let options = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' ENCODING 'UTF8'";
    let database = TestDatabase::create(options);
    database.alter("ALTER DATABASE {} SET timezone TO 'Asia/Kathmandu'");
    database
}

#[test]
fn a_turkish_collation_and_a_session_zone_of_nepal_change_no_byte() {
    for cloud in months() {
        let reference = reference(&cloud);
        let turkish = Workspace::on(turkish_database());
        assert_same_bytes(&files_on(&turkish, &cloud), &reference);
        // The database is what it is said to be, and would have sorted otherwise. Its zone is the default of other
        // sessions only: the driver asks for UTC whenever it connects.
        let order =
            "SELECT string_agg(id, ' ' ORDER BY id) FROM (VALUES ('I'), ('Z'), ('i'), ('ı')) AS ids (id)";
        assert_eq!(turkish.sql(order), [["ı I i Z"]]);
        let zone = "SELECT setconfig[1] FROM pg_db_role_setting JOIN pg_database ON oid = setdatabase
            WHERE datname = current_database()";
        assert_eq!(turkish.sql(zone), [["TimeZone=Asia/Kathmandu"]]);
    }
}

/// The records as NDJSON: numbers as numbers or as text, fields in either order.
fn ndjson(cloud: &Cloud) -> String {
    let rows = csv_rows(cloud.usage().as_bytes()).into_iter().enumerate();
    let object = |(index, row): (usize, BTreeMap<String, String>)| {
        let quoted = |name: &str| format!("\"{name}\":{}", serde_json::to_string(&row[name]).unwrap());
        let number = format!("\"quantity\":{}", row["quantity"]);
        let quantity = if index % 2 == 0 { number } else { quoted("quantity") };
        let mut fields = ["tenant_id", "meter", "occurred_at", "source_event_id"].map(quoted).to_vec();
        fields.insert(index % 5, quantity);
        format!("{{{}}}\n", fields.join(","))
    };
    rows.map(object).collect()
}

/// Imports usage from standard input.
fn import_from_stdin(workspace: &Workspace, text: &str) -> [u64; 3] {
    let mut command = workspace.command(&["import", "usage", "-", "--json"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    counts(&Ended::of(child.wait_with_output().unwrap()))
}

#[test]
fn csv_and_ndjson_from_a_file_and_from_standard_input_give_the_same_bytes() {
    for cloud in months() {
        let reference = reference(&cloud);
        let records = record_lines(&cloud).len() as u64;
        let ways: [fn(&Workspace, &Cloud) -> [u64; 3]; 3] = [
            |workspace, cloud| import_usage(workspace, "usage.ndjson", &ndjson(cloud)),
            |workspace, cloud| import_from_stdin(workspace, &ndjson(cloud)),
            |workspace, cloud| import_from_stdin(workspace, &cloud.usage()),
        ];
        for (engine, way) in pairs(&cloud, &ways) {
            let workspace = Workspace::new(engine);
            import_rules(&workspace, &cloud);
            assert_eq!(way(&workspace, &cloud), [records, records, 0]);
            // The formats agree record by record: each copy is a duplicate, no conflict.
            assert_eq!(import_usage(&workspace, "usage.csv", &cloud.usage()), [records, 0, records]);
            assert_same_bytes(&close(&workspace, &cloud), &reference);
        }
    }
}
