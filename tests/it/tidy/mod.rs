//! The house's rules that no compiler holds: who may import whom, what is banned, how long things may be.
//!
//! In: the repository's own source text. Out: a failing test that lists every violation as `path:line: what, and what
//! to do`. Every rule is a function over one file's text, so it runs on the tree and on a fixture that it must find
//! fault with. A fixture marks its faulty lines with `//~`: exactly those must be found. It never changes a file.

mod bans;
mod imports;
mod mentions;
mod sizes;

use std::fs;
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const MARK: &str = "//~";

type Rule = fn(&str, &str) -> Vec<String>;

const PROGRAM: &[&str] = &["src"];
const EVERYTHING: &[&str] = &["src", "tests", "benches"];

/// Each rule and the folders whose `.rs` files have to keep it.
const RULES: &[(Rule, &[&str])] = &[
    (imports::import_table, PROGRAM),
    (imports::domain_reaches_only_pure_code, PROGRAM),
    (bans::binary_floats, PROGRAM),
    (bans::unordered_maps, PROGRAM),
    (bans::clock_reads, PROGRAM),
    (bans::environment_reads, PROGRAM),
    (bans::silent_waivers, PROGRAM),
    (sizes::long_functions, EVERYTHING),
    (sizes::long_files, EVERYTHING),
    (sizes::missing_headers, EVERYTHING),
];

