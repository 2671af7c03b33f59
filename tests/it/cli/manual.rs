//! Completions and manual pages: what shells and man(1) read.
//!
//! In: the real binary. Out: a script that bash takes, a page for each command, nothing but data on stdout. No configuration is
//! needed, not even one that can be read.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use clap::CommandFactory;

use super::run;

#[test]
fn bash_takes_its_completions_and_finds_commands_and_flags_in_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("billrecon.toml"), "no = [").unwrap();
    let script = run(folder.path(), &["completions", "bash"]).expect(0).stdout;
    let ask = "source /dev/stdin\nCOMP_WORDS=(billrecon run --dr); COMP_CWORD=2\n_billrecon billrecon --dr run\n\
               echo ${COMPREPLY[@]}\nCOMP_WORDS=(billrecon st); COMP_CWORD=1\n_billrecon billrecon st billrecon\necho ${COMPREPLY[@]}";
    let mut bash = Command::new("bash")
        .args(["--norc", "-c", ask])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let ended = bash.wait_with_output().unwrap();
    assert!(ended.status.success());
    assert_eq!(String::from_utf8(ended.stdout).unwrap(), "--dry-run\nstatus\n");
}

#[test]
fn each_shell_has_completions_and_another_word_is_2() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = run(folder.path(), &["completions", shell]).expect(0);
        assert!(ended.stdout.contains("billrecon") && ended.stderr.is_empty(), "{shell}");
    }
    run(folder.path(), &["completions", "csh"]).expect(2);
}

/// `billrecon-import-usage` and so on.
fn commands(command: &clap::Command, name: &str, all: &mut BTreeSet<String>) {
    all.insert(format!("{name}.1"));
    for one in command.get_subcommands() {
        commands(one, &format!("{name}-{}", one.get_name()), all);
    }
}

#[test]
fn each_command_has_a_page_and_the_same_bytes_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = BTreeSet::new();
    commands(&billrecon::cli::Cli::command(), "billrecon", &mut expected);
    assert!(expected.len() > 20 && expected.contains("billrecon-import-usage.1"), "{expected:?}");
    for out in ["man/one", "man/two"] {
        assert!(run(folder.path(), &["man", "--dir", out]).expect(0).stdout.is_empty());
    }
    let pages = |out: &str| crate::support::files(&folder.path().join(out));
    assert_eq!(pages("man/one"), pages("man/two"));
    assert_eq!(pages("man/one").into_keys().collect::<BTreeSet<_>>(), expected);
    let main = run(folder.path(), &["man"]).expect(0).stdout;
    assert_eq!(main.as_bytes(), pages("man/one")["billrecon.1"]);
    let page = String::from_utf8(pages("man/one")["billrecon-import-usage.1"].clone()).unwrap();
    assert!(page.contains(".TH BILLRECON-IMPORT-USAGE 1"), "{page}");
    assert!(page.contains("billrecon import usage"), "{page}");
}

#[test]
fn pages_that_cannot_be_written_are_73() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("taken"), "").unwrap();
    run(folder.path(), &["man", "--dir", "taken"]).expect(73);
}

#[test]
fn judge_groff_finds_nothing_wrong_with_a_page() {
    if std::env::var_os("BILLRECON_TEST_JUDGES").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["man", "--dir", "man"]).expect(0);
    for page in fs::read_dir(folder.path().join("man")).unwrap() {
        let page = page.unwrap().path();
        let ended = Command::new("groff").args(["-man", "-ww", "-Tutf8", "-z"]).arg(&page).output().unwrap();
        assert!(ended.status.success(), "{page:?}");
        assert_eq!(String::from_utf8(ended.stderr).unwrap(), "", "{page:?}");
    }
}
