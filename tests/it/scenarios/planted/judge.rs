//! Judging a company's last look: is each cause named, nobody accused, and every difference accounted for?
//!
//! In: the company, `reconciliation.csv` and `exceptions.csv`. Out: a line for each thing that is wrong. Decimals are read here into
//! integers of 10⁻¹² and added up; none of the project's code is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::company::{Company, Tenant};
use super::plant::Plant;
use crate::support::csv_rows;

type Row = BTreeMap<String, String>;

/// What a run has said.
pub struct Files {
    rows: Vec<Row>,
    exceptions: Vec<Row>,
}

impl Files {
    pub fn read(folder: &Path) -> Self {
        let table = |name: &str| csv_rows(&fs::read(folder.join(name)).unwrap());
        Self { rows: table("reconciliation.csv"), exceptions: table("exceptions.csv") }
    }

    /// By tenant: the reasons of its rows, and why it is parked.
    fn named(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let parked = self.exceptions.iter().filter(|row| row["kind"] == "parked");
        let mut named: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for row in self.rows.iter().chain(parked).filter(|row| !row["reason"].is_empty()) {
            named.entry(&row["tenant_id"]).or_default().insert(&row["reason"]);
        }
        named
    }
}

pub fn faults(company: &Company, files: &Files) -> Vec<String> {
    let named = files.named();
    let mut wrong = Vec::new();
    for one in &company.tenants {
        let found = named.get(one.id.as_str()).cloned().unwrap_or_default();
        wrong.extend(misnamed(one, &found));
        wrong.extend(ledger_faults(one, files));
    }
    let known: BTreeSet<&str> = company.tenants.iter().map(|one| one.id.as_str()).collect();
    wrong.extend(named.keys().filter(|id| !known.contains(*id)).map(|id| format!("nobody is called `{id}`")));
    wrong.extend(sums(files, ["difference_quantity", "explained_quantity", "unexplained_quantity"]));
    let of_money = ["difference_amount_minor", "explained_amount_minor", "unexplained_amount_minor"];
    wrong.extend(sums(files, of_money));
    wrong
}

fn misnamed(one: &Tenant, found: &BTreeSet<&str>) -> Option<String> {
    let word = one.plant.map(Plant::word);
    let also: BTreeSet<&str> = one.plant.into_iter().flat_map(Plant::also).copied().collect();
    let is_named = word.is_none_or(|word| found.contains(word));
    let is_accused = found.iter().any(|named| Some(*named) != word && !also.contains(named));
    (is_accused || !is_named).then(|| format!("{}: {:?} was planted and {found:?} named", one.id, one.plant))
}

/// What the ledger holds by our own addition stands beside the meter's total.
fn ledger_faults(one: &Tenant, files: &Files) -> Option<String> {
    let row = files.rows.iter().find(|row| row["tenant_id"] == one.id && row["source"] == "meter_total")?;
    let is_right = number(&row["ledger_quantity"]) == i128::from(one.used()) * 1_000_000_000;
    (!is_right).then(|| format!("{}: the ledger holds {} thousandths: {row:?}", one.id, one.used()))
}

/// Row by row and over all of them: what is explained and what is not come to the difference.
fn sums(files: &Files, [difference, explained, unexplained]: [&str; 3]) -> Vec<String> {
    let is_difference = |row: &&Row| {
        !row[difference].is_empty() && !["matched", "out_of_scope", "incomplete"].contains(&&*row["class"])
    };
    let mut wrong = Vec::new();
    let (mut all, mut parts, mut seen) = (0, 0, 0);
    for row in files.rows.iter().filter(is_difference) {
        let together = number(&row[explained]) + number(&row[unexplained]);
        if together != number(&row[difference]) {
            wrong.push(format!("{difference} is not its two parts: {row:?}"));
        }
        // One cause was planted, and it is the whole of it.
        if number(&row[unexplained]) != 0 {
            wrong
                .push(format!("{}: {unexplained} is left of {}: {row:?}", row["tenant_id"], row[difference]));
        }
        all += number(&row[difference]);
        parts += together;
        seen += i32::from(number(&row[difference]) != 0);
    }
    if all != parts {
        wrong.push(format!("{difference}: {all} in all, and {parts} in parts"));
    }
    if seen == 0 {
        wrong.push(format!("{difference}: nothing differs, so nothing is proved"));
    }
    wrong
}

/// Decimal text in 10⁻¹².
fn number(text: &str) -> i128 {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    assert!(!whole.is_empty() && fraction.len() <= 12, "`{text}` is no number");
    sign * format!("{whole}{fraction:0<12}").parse::<i128>().unwrap()
}
