//! The folder by itself: an auditor who has nothing but the files.
//!
//! In: a set of files in a place without a database; figures that somebody changed together with every hash. Out: what their
//! own sums and products say.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{Closed, fault, other_digit};
use crate::support::{Ended, Engine, Workspace, files};

fn verify(workspace: &Workspace, folder: &Path) -> Ended {
    let mut command = workspace.command(&["verify", "--files", folder.to_str().unwrap()]);
    // A database that nobody can open: it is not looked for.
    Ended::of(command.env("BILLRECON_DATABASE_URL", "nonsense").output().unwrap())
}

/// Writes the set anew with hashes that fit, as a forger would.
fn forge(folder: &Path, mut set: BTreeMap<String, Vec<u8>>) {
    use billrecon::domain::audit::sha256_hex;
    let mut manifest: serde_json::Value = serde_json::from_slice(&set["manifest.json"]).unwrap();
    let mut sums = String::new();
    for file in manifest["files"].as_array_mut().unwrap() {
        let name = file["name"].as_str().unwrap().to_owned();
        let hash = sha256_hex(&set[&name]);
        sums.push_str(&format!("{hash}  {name}\n"));
        file["sha256"] = hash.into();
        file["bytes"] = set[&name].len().into();
    }
    set.insert("manifest.json".to_owned(), format!("{manifest:#}\n").into_bytes());
    set.insert("SHA256SUMS".to_owned(), sums.into_bytes());
    for (name, bytes) in set {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

/// The set with one cell changed: the first row whose column `by` is `word`.
fn with_cell(
    set: &BTreeMap<String, Vec<u8>>,
    (name, column): (&str, &str),
    (by, word): (&str, &str),
) -> (BTreeMap<String, Vec<u8>>, usize) {
    let mut reader = csv::Reader::from_reader(&*set[name]);
    let header = reader.headers().unwrap().clone();
    let at = |column: &str| header.iter().position(|one| one == column).unwrap();
    let mut records: Vec<Vec<String>> =
        reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
    let row = records
        .iter()
        .position(|record| {
            record[at(by)] == word && record[at(column)].contains(|one: char| one.is_ascii_digit())
        })
        .unwrap_or_else(|| panic!("{name} has no row with {by} {word} and a digit in {column}"));
    let cell = &mut records[row][at(column)];
    *cell = other_digit(cell, 0);
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(&header).unwrap();
    for record in &records {
        writer.write_record(record).unwrap();
    }
    let mut set = set.clone();
    set.insert(name.to_owned(), writer.into_inner().unwrap());
    (set, row + 2)
}

#[test]
fn a_folder_is_proved_without_any_database() {
    let closed = Closed::new(Engine::Sqlite);
    let elsewhere = Workspace::fresh(Engine::Sqlite);
    let folder = elsewhere.path("set");
    fs::rename(closed.folder(), &folder).unwrap();
    let told = verify(&elsewhere, &folder).expect(0).stdout;
    assert!(told.contains("holds        files") && told.contains("holds        figures"), "{told}");
    assert!(!elsewhere.path("billrecon.db").exists());
    fs::remove_file(folder.join("decision.csv")).unwrap();
    assert_eq!(fault(&verify(&elsewhere, &folder).expect(65)), "decision.csv is not there");
    assert!(fault(&verify(&elsewhere, &elsewhere.path("nowhere")).expect(65)).contains("is not there"));
}

/// With all hashes made to fit, the figures still betray each other, and the audit log betrays the manifest.
#[test]
fn a_figure_that_was_forged_with_every_hash_is_named_by_the_other_figures() {
    let closed = Closed::new(Engine::Sqlite);
    let set = files(&closed.folder());
    let usage = ("kind", "usage");
    let mut forged = 0;
    for (name, column, by) in [
        ("lines.csv", "priced_quantity", ("tier", "2")),
        ("lines.csv", "unit_amount_decimal", ("tier", "2")),
        ("lines.csv", "exact_amount_minor", usage),
        ("lines.csv", "amount_minor", usage),
        ("lines.csv", "amount", usage),
        ("lines.csv", "amount", ("kind", "base")),
        ("summary.csv", "tenants", ("plan", "pro")),
        ("summary.csv", "base_amount_minor", ("plan", "pro")),
        ("summary.csv", "base_amount", ("plan", "pro")),
        ("summary.csv", "usage_amount_minor", ("plan", "pro")),
        ("summary.csv", "usage_amount", ("plan", "pro")),
        ("summary.csv", "total_amount_minor", ("plan", "starter")),
        ("summary.csv", "total_amount", ("plan", "starter")),
    ] {
        let (changed, line) = with_cell(&set, (name, column), by);
        forge(&closed.folder(), changed);
        let told = fault(&verify(&closed.workspace, &closed.folder()).expect(65));
        assert!(told.starts_with(&format!("{name}, line {line}, column ")), "{name}, {column}: {told}");
        let told = fault(&closed.verify().expect(65));
        assert!(told.starts_with("manifest.json is not what the run wrote"), "{told}");
        forged += 1;
    }
    assert_eq!(forged, 13);
    forge(&closed.folder(), set);
    closed.verify().expect(0);
}

#[test]
fn every_control_total_is_tied_to_the_others_or_to_the_lines() {
    let closed = Closed::new(Engine::Sqlite);
    let set = files(&closed.folder());
    let counted = ["accepted", "in_window", "late", "excluded", "parked"];
    let measures = counted.iter().chain(&["used", "free", "billed", "capped"]);
    for measure in measures {
        for column in ["records", "quantity"] {
            if column == "records" && !counted.contains(measure) {
                continue;
            }
            let (changed, _) = with_cell(&set, ("control_totals.csv", column), ("measure", measure));
            forge(&closed.folder(), changed);
            let told = fault(&verify(&closed.workspace, &closed.folder()).expect(65));
            assert!(told.starts_with("control_totals.csv, line "), "{measure}, {column}: {told}");
        }
    }
    for (name, column) in
        [("lines.csv", "quantity"), ("exceptions.csv", "quantity"), ("exceptions.csv", "records")]
    {
        let by = if name == "lines.csv" { ("kind", "usage") } else { ("kind", "excluded") };
        forge(&closed.folder(), with_cell(&set, (name, column), by).0);
        let told = fault(&verify(&closed.workspace, &closed.folder()).expect(65));
        assert!(told.starts_with("control_totals.csv, line "), "{name}, {column}: {told}");
    }
}

#[test]
fn a_row_of_the_comparison_or_a_fee_that_was_forged_is_named_by_its_own_row() {
    let closed = Closed::new(Engine::Sqlite);
    let set = files(&closed.folder());
    let (meter, invoice) = (("source", "meter_total"), ("source", "invoice"));
    for (name, column, by, named) in [
        ("reconciliation.csv", "ledger_quantity", meter, "difference_quantity"),
        ("reconciliation.csv", "stripe_quantity", meter, "difference_quantity"),
        ("reconciliation.csv", "difference_quantity", meter, "difference_quantity"),
        ("reconciliation.csv", "ledger_amount_minor", invoice, "difference_amount_minor"),
        ("reconciliation.csv", "stripe_amount", invoice, "stripe_amount"),
        ("lines.csv", "quantity", ("kind", "base"), "quantity"),
        ("lines.csv", "priced_quantity", ("kind", "base"), "priced_quantity"),
    ] {
        let (changed, line) = with_cell(&set, (name, column), by);
        forge(&closed.folder(), changed);
        let told = fault(&verify(&closed.workspace, &closed.folder()).expect(65));
        assert!(
            told.starts_with(&format!("{name}, line {line}, column {named}: ")),
            "{name}, {column}: {told}"
        );
    }
}

#[test]
fn sums_of_the_manifest_are_those_of_the_files() {
    let closed = Closed::new(Engine::Sqlite);
    let path = closed.folder().join("manifest.json");
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for sum in ["base_amount_minor", "usage_amount_minor", "late_amount_minor"] {
        let mut forged = manifest.clone();
        let cell = &mut forged["totals"][0][sum];
        *cell = other_digit(cell.as_str().unwrap(), 0).into();
        fs::write(&path, format!("{forged:#}\n")).unwrap();
        let told = fault(&verify(&closed.workspace, &closed.folder()).expect(65));
        assert!(told.starts_with("manifest.json, column totals: "), "{sum}: {told}");
    }
}

#[test]
fn a_file_that_the_manifest_does_not_name_is_told() {
    let closed = Closed::new(Engine::Sqlite);
    fs::write(closed.folder().join("adjustments-final.csv"), "x\n").unwrap();
    let words = "not of the set, and proved by nothing: adjustments-final.csv";
    let told = verify(&closed.workspace, &closed.folder()).expect(0).stdout;
    assert!(told.contains(words), "{told}");
    assert!(closed.verify().expect(0).stdout.contains(words));
}
