//! `report.html` from the outside: one page that asks for nothing, says what the data files say, and cannot be spoken through.
//!
//! In: companies that are closed, or looked at. Out: what stands in the page. The browser's part is in `browser`, a large
//! company's in `large`.

mod markup;

use std::fs;

use sha2::{Digest, Sha256};

use crate::support::{CATALOG, ENGINES, Engine, OBSERVE, OF_ONE_RUN, TENANTS, USAGE, Workspace};

/// The page of the run that closed September.
fn closed(workspace: &Workspace) -> String {
    workspace.run(&["run", "--period", "2026-09"]).expect(0);
    page(workspace)
}

fn page(workspace: &Workspace) -> String {
    fs::read_to_string(workspace.report_folder("2026-09").join("report.html")).unwrap()
}

/// Looked at in the middle of its month: nothing is closed.
fn open() -> String {
    let workspace = Workspace::with_company(Engine::Sqlite);
    let wake = ["run", "--period", "2026-09", "--as-of", "2026-09-20T12:00:00Z"];
    workspace.run(&wake).expect(0);
    page(&workspace)
}

#[test]
fn the_page_is_well_formed_and_asks_for_nothing() {
    for page in [closed(&Workspace::with_watched_company(Engine::Sqlite)), open()] {
        markup::check(&page);
        for asks in
            ["http:", "https:", "//cdn", "src=", "url(", "@import", "<link", "<img", "<iframe", "<form"]
        {
            assert!(!page.contains(asks), "{asks}");
        }
        let targets = page.match_indices("href=\"").map(|(at, name)| &page[at + name.len()..]);
        assert!(targets.clone().count() > 5 && targets.into_iter().all(|target| target.starts_with('#')));
    }
}

#[test]
fn the_policy_of_the_page_allows_its_own_script_and_no_other() {
    let page = closed(&Workspace::with_watched_company(Engine::Sqlite));
    let (_, script) = page.split_once("<script>").unwrap();
    let (script, rest) = script.split_once("</script>").unwrap();
    assert!(!rest.contains("<script") && !page.contains(" onclick"));
    let (_, policy) = page.split_once("http-equiv=\"Content-Security-Policy\" content=\"").unwrap();
    let (policy, _) = policy.split_once('"').unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-"),
        "{policy}"
    );
    assert!(!policy.contains("data:") && policy.matches("unsafe").count() == 1, "{policy}");
    let hash = policy.split_once("'sha256-").unwrap().1.split_once('\'').unwrap().0;
    assert_eq!(decoded(hash), Sha256::digest(script.as_bytes()).as_slice());
}

/// Base64, read by other code than wrote it.
fn decoded(text: &str) -> Vec<u8> {
    let place = |digit: u8| match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other} is no digit"),
    };
    let bits: String =
        text.trim_end_matches('=').bytes().map(|digit| format!("{:06b}", place(digit))).collect();
    let bytes = bits.as_bytes().chunks_exact(8).map(|byte| std::str::from_utf8(byte).unwrap());
    bytes.map(|byte| u8::from_str_radix(byte, 2).unwrap()).collect()
}

#[test]
fn both_databases_give_the_same_page_but_for_the_name_of_the_run() {
    let [sqlite, postgres] = ENGINES.map(|engine| {
        let workspace = Workspace::with_watched_company(engine);
        workspace.run(&["run", "--period", "2026-09", "--as-of", "2026-10-02T00:00:00Z"]).expect(0);
        let run_id = workspace.report_folder("2026-09").file_name().unwrap().to_string_lossy().into_owned();
        // The evidence and the workbook are of one run too, so their hashes differ.
        let page = page(&workspace);
        assert_eq!(page.matches(&run_id).count(), 1);
        let lines = page.replace(&run_id, "RUN").replace("<tr>", "\n<tr>");
        lines
            .lines()
            .filter(|line| !OF_ONE_RUN.iter().any(|name| line.contains(name)))
            .collect::<Vec<_>>()
            .join("\n")
    });
    assert!(sqlite == postgres);
}

