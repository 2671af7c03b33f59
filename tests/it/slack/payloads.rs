//! A thousand notices, some with thousands of differences and hostile names, against Slack's own SDK and our table of limits.
//!
//! In: random notices from a fixed seed. Out: each body within every limit; with the judges, `slack_sdk` takes each of its blocks.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use billrecon::domain::decide::VerdictWord;
use billrecon::notify::slack::{again, details, render};
use billrecon::notify::{Details, MetricLine, Notice, Owner, Topic};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;

use crate::support::Ended;

const NOTICES: usize = 1_000;
/// What a run of a large company can have.
const MANY: usize = 5_000;

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "\\PC{0,40}",
        Just("=HYPERLINK(\"http://x\")".to_owned()),
        Just("<!channel> <@U024BE7LH> <https://x|y>".to_owned()),
        Just("\u{202e}gpj.\u{0}\r\n\t".to_owned()),
        Just("👩‍👩‍👧‍👦".to_owned()),
        Just("\"\\`&".to_owned()),
    ];
    (piece, prop_oneof![4 => Just(1_usize), 1 => Just(250)]).prop_map(|(piece, times)| piece.repeat(times))
}

fn topic() -> impl Strategy<Value = Topic> {
    use VerdictWord::{Go, InsufficientData, NoGo, Review};
    let verdict = prop::sample::select(vec![Go, Review, NoGo, InsufficientData]).prop_map(Topic::Verdict);
    let alert = prop::sample::select(vec![
        Topic::Failed,
        Topic::Missed,
        Topic::Differences,
        Topic::Drafts,
        Topic::Reminder,
    ]);
    prop_oneof![verdict, alert]
}

fn metric() -> impl Strategy<Value = MetricLine> {
    (hostile(), hostile(), prop::option::of(any::<bool>()), any::<bool>()).prop_map(
        |(name, value, passed, required)| MetricLine {
            plan: name.clone(),
            meter: name,
            metric: "share_at_80".to_owned(),
            value: value.clone(),
            operator: ">=".to_owned(),
            threshold: value,
            passed,
            required,
        },
    )
}

/// Few, or as many as a large company has.
fn list() -> impl Strategy<Value = Vec<String>> {
    (prop::collection::vec(hostile(), 0..12), prop::bool::weighted(0.02))
        .prop_map(|(some, many)| if many { some.iter().cycle().take(MANY).cloned().collect() } else { some })
}

fn notice() -> impl Strategy<Value = Notice> {
    let words = (hostile(), hostile(), hostile(), hostile(), hostile());
    let ends = (hostile(), hostile(), hostile(), prop::option::of(hostile()));
    let lists = (list(), prop::collection::vec(metric(), 0..12), list(), list());
    (topic(), words, lists, ends).prop_map(|(topic, words, lists, ends)| Notice {
        topic,
        period: words.0,
        mode: words.1,
        status: words.2,
        why: words.3,
        rest: words.4,
        reasons: lists.0,
        metrics: lists.1,
        money: lists.2,
        differences: lists.3,
        next_step: ends.0,
        next_command: ends.1,
        run_id: ends.2.clone(),
        reports_dir: ends.2,
        owner: ends.3.as_deref().map(Owner::parse),
    })
}

/// Slack's limits, whichever way somebody counts; the total is what Slack was seen to refuse, with room to spare.
fn check(body: &str) {
    let units = |value: &Value| value.as_str().unwrap().encode_utf16().count();
    let json: Value = serde_json::from_str(body).unwrap();
    assert!(body.encode_utf16().count() <= 10_000, "{}", body.encode_utf16().count());
    assert!((1..=4_000).contains(&units(&json["text"])));
    let blocks = json["blocks"].as_array().unwrap();
    assert!((1..=50).contains(&blocks.len()));
    for block in blocks {
        let members: Vec<&str> = block.as_object().unwrap().keys().map(String::as_str).collect();
        match block["type"].as_str().unwrap() {
            "header" => {
                assert_eq!(block["text"]["type"], "plain_text");
                assert!((1..=150).contains(&units(&block["text"]["text"])));
            }
            "section" => {
                assert_eq!((&block["text"]["type"], members.len()), (&"mrkdwn".into(), 2), "{members:?}");
                assert!((1..=3_000).contains(&units(&block["text"]["text"])));
            }
            "context" => {
                let elements = block["elements"].as_array().unwrap();
                assert!((1..=10).contains(&elements.len()));
                assert!(elements.iter().all(|one| (1..=2_000).contains(&units(&one["text"]))));
            }
            other => panic!("{other}"),
        }
    }
    // The owner is the only one who can be mentioned.
    let mentions = body.matches("<@").count() + body.matches("<!").count();
    assert!(mentions <= 1 && !body.contains("<!channel") && !body.contains("<http"), "{body}");
}

#[test]
fn a_thousand_notices_are_within_all_limits_and_slacks_own_sdk_takes_them() {
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), seed);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bodies.ndjson");
    let mut file = BufWriter::new(File::create(&path).unwrap());
    let (notices, many) = (notice(), list());
    let mut largest = 0;
    for _notice in 0..NOTICES {
        let notice = notices.new_tree(&mut runner).unwrap().current();
        largest = largest.max(notice.differences.len());
        let of_thread = Details {
            differences: notice.differences.clone(),
            exceptions: many.new_tree(&mut runner).unwrap().current(),
            late: notice.reasons.clone(),
        };
        let bodies = [Some(render(&notice).json), Some(again(&notice)), details(&of_thread)];
        for body in bodies.into_iter().flatten() {
            check(&body);
            writeln!(file, "{body}").unwrap();
        }
    }
    assert_eq!(largest, MANY);
    file.flush().unwrap();
    if std::env::var_os("BILLRECON_TEST_JUDGES").is_none() {
        return;
    }
    let python = std::env::var("BILLRECON_TEST_PYTHON").expect("scripts/test --judges sets it");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/slack/slack_sdk_judge.py");
    let ended = Ended::of(Command::new(python).arg(script).arg(&path).output().unwrap()).expect(0);
    assert!(ended.stdout.starts_with("all of ") && ended.stdout.contains(" bodies"), "{}", ended.stdout);
}
