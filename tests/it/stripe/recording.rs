//! Every request that the job can send, seen on the wire: path, names of parameters, version, key.
//!
//! In: a company that meets each of them, the real binary, a proxy before `billrecon sandbox`. Out: a recording that is compared
//! with the list of requests, with `parameters.json`, with `docs/stripe.md`, and (`scripts/test --judges`) with Stripe's official
//! Python SDK. It looks at names only: what the values do is the matter of other tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::billing::server::{Act, Asked, Proxy, request};
use crate::billing::world::{DRAFT, FINAL, OPEN, World, tenants};
use crate::support::{Ended, Engine};

/// What of async-stripe makes each request, and what it is on the wire. `RequestBuilder` is the one that is made by hand.
pub const REQUESTS: [(&str, &str); 11] = [
    ("RequestBuilder", "GET /v1/account"),
    ("ListBillingMeter", "GET /v1/billing/meters"),
    ("ListIdBillingMeterEventSummary", "GET /v1/billing/meters/{id}/event_summaries"),
    ("ListInvoice", "GET /v1/invoices"),
    ("ListInvoiceInvoiceLineItem", "GET /v1/invoices/{id}/lines"),
    ("ListPrice", "GET /v1/prices"),
    ("RetrievePrice", "GET /v1/prices/{id}"),
    ("ListSubscriptionItem", "GET /v1/subscription_items"),
    ("ListSubscription", "GET /v1/subscriptions"),
    ("CreateBillingMeterEvent", "POST /v1/billing/meter_events"),
    ("CreatePreviewInvoice", "POST /v1/invoices/create_preview"),
];

const VERSION: &str = "2026-09-30.endive";
const PREVIEW: &str = "POST /v1/invoices/create_preview";

/// Names of parameters by request.
type Recording = BTreeMap<String, BTreeSet<String>>;

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Two meters that add up and a gauge; prices named by id, by lookup key, and not at all.
const CATALOG: &str = r#"
[[meter]]
key = "requests"
aggregation = "sum"
event_name = "requests"

[[meter]]
key = "minutes"
aggregation = "sum"
event_name = "minutes"

[[meter]]
key = "devices"
aggregation = "max"
event_name = "devices"

[[plan]]
key = "pro"
currency = "try"
amount = 99900
  [[plan.usage]]
  meter = "requests"
  free_quota = 100
  shadow_price_id = "price_shadow_pro"
  overage_price_id = "price_overage_pro"
  price = { billing_scheme = "tiered", tiers_mode = "graduated", tiers = [
            { up_to = 100, unit_amount_decimal = "0" }, { up_to = "inf", unit_amount_decimal = "700" } ] }
  [[plan.usage]]
  meter = "minutes"
  shadow_price_lookup_key = "minutes_shadow"
  overage_price_lookup_key = "minutes_overage"
  price = { unit_amount = 5 }
  [[plan.usage]]
  meter = "devices"
  price = { unit_amount = 500 }
"#;

const USAGE: &str = "\
tenant_id,meter,quantity,occurred_at,source_event_id,kind,corrects
a,requests,130,2026-10-05T00:00:00Z,a-1,,
a,minutes,40,2026-10-05T00:00:00Z,a-2,,
a,devices,7,2026-10-05T00:00:00Z,a-3,,
b,requests,20,2026-10-05T00:00:00Z,b-1,,
c,minutes,15.5,2026-10-06T00:00:00Z,c-1,,
";

const LATER: &str = "\
tenant_id,meter,quantity,occurred_at,source_event_id,kind,corrects
a,requests,-30,2026-10-05T00:00:00Z,a-4,correction,a-1
a,devices,9,2026-10-21T00:00:00Z,a-5,,
b,requests,200,2026-10-21T00:00:00Z,b-2,,
";

