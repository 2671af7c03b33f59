//! Scenarios: a folder for each cause, played against a Stripe in a process of its own, that ends in that cause and in these
//! files, byte for byte, on both databases.
//!
//! In: `tests/scenarios/CAUSE/`; each `story.toml` says why its `expected/` files say what they say. Out: a failing test
//! with the file as it is. `planted` mixes the causes over a company of 1,000.

mod planted;
mod story;

use std::collections::BTreeSet;
use std::fs;

use billrecon::domain::reconcile::Cause;

use crate::support::{ENGINES, Engine, csv_rows};
use story::{folder, play};

/// Plays a cause's folder on both databases, and compares each file that it expects.
#[track_caller]
fn ends_in(cause: &str) {
    for engine in ENGINES {
        play_on(cause, engine);
    }
}

#[track_caller]
fn play_on(cause: &str, engine: Engine) {
    let played = play(cause, engine);
    let expected: Vec<_> =
        fs::read_dir(folder(cause).join("expected")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!expected.is_empty(), "{cause} expects no file");
    let mut named = false;
    for file in expected {
        let name = file.file_name().unwrap().to_str().unwrap();
        let found = fs::read_to_string(played.reports.join(name)).unwrap();
        let wanted = fs::read_to_string(&file).unwrap();
        assert!(found == wanted, "{cause} on {engine:?}: {name} is\n{found}\nand not\n{wanted}");
        named |= csv_rows(found.as_bytes()).iter().any(|row| row["reason"] == cause);
    }
    assert!(named, "no file that is expected names {cause}");
}

#[test]
fn every_cause_has_a_folder_and_every_folder_is_a_cause() {
    let folders = fs::read_dir(folder("")).unwrap().map(|entry| entry.unwrap().file_name());
    let folders: BTreeSet<String> = folders.map(|name| name.into_string().unwrap()).collect();
    // What a trial makes of a row is told in `windows/trials.rs`.
    let causes = Cause::ALL.into_iter().filter(|cause| *cause != Cause::Trial);
    let causes: BTreeSet<String> = causes.map(|cause| cause.as_str().to_owned()).collect();
    assert_eq!(folders, causes);
}

#[test]
fn what_is_on_its_way_is_latency_pending() {
    ends_in("latency_pending");
}

#[test]
fn what_nobody_has_sent_is_not_pushed() {
    ends_in("not_pushed");
}

#[test]
fn what_stripe_took_and_dropped_is_rejected_async() {
    ends_in("rejected_async");
}

#[test]
fn a_record_that_was_sent_twice_is_duplicate_push() {
    ends_in("duplicate_push");
}

#[test]
fn a_push_whose_identifier_somebody_else_has_used_is_duplicate_rejected() {
    ends_in("duplicate_rejected");
}

#[test]
fn usage_that_another_time_zone_cut_off_is_period_boundary() {
    ends_in("period_boundary");
}

#[test]
fn usage_that_comes_after_the_invoice_is_final_is_late_usage() {
    ends_in("late_usage");
}

#[test]
fn usage_that_was_sent_without_its_instant_is_timestamp_shift() {
    ends_in("timestamp_shift");
}

#[test]
fn a_draft_that_shows_what_was_known_when_it_was_made_is_draft_stale() {
    ends_in("draft_stale");
}

#[test]
fn a_subscription_that_no_tenant_has_is_mapping() {
    ends_in("mapping");
}

#[test]
fn usage_on_an_item_that_went_with_its_plan_is_mid_cycle_change() {
    ends_in("mid_cycle_change");
}

#[test]
fn another_price_at_stripe_is_pricing_diff() {
    ends_in("pricing_diff");
}

#[test]
fn a_base_fee_beside_the_usage_is_extra_lines() {
    ends_in("extra_lines");
}

#[test]
fn an_answer_that_is_no_json_is_incomplete_data() {
    ends_in("incomplete_data");
}

#[test]
fn units_of_another_size_are_aggregation_mismatch() {
    ends_in("aggregation_mismatch");
}

#[test]
fn what_is_taken_back_after_the_invoice_is_final_is_correction_after_close() {
    ends_in("correction_after_close");
}

#[test]
fn two_items_on_one_meter_are_double_meter() {
    ends_in("double_meter");
}
