//! `report.xlsx` as others read it.
//!
//! In: the hostile company's month, the demo's months, an open month. Out: a workbook that openpyxl reads cell by cell as the CSV
//! files say, and whose formulas LibreOffice computes to their sums. The reading is the judges'; that it is there, whole, and the
//! same every time is looked at always.

use std::path::Path;
use std::process::Command;

use super::hostile::hostile;
use crate::support::{ENGINES, Ended, Engine, Workspace, files};

fn judge(folder: &Path) {
    if std::env::var_os("BILLRECON_TEST_JUDGES").is_none() {
        return;
    }
    let python = std::env::var("BILLRECON_TEST_PYTHON").expect("scripts/test --judges sets it");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/files/workbook.py");
    let scratch = tempfile::tempdir().unwrap();
    let ended = Command::new(python).arg(script).arg(folder).current_dir(scratch.path()).output().unwrap();
    let ended = Ended::of(ended).expect(0);
    assert!(ended.stdout.ends_with("all as expected\n"), "{}", ended.stdout);
}

/// The whole of a zip archive ends with its directory, which names each part.
fn parts(workbook: &[u8]) -> usize {
    assert!(workbook.starts_with(b"PK\x03\x04"));
    workbook.windows(4).filter(|window| *window == b"PK\x01\x02").count()
}

#[test]
fn the_hostile_companys_workbook_says_what_its_files_say() {
    for engine in ENGINES {
        let workspace = hostile(engine);
        workspace.run(&["run", "--period", "2026-09"]).expect(3);
        let folder = workspace.report_folder("2026-09");
        // Cover, totals, eleven data files, and what a workbook has besides.
        assert!(parts(&files(&folder)["report.xlsx"]) > 13);
        judge(&folder);
    }
}

#[test]
fn the_demos_workbooks_say_what_its_files_say() {
    let workspace = Workspace::fresh(Engine::Sqlite);
    workspace.run(&["demo"]).expect(0);
    for period in ["2026-09", "2026-10"] {
        let folders = std::fs::read_dir(workspace.path("billrecon-demo/reports").join(period)).unwrap();
        let mut folders: Vec<_> = folders.map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        assert!(parts(&files(&folders[0])["report.xlsx"]) > 13);
        // One of an open month, with forecasts, and one of a closed one.
        judge(&folders[0]);
        judge(&folders[folders.len() - 1]);
    }
}

#[test]
fn a_byte_of_the_workbook_that_is_changed_is_found_by_what_the_database_makes() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    workspace.run(&["run", "--period", "2026-09"]).expect(0);
    let path = workspace.report_folder("2026-09").join("report.xlsx");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let told = workspace.run(&["verify", "--period", "2026-09"]).expect(65).stdout;
    let line = told.lines().find(|line| line.contains("made_again")).unwrap();
    assert!(line.starts_with("fails") && line.contains("report.xlsx: its bytes are not those"), "{told}");
}
