//! Trouble with the place: a full disk, a folder nobody may write to, links and strangers in the way.
//!
//! In: a set that is there, and a run that cannot write its own. Out: the old set stays whole, nothing half written has a name, the
//! figures are closed all the same, and the next run makes the set. A disk of its own takes a mount namespace, which Linux gives to
//! root and, in most places, to everybody.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use crate::support::{Ended, Engine, Workspace};

/// A script with its own mounts, beside the workspace's settings. `$1` is the program.
fn with_a_disk(workspace: &Workspace, script: &str) -> Ended {
    let program = workspace.command(&[]);
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut command = Command::new("unshare");
    command.arg(if is_root { "-m" } else { "-rm" });
    command.args(["sh", "-euc", script, "sh"]).arg(program.get_program());
    command.current_dir(workspace.folder.path());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Ended::of(command.output().unwrap())
}

fn company() -> Workspace {
    let workspace = Workspace::with_company(Engine::Sqlite).observing();
    fs::create_dir(workspace.path("reports")).unwrap();
    workspace
}

#[test]
fn a_full_disk_is_74_leaves_the_old_set_whole_and_the_next_run_makes_the_new_one() {
    // How much is left differs, so that the end comes in one file or another; the last time there is no room for a folder.
    for left in ["60", "44", "36", "28", "20", "12", "8", "4", "0"] {
        let workspace = company();
        let script = r#"
            mount -t tmpfs -o size=2m,mode=700 tmpfs reports
            "$1" run --period 2026-09 > first.txt
            size=$(df -k --output=avail reports | tail -n 1)
            dd if=/dev/zero of=reports/filler bs=1k count=$((size - LEFT)) 2> dd.txt
            code=0; "$1" run --period 2026-10 --as-of 2026-11-05T00:00:00Z > second.txt 2> words.txt || code=$?
            echo "code $code"
            cat words.txt
            (cd reports/2026-09/*/ && sha256sum --check --strict --quiet SHA256SUMS)
            echo "names: $(ls reports/2026-10 2> none.txt)"
            rm reports/filler
            "$1" run --period 2026-10 --as-of 2026-11-05T00:00:00Z > third.txt
            "$1" verify --all > verified.txt
            (cd reports/2026-10/*/ && sha256sum --check --strict --quiet SHA256SUMS)
            ls reports/2026-10/*/ | wc -l
        "#;
        let ended = with_a_disk(&workspace, &script.replace("LEFT", left)).expect(0);
        let told = &ended.stdout;
        assert!(
            told.contains("code 74\n") || (left == "0" && told.contains("code 73\n")),
            "{left}: {ended:?}"
        );
        assert!(told.contains("No space left on device") && told.contains("names: \n"), "{left}: {ended:?}");
        let states = workspace.sql("SELECT DISTINCT state FROM runs");
        assert_eq!(states, [["finished"]], "{left}");
    }
}

#[test]
fn a_folder_that_is_read_only_is_73_and_the_next_run_makes_the_set() {
    let workspace = company();
    let script = r#"
        mount -t tmpfs -o size=2m,mode=700 tmpfs reports
        "$1" run --period 2026-09 > first.txt
        mount -o remount,ro tmpfs reports
        code=0; "$1" run --period 2026-10 --as-of 2026-11-05T00:00:00Z > second.txt 2> words.txt || code=$?
        echo "code $code"; cat words.txt
        mount -o remount,rw tmpfs reports
        "$1" run --period 2026-10 --as-of 2026-11-05T00:00:00Z > third.txt
        "$1" verify --all > verified.txt
    "#;
    let ended = with_a_disk(&workspace, script).expect(0);
    assert!(ended.stdout.contains("code 73\n") && ended.stdout.contains("reports/2026-10"), "{ended:?}");
}

#[test]
fn no_symlink_below_the_folder_of_reports_is_followed() {
    let workspace = company();
    fs::create_dir(workspace.path("elsewhere")).unwrap();
    symlink(workspace.path("elsewhere"), workspace.path("reports/2026-09")).unwrap();
    let ended = workspace.run(&["run", "--period", "2026-09"]).expect(73);
    assert!(
        ended.stderr.contains("2026-09 is no safe place for reports: it is a symlink"),
        "{}",
        ended.stderr
    );
    assert_eq!(fs::read_dir(workspace.path("elsewhere")).unwrap().count(), 0);
    // In the place of the run's own folder.
    fs::remove_file(workspace.path("reports/2026-09")).unwrap();
    workspace.run(&["run", "--period", "2026-09"]).expect(0);
    let folder = workspace.report_folder("2026-09");
    fs::rename(&folder, workspace.path("elsewhere/set")).unwrap();
    symlink(workspace.path("elsewhere/set"), &folder).unwrap();
    super::undo_delivery(&workspace);
    let ended = workspace.run(&["run", "--period", "2026-09"]).expect(73);
    assert!(ended.stderr.contains("holds other files than this run's"), "{}", ended.stderr);
    // And in the place of a file of a set that is there.
    fs::remove_file(&folder).unwrap();
    fs::rename(workspace.path("elsewhere/set"), &folder).unwrap();
    fs::rename(folder.join("lines.csv"), workspace.path("elsewhere/lines.csv")).unwrap();
    symlink(workspace.path("elsewhere/lines.csv"), folder.join("lines.csv")).unwrap();
    workspace.run(&["run", "--period", "2026-09"]).expect(73);
}

#[test]
fn the_folder_of_reports_may_be_a_symlink_that_somebody_chose() {
    let workspace = company();
    fs::create_dir(workspace.path("elsewhere")).unwrap();
    fs::remove_dir(workspace.path("reports")).unwrap();
    symlink(workspace.path("elsewhere"), workspace.path("reports")).unwrap();
    workspace.run(&["run", "--period", "2026-09"]).expect(0);
    assert!(workspace.path("elsewhere/2026-09").is_dir());
}

#[test]
fn a_folder_that_anyone_may_write_to_is_73_unless_it_is_sticky() {
    for (folder, mode, code) in [
        ("reports", 0o777, 73),
        ("reports", 0o1777, 0),
        ("reports/2026-09", 0o777, 73),
        ("reports", 0o775, 0),
    ] {
        let workspace = company();
        fs::create_dir_all(workspace.path(folder)).unwrap();
        fs::set_permissions(workspace.path(folder), Permissions::from_mode(mode)).unwrap();
        let ended = workspace.run(&["run", "--period", "2026-09"]).expect(code);
        assert_eq!(ended.stderr.contains("anyone may write there"), code == 73, "{}", ended.stderr);
    }
}
