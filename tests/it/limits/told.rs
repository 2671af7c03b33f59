//! Who is told, and when: dry runs, runs that die, files made again, an auditor.
//!
//! In: wakes that are stopped on the way. Out: each event once in the table, and `new` in the first files that tell it.

use super::{ACME, Seen, company, import, september, wake};
use crate::support::{ENGINES, Workspace, files};

fn events(workspace: &Workspace) -> Vec<Vec<String>> {
    workspace.sql("SELECT CAST(level AS TEXT), run_id FROM limit_events ORDER BY 1")
}

#[test]
fn a_dry_run_writes_no_event_and_the_real_run_after_it_tells_it() {
    for engine in ENGINES {
        let workspace = company(engine, &[ACME]);
        import(&workspace, &["acme calls 80 2026-09-02"]);
        for as_of in ["2026-09-03T00:00:00Z", "2026-10-05T00:00:00Z"] {
            workspace.run(&["run", "--period", "2026-09", "--as-of", as_of, "--dry-run"]).expect(0);
            assert!(events(&workspace).is_empty());
        }
        assert_eq!(september(&workspace, "2026-09-03").levels(), ["acme pro calls 80 100 80 0.8 new"]);
    }
}

#[test]
fn what_a_run_wrote_that_died_before_its_files_is_new_in_the_next_files_and_stands_once() {
    for engine in ENGINES {
        let workspace = company(engine, &[ACME]);
        import(&workspace, &["acme calls 80 2026-09-02"]);
        workspace.write("blocked", "");
        let look = ["run", "--as-of", "2026-09-03T00:00:00Z", "--reports", "blocked/reports"];
        for _twice in 0..2 {
            workspace.run(&look).expect(73);
            assert_eq!(events(&workspace).len(), 1);
        }
        let dead = events(&workspace)[0][1].clone();
        import(&workspace, &["acme calls 10 2026-09-03"]);
        let seen = september(&workspace, "2026-09-04");
        let rows = ["acme pro calls 80 100 80 0.8", "acme pro calls 90 100 90 0.9"];
        assert_eq!(seen.levels(), rows.map(|row| format!("{row} new")));
        let run = seen.json["run_id"].as_str().unwrap().to_owned();
        assert_eq!(events(&workspace), [["80".to_owned(), dead], ["90".to_owned(), run]]);
        assert_eq!(september(&workspace, "2026-09-05").levels(), rows.map(|row| format!("{row} known")));
    }
}

/// A look, a close that dies before its files, and an adjustment after it.
#[test]
fn files_that_are_made_again_tell_what_the_run_knew_and_an_auditor_finds_the_same() {
    for engine in ENGINES {
        let workspace = company(engine, &[ACME, "beta,pro,2026-09-01"]);
        import(&workspace, &["acme calls 80 2026-09-02"]);
        september(&workspace, "2026-09-03");
        import(&workspace, &["acme calls 10 2026-09-03", "beta calls 100 2026-09-10"]);
        workspace.write("blocked", "");
        workspace.run(&["run", "--as-of", "2026-10-05T00:00:00Z", "--reports", "blocked/reports"]).expect(73);
        // The next wake has nothing to do but to write the files of the one that closed.
        wake(&workspace, "2026-10-05", 0);
        let folder = workspace.report_folders("2026-09").pop().unwrap();
        let run_id = folder.file_name().unwrap().to_str().unwrap();
        let json = serde_json::json!({ "run_id": run_id, "reports_dir": folder });
        let closed = Seen { json, files: files(&folder) };
        let beta = ["80", "90", "95", "100"].map(|level| format!("beta pro calls {level} 100 100 1"));
        let acme = ["acme pro calls 80 100 80 0.8 known", "acme pro calls 90 100 90 0.9 new"];
        let new = beta.clone().map(|row| format!("{row} new"));
        assert_eq!(closed.levels(), [&acme.map(str::to_owned)[..], &new[..]].concat());
        import(&workspace, &["beta calls 5 2026-09-12"]);
        let adjusted = wake(&workspace, "2026-10-06", 3).remove("2026-09").unwrap();
        assert!(adjusted.levels().iter().all(|row| row.ends_with(" known")), "{:?}", adjusted.levels());
        for seen in [&closed, &adjusted] {
            let run = seen.json["run_id"].as_str().unwrap();
            workspace.run(&["verify", run]).expect(0);
            workspace.run(&["verify", "--files", seen.json["reports_dir"].as_str().unwrap()]).expect(0);
        }
    }
}

#[test]
fn an_event_of_a_close_that_was_changed_is_named_by_verify() {
    for engine in ENGINES {
        let workspace = company(engine, &[ACME]);
        import(&workspace, &["acme calls 80 2026-09-02"]);
        let closed = september(&workspace, "2026-10-05");
        let run = closed.json["run_id"].as_str().unwrap();
        workspace.unprotect("limit_events");
        workspace.sql("UPDATE limit_events SET level = 90 RETURNING run_id");
        let ended = workspace.run(&["verify", run]).expect(65);
        assert!(ended.stdout.contains("limit_events holds a row that was changed"), "{}", ended.stdout);
        assert!(ended.stdout.contains("limit_events.csv, line 2, column level"), "{}", ended.stdout);
    }
}

#[test]
fn explain_tells_the_events_of_the_window_and_when_they_were_seen() {
    for engine in ENGINES {
        let workspace = company(engine, &[ACME]);
        import(&workspace, &["acme calls 90 2026-09-02", "acme seats 8 2026-09-02"]);
        september(&workspace, "2026-09-03");
        let told = workspace.run(&["explain", "acme", "--period", "2026-09"]).expect(0).stdout;
        let seen = "used, seen at 2026-09-03T00:00:00Z";
        for line in [
            format!("  calls: 80 % of 100 reached, 90 {seen}"),
            format!("  calls: 90 % of 100 reached, 90 {seen}"),
            format!("  seats: 80 % of 10 reached, 8 {seen}"),
        ] {
            assert!(told.lines().any(|one| one == line), "{told}");
        }
        let arguments = ["explain", "acme", "--period", "2026-09", "--meter", "seats", "--json"];
        let json = workspace.run(&arguments).expect(0).json();
        let expected = serde_json::json!([{
            "meter": "seats", "level": 80, "quota": "10", "used": "8", "reached_at": "2026-09-03T00:00:00Z",
        }]);
        assert_eq!(json["windows"][0]["limits"], expected);
    }
}