#[test]
fn the_tree_keeps_every_rule() {
    let mut violations = Vec::new();
    for (rule, folders) in RULES {
        for path in folders.iter().flat_map(|folder| rust_files(folder)) {
            violations.extend(rule(&path, &read(&path)));
        }
    }
    violations.extend(bans::second_tls_stacks("Cargo.lock", &read("Cargo.lock")));
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

#[test]
fn the_walk_sees_the_program_and_its_tests() {
    assert!(rust_files("src").contains(&"src/lib.rs".to_owned()));
    assert!(rust_files("tests").contains(&"tests/it/tidy/mod.rs".to_owned()));
}

#[test]
fn a_file_of_tests_is_declared_for_tests_only() {
    for path in rust_files("src").into_iter().filter(|path| mentions::is_test_file(path)) {
        let (above, _) = path.rsplit_once("/tests").unwrap();
        let parent = format!("{above}.rs");
        assert!(
            read(&parent).contains("#[cfg(test)]\nmod tests;"),
            "{path}: {parent} must declare it for tests"
        );
    }
}

#[test]
fn an_adapter_that_imports_another_adapter_is_found() {
    finds(imports::import_table, "src/stripe/client.rs", "adapter_names_adapter.rs.txt");
}

#[test]
fn an_alarm_clock_that_knows_what_it_wakes_is_found() {
    let source = "//! Rings.\nuse crate::job::run;\nuse super::next;\n";
    assert_eq!(lines_of(&imports::import_table("src/schedule/alarm.rs", source)), [2]);
}

#[test]
fn a_config_that_names_the_job_is_found() {
    finds(imports::import_table, "src/config.rs", "config_names_job.rs.txt");
}

#[test]
fn a_domain_that_names_an_adapter_is_found() {
    finds(imports::import_table, "src/domain/reconcile.rs", "domain_names_adapter.rs.txt");
}

#[test]
fn a_sandbox_that_borrows_our_arithmetic_is_found() {
    finds(imports::import_table, "src/sandbox/preview.rs", "sandbox_names_money.rs.txt");
}

#[test]
fn a_module_outside_the_house_is_found() {
    assert_eq!(imports::import_table("src/utils.rs", "//! Odds and ends.\n").len(), 1);
}

#[test]
fn a_domain_that_does_io_is_found() {
    finds(imports::domain_reaches_only_pure_code, "src/domain/usage.rs", "domain_does_io.rs.txt");
}

#[test]
fn a_binary_float_is_found() {
    finds(bans::binary_floats, "src/analytics/ranks.rs", "binary_floats.rs.txt");
}

#[test]
fn an_unordered_map_is_found() {
    for path in
        ["src/render/rows.rs", "src/stripe/meters.rs", "src/sandbox/world.rs", "src/notify/slack/render.rs"]
    {
        finds(bans::unordered_maps, path, "unordered_maps.rs.txt");
    }
}

#[test]
fn a_clock_read_is_found_under_any_name() {
    finds(bans::clock_reads, "src/job/due.rs", "clock_reads.rs.txt");
}

#[test]
fn a_wall_clock_in_the_lease_is_found() {
    finds(bans::clock_reads, "src/job/lease.rs", "lease_reads_wall_clock.rs.txt");
}

#[test]
fn an_environment_read_outside_config_is_found() {
    finds(bans::environment_reads, "src/notify/slack.rs", "environment_reads.rs.txt");
    assert_eq!(
        bans::environment_reads("src/config/environment.rs", &fixture("environment_reads.rs.txt")),
        [""; 0]
    );
}

#[test]
fn a_lint_waiver_without_a_reason_is_found() {
    finds(bans::silent_waivers, "src/store/books.rs", "silent_waivers.rs.txt");
}

#[test]
fn a_second_tls_stack_is_found() {
    finds(bans::second_tls_stacks, "Cargo.lock", "second_tls_stack.txt");
}

#[test]
fn a_function_longer_than_a_screen_is_found() {
    let body = |lines| "    step();\n".repeat(lines);
    let method = format!("impl Job {{\nfn short() {{\n{}}}\nfn long() {{\n{}}}\n}}\n", body(68), body(69));
    assert_eq!(lines_of(&sizes::long_functions("src/job/plan.rs", &method)), [72]);
    let nested = format!("fn outer() {{\nfn inner() {{\n{}}}\n}}\n", body(69));
    assert_eq!(lines_of(&sizes::long_functions("src/job/plan.rs", &nested)), [1, 2]);
}

#[test]
fn a_file_too_long_without_its_tests_is_found() {
    let code = |lines| "const STEP: u8 = 1;\n".repeat(lines);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", code(100));
    assert_eq!(lines_of(&sizes::long_files("src/job/plan.rs", &(code(401) + &tests))), [1]);
    assert_eq!(sizes::long_files("src/job/plan.rs", &(code(400) + &tests)), [""; 0]);
}

#[test]
fn a_file_without_a_header_is_found() {
    finds(sizes::missing_headers, "src/ingest/csv.rs", "no_header.rs.txt");
}

#[test]
fn a_file_that_does_not_parse_is_found() {
    for rule in [imports::import_table, bans::binary_floats, sizes::long_functions, sizes::long_files] {
        assert_eq!(lines_of(&rule("src/job/plan.rs", "//! Broken.\nfn {\n")), [2]);
    }
}

/// The rule finds fault with the marked lines of the fixture, and with no other.
#[track_caller]
fn finds(rule: Rule, path: &str, name: &str) {
    let source = fixture(name);
    let lines = source.lines().enumerate();
    let marked: Vec<usize> =
        lines.filter(|(_, line)| line.contains(MARK)).map(|(index, _)| index + 1).collect();
    assert!(!marked.is_empty(), "{name} marks no line with {MARK}");
    let violations = rule(path, &source);
    assert_eq!(lines_of(&violations), marked, "{name}, found: {violations:#?}");
}

/// The distinct lines of `path:line: what` violations, in order.
fn lines_of(violations: &[String]) -> Vec<usize> {
    let line = |violation: &String| violation.split(':').nth(1).and_then(|line| line.parse().ok());
    let mut lines: Vec<usize> = violations.iter().filter_map(line).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

fn fixture(name: &str) -> String {
    read(&format!("tests/it/tidy_fixtures/{name}"))
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every `.rs` file below a folder, as a path from the root, sorted.
fn rust_files(folder: &str) -> Vec<String> {
    let entries =
        fs::read_dir(Path::new(ROOT).join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut files = Vec::new();
    for entry in entries.flatten() {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            files.extend(rust_files(&path));
        } else if Path::new(&path).extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort_unstable();
    files
}
