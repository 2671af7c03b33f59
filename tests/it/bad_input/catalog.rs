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
    ("key = \"storage_gb\"", "key = \"b2b.match_request\"", "meter[1].key: "),
    ("key = \"storage_gb\"", "key = \"\"", "meter[1].key: "),
    ("key = \"storage_gb\"", "key = \"storage\\u0000\"", "meter[1].key: "),
    ("key = \"starter\"", "key = \"pro\"", "plan[1].key: "),
    ("meter = \"storage_gb\"", "meter = \"b2b.match_request\"", "plan[1].usage[1].meter: "),
    ("meter = \"storage_gb\"", "meter = \"storage_tb\"", "plan[1].usage"),
    ("currency = \"try\"", "currency = \"xyz\"", "plan[0].currency: "),
    ("currency = \"try\"", "currency = \"\"", "plan[0].currency: "),
    ("currency = \"try\"", "currency = \"try\"\ninterval = \"week\"", "plan[0].interval: "),
    ("amount = 49900", "amount = -1", "plan[0].amount: "),
    ("free_quota = 100", "free_quota = 50", "plan[1].usage[0].free_quota: "),
    ("free_quota = 100", "free_quota = -100", "plan[1].usage[0].free_quota: "),
    ("free_quota = 100", "free_quota = \"1e400\"", "plan[1].usage[0].free_quota: "),
    ("free_quota = 100", "free_quota = 100\npush = \"overage\"", "plan[1].usage[0].push: "),
    ("up_to = 100,", "up_to = 0,", "plan[1].usage[0].price.tiers[0].up_to: "),
    ("up_to = 100,", "up_to = \"inf\",", "plan[1].usage[0].price.tiers[0].up_to: "),
    ("up_to = 100,", "up_to = \"many\",", "plan[1].usage[0].price.tiers[0].up_to: "),
    (
        "up_to = 100, unit_amount_decimal = \"0\" },",
        "up_to = 100, unit_amount_decimal = \"0\" }, { up_to = 100, unit_amount_decimal = \"1\" },",
        "plan[1].usage[0].price.tiers[1].up_to: ",
    ),
    ("\"inf\"", "500", "plan[1].usage[0].price.tiers[1].up_to: "),
    ("\"700\"", "\"-700\"", "plan[1].usage[0].price.tiers[1].unit_amount_decimal: "),
    ("\"700\"", "\"seven\"", "plan[1].usage[0].price.tiers[1].unit_amount_decimal: "),
    ("\"700\"", "\"700\", unit_amount = 700", "plan[1].usage[0].price.tiers[1]: "),
    (", unit_amount_decimal = \"700\"", "", "plan[1].usage[0].price.tiers[1]: "),
    ("0.000000000001", "0.0000000000001", "plan[1].usage[1].price.unit_amount_decimal: "),
    ("\"0.000000000001\"", "\"1\", tiers = []", "plan[1].usage[1].price: "),
    ("tiers_mode = \"graduated\",", "", "plan[1].usage[0].price.tiers_mode: "),
    (
        "tiers_mode = \"graduated\",",
        "tiers_mode = \"graduated\", unit_amount = 1,",
        "plan[1].usage[0].price: ",
    ),
];

/// The same for faults that the TOML reader finds: it names line and column, and shows the line.
const SHAPE_FAULTS: &[(&str, &str, &str)] = &[
    ("free_quota = 100", "free_qouta = 100", "line 21, column 3"),
    ("[[plan]]", "[[plans]]", "line 10, column 3"),
    ("amount = 49900", "ammount = 49900", "line 13, column 1"),
    ("\"0.000000000001\"", "\"1\", tier_mode = \"graduated\"", "line 26, column"),
    ("\"700\"", "700.5", "line 23, column"),
    ("\"700\"", "700", "line 23, column"),
    ("up_to = 100,", "up_to = 100.5,", "line 23, column"),
    ("up_to = 100,", "up_to = nan,", "line 23, column"),
    ("free_quota = 100", "free_quota = inf", "line 21, column"),
    ("amount = 49900", "amount = 499.00", "line 13, column"),
    ("amount = 49900", "amount = 99999999999999999999", "line 13, column"),
    ("aggregation = \"sum\"", "aggregation = \"average\"", "line 4, column"),
    ("\"graduated\"", "\"package\"", "line 22, column"),
    ("key = \"starter\"\n", "", "line 10, column"),
    ("amount = 49900", "amount = 49900\namount = 0", "line 14, column"),
    ("tiers = [", "tiers = [[", "line 23, column"),
];

#[test]
fn each_fault_is_refused_with_its_place_and_the_catalog_before_stays() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    let before = current(&workspace);
    for (right, wrong, place) in FAULTS.iter().chain(SHAPE_FAULTS) {
        assert!(CATALOG.contains(right), "{right}");
        let ended = import_catalog(&workspace, CATALOG.replacen(right, wrong, 1)).expect(65);
        says(&ended, "new.toml: ");
        says(&ended, place);
    }
    assert_eq!(current(&workspace), before);
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
