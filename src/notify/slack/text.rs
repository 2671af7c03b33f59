//! Texts of other people within a budget, as Slack reads them.
//!
//! In: texts, however long or hostile. Out: escaped text that takes no more than its budget. All budgets count as JSON does after
//! escaping, in UTF-16 units: no way of counting gives more.

use crate::domain::text::printable;

/// One line of a list.
const LINE: usize = 300;
/// What says that a list goes on.
const MORE: usize = 60;

/// A titled list; what finds no room is counted, and `rest` says where it stands. `None`: nothing to list.
pub fn list(title: &str, items: &[String], budget: usize, rest: &str) -> Option<String> {
    let mut text = format!("*{title}*");
    for (index, item) in items.iter().enumerate() {
        let line = format!("\n• {}", fit(item, LINE));
        let left = items.len() - index;
        let reserve = if left > 1 { MORE } else { 0 };
        if width(&text) + width(&line) + reserve > budget {
            text.push_str(&format!("\n+{left} more, see {rest}"));
            break;
        }
        text.push_str(&line);
    }
    (!items.is_empty()).then_some(text)
}

/// One line, escaped for Slack, no longer than the budget.
pub fn fit(text: &str, budget: usize) -> String {
    let mut out = String::new();
    for one in cut(text, budget).chars() {
        escape(one, &mut out);
    }
    out
}

/// One line that takes no more than the budget once it is escaped.
pub fn cut(text: &str, budget: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    let mut escaped = String::new();
    for one in printable(text).chars() {
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

/// What a text takes in JSON.
pub fn width(text: &str) -> usize {
    text.chars().map(|one| if matches!(one, '"' | '\\' | '\n') { 2 } else { one.len_utf16() }).sum()
}
