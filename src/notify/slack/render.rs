//! The message on a verdict, within everything that Slack allows.
//!
//! In: a [`VerdictMessage`], however long or hostile its texts. Out: the body for a webhook, verdict first. Other
//! people's texts are escaped, so that none of them can mention a person, make a link or turn the reading direction.
//! Each part has a budget of its own, so that a long list never pushes out what comes after it.

use slack_morphism::prelude::*;

use crate::notify::{MetricLine, VerdictMessage};

/// The body of a webhook request, and the same as plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlackBody {
    pub json: String,
    /// For a terminal. The few lines that matter most stand in `json` too, for notifications and screen readers.
    pub text: String,
}

// All budgets count as JSON does after escaping, in UTF-16 units: no way of counting gives more.
/// Slack's limit.
const HEADER: usize = 150;
const WHY: usize = 600;
const REASONS: usize = 900;
const METRICS: usize = 1_600;
const MONEY: usize = 500;
const DIFFERENCES: usize = 1_600;
const NEXT_STEP: usize = 400;
const NEXT_COMMAND: usize = 300;
const CONTEXT: usize = 250;
const CONTEXT_ELEMENTS: usize = 3;
/// One line of a list.
const LINE: usize = 300;
/// What says that a list goes on.
const MORE: usize = 60;
/// Braces and names around the texts.
const ENVELOPE: usize = 1_500;

/// Slack refuses about 13,200 characters although each block is within its limit.
const MESSAGE: usize = 10_000;
const SECTION: usize = 3_000;
const FALLBACK: usize = HEADER + WHY + NEXT_STEP + NEXT_COMMAND + 20;
const LISTS: usize = REASONS + METRICS + MONEY + DIFFERENCES;
const _: () = assert!(
    HEADER + WHY + LISTS + NEXT_STEP + NEXT_COMMAND + CONTEXT_ELEMENTS * CONTEXT + FALLBACK + ENVELOPE
        <= MESSAGE
);
const _: () = assert!(METRICS <= SECTION && DIFFERENCES <= SECTION && NEXT_STEP + NEXT_COMMAND <= SECTION);

/// Words that people and programs look for; the symbol only helps the eye.
fn symbol(verdict: &str) -> &'static str {
    match verdict {
        "GO" => "✅",
        "REVIEW" => "⚠️",
        "NO_GO" => "⛔",
        _ => "❔",
    }
}

pub fn render(message: &VerdictMessage) -> SlackBody {
    let lines = plain(message);
    let escaped: Vec<String> = lines.iter().map(|line| fit(line, FALLBACK)).collect();
    let fallback = escaped.join("\n");
    let content = SlackMessageContent::new().with_text(fallback.clone()).with_blocks(blocks(message));
    let json = serde_json::to_string(&SlackApiPostWebhookMessageRequest::new(content))
        .unwrap_or_else(|_| serde_json::json!({ "text": fallback }).to_string());
    SlackBody { json, text: terminal(message) }
}

/// What the blocks say, line by line.
fn terminal(message: &VerdictMessage) -> String {
    let mut lines = vec![headline(message), format!("{}: {}", message.status, message.why)];
    let others = message.reasons.iter().filter(|reason| **reason != message.why);
    lines.extend(others.map(|reason| format!("why: {reason}")));
    let failed = message.metrics.iter().filter(|line| line.passed == Some(false) && line.required);
    lines.extend(failed.map(metric));
    lines.extend(message.money.iter().map(|money| format!("money: {money}")));
    lines.extend(message.differences.iter().map(|one| format!("difference: {one}")));
    lines.push(format!("next: {}", message.next_step));
    lines.push(format!("then: {}", message.next_command));
    lines.push(format!("run {}, files in {}", message.run_id, message.reports_dir));
    lines.iter().map(|line| cut(line, WHY)).collect::<Vec<_>>().join("\n")
}

fn headline(message: &VerdictMessage) -> String {
    let VerdictMessage { verdict, period, mode, .. } = message;
    format!("{} {verdict} · {period} · {mode}", symbol(verdict))
}

/// Each line within its own budget, so that the end is never lost to the middle.
fn plain(message: &VerdictMessage) -> Vec<String> {
    let why = format!("{}: {}", message.status, message.why);
    let mut lines = vec![cut(&headline(message), HEADER), cut(&why, WHY)];
    if !message.next_step.is_empty() {
        lines.push(format!("Next: {}", cut(&message.next_step, NEXT_STEP)));
    }
    if !message.next_command.is_empty() {
        lines.push(cut(&message.next_command, NEXT_COMMAND));
    }
    lines
}

fn blocks(message: &VerdictMessage) -> Vec<SlackBlock> {
    let metrics: Vec<String> = message.metrics.iter().map(metric).collect();
    let header = SlackBlockPlainText::new(fit(&headline(message), HEADER)).into();
    let mut blocks: Vec<SlackBlock> = vec![SlackHeaderBlock::new(header).into()];
    let why = format!("{}: {}", message.status, message.why);
    let sections = [
        Some(fit(&why, WHY)),
        list("Why", &message.reasons, REASONS, "decision.csv"),
        list("Metrics", &metrics, METRICS, "decision.csv"),
        list("Money", &message.money, MONEY, "summary.csv"),
        list("Differences", &message.differences, DIFFERENCES, "reconciliation.csv"),
        next(message),
    ];
    blocks.extend(sections.into_iter().flatten().map(section));
    let VerdictMessage { run_id, mode, reports_dir, .. } = message;
    let context: [String; CONTEXT_ELEMENTS] =
        [format!("run {run_id}"), format!("mode {mode}"), format!("files in {reports_dir}")];
    let elements = context.iter().map(|text| markdown(fit(text, CONTEXT)).into()).collect();
    blocks.push(SlackContextBlock::new(elements).into());
    blocks
}