/// A month of three tenants, from the first look to the close.
fn month() -> (World, Proxy) {
    let mut world = World::remote(Engine::Sqlite, CATALOG, &tenants(["a", "b", "c"]), USAGE, OPEN);
    let proxy = world.through_proxy();
    let sandbox = world.sandbox().url().replace("http://", "").replace('/', "");
    proxy.rule(move |asked| {
        let is_first = !asked.path.contains("starting_after");
        match asked.path.strip_prefix("/v1/subscription_items?") {
            Some(query) => Act::Answer(200, items(&sandbox, query)),
            None if asked.is_total() && is_first => Act::Change(that_has_more),
            None => Act::Change(in_short_pages),
        }
    });
    world.run_with(OPEN, &["--dry-run"]).expect(0);
    world.run(OPEN).expect(0);
    world.import_usage(LATER);
    world.run("2026-10-22T10:00:00Z").expect(0);
    world.run_with("2026-10-22T11:00:00Z", &["--what-if"]).expect(0);
    Ended::of(world.command(&["status"]).output().unwrap()).expect(0);
    world.run(DRAFT).expect(0);
    Ended::of(world.command(&["guard", "--as-of", DRAFT]).output().unwrap()).expect(0);
    let closed = world.run(FINAL).expect(0);
    assert!(closed.stdout.contains(r#""status":"closed""#), "{}", closed.stdout);
    (world, proxy)
}

/// Every list in an answer as if so few fitted on a page: then three tenants do for a hundred.
fn in_short_pages(answer: &mut Value) {
    const PAGE: usize = 2;
    match answer {
        Value::Array(all) => all.iter_mut().for_each(in_short_pages),
        Value::Object(object) => {
            object.values_mut().for_each(in_short_pages);
            let is_list = object.get("object").is_some_and(|kind| kind == "list");
            if let Some(all) = object.get_mut("data").and_then(Value::as_array_mut)
                && is_list
                && all.len() > PAGE
            {
                all.truncate(PAGE);
                object.insert("has_more".to_owned(), true.into());
            }
        }
        _ => {}
    }
}

/// A total is one object; only a server that says so has more of it.
fn that_has_more(totals: &mut Value) {
    let is_empty = totals["data"].as_array().unwrap().is_empty();
    totals["has_more"] = (!is_empty).into();
}

/// The list of a subscription's items, which the sandbox shows on the subscription only.
fn items(sandbox: &str, query: &str) -> &'static str {
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let path = format!("/v1/subscriptions/{}", value("subscription").unwrap());
    let mut list = request(sandbox, "GET", &path, "")["items"].take();
    let all = list["data"].as_array_mut().unwrap();
    let after = value("starting_after");
    let start = after.map_or(0, |after| 1 + all.iter().position(|one| one["id"] == after).unwrap());
    all.drain(..start);
    in_short_pages(&mut list);
    // A proxy answers with what lasts; the tests end soon.
    list.to_string().leak()
}

/// Method and path, as in the list where it fits: what is an id there is none here.
fn request_of(asked: &Asked) -> String {
    let path = asked.path.split('?').next().unwrap();
    let came = format!("{} {path}", asked.method);
    let is_one = |listed: &&str| {
        let (listed, came) = (listed.split('/'), came.split('/'));
        listed.clone().count() == came.clone().count() && listed.zip(came).all(|(a, b)| a == "{id}" || a == b)
    };
    REQUESTS.map(|(_, request)| request).into_iter().find(is_one).unwrap_or(&came).to_owned()
}

/// The names in a query or a form; places in a list are none.
fn names(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let name = pair.split('=').next().unwrap().replace("%5B", "[").replace("%5D", "]");
        assert!(!name.contains('%'), "{name}");
        let parts = name.split('[').map(|part| part.strip_suffix(']').unwrap_or(part));
        let is_place = |part: &str| part.bytes().all(|one| one.is_ascii_digit());
        let mut parts = parts.map(|part| if is_place(part) { "" } else { part });
        let first = parts.next().unwrap().to_owned();
        parts.fold(first, |name, part| format!("{name}[{part}]"))
    })
}

fn recording(all: &[Asked]) -> Recording {
    let mut recording = Recording::new();
    for asked in all {
        let known = recording.entry(request_of(asked)).or_default();
        known.extend(asked.path.split_once('?').into_iter().flat_map(|(_, query)| names(query)));
        known.extend(names(&asked.body));
    }
    recording
}

/// What a request lacks, or has too much, whatever it asks for.
fn faults_of_headers(all: &[Asked]) -> Vec<String> {
    let fault = |asked: &Asked| {
        let request = request_of(asked);
        let version = asked.header("Stripe-Version");
        let must_have_key = asked.method == "POST" && request != PREVIEW;
        let has_key = asked.header("Idempotency-Key").is_some_and(|key| !key.is_empty());
        match (version == Some(VERSION), must_have_key == has_key) {
            (false, _) => Some(format!("{request}: version {version:?}")),
            (_, false) => Some(format!("{request}: Idempotency-Key: {has_key}")),
            _ => None,
        }
    };
    all.iter().filter_map(fault).collect()
}

