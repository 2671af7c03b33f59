//! Messages against everything that Slack allows, however hostile their texts.
//!
//! In: notices. Out: the JSON that would be posted.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn message() -> Notice {
    let metric = |metric: &str, passed| MetricLine {
        plan: "pro".to_owned(),
        meter: "b2b.match_request".to_owned(),
        metric: metric.to_owned(),
        value: "12.5 %".to_owned(),
        operator: ">=".to_owned(),
        threshold: "10 %".to_owned(),
        passed,
        required: passed != Some(false),
    };
    Notice {
        topic: Topic::Verdict(VerdictWord::NoGo),
        period: "2026-10".to_owned(),
        mode: "DEMO SANDBOX".to_owned(),
        status: "partial".to_owned(),
        why: "3 records are still pending.".to_owned(),
        reasons: vec!["pending_after is 3, must be 0".to_owned()],
        metrics: vec![metric("share_80", Some(false)), metric("exceeded", Some(true)), metric("p95", None)],
        money: vec!["usage at candidate prices 210.00 TRY".to_owned()],
        differences: vec!["quantity_mismatch: acme, 130 and 128".to_owned()],
        next_step: "Run again after Stripe has answered.".to_owned(),
        next_command: "billrecon run --period 2026-10".to_owned(),
        run_id: "20261101T030000Z-abc".to_owned(),
        reports_dir: "reports/2026-10/20261101T030000Z-abc".to_owned(),
        rest: "reconciliation.csv".to_owned(),
        owner: None,
    }
}

fn empty() -> Notice {
    Notice::new(Topic::Failed, String::new(), String::new())
}

fn parsed(body: &SlackBody) -> Value {
    serde_json::from_str(&body.json).unwrap()
}

/// The texts of all blocks, in order.
fn texts(body: &SlackBody) -> Vec<String> {
    fn collect(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(text)) = object.get("text") {
                    into.push(text.clone());
                }
                object.values().for_each(|value| collect(value, into));
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, into)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    collect(&parsed(body)["blocks"], &mut all);
    all
}

#[test]
fn the_verdict_comes_first_as_symbol_and_word_everywhere() {
    use VerdictWord::{Go, InsufficientData, NoGo, Review};
    for (verdict, symbol) in [(Go, "✅"), (Review, "⚠️"), (NoGo, "⛔"), (InsufficientData, "❔")] {
        let body = render(&Notice { topic: Topic::Verdict(verdict), ..message() });
        let headline = format!("{symbol} {} · 2026-10 · DEMO SANDBOX", verdict.as_str());
        let json = parsed(&body);
        assert_eq!(json["blocks"][0]["type"], "header");
        assert_eq!(json["blocks"][0]["text"]["type"], "plain_text");
        assert_eq!(json["blocks"][0]["text"]["text"], *headline);
        assert_eq!(body.text.lines().next(), Some(headline.as_str()));
        assert!(json["text"].as_str().unwrap().starts_with(&headline));
    }
}

#[test]
fn the_fallback_carries_the_verdict_why_and_what_to_do() {
    let body = render(&message());
    assert_eq!(
        parsed(&body)["text"],
        "⛔ NO_GO · 2026-10 · DEMO SANDBOX\npartial: 3 records are still pending.\n\
         Next: Run again after Stripe has answered.\nbillrecon run --period 2026-10"
    );
}

#[test]
fn the_text_for_a_terminal_says_what_the_blocks_say() {
    let text = render(&message()).text;
    for wanted in [
        "partial: 3 records are still pending.",
        "why: pending_after is 3, must be 0",
        "money: usage at candidate prices 210.00 TRY",
        "difference: quantity_mismatch: acme, 130 and 128",
        "next: Run again after Stripe has answered.",
        "then: billrecon run --period 2026-10",
        "run 20261101T030000Z-abc, files in reports/2026-10/20261101T030000Z-abc",
    ] {
        assert!(text.lines().any(|line| line == wanted), "{wanted} is not in {text}");
    }
}