#[test]
fn the_page_made_again_is_the_same_whatever_came_later() {
    for engine in ENGINES {
        let workspace = Workspace::with_watched_company(engine);
        let written = closed(&workspace);
        workspace.write("dearer.toml", CATALOG.replace("\"700\"", "\"900\""));
        workspace.run(&["import", "catalog", "dearer.toml"]).expect(0);
        workspace.write(
            "later.csv",
            "tenant_id,meter,quantity,occurred_at,source_event_id\n\
            acme,b2b.match_request,500,2026-10-03T00:00:00Z,a-9\n",
        );
        workspace.run(&["import", "usage", "later.csv"]).expect(0);
        workspace.watch("2026-10");
        fs::remove_dir_all(workspace.report_folder("2026-09")).unwrap();
        let run = "(SELECT run_id FROM billing_period_jobs WHERE period = '2026-09')";
        workspace.sql(&format!(
            "UPDATE runs SET state = 'committed', manifest_sha256 = '' WHERE run_id = {run} RETURNING run_id"
        ));
        let ended = workspace.run(&["run", "--period", "2026-09"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(page(&workspace) == written, "{engine:?}");
    }
}

#[test]
fn hostile_names_are_shown_and_cannot_speak() {
    let hostile = "<script>alert(1)</script>&amp;\"' \u{202e}evil\u{2066}";
    let quoted = hostile.replace('"', "\"\"");
    let tenants = TENANTS
        .replace(",Acme,", &format!(",\"{quoted}\","))
        .replace(",Beta,", &format!(",{},", "ß".repeat(500)));
    let workspace = Workspace::new(Engine::Sqlite);
    workspace.import(CATALOG, &tenants, USAGE);
    workspace.watch("2026-09");
    let page = closed(&workspace);
    markup::check(&page);
    assert_eq!(page.matches("<script").count(), 1);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;"));
    let is_bad = |one: char| (one.is_control() && one != '\n') || ('\u{202a}'..='\u{2069}').contains(&one);
    let bad: Vec<char> = page.chars().filter(|one| is_bad(*one) && *one != '\u{202f}').collect();
    assert!(bad.is_empty(), "{bad:?}");
    assert!(page.contains(&format!("{}…", "ß".repeat(80))) && !page.contains(&"ß".repeat(81)));
}

#[test]
fn an_open_period_is_provisional_and_has_no_verdict() {
    let page = open();
    assert!(page.contains("<title>PROVISIONAL 2026-09: SANDBOX</title>"));
    assert!(page.contains("No verdict: an open period is never judged."));
    for word in ["✓ holds", "NO GO", "REVIEW</", "GO</h1>"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn a_section_without_anything_says_so() {
    let workspace = Workspace::new(Engine::Sqlite);
    workspace.write("billrecon.toml", OBSERVE);
    let catalog = CATALOG.split("  [[plan.usage]]").next().unwrap();
    let tenants: String =
        TENANTS.lines().filter(|line| !line.contains(",pro,")).map(|line| format!("{line}\n")).collect();
    workspace.import(catalog, &tenants, "tenant_id,meter,quantity,occurred_at,source_event_id\n");
    let page = closed(&workspace);
    markup::check(&page);
    for sentence in [
        "No window of this period has a free quota.",
        "Nobody is counted:",
        "Nothing was compared with Stripe.",
        "There is no exception:",
        "No tenant would pay for usage in this period.",
        "This is the first judged period,",
        "No plan of this period has a price for usage.",
        "Nothing was planned to be sent to Stripe for this period:",
        "No usage has come late.",
        "No window was open across the period's end.",
        "The ledger holds no usage of this period.",
    ] {
        assert!(page.contains(sentence), "{sentence}");
    }
    assert!(!page.contains("<svg"), "there is nothing to draw");
}
