//! The journal: what a killed sandbox leaves, what damage is found, and who may use it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use super::{HOUR, OCTOBER, Served, command, data, id};
use crate::support::Ended;

const NOW: &str = "2026-10-01T00:00:00Z";

/// Everything that can be read, as text.
fn everything(sandbox: &Served) -> Vec<String> {
    let mut paths: Vec<String> = ["/v1/account", "/v1/test_helpers/test_clocks"].map(str::to_owned).to_vec();
    let lists = ["customers", "products", "prices", "billing/meters", "subscriptions?status=all", "invoices"];
    paths.extend(lists.map(|list| format!("/v1/{list}")));
    for list in ["customers", "prices", "billing/meters", "subscriptions", "invoices"] {
        let all = sandbox.get(&format!("/v1/{list}")).ok();
        paths.extend(data(&all).iter().map(|one| format!("/v1/{list}/{}", id(one))));
    }
    let (meter, customer) = (&sandbox.get("/v1/billing/meters").ok(), &sandbox.get("/v1/customers").ok());
    paths.push(format!(
        "/v1/billing/meters/{}/event_summaries?customer={}&start_time={OCTOBER}&end_time={}",
        id(&data(meter)[0]),
        id(&data(customer)[0]),
        OCTOBER + HOUR
    ));
    paths.iter().map(|path| format!("{path} {}", sandbox.get(path).text)).collect()
}

fn with_history() -> Served {
    let sandbox = Served::new();
    let clock = sandbox.clock();
    let (customer, meter) = (sandbox.customer(), sandbox.meter("requests", "sum"));
    let usage = sandbox.metered_price(&meter, &[("unit_amount_decimal", "3.6"), ("lookup_key", "usage")]);
    let base = sandbox.base_price("5000");
    sandbox.subscribe(&customer, &[&base, &usage], &[]);
    for number in 0..20 {
        sandbox.report("requests", &customer, "1.5", &format!("e{number}"), OCTOBER).ok();
    }
    clock.advance(OCTOBER + 31 * 24 * HOUR + HOUR / 2);
    sandbox
}

#[test]
fn a_killed_sandbox_answers_the_same_bytes_when_it_is_started_again() {
    let sandbox = with_history();
    let key = [super::KEY, ("Idempotency-Key", "k")];
    let first = sandbox.send("POST", "/v1/customers", &[("name", "B")], &key);
    let before = everything(&sandbox);
    assert!(before.len() > 12);
    let again = sandbox.killed_and_started_again(NOW);
    assert_eq!(everything(&again), before);
    let replayed = again.send("POST", "/v1/customers", &[("name", "B")], &key);
    assert_eq!((replayed.text, replayed.headers.contains_key("idempotent-replayed")), (first.text, true));
    let customer = id(&data(&again.get("/v1/customers").ok())[1]);
    let invoice = &again.get("/v1/invoices?status=draft").ok()["data"][0];
    assert_eq!(invoice["subtotal"], 5000 + 108);
    again.report("requests", &customer, "1", "e3", OCTOBER + 20 * 24 * HOUR).ok();
}

#[test]
fn a_line_that_was_half_written_is_cut_off() {
    let sandbox = with_history();
    let before = everything(&sandbox);
    let whole = fs::read(sandbox.state()).unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(sandbox.state()).unwrap();
    file.write_all(br#"{"at":1790812800,"facts":[{"event":{"na"#).unwrap();
    let again = sandbox.killed_and_started_again(NOW);
    assert_eq!(everything(&again), before);
    assert_eq!(fs::read(again.state()).unwrap(), whole);
}

#[test]
fn any_other_damage_names_the_file_and_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.ndjson");
    let header = r#"{"journal":"billrecon sandbox","version":1}"#;
    let damages = [
        (format!("{header}\n{{\"at\":1}}\n{{\"at\":oops}}\n{{\"at\":2}}\n"), "line 3"),
        (format!("{header}\n\n{{\"at\":1}}\n"), "line 2"),
        (format!("{header}\n{{\"at\":1,\"facts\":[{{\"unheard\":1}}]}}\n"), "line 2"),
        ("tenant_id,plan\n".to_owned(), "line 1"),
        ("no journal".to_owned(), "line 1"),
    ];
    for (text, place) in damages {
        fs::write(&path, &text).unwrap();
        let ended = Ended::of(command(&["--state", path.to_str().unwrap()]).output().unwrap()).expect(65);
        assert!(ended.stderr.contains("state.ndjson") && ended.stderr.contains(place), "{}", ended.stderr);
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "it stays as it was");
    }
}

#[test]
fn one_journal_serves_one_sandbox_and_nobody_else_may_read_it() {
    let sandbox = Served::new();
    let mode = fs::metadata(sandbox.state()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = command(&["--state", sandbox.state().to_str().unwrap()]).output().unwrap();
    let second = Ended::of(second).expect(75);
    assert!(second.stderr.contains("another sandbox"), "{}", second.stderr);
    sandbox.customer();
}

#[test]
fn it_listens_on_this_machine_only_and_ends_by_signals() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    for address in ["0.0.0.0:0", "192.0.2.1:80", "[::]:0", "localhost", "127.0.0.1"] {
        let arguments = ["--listen", address, "--state", state.to_str().unwrap()];
        Ended::of(command(&arguments).output().unwrap()).expect(2);
    }
    assert!(!state.exists());
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let ended = Served::new().ended_by(name);
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    }
}

#[test]
fn without_now_it_follows_the_machines_clock_until_a_test_clock_is_made() {
    let sandbox = Served::with(tempfile::tempdir().unwrap(), &[]);
    let created = sandbox.post("/v1/customers", &[]).ok()["created"].as_i64().unwrap();
    assert!(created > OCTOBER, "{created}");
    // Nothing stands on the present yet, so a test may begin in the past.
    let clock = sandbox.clock();
    assert_eq!(sandbox.post("/v1/customers", &[]).ok()["created"], OCTOBER);
    clock.advance(OCTOBER + HOUR);
    let back = [("frozen_time", "1790812800")];
    sandbox.post(&format!("/v1/test_helpers/test_clocks/{}/advance", clock.id), &back).refused(400);
    sandbox.subscribe(&sandbox.customer(), &[&sandbox.base_price("1")], &[]);
    sandbox.post("/v1/test_helpers/test_clocks", &back).refused(400);
}
