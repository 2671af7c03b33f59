//! Catalogs with faults: each is refused with the place of the fault, and the catalog before stays the current one.
//!
//! In: the company's catalog with one thing wrong. Out: exit code 65 and a message with the path or the line of the
//! fault. Never a price that is read in another way than it was meant.

use super::{calm, says};
use crate::support::{CATALOG, ENGINES, Ended, Engine, Workspace};

fn import_catalog(workspace: &Workspace, bytes: impl AsRef<[u8]>) -> Ended {
    workspace.write("new.toml", bytes);
    calm(workspace.run(&["import", "catalog", "new.toml"]))
}

/// The current catalog and how many versions there are.
fn current(workspace: &Workspace) -> (String, i64) {
    let status = workspace.run(&["status", "--json"]).expect(0).json();
    let hash = status["catalog_hash"].as_str().unwrap().to_owned();
    (hash, workspace.number("SELECT COUNT(*) FROM catalog_versions"))
}

/// What to replace in the company's catalog, by what, and which place the message must name.
const FAULTS: &[(&str, &str, &str)] = &[
    ("key = \"storage_gb\"", "key = \"b2b.match_request\"", "line 7, column 1: meter[1].key: "),
    ("key = \"storage_gb\"", "key = \"\"", "line 7, column 1: meter[1].key: "),
    ("key = \"storage_gb\"", "key = \"storage\\u0000\"", "meter[1].key: "),
    // By default a dot becomes an underscore, so both would send to one meter at Stripe.
    (
        "key = \"storage_gb\"",
        "key = \"b2b_match_request\"",
        "meter[1].event_name: the meter `b2b.match_request` has",
    ),
    ("key = \"starter\"", "key = \"pro\"", "plan[1].key: the plan `pro` per month in try stands twice"),
    ("meter = \"storage_gb\"", "meter = \"b2b.match_request\"", "plan[1].usage[1].meter: "),
    (
        "meter = \"storage_gb\"",
        "meter = \"storage_tb\"",
        "plan[1].usage[1].meter: the meter `storage_tb` is not in the catalog: did you mean `storage_gb`?",
    ),
    ("currency = \"try\"", "currency = \"xyz\"", "line 12, column 1: plan[0].currency: "),
    ("currency = \"try\"", "currency = \"\"", "plan[0].currency: "),
    ("currency = \"try\"", "currency = \"try\"\ninterval = \"week\"", "plan[0].interval: "),
    ("amount = 49900", "amount = -1", "plan[0].amount: "),
    (
        "amount = 49900",
        "amount = 100.0",
        "plan[0].amount: `100.0` is no integer: write a whole number without a point",
    ),
    ("free_quota = 100", "free_quota = 50", "line 21, column 3: plan[1].usage[0].free_quota: "),
    ("free_quota = 100", "free_quota = -100", "plan[1].usage[0].free_quota: "),
    ("free_quota = 100", "free_quota = \"1e400\"", "plan[1].usage[0].free_quota: "),
    ("free_quota = 100", "free_quota = 100\npush = \"overage\"", "plan[1].usage[0].push: "),
    ("free_quota = 100", "free_quota = 100\nprorate_quota = true", "plan[1].usage[0].prorate_quota: "),
    (
        "free_quota = 100",
        "free_quota = 100\nprorate_quota = \"yes\"",
        "plan[1].usage[0].prorate_quota: must be true",
    ),
    ("amount = 99900", "amount = 99900\nhard_cap = true", "plan[1].usage[1].free_quota: is missing"),
    ("amount = 99900", "amount = 99900\nhard_cap = 1", "plan[1].hard_cap: must be true or false"),
    ("up_to = 100,", "up_to = 0,", "line 23, column 15: plan[1].usage[0].price.tiers[0].up_to: "),
    ("up_to = 100,", "up_to = \"inf\",", "plan[1].usage[0].price.tiers[0].up_to: "),
    ("up_to = 100,", "up_to = \"many\",", "plan[1].usage[0].price.tiers[0].up_to: "),
    ("up_to = 100,", "up_to = \"2.5\",", "plan[1].usage[0].price.tiers[0].up_to: "),
    ("up_to = 100,", "", "plan[1].usage[0].price.tiers[0].up_to: is missing"),
    (
        "up_to = 100, unit_amount_decimal = \"0\" },",
        "up_to = 100, unit_amount_decimal = \"0\" }, { up_to = 100, unit_amount_decimal = \"1\" },",
        "plan[1].usage[0].price.tiers[1].up_to: tiers must ascend",
    ),
    ("\"inf\"", "500", "plan[1].usage[0].price.tiers[1].up_to: the last tier must be open"),
    ("\"700\"", "\"-700\"", "plan[1].usage[0].price.tiers[1].unit_amount_decimal: must not be negative"),
    ("unit_amount_decimal = \"700\"", "flat_amount = -1", "plan[1].usage[0].price.tiers[1].flat_amount: "),
    ("\"700\"", "\"seven\"", "plan[1].usage[0].price.tiers[1].unit_amount_decimal: "),
    ("\"700\"", "\"700\", unit_amount = 701", "plan[1].usage[0].price.tiers[1].unit_amount_decimal: "),
    (
        "\"700\"",
        "\"700\", unit_amount = 7.0",
        "plan[1].usage[0].price.tiers[1].unit_amount: `7.0` is no integer of minor units: write a whole number without",
    ),
    (", unit_amount_decimal = \"700\"", "", "plan[1].usage[0].price.tiers[1]: "),
    ("\"700\"", "\"700\", flat = 1", "price.tiers[1].flat: the key `flat` is unknown"),
    ("0.000000000001", "0.0000000000001", "plan[1].usage[1].price.unit_amount_decimal: "),
    ("\"0.000000000001\"", "\"1\", tiers = []", "plan[1].usage[1].price.tiers: "),
    (
        "\"0.000000000001\"",
        "\"1\", transform_quantity = { divide_by = 0, round = \"up\" }",
        "transform_quantity.divide_by: ",
    ),
    (
        "\"0.000000000001\"",
        "\"1\", transform_quantity = { divide_by = 2.5, round = \"up\" }",
        "transform_quantity.divide_by: ",
    ),
    (
        "\"0.000000000001\"",
        "\"1\", transform_quantity = { divide_by = 2 }",
        "transform_quantity.round: is missing",
    ),
    (
        "\"0.000000000001\"",
        "\"1\", transform_quantity = { round = \"up\" }",
        "transform_quantity.divide_by: is missing",
    ),
    (
        "\"0.000000000001\"",
        "\"1\", transform_quantity = { divide_by = 2, round = \"near\" }",
        "transform_quantity.round: ",
    ),
    (", unit_amount_decimal = \"0.000000000001\"", "", "plan[1].usage[1].price.unit_amount: is missing"),
    ("\"per_unit\"", "\"per_units\"", "plan[1].usage[1].price.billing_scheme: `per_units` is none of"),
    ("billing_scheme = \"tiered\", ", "", "plan[1].usage[0].price.tiers: a per_unit price has no tiers"),
    ("tiers_mode = \"graduated\",", "", "plan[1].usage[0].price.tiers_mode: is missing"),
    (
        "tiers_mode = \"graduated\",",
        "tiers_mode = \"graduated\", unit_amount = 1,",
        "plan[1].usage[0].price.unit_amount: ",
    ),
    (
        "tiers_mode = \"graduated\",",
        "tiers_mode = \"graduated\", transform_quantity = { divide_by = 5, round = \"up\" },",
        "plan[1].usage[0].price.transform_quantity: ",
    ),
    ("\"graduated\"", "\"volume\"", "plan[1].usage[0].free_quota: "),
    ("aggregation = \"sum\"", "aggregation = \"sum\"\nper = \"cluster\"", "line 5, column 1: meter[0].per: "),
    (
        "aggregation = \"sum\"",
        "aggregation = \"sum\"\nbillable = [\"outcome = success\", \"duration_ms >=\"]",
        "line 5, column 34: meter[0].billable[1]: ",
    ),
    (
        "aggregation = \"sum\"",
        "aggregation = \"sum\"\nbillable = \"a = 1\"",
        "meter[0].billable: must be a list",
    ),
    (
        "aggregation = \"sum\"",
        "aggregation = \"sum\"\nbillable = [5]",
        "meter[0].billable[0]: must be a condition",
    ),
    ("aggregation = \"sum\"\n", "", "meter[0].aggregation: is missing"),
];

