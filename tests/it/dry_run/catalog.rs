//! `import catalog --dry-run`: it tells plan by plan what would change, and changes nothing.
//!
//! In: a company on both databases, and new catalogs. Out: what comes, goes and becomes another, with the tenants that it
//! touches; not a byte or row is another one, and no lease is taken. What an import refuses, it refuses.

use serde_json::{Value, json};

use super::{known, names};
use crate::support::{CATALOG, ENGINES, Ended, Engine, Workspace};

fn dry(workspace: &Workspace, catalog: &str, flags: &[&str]) -> Ended {
    workspace.write("new.toml", catalog);
    workspace.run(&[&["import", "catalog", "new.toml", "--dry-run"], flags].concat())
}

/// Another quota and price on Pro, no Starter, a meter and a plan more.
fn changed() -> String {
    let without_starter =
        CATALOG.replace("[[plan]]\nkey = \"starter\"\ncurrency = \"try\"\namount = 49900\n", "");
    assert_ne!(without_starter, CATALOG);
    let pro = without_starter
        .replace("amount = 99900", "amount = 109900")
        .replace("free_quota = 100", "free_quota = 50")
        .replace("up_to = 100,", "up_to = 50,")
        .replace("\"700\"", "\"650.5\"");
    format!(
        "{pro}\n[[meter]]\nkey = \"calls\"\naggregation = \"count\"\nbillable = [\"outcome = success\"]\n\
         [[plan]]\nkey = \"free\"\ncurrency = \"try\"\nhard_cap = true\n[[plan.usage]]\nmeter = \"calls\"\nfree_quota = 5\n"
    )
}

#[test]
fn it_tells_what_would_change_and_changes_nothing() {
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine);
        workspace.write("new.toml", changed());
        let (before, present) = (known(&workspace), names(&workspace));
        let text = dry(&workspace, &changed(), &[]).expect(0).stdout;
        for line in [
            "new.toml: a dry run, nothing was imported",
            "meter calls: added",
            "  billable: outcome = success",
            "plan free (month, try): added",
            "  calls: free_quota: 5",
            "plan pro (month, try): changed, 3 tenants are on it",
            "  amount: 99900 -> 109900",
            "  b2b.match_request: free_quota: 100 -> 50",
            "  b2b.match_request: price: graduated: to 100 at 0, then 700 -> graduated: to 50 at 0, then 650.5",
            "plan starter (month, try): removed, 1 tenants are on it",
            "4 tenants are on a plan that changes or goes; closed windows keep their prices, and open and parked ones are rated by the new ones",
        ] {
            assert!(text.lines().any(|one| one == line), "`{line}` is missing in:\n{text}");
        }
        assert!(!text.contains("storage_gb"), "what stays is not told:\n{text}");
        let told = dry(&workspace, &changed(), &["--json"]).expect(0).json();
        assert_eq!(
            (&told["dry_run"], &told["changes"], &told["tenants"]),
            (&true.into(), &true.into(), &4.into())
        );
        let starter = json!({"plan": "starter", "interval": "month", "currency": "try", "change": "removed", "tenants": 1});
        let found = told["plans"].as_array().unwrap().iter().find(|plan| plan["plan"] == "starter").unwrap();
        for (name, value) in starter.as_object().unwrap() {
            assert_eq!(&found[name], value);
        }
        let amount = json!({"field": "amount", "old": "99900", "new": "109900"});
        let pro = told["plans"].as_array().unwrap().iter().find(|plan| plan["plan"] == "pro").unwrap();
        assert!(pro["fields"].as_array().unwrap().contains(&amount), "{pro}");
        assert!(known(&workspace) == before, "{engine:?}");
        let mut left = names(&workspace);
        left.retain(|name| !["billrecon.db-shm", "billrecon.db-wal"].contains(&name.as_str()));
        assert_eq!(left, present);
    }
}

/// The same words in another order or with other comments bill the same.
#[test]
fn a_catalog_that_says_the_same_changes_nothing() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    let other_text =
        format!("# later\n{}", CATALOG.replace("amount = 49900", "interval = \"month\"\namount = 49_900"));
    let another = "no plan and no meter changes; the file differs, so an import makes a new version";
    for (same, words, new_version) in
        [(CATALOG, "nothing changes", false), (other_text.as_str(), another, true)]
    {
        assert_eq!(dry(&workspace, same, &[]).expect(0).stdout, format!("new.toml: {words}\n"));
        let told = dry(&workspace, same, &["--json"]).expect(0).json();
        assert_eq!((&told["changes"], &told["plans"]), (&Value::from(false), &json!([])));
        assert_eq!(told["new_version"], new_version);
        let imported = workspace.run(&["import", "catalog", "new.toml", "--json"]).expect(0).json();
        assert_eq!(imported["changed"], new_version);
    }
}

