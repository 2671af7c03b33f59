//! The figures of the page against the data files, the database and a calculation by hand.
//!
//! In: the page of a closed period and what lies beside it. Out: the same numbers.

use std::collections::BTreeMap;

use super::{closed, page};
use crate::support::{CATALOG, ENGINES, Engine, TENANTS, USAGE, Workspace, csv_rows};

/// The rows of the table with this caption; a number as it sorts, everything else as its text.
pub fn table(page: &str, caption: &str) -> Vec<Vec<String>> {
    let (_, rest) = page.split_once(&format!("<caption>{caption}</caption>")).expect(caption);
    let body = rest.split_once("<tbody>").unwrap().1.split_once("</tbody>").unwrap().0;
    let rows = body.split("<tr>").skip(1);
    rows.map(|row| row.split(['\n']).collect::<String>()).map(|row| cells(&row)).collect()
}

fn cells(row: &str) -> Vec<String> {
    let starts = row.match_indices("<t").map(|(at, _)| at).chain([row.len()]).collect::<Vec<_>>();
    let cell = |pair: &[usize]| {
        let cell = &row[pair[0]..pair[1]];
        match cell.split_once("data-v=\"") {
            Some((_, value)) => value.split_once('"').unwrap().0.to_owned(),
            None => text(cell),
        }
    };
    starts.windows(2).map(cell).collect()
}

fn text(markup: &str) -> String {
    let pieces = markup.split('<').filter_map(|piece| piece.split_once('>'));
    pieces.map(|(_, text)| text).collect::<String>().trim().to_owned()
}

#[test]
fn the_page_counts_the_rows_of_the_comparison() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    // Nothing was pushed in time, so usage is missing at Stripe.
    let ended = workspace.run(&["run", "--period", "2026-09"]);
    assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
    let page = page(&workspace);
    let mut expected: BTreeMap<(String, String), u64> = BTreeMap::new();
    for row in csv_rows(&workspace.data_files("2026-09")["reconciliation.csv"]) {
        *expected.entry((row["class"].clone(), row["reason"].clone())).or_default() += 1;
    }
    let mut found: BTreeMap<(String, String), u64> = BTreeMap::new();
    for row in table(&page, "Compared rows by class, cause and currency") {
        *found.entry((row[0].clone(), row[1].clone())).or_default() += row[2].parse::<u64>().unwrap();
    }
    assert!(expected.len() > 1, "{expected:?}");
    assert_eq!(found, expected);
}

#[test]
fn the_page_adds_what_was_pushed_day_by_day() {
    for engine in ENGINES {
        let workspace = Workspace::new(engine);
        let (last, early): (Vec<&str>, Vec<&str>) = USAGE.lines().partition(|line| line.ends_with(",a-2"));
        workspace.import(CATALOG, TENANTS, &(early.join("\n") + "\n"));
        workspace.watch_at("2026-09", "2026-09-16T12:00:00Z");
        workspace.write("last.csv", format!("{}\n{}\n", early[0], last[0]));
        workspace.run(&["import", "usage", "last.csv"]).expect(0);
        workspace.watch("2026-09");
        let page = closed(&workspace);
        let rows = table(&page, "What was planned to be sent, by day (UTC) and meter");
        let told: Vec<String> = rows.iter().map(|row| row.join(" ")).collect();
        assert_eq!(
            told,
            [
                "2026-09-16 b2b.match_request 2 2 159.5",
                "2026-09-16 storage_gb 1 1 999999999999.5",
                "2026-09-30 b2b.match_request 1 1 70"
            ],
            "{engine:?}"
        );
    }
}

#[test]
fn money_shares_and_bills_are_what_a_person_calculates() {
    let page = closed(&Workspace::with_watched_company(Engine::Sqlite));
    let money = table(&page, "Lines of this period at the candidate prices");
    // Three pro and one starter; 30 requests above the quota at 7.00, and one storage unit at next to nothing.
    assert_eq!(money, [["TRY", "3496.00", "210.01", "3706.01", "0.00"]]);
    let shares: Vec<String> =
        table(&page, "The highest shares of a quota").iter().map(|row| row[3..].join(" ")).collect();
    assert_eq!(shares, ["130 100 1.3", "99.5 100 0.995"]);
    let said = "From 999.00\u{a0}TRY for nothing used to 1\u{202f}699.00\u{a0}TRY for 200 units. The free quota is 100 units. \
        No plan one step up sells this meter.";
    assert!(page.contains(said));
}

#[test]
fn the_page_names_every_file_before_it_with_its_hash() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    let page = closed(&workspace);
    let folder = workspace.report_folder("2026-09");
    let sums = std::fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    let listed: Vec<String> =
        table(&page, "Files beside this page").iter().map(|row| format!("{}  {}", row[3], row[0])).collect();
    let others: Vec<&str> = sums.lines().filter(|line| !line.ends_with("  report.html")).collect();
    assert_eq!(listed, others);
    assert!(sums.contains("  report.html\n"));
}