fn committed() -> Recording {
    let text = fs::read_to_string(home().join("tests/it/stripe/parameters.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// What is in one of them only.
fn differences(recorded: &Recording, listed: &Recording) -> Vec<String> {
    let pairs = |recording: &Recording| -> BTreeSet<String> {
        let of = |(request, names): (&String, &BTreeSet<String>)| {
            let all: Vec<String> = names.iter().map(|name| format!("{request} {name}")).collect();
            [vec![request.clone()], all].concat()
        };
        recording.iter().flat_map(of).collect()
    };
    pairs(recorded).symmetric_difference(&pairs(listed)).cloned().collect()
}

#[test]
fn every_request_of_the_job_is_seen_and_has_no_parameter_that_is_not_known() {
    let (_world, proxy) = month();
    let all = proxy.take();
    let recorded = recording(&all);
    let listed: BTreeSet<&str> = REQUESTS.iter().map(|(_, request)| *request).collect();
    assert_eq!(recorded.keys().map(String::as_str).collect::<BTreeSet<_>>(), listed);
    assert_eq!(faults_of_headers(&all), [""; 0]);
    let found = differences(&recorded, &committed());
    assert!(found.is_empty(), "differs from tests/it/stripe/parameters.json: {found:#?}\n{recorded:#?}");
    if let Some(judged) = judged(&recorded) {
        assert_eq!((judged.expect(0).stdout).as_str(), "all known\n");
    }
}

/// Asks for what nobody knows, without a version, and with a key where none belongs.
#[test]
fn a_request_that_is_not_as_it_should_be_is_found() {
    let world = World::remote(Engine::Sqlite, CATALOG, &tenants(["a", "b", "c"]), USAGE, OPEN);
    let proxy = Proxy::start(&world.sandbox().url());
    let known = "GET /v1/prices?lookup_keys%5B0%5D=k&active=true&limit=100&expand%5B0%5D=data.tiers";
    for (request, headers, body) in [
        (known, "Stripe-Version: 2026-09-30.endive", ""),
        ("GET /v1/prices?foo=1", "Stripe-Version: 2026-09-30.endive", ""),
        (
            PREVIEW,
            "Stripe-Version: 2026-09-30.endive\r\nIdempotency-Key: k",
            "subscription_details[items][0][foo]=1",
        ),
        ("POST /v1/billing/meter_events", "stripe-version: 2026-09-30.endive", "payload[foo]=1"),
        ("GET /v1/invoices/upcoming", "Stripe-Version: 2026-09-30.endive", ""),
        ("GET /v1/account", "Stripe-Version: 2025-02-24.acacia", ""),
    ] {
        let address = proxy.url().replace("http://", "").replace('/', "");
        let length = body.len();
        let text = format!("{request} HTTP/1.1\r\n{headers}\r\nContent-Length: {length}\r\n\r\n{body}");
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
    }
    let all = proxy.take();
    assert_eq!(
        faults_of_headers(&all),
        [
            "POST /v1/invoices/create_preview: Idempotency-Key: true",
            "POST /v1/billing/meter_events: Idempotency-Key: false",
            "GET /v1/account: version Some(\"2025-02-24.acacia\")",
        ]
    );
    let recorded = recording(&all);
    let listed = committed();
    let unknown: Vec<String> = differences(&recorded, &listed)
        .into_iter()
        .filter(|one| differences(&listed, &Recording::new()).iter().all(|known| known != one))
        .collect();
    let planted = [
        "GET /v1/invoices/upcoming",
        "GET /v1/prices foo",
        "POST /v1/billing/meter_events payload[foo]",
        "POST /v1/invoices/create_preview subscription_details[items][][foo]",
    ];
    assert_eq!(unknown, planted);
    if let Some(judged) = judged(&recorded) {
        // The keys of a payload are the meter's own, so Stripe's SDK knows them all.
        let found: Vec<String> = judged.expect(1).stdout.lines().map(str::to_owned).collect();
        assert_eq!(found, [planted[0], planted[1], planted[3]]);
    }
}

/// Stripe's official SDK, where there are judges.
fn judged(recorded: &Recording) -> Option<Ended> {
    std::env::var_os("BILLRECON_TEST_JUDGES")?;
    let python = std::env::var("BILLRECON_TEST_PYTHON").expect("scripts/test --judges sets it");
    let script = home().join("tests/it/stripe/sdk_params.py");
    let mut command = Command::new(python);
    let mut child = command
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = serde_json::to_string(recorded).unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Some(Ended::of(child.wait_with_output().unwrap()))
}

#[test]
fn the_page_about_stripe_lists_each_request_and_the_version() {
    let text = fs::read_to_string(home().join("docs/stripe.md")).unwrap();
    assert!(text.contains(VERSION) && text.lines().count() <= 200);
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter(|row| row.starts_with("GET ") || row.starts_with("POST "));
    let named: Vec<&str> = rows.map(|row| row.split('`').next().unwrap()).collect();
    assert_eq!(named, REQUESTS.map(|(_, request)| request));
}