/// The same where one word or one kind of value is wrong: line, column and what was meant.
const SHAPE_FAULTS: &[(&str, &str, &[&str])] = &[
    ("free_quota = 100", "free_qouta = 100", &["line 21, column 3", "did you mean `free_quota`?"]),
    ("[[plan]]", "[[plans]]", &["line 10, column 3", "did you mean `plan`?"]),
    (
        "amount = 49900",
        "ammount = 49900",
        &["line 13, column 1", "plan[0].ammount", "did you mean `amount`?"],
    ),
    (
        "unit_amount_decimal = \"0\"",
        "unit_amont_decimal = \"0\"",
        &["line 23", "did you mean `unit_amount_decimal`?"],
    ),
    (
        "\"0.000000000001\"",
        "\"1\", tier_mode = \"graduated\"",
        &["line 26, column", "did you mean `tiers_mode`?"],
    ),
    ("\"700\"", "700.5", &["line 23, column", "in quotes"]),
    ("up_to = 100,", "up_to = 100.5,", &["line 23, column", "write \"100.5\""]),
    ("up_to = 100,", "up_to = nan,", &["line 23, column"]),
    (
        "free_quota = 100",
        "free_quota = 1.5",
        &["line 21, column 3", "plan[1].usage[0].free_quota", "write \"1.5\""],
    ),
    ("free_quota = 100", "free_quota = inf", &["line 21, column"]),
    ("amount = 49900", "amount = 499.00", &["line 13, column", "plan[0].amount"]),
    ("amount = 49900", "amount = 99999999999999999999", &["line 13, column"]),
    ("amount = 49900", "amount = 2026-10-01", &["line 13, column", "not a date"]),
    ("aggregation = \"sum\"", "aggregation = \"average\"", &["line 4, column", "meter[0].aggregation"]),
    ("aggregation = \"sum\"", "aggregation = \"sums\"", &["line 4, column", "did you mean \"sum\"?"]),
    ("\"graduated\"", "\"package\"", &["line 22, column", "plan[1].usage[0].price.tiers_mode"]),
    ("key = \"starter\"\n", "", &["line 10, column", "plan[0].key: is missing"]),
    ("amount = 49900", "amount = 49900\namount = 0", &["line 14, column"]),
    ("tiers = [", "tiers = [[", &["line 23, column"]),
];

