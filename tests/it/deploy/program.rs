//! What the files of `deploy/` ask of the program, asked of the real one.

use std::collections::BTreeSet;

use billrecon::config::{KEYS, Key, SECRETS};
use serde_json::Value;

use super::manifests::jobs;
use super::overlay::production;
use super::units::{crontab, units};
use super::{base, home, read};
use crate::support::{Ended, Engine, Workspace, write_secret};

/// Every variable that the program reads.
fn variables() -> BTreeSet<String> {
    let secrets = SECRETS.iter().map(|secret| secret.variable.to_owned());
    KEYS.iter().map(Key::variable).chain(secrets).collect()
}

/// Each command line, and the variables that it is started with.
fn uses() -> Vec<(Vec<String>, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of_job = |job: &Value| {
        let container = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
        let arguments = container["args"].as_array().unwrap().iter().map(text).collect();
        (arguments, container["env"].as_array().unwrap().iter().map(|one| text(&one["name"])).collect())
    };
    let mut uses: Vec<_> = jobs(&base()).iter().chain(&jobs(&production())).map(of_job).collect();
    uses.extend(units().iter().filter_map(super::units::Unit::use_of_program));
    uses.extend(crontab().uses());
    assert_eq!(uses.len(), 8, "{uses:?}");
    uses
}

#[test]
fn every_command_flag_and_variable_is_one_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let known = variables();
    for (arguments, names) in uses() {
        let with_help: Vec<&str> = arguments.iter().map(String::as_str).chain(["--help"]).collect();
        crate::cli::run(folder.path(), &with_help).expect(0);
        for name in names.iter().filter(|name| name.starts_with("BILLRECON_")) {
            let is_known =
                known.contains(name) || name.strip_suffix("_FILE").is_some_and(|one| known.contains(one));
            assert!(is_known, "{name}");
        }
        assert!(["run", "guard"].contains(&arguments[0].as_str()), "{arguments:?}");
    }
    // A flag that there is not would be found.
    crate::cli::run(folder.path(), &["run", "--colour=no", "--help"]).expect(2);
}

/// With its configuration, its secrets and its environment, but for where they lie.
#[test]
fn the_program_starts_with_what_production_gives_it() {
    let workspace = Workspace::with_company(Engine::Postgres);
    let objects = production();
    let config = objects.iter().find(|object| object["kind"] == "ConfigMap").unwrap();
    let secrets = [
        ("database-url", workspace.url.as_str()),
        ("stripe-api-key", "rk_test_x\n"),
        ("slack-webhook-url", "https://hooks.example/x\n"),
        ("ping-url", "https://check.example/x\n"),
    ];
    for (name, text) in secrets {
        write_secret(&workspace.path(name), text);
    }
    for (name, text) in config["data"].as_object().unwrap() {
        workspace.write(name, text.as_str().unwrap());
    }
    for job in jobs(&objects) {
        let container = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
        let flags = container["args"].as_array().unwrap().iter().skip(1).map(|one| one.as_str().unwrap());
        let flags: Vec<String> = flags
            .map(|one| one.replace("/etc/billrecon/", &workspace.path("").display().to_string()))
            .collect();
        let mut command = workspace.command(&["status", "--json"]);
        command.args(flags).env_remove("BILLRECON_DATABASE_URL").env_remove("BILLRECON_STRIPE_SANDBOX");
        for variable in container["env"].as_array().unwrap() {
            let path = variable["value"].as_str().unwrap().replace("/run/secrets/billrecon/", "");
            command.env(variable["name"].as_str().unwrap(), workspace.path(&path));
        }
        let status = Ended::of(command.output().unwrap()).expect(0);
        assert_eq!(status.json()["tenants"], 4);
    }
}

/// What is not there cannot be copied, and what is compiled in must be there.
#[test]
fn the_dockerfile_copies_what_is_there_and_all_that_is_needed() {
    let file = read("Dockerfile");
    let copied: Vec<&str> = file
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|line| !line.starts_with("--from"))
        .flat_map(|line| line.rsplit_once(' ').unwrap().0.split(' '))
        .collect();
    assert_eq!(copied, ["Cargo.toml", "Cargo.lock", "migrations", "src"]);
    assert!(copied.iter().all(|one| home().join(one).exists()));
    let let_in: Vec<String> = copied.iter().map(|one| format!("!{one}")).collect();
    let ignored = read(".dockerignore");
    assert_eq!(ignored.lines().filter(|line| line.starts_with('!')).collect::<Vec<_>>(), let_in);
    // Cargo reads each target's file; stand-ins are made for those that are not copied.
    let manifest = read("Cargo.toml");
    for name in manifest.split("[[bench]]\nname = \"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(file.contains(&format!("benches/{name}.rs")), "{name}");
    }
    let toolchain = read("rust-toolchain.toml");
    let version =
        toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    assert!(file.contains(&format!("FROM rust:{version}-slim-bookworm AS build")), "{version}");
    assert!(file.contains("USER 65532:65532") && file.contains("ENTRYPOINT [\"/usr/local/bin/billrecon\"]"));
    let runtime = file.lines().find_map(|line| line.strip_prefix("ARG RUNTIME=")).unwrap();
    let froms = file.lines().filter_map(|line| line.strip_prefix("FROM "));
    let froms: Vec<String> = froms.map(|from| from.replace("${RUNTIME}", runtime)).collect();
    assert_eq!(froms.len(), 2);
    for from in froms {
        assert!(from.contains(':') && !from.contains("latest"), "{from}");
        // Whose registry it comes from is for whoever builds it.
        assert!(!from.split('/').next().unwrap().contains('.') || from.starts_with("rust:"), "{from}");
    }
}