#[test]
fn the_blocks_carry_everything_in_the_order_of_reading() {
    let all = texts(&render(&message()));
    let wanted = [
        "⛔ NO_GO · 2026-10 · DEMO SANDBOX",
        "partial: 3 records are still pending.",
        "*Why*\n• pending_after is 3, must be 0",
        "*Metrics*\n\
         • ❌ fails: share_80 12.5 % (rule &gt;= 10 %, advisory) · pro · b2b.match_request\n\
         • ✅ holds: exceeded 12.5 % (rule &gt;= 10 %, required) · pro · b2b.match_request\n\
         • ➖ n/a: p95 12.5 % (rule &gt;= 10 %, required) · pro · b2b.match_request",
        "*Money*\n• usage at candidate prices 210.00 TRY",
        "*Differences*\n• quantity_mismatch: acme, 130 and 128",
        "*Next:* Run again after Stripe has answered.\n`billrecon run --period 2026-10`",
        "run 20261101T030000Z-abc",
        "mode DEMO SANDBOX",
        "files in reports/2026-10/20261101T030000Z-abc",
    ];
    assert_eq!(all, wanted);
}

#[test]
fn what_is_empty_takes_no_block() {
    let body = render(&empty());
    let json = parsed(&body);
    let types: Vec<&str> =
        json["blocks"].as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["header", "context"]);
}

#[test]
fn a_long_list_says_how_many_more_there_are_and_in_which_file() {
    let many: Vec<String> = (0..500).map(|number| format!("tenant-{number:03} differs by 2")).collect();
    let body = render(&Notice { reasons: many.clone(), differences: many, ..message() });
    for (title, file) in [("*Why*", "decision.csv"), ("*Differences*", "reconciliation.csv")] {
        let text = texts(&body).into_iter().find(|text| text.starts_with(title)).unwrap();
        let shown = text.lines().filter(|line| line.starts_with("• tenant-")).count();
        assert!(shown > 10, "{text}");
        assert!(text.contains("• tenant-000 differs"), "the worst comes first: {text}");
        assert_eq!(text.lines().last(), Some(format!("+{} more, see {file}", 500 - shown).as_str()));
    }
}

/// Slack reads `<!channel>`, `<@U1>` and `<https://…|text>` as mentions and links, wherever they come from.
#[test]
fn nobody_is_mentioned_and_nothing_is_linked() {
    let hostile =
        "<!channel> <@U1> <!subteam^S1> <#C1> <https://evil.example|invoice> & `x` \u{202e}gpj\n✅ GO\u{7}";
    let text = || hostile.to_owned();
    let body = render(&Notice {
        topic: Topic::Failed,
        owner: Some(Owner::Name(text())),
        rest: text(),
        period: text(),
        mode: text(),
        status: text(),
        why: text(),
        reasons: vec![text()],
        metrics: vec![MetricLine { plan: text(), meter: text(), value: text(), ..MetricLine::default() }],
        money: vec![text()],
        differences: vec![text()],
        next_step: text(),
        next_command: text(),
        run_id: text(),
        reports_dir: text(),
    });
    let json = parsed(&body);
    for text in texts(&body).iter().map(String::as_str).chain(json["text"].as_str()) {
        assert!(!text.contains(['<', '>', '\u{202e}', '\u{7}']), "{text}");
        assert!(!text.contains("\n✅ GO"), "a line that is not ours: {text}");
        assert!(text.contains("&lt;!channel&gt;"), "it is still to be read: {text}");
    }
    assert!(!body.json.contains("link_names"));
    for block in json["blocks"].as_array().unwrap().iter().filter(|block| block["type"] == "section") {
        assert_eq!((&block["text"]["type"], &block["text"]["verbatim"]), (&"mrkdwn".into(), &true.into()));
    }
    // What a terminal shows is not escaped, but has no control characters either.
    assert!(body.text.contains("<!channel>") && !body.text.contains(['\u{202e}', '\u{7}']));
}