fn metric(line: &MetricLine) -> String {
    let MetricLine { plan, meter, metric, value, operator, threshold, passed, required } = line;
    let state = match passed {
        Some(true) => "✅ holds",
        Some(false) => "❌ fails",
        None => "➖ n/a",
    };
    let weight = if *required { "required" } else { "advisory" };
    format!("{state}: {metric} {value} (rule {operator} {threshold}, {weight}) · {plan} · {meter}")
}

/// A list with its title, or nothing where there is nothing to list.
fn list(title: &str, items: &[String], budget: usize, file: &str) -> Option<String> {
    let mut text = format!("*{title}*");
    for (index, item) in items.iter().enumerate() {
        let line = format!("\n• {}", fit(item, LINE));
        let left = items.len() - index;
        let reserve = if left > 1 { MORE } else { 0 };
        if width(&text) + width(&line) + reserve > budget {
            text.push_str(&format!("\n+{left} more, see {file}"));
            break;
        }
        text.push_str(&line);
    }
    (!items.is_empty()).then_some(text)
}

fn next(message: &VerdictMessage) -> Option<String> {
    let mut text = String::new();
    if !message.next_step.is_empty() {
        text = format!("*Next:* {}", fit(&message.next_step, NEXT_STEP - 20));
    }
    if !message.next_command.is_empty() {
        // A backtick would end the code early.
        let command = message.next_command.replace('`', "'");
        text.push_str(&format!("\n`{}`", fit(&command, NEXT_COMMAND - 20)));
    }
    (!text.is_empty()).then_some(text)
}

fn section(text: String) -> SlackBlock {
    SlackSectionBlock::new().with_text(SlackBlockText::MarkDown(markdown(text))).into()
}

/// Verbatim: Slack makes no links and no mentions out of what looks like one.
fn markdown(text: String) -> SlackBlockMarkDownText {
    SlackBlockMarkDownText::new(text).with_verbatim(true)
}

/// One line, escaped for Slack, no longer than the budget.
fn fit(text: &str, budget: usize) -> String {
    let mut out = String::new();
    for one in cut(text, budget).chars() {
        escape(one, &mut out);
    }
    out
}

/// One line that takes no more than the budget once it is escaped.
fn cut(text: &str, budget: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    let mut escaped = String::new();
    for one in text.chars().map(printable) {
        escaped.clear();
        escape(one, &mut escaped);
        used += width(&escaped);
        if used + width("…") > budget {
            out.push('…');
            break;
        }
        out.push(one);
    }
    out
}

fn escape(one: char, out: &mut String) {
    match one {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        one => out.push(one),
    }
}

/// Control characters and marks that turn the reading direction are shown as what they are: nothing to read.
fn printable(one: char) -> char {
    let turns = matches!(one, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}');
    let breaks = matches!(one, '\u{2028}' | '\u{2029}');
    if one.is_control() || turns || breaks { char::REPLACEMENT_CHARACTER } else { one }
}

/// What a text takes in JSON.
fn width(text: &str) -> usize {
    text.chars().map(|one| if matches!(one, '"' | '\\' | '\n') { 2 } else { one.len_utf16() }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn message() -> VerdictMessage {
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
        VerdictMessage {
            verdict: "NO_GO".to_owned(),
            period: "2026-10".to_owned(),
            mode: "DEMO SANDBOX".to_owned(),
            status: "partial".to_owned(),
            why: "3 records are still pending.".to_owned(),
            reasons: vec!["pending_after is 3, must be 0".to_owned()],
            metrics: vec![
                metric("share_80", Some(false)),
                metric("exceeded", Some(true)),
                metric("p95", None),
            ],
            money: vec!["usage at candidate prices 210.00 TRY".to_owned()],
            differences: vec!["quantity_mismatch: acme, 130 and 128".to_owned()],
            next_step: "Run again after Stripe has answered.".to_owned(),
            next_command: "billrecon run --period 2026-10".to_owned(),
            run_id: "20261101T030000Z-abc".to_owned(),
            reports_dir: "reports/2026-10/20261101T030000Z-abc".to_owned(),
        }
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
        for (verdict, symbol) in
            [("GO", "✅"), ("REVIEW", "⚠️"), ("NO_GO", "⛔"), ("INSUFFICIENT_DATA", "❔")]
        {
            let body = render(&VerdictMessage { verdict: verdict.to_owned(), ..message() });
            let headline = format!("{symbol} {verdict} · 2026-10 · DEMO SANDBOX");
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
        let body = render(&VerdictMessage::default());
        let json = parsed(&body);
        let types: Vec<&str> =
            json["blocks"].as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["header", "section", "context"]);
    }

    #[test]
    fn a_long_list_says_how_many_more_there_are_and_in_which_file() {
        let many: Vec<String> = (0..500).map(|number| format!("tenant-{number:03} differs by 2")).collect();
        let body = render(&VerdictMessage { reasons: many.clone(), differences: many, ..message() });
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
        let hostile = "<!channel> <@U1> <!subteam^S1> <#C1> <https://evil.example|invoice> & `x` \u{202e}gpj\n✅ GO\u{7}";
        let text = || hostile.to_owned();
        let body = render(&VerdictMessage {
            verdict: text(),
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
            assert_eq!(
                (&block["text"]["type"], &block["text"]["verbatim"]),
                (&"mrkdwn".into(), &true.into())
            );
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

    fn hostile_message() -> impl Strategy<Value = VerdictMessage> {
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
            |(heads, reasons, metrics, money, differences, ends)| VerdictMessage {
                verdict: heads.0,
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
            assert_within_limits(&render(&VerdictMessage {
                verdict: text(),
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
}