#[test]
fn a_mark_that_turns_the_reading_direction_is_escaped_in_json() {
    let workspace = Workspace::fresh(Engine::Sqlite);
    let ended = dry(&workspace, &CATALOG.replace("starter", "star\u{202e}ter"), &["--json"]).expect(0);
    assert!(ended.stdout.contains("star\\u202eter"), "{}", ended.stdout);
    assert!(ended.json()["plans"].as_array().unwrap().iter().any(|plan| plan["plan"] == "star\u{202e}ter"));
}

#[test]
fn without_a_database_everything_is_new_and_none_is_made() {
    for engine in ENGINES {
        let workspace = Workspace::fresh(engine);
        let told = dry(&workspace, CATALOG, &["--json"]).expect(0).json();
        let added = |list: &str| {
            let list = told[list].as_array().unwrap();
            assert!(list.iter().all(|one| one["change"] == "added"), "{told}");
            list.len()
        };
        assert_eq!((added("meters"), added("plans")), (2, 2));
        assert_eq!(names(&workspace), ["new.toml"]);
        if engine == Engine::Postgres {
            let tables = workspace.sql("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'");
            assert_eq!(tables, Vec::<Vec<String>>::new());
        }
        let fault = dry(&workspace, "[[plan]]\nkey = 5\n", &[]).expect(65);
        assert!(
            fault.stderr.contains("new.toml: line 2, column 1: plan[0].key: must be text"),
            "{}",
            fault.stderr
        );
    }
}

/// It takes no lease, so another run may hold it.
#[test]
fn a_held_lease_is_not_in_its_way() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    let held = "UPDATE lease SET holder = 'another', expires_at = 99999999999999";
    workspace.sql(&format!("{held} RETURNING holder"));
    dry(&workspace, &changed(), &[]).expect(0);
    workspace.run(&["import", "catalog", "new.toml"]).expect(11);
}

/// Closed usage, or usage that was pushed, was added up in one way; the same meter cannot be added up in another.
#[test]
fn another_aggregation_of_a_meter_with_figures_is_refused_by_both() {
    let count = CATALOG.replacen("aggregation = \"sum\"", "aggregation = \"count\"", 1);
    let only_calls = "[[meter]]\nkey = \"calls\"\naggregation = \"max\"\n";
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine);
        // Nobody has closed or pushed anything yet.
        dry(&workspace, &count, &[]).expect(0);
        workspace.watch("2026-09");
        for flags in [&["--dry-run"][..], &["--dry-run", "--json"], &[]] {
            workspace.write("new.toml", &count);
            let ended = workspace.run(&[&["import", "catalog", "new.toml"], flags].concat()).expect(65);
            let words = "new.toml: the meter `b2b.match_request` is \"sum\" in the books and \"count\" here";
            assert!(ended.stderr.contains(words), "{ended:?}");
            assert_eq!(ended.stdout.is_empty(), flags.is_empty(), "{ended:?}");
        }
        assert_eq!(workspace.number("SELECT COUNT(*) FROM catalog_versions"), 1);
        // A version without the meter does not help.
        workspace.write("calls.toml", only_calls);
        workspace.run(&["import", "catalog", "calls.toml"]).expect(0);
        dry(&workspace, &count, &[]).expect(65);
        dry(&workspace, CATALOG, &[]).expect(0);
    }
}

#[test]
fn another_aggregation_of_a_meter_that_was_only_closed_is_refused_too() {
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine).observing();
        workspace.run(&["run", "--period", "2026-09"]).expect(0);
        assert_eq!(workspace.number("SELECT COUNT(*) FROM intents"), 0);
        let last = CATALOG.replacen("aggregation = \"sum\"", "aggregation = \"last\"", 1);
        dry(&workspace, &last, &[]).expect(65);
    }
}

/// The only way to mend a stored catalog is to import another one.
#[test]
fn a_stored_catalog_that_cannot_be_read_any_more_is_not_in_the_way_of_a_new_one() {
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine);
        workspace.unprotect("catalog_versions");
        workspace.sql("UPDATE catalog_versions SET body = 'of another time' RETURNING catalog_hash");
        let told = dry(&workspace, CATALOG, &[]).expect(65);
        assert!(told.stderr.contains("the stored catalog: "), "{}", told.stderr);
        workspace.run(&["import", "catalog", "new.toml"]).expect(0);
        workspace.write("newer.toml", changed());
        workspace.run(&["import", "catalog", "newer.toml"]).expect(0);
        assert_eq!(dry(&workspace, &changed(), &[]).expect(0).stdout, "new.toml: nothing changes\n");
    }
}
