//! `doctor` finds at Stripe what a run would refuse or warn of, all at once, and changes nothing.
//!
//! In: a Stripe with one thing wrong at a time. Out: a line with the check's name, its severity and what to do; the exit code. Each is
//! provoked; a Stripe as it should be is silent.

use super::pin::Gate;
use super::{COLUMNS, EVENT, Site, catalog, free, meter, metered, price, tenant, usage};
use crate::support::{Ended, Engine};
use billrecon::job::checks::CheckName;

const RESTRICTED: &str = "rk_test_c4n4ry0f0ur0wn";

fn site() -> Site {
    let site = Site::new(Engine::Sqlite);
    let (customer, subscription) = site.subscribe(&[&site.base, &site.shadow]);
    site.import("catalog", &site.catalog());
    site.import("tenants", &format!("{COLUMNS}{}", tenant("acme", &customer, &subscription)));
    site.import("usage", &usage(&[("acme", "130")]));
    site
}

fn doctor(site: &Site) -> Ended {
    let mut command = site.command(&["doctor"]);
    Ended::of(command.env("BILLRECON_STRIPE_API_KEY", RESTRICTED).output().unwrap())
}

/// One finding of this check and severity, and the code that goes with it.
#[track_caller]
fn finds(site: &Site, check: CheckName, severity: &str) {
    let before = site.journal();
    let ended = doctor(site).expect(if severity == "error" { 78 } else { 3 });
    let begin = format!("{severity}: {}: ", check.as_str());
    let line = ended.stdout.lines().find(|line| line.starts_with(&begin));
    let line = line.unwrap_or_else(|| panic!("{begin}: {}", ended.stdout));
    assert!(line.ends_with(check.remedy()), "{line}");
    assert!(site.journal() == before, "{check:?} changed something at Stripe");
}

#[test]
fn a_stripe_as_it_should_be_is_no_finding() {
    let ended = doctor(&site()).expect(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
}

#[test]
fn each_check_of_a_price_is_a_finding() {
    let site = site();
    let odd = |form: &[(&str, &str)]| price(&site.stripe, &metered(&site.meter, form));
    let other_meter = meter(&site.stripe, "other", &[]);
    let with = |shadow: &str, overage: &str| {
        site.import("catalog", &catalog(EVENT, &format!("\"{shadow}\""), &format!("\"{overage}\"")));
    };
    let mut dear = free("100");
    dear[5].1 = "701";
    let free_100 = free("100");
    for (check, severity, shadow, overage) in [
        (CheckName::PriceExists, "error", site.shadow.clone(), "price_none".to_owned()),
        (CheckName::ShadowIsZero, "error", odd(&[("unit_amount", "1")]), site.overage.clone()),
        (
            CheckName::Currency,
            "error",
            site.shadow.clone(),
            odd(&[&free_100[..], &[("currency", "usd")]].concat()),
        ),
        (
            CheckName::Interval,
            "error",
            site.shadow.clone(),
            odd(&[&free_100[..], &[("recurring[interval]", "year")]].concat()),
        ),
        (CheckName::Quota, "error", site.shadow.clone(), odd(&free("50"))),
        (CheckName::PriceOfCatalog, "error", site.shadow.clone(), odd(&dear)),
        (
            CheckName::PriceMeter,
            "error",
            site.shadow.clone(),
            price(&site.stripe, &metered(&other_meter, &free_100)),
        ),
        (
            CheckName::PriceActive,
            "warning",
            site.shadow.clone(),
            odd(&[&free_100[..], &[("active", "false")]].concat()),
        ),
    ] {
        with(&shadow, &overage);
        finds(&site, check, severity);
    }
}

#[test]
fn each_check_of_a_meter_is_a_finding() {
    let site = site();
    let named =
        |event: &str| catalog(event, &format!("\"{}\"", site.shadow), &format!("\"{}\"", site.overage));
    site.import("catalog", &named("nobody_has_it"));
    finds(&site, CheckName::MeterExists, "error");
    let of_last = meter(&site.stripe, "of_last", &[("default_aggregation[formula]", "last")]);
    let sold = |form: &[(&str, &str)]| format!("\"{}\"", price(&site.stripe, &metered(&of_last, form)));
    site.import("catalog", &catalog("of_last", &sold(&[("unit_amount", "0")]), &sold(&free("100"))));
    finds(&site, CheckName::MeterFormula, "error");
    site.import("catalog", &site.catalog());
    site.stripe.post(&format!("/v1/billing/meters/{}/deactivate", site.meter), &[]).ok();
    finds(&site, CheckName::MeterActive, "error");
}

#[test]
fn two_items_and_a_schedule_that_misses_the_draft_hour_are_findings() {
    let site = site();
    site.workspace.write("billrecon.toml", "[serve]\nschedule = \"0 9 * * *\"\n");
    finds(&site, CheckName::GracePeriod, "warning");
    site.workspace.write("billrecon.toml", "");
    let (customer, subscription) = site.subscribe(&[&site.base, &site.shadow, &site.overage]);
    site.import("tenants", &format!("{COLUMNS}{}", tenant("both", &customer, &subscription)));
    finds(&site, CheckName::TwoItems, "warning");
}

#[test]
fn a_full_key_another_mode_and_another_account_are_findings() {
    let gate = Gate::new(Engine::Sqlite);
    let doctor = |key: &str, flags: &[&str]| {
        let mut command = gate.any_command(&[&["doctor"], flags].concat());
        let ended = Ended::of(command.env("BILLRECON_STRIPE_API_KEY", key).output().unwrap());
        assert!(!ended.stdout.contains("c4n4ry") && !ended.stderr.contains("c4n4ry"), "{ended:?}");
        ended
    };
    let has = |ended: &Ended, begin: &str| ended.stdout.lines().any(|line| line.starts_with(begin));
    gate.site.workspace.write("billrecon.toml", "");
    let no_first = doctor(RESTRICTED, &[]).expect(78);
    assert!(
        has(&no_first, "error: first_period: with a real account first_period is required"),
        "{no_first:?}"
    );
    gate.site.workspace.write("billrecon.toml", "first_period = \"2020-01\"\n");
    let well = doctor(RESTRICTED, &[]).expect(0);
    assert_eq!(well.stdout, "");
    let full = doctor("sk_test_c4n4ry0f0ur0wn", &[]).expect(3);
    assert!(has(&full, "warning: key_kind: Stripe key: this is a full secret key"), "{full:?}");
    doctor("sk_test_c4n4ry0f0ur0wn", &["--strict"]).expect(78);
    let live = doctor("rk_live_c4n4ry0f0ur0wn", &[]).expect(78);
    assert!(has(&live, "error: mode: "), "{live:?}");
}

#[test]
fn every_check_of_the_catalog_is_provoked_here() {
    let source = include_str!("doctor.rs");
    for check in CheckName::ALL {
        let by_name = source.contains(&format!("CheckName::{check:?}"));
        let by_words = source.contains(&format!(": {}: ", check.as_str()));
        assert!(by_name || by_words, "{check:?}");
    }
}