#[test]
fn each_fault_is_refused_with_its_place_and_the_catalog_before_stays() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    let before = current(&workspace);
    let faults = FAULTS.iter().map(|(right, wrong, place)| (*right, *wrong, vec![*place]));
    let shapes = SHAPE_FAULTS.iter().map(|(right, wrong, words)| (*right, *wrong, words.to_vec()));
    for (right, wrong, words) in faults.chain(shapes) {
        assert!(CATALOG.contains(right), "{right}");
        let ended = import_catalog(&workspace, CATALOG.replacen(right, wrong, 1));
        assert_eq!(ended.code, Some(65), "{wrong}: {}", ended.stderr);
        says(&ended, "new.toml: ");
        says(&ended, "line ");
        for one in words {
            says(&ended, one);
        }
    }
    assert_eq!(current(&workspace), before);
}

/// Only a plan that bills nothing above its quotas needs no price.
#[test]
fn a_missing_price_is_refused_but_on_a_capped_plan() {
    let workspace = Workspace::new(Engine::Sqlite);
    let plan = |hard_cap: bool, price: &str| {
        format!(
            "[[meter]]\nkey = \"m\"\naggregation = \"count\"\n[[plan]]\nkey = \"free\"\ncurrency = \"usd\"\n\
             hard_cap = {hard_cap}\n[[plan.usage]]\nmeter = \"m\"\nfree_quota = 100\n{price}"
        )
    };
    says(&import_catalog(&workspace, plan(false, "")).expect(65), "plan[0].usage[0].price: is missing");
    import_catalog(&workspace, plan(true, "")).expect(0);
    import_catalog(&workspace, plan(false, "price = { unit_amount = 0 }")).expect(0);
}

#[test]
fn a_refused_catalog_changes_no_bill() {
    for engine in ENGINES {
        let (workspace, twin) = (Workspace::with_company(engine), Workspace::with_company(engine));
        import_catalog(&workspace, CATALOG.replace("\"700\"", "\"-700\"")).expect(65);
        for one in [&workspace, &twin] {
            one.watch("2026-09");
            one.run(&["run", "--period", "2026-09"]).expect(0);
        }
        assert_eq!(workspace.data_files("2026-09"), twin.data_files("2026-09"));
    }
}

/// It would replace every plan by none, and park every tenant.
#[test]
fn an_empty_catalog_is_refused() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    let before = current(&workspace);
    for empty in ["", "\n", "# nothing yet\n"] {
        import_catalog(&workspace, empty).expect(65);
    }
    assert_eq!(current(&workspace), before);
}

#[test]
fn a_catalog_that_is_no_text_is_bad_data() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    let utf_16: Vec<u8> = CATALOG.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [utf_16, [CATALOG.as_bytes(), b"# \xff"].concat(), b"\0\0\0\0".to_vec()] {
        says(&import_catalog(&workspace, bytes).expect(65), "new.toml: ");
    }
}

#[test]
fn the_same_catalog_again_is_no_new_version_and_another_one_is() {
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine);
        let (first, _) = current(&workspace);
        says(&import_catalog(&workspace, CATALOG).expect(0), "");
        assert_eq!(current(&workspace), (first.clone(), 1));
        import_catalog(&workspace, CATALOG.replace("\"700\"", "\"800\"")).expect(0);
        assert_ne!(current(&workspace).0, first);
        // Back to the first one: it is a new version, and the current one.
        import_catalog(&workspace, CATALOG).expect(0);
        assert_eq!(current(&workspace), (first, 3));
    }
}
