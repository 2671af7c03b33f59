//! What the columns of the files hold.
//!
//! In: nothing. Out: the names of those with numbers, and the characters that no text may begin with.

/// Columns that hold numbers; every other one holds text, a word or an instant.
pub const NUMBERS: &[&str] = &[
    "tier",
    "quantity",
    "unit_amount_decimal",
    "exact_amount_minor",
    "amount_minor",
    "amount",
    "records",
    "tenants",
    "base_amount_minor",
    "base_amount",
    "usage_amount_minor",
    "usage_amount",
    "total_amount_minor",
    "total_amount",
    "ledger_quantity",
    "stripe_quantity",
    "difference_quantity",
    "ledger_amount_minor",
    "stripe_amount_minor",
    "difference_amount_minor",
    "ledger_amount",
    "stripe_amount",
    "difference_amount",
    "threshold",
    "population",
    "original_quantity",
    "late_quantity",
    "restated_quantity",
    "original_amount_minor",
    "late_amount_minor",
    "restated_amount_minor",
    "original_amount",
    "late_amount",
    "restated_amount",
    "level",
    "quota",
    "used",
    "used_share",
    "elapsed_share",
    "history_windows",
    "history_mean",
];

/// Comparison signs of our own, from a list that no stranger can add to.
pub const SIGNS: &[&str] = &["", "=", "<", "<=", ">", ">="];

/// The first characters that make a cell a formula in one spreadsheet or another (OWASP, "CSV injection").
pub const FORMULA: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];
