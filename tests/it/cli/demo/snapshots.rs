//! What a person sees of the demo, kept word for word and read by eye: the terminal, the CSV files, the Slack messages.
//!
//! In: the demo as it was played once. Out: snapshots beside this file; after a change that is meant, `INSTA_UPDATE=always` makes
//! them anew, and somebody reads them.

use insta::assert_snapshot;
use serde_json::Value;

use super::played;

/// Long files are told by their beginning.
const LINES: usize = 25;

/// Ids of runs end in letters that differ each time.
fn without_run_ids(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("00Z-") {
        let (before, after) = rest.split_at(at + 4);
        let is_id = after.len() >= 8 && after.bytes().take(8).all(|byte| byte.is_ascii_hexdigit());
        out.push_str(before);
        rest = if is_id { &after[8..] } else { after };
        out.push_str(if is_id { "········" } else { "" });
    }
    out + rest
}

fn beginning(bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes).unwrap().replace("\r\n", "\n");
    let mut lines: Vec<&str> = text.lines().take(LINES).collect();
    let left = text.lines().count() - lines.len();
    let more = format!("… {left} more");
    lines.extend((left > 0).then_some(more.as_str()));
    lines.join("\n")
}

/// A message as it reads from top to bottom, after the fallback.
fn read_out(body: &str) -> String {
    let message: Value = serde_json::from_str(body).unwrap();
    let mut lines = vec![format!("[fallback]\n{}", message["text"].as_str().unwrap())];
    for block in message["blocks"].as_array().unwrap() {
        let kind = block["type"].as_str().unwrap();
        let texts: Vec<&str> = match block["elements"].as_array() {
            Some(elements) => elements.iter().map(|one| one["text"].as_str().unwrap()).collect(),
            None => vec![block["text"]["text"].as_str().unwrap()],
        };
        lines.push(format!("[{kind}]\n{}", texts.join("  |  ")));
    }
    lines.join("\n\n")
}

#[test]
fn the_terminal_reads_as_it_was_reviewed() {
    assert_snapshot!("terminal", without_run_ids(played().stdout()));
}

#[test]
fn the_slack_messages_read_as_they_were_reviewed() {
    for (request, month) in played().slack.requests().iter().zip(["september", "october"]) {
        assert_snapshot!(format!("slack-{month}"), without_run_ids(&read_out(&request.body)));
    }
}

#[test]
fn the_data_files_read_as_they_were_reviewed() {
    for (month, name) in [("2026-09", "september"), ("2026-10", "october")] {
        for (file, bytes) in played().judged(month) {
            if let Some(table) = file.strip_suffix(".csv") {
                assert_snapshot!(format!("{name}-{table}"), beginning(&bytes));
            }
        }
    }
}
