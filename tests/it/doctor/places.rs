//! Files and folders that are not as they should be: modes, room, a network file system.
//!
//! In: a mode, a full disk, a file system that says that it is NFS. Out: the finding, and what to type.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use billrecon::job::doctor::Check;

use super::finding;
use crate::support::{Ended, Engine, Workspace};

#[test]
fn files_that_others_can_read_or_change_are_found_with_the_command_that_mends_them() {
    let workspace = Workspace::new(Engine::Sqlite);
    let chmod =
        |name: &str, mode| fs::set_permissions(workspace.path(name), Permissions::from_mode(mode)).unwrap();
    workspace.write("billrecon.toml", "");
    chmod("billrecon.toml", 0o666);
    chmod("billrecon.db", 0o644);
    let ended = workspace.run(&["doctor"]).expect(3);
    assert_eq!(ended.stdout.matches("warning: file_mode: ").count(), 2, "{ended:?}");
    let line = finding(&ended, "warning", Check::FileMode);
    assert!(line.contains("chmod 660 billrecon.toml"), "{line}");
    chmod("billrecon.toml", 0o644);
    chmod("billrecon.db", 0o600);
    assert_eq!(workspace.run(&["doctor"]).expect(0).stdout, "");
}

#[test]
fn a_folder_of_reports_that_anybody_can_write_to_or_nobody_is_found() {
    let workspace = Workspace::new(Engine::Sqlite);
    fs::create_dir(workspace.path("reports")).unwrap();
    fs::set_permissions(workspace.path("reports"), Permissions::from_mode(0o777)).unwrap();
    let line = finding(&workspace.run(&["doctor"]).expect(3), "warning", Check::ReportsFolder);
    assert!(line.contains("chmod 750 reports"), "{line}");
    fs::remove_dir(workspace.path("reports")).unwrap();
    workspace.write("reports", "");
    let line = finding(&workspace.run(&["doctor"]).expect(73), "error", Check::ReportsFolder);
    assert!(line.contains("is no folder"), "{line}");
}

/// In a mount namespace of its own, which Linux gives to root and, in most places, to everybody.
#[test]
fn a_disk_that_is_nearly_full_is_found() {
    let workspace = Workspace::new(Engine::Sqlite);
    fs::create_dir(workspace.path("reports")).unwrap();
    let in_namespace = |script: &str| {
        let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        let program = workspace.command(&[]);
        let mut command = Command::new("unshare");
        command
            .arg(if is_root { "-m" } else { "-rm" })
            .args(["sh", "-euc", script, "sh"])
            .arg(program.get_program());
        command.current_dir(workspace.folder.path()).env("BILLRECON_DATABASE_URL", &workspace.url);
        Ended::of(command.output().unwrap())
    };
    let mount = "mount -t tmpfs -o size=SIZE,mode=700 tmpfs reports; exec \"$1\" doctor";
    let line = finding(&in_namespace(&mount.replace("SIZE", "1m")).expect(74), "error", Check::Disk);
    assert!(line.contains("only 1 MiB are left"), "{line}");
    finding(&in_namespace(&mount.replace("SIZE", "100m")).expect(3), "warning", Check::Disk);
    assert_eq!(in_namespace(&mount.replace("SIZE", "300m")).expect(0).stdout, "");
    let read_only = "mount -t tmpfs -o size=300m,mode=700,ro tmpfs reports; exec \"$1\" doctor";
    finding(&in_namespace(read_only).expect(73), "error", Check::ReportsFolder);
}

/// No test can mount a network, so the kernel's answer is changed on its way.
#[test]
fn a_database_file_on_a_network_file_system_is_found() {
    if std::env::var_os("BILLRECON_TEST_JUDGES").is_none() {
        return;
    }
    let workspace = Workspace::new(Engine::Sqlite);
    let program = workspace.command(&[]);
    let strace = |inject: &str| {
        let mut command = Command::new("strace");
        command
            .args(["-f", "-qq", "-o", "trace.txt", "-e", "trace=statfs", "-e", inject])
            .arg(program.get_program());
        command
            .arg("doctor")
            .current_dir(workspace.folder.path())
            .env("BILLRECON_DATABASE_URL", &workspace.url);
        Ended::of(command.output().unwrap())
    };
    let nfs = strace("inject=statfs:poke_exit=@arg2=6969000000000000");
    let line = finding(&nfs.expect(78), "error", Check::NetworkFileSystem);
    assert!(
        line.contains("lies on NFS") && line.ends_with("move it to a local disk, or use PostgreSQL"),
        "{line}"
    );
    // The same way, with the answer of ext4.
    assert_eq!(strace("inject=statfs:poke_exit=@arg2=53ef000000000000").expect(0).stdout, "");
}