/// Slack's limits, whichever way somebody counts.
fn assert_within_limits(body: &SlackBody) {
    let units = |value: &Value| value.as_str().unwrap().encode_utf16().count();
    let json = parsed(body);
    assert!(body.json.encode_utf16().count() <= 10_000, "{}", body.json.encode_utf16().count());
    assert!(units(&json["text"]) > 0);
    let blocks = json["blocks"].as_array().unwrap();
    assert!((1..=50).contains(&blocks.len()));
    for block in blocks {
        match block["type"].as_str().unwrap() {
            "header" => assert!((1..=150).contains(&units(&block["text"]["text"]))),
            "section" => assert!((1..=3_000).contains(&units(&block["text"]["text"]))),
            "context" => {
                let elements = block["elements"].as_array().unwrap();
                assert!((1..=10).contains(&elements.len()));
                assert!(elements.iter().all(|one| (1..=2_000).contains(&units(&one["text"]))));
            }
            other => panic!("{other}"),
        }
    }
    let again: SlackApiPostWebhookMessageRequest = serde_json::from_str(&body.json).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), body.json, "a kept body is posted as it is");
}

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        Just("<!channel>".to_owned()),
        Just("&".to_owned()),
        Just("\"\\".to_owned()),
        Just("👩‍👩‍👧‍👦".to_owned()),
        Just("\u{202e}\u{0}\n".to_owned()),
    ];
    (piece, prop_oneof![Just(0_usize), Just(1), 2..200_usize, Just(5_000)])
        .prop_map(|(piece, times)| piece.repeat(times))
}

fn hostile_message() -> impl Strategy<Value = Notice> {
    let list = || prop::collection::vec(hostile(), 0..30);
    let metric = (hostile(), hostile(), prop::option::of(any::<bool>()), any::<bool>()).prop_map(
        |(text, value, passed, required)| MetricLine {
            plan: text.clone(),
            meter: text.clone(),
            metric: text,
            value,
            passed,
            required,
            ..MetricLine::default()
        },
    );
    let heads = (hostile(), hostile(), hostile(), hostile(), hostile());
    let ends = (hostile(), hostile(), hostile(), hostile());
    (heads, list(), prop::collection::vec(metric, 0..30), list(), list(), ends).prop_map(
        |(heads, reasons, metrics, money, differences, ends)| Notice {
            topic: Topic::Verdict(VerdictWord::InsufficientData),
            owner: Some(Owner::parse(&heads.0)),
            rest: heads.0,
            period: heads.1,
            mode: heads.2,
            status: heads.3,
            why: heads.4,
            reasons,
            metrics,
            money,
            differences,
            next_step: ends.0,
            next_command: ends.1,
            run_id: ends.2,
            reports_dir: ends.3,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_texts_are_the_message_is_within_all_limits(message in hostile_message()) {
        assert_within_limits(&render(&message));
    }
}

/// Each part at its fullest at once, in the characters that take the most room.
#[test]
fn the_fullest_message_is_within_all_limits() {
    for piece in ["&", "\"", "\\", "<", "a", "😀", "ü", "\n"] {
        let text = || piece.repeat(20_000);
        let metric = MetricLine { plan: text(), ..MetricLine::default() };
        assert_within_limits(&render(&Notice {
            topic: Topic::Verdict(VerdictWord::InsufficientData),
            owner: Some(Owner::Name(text())),
            rest: text(),
            period: text(),
            mode: text(),
            status: text(),
            why: text(),
            reasons: vec![text(); 90],
            metrics: vec![metric; 90],
            money: vec![text(); 90],
            differences: vec![text(); 90],
            next_step: text(),
            next_command: text(),
            run_id: text(),
            reports_dir: text(),
        }));
    }
}
