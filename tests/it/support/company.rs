//! A small company that most tests close: September 2026, three plans, a handful of tenants.
//!
//! In: nothing. Out: the texts of its files. All figures in the tests follow from them.

pub const CATALOG: &str = r#"
[[meter]]
key = "b2b.match_request"
aggregation = "sum"

[[meter]]
key = "storage_gb"
aggregation = "sum"

[[plan]]
key = "starter"
currency = "try"
amount = 49900

[[plan]]
key = "pro"
currency = "try"
amount = 99900
  [[plan.usage]]
  meter = "b2b.match_request"
  free_quota = 100
  price = { billing_scheme = "tiered", tiers_mode = "graduated", tiers = [
            { up_to = 100, unit_amount_decimal = "0" }, { up_to = "inf", unit_amount_decimal = "700" } ] }
  [[plan.usage]]
  meter = "storage_gb"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "0.000000000001" }
"#;

/// Acme uses 130 requests, so 30 are beyond the quota; Beta stays below it; Cold uses nothing; Dodo has bought no
/// access, and without a usage price it needs nothing at Stripe.
pub const TENANTS: &str = "\
tenant_id,name,plan,currency,stripe_customer_id,stripe_subscription_id,status,billing_anchor,started_at,ended_at
acme,Acme,pro,try,cus_acme,sub_acme,active,,2026-09-01T00:00:00Z,
beta,Beta,pro,try,cus_beta,sub_beta,active,,2026-09-01T00:00:00Z,
cold,Cold,pro,try,cus_cold,sub_cold,active,,2026-09-01T00:00:00Z,
dodo,Dodo,starter,try,,,active,,2026-09-01T00:00:00Z,
";

pub const USAGE: &str = "\
tenant_id,meter,quantity,occurred_at,source_event_id
acme,b2b.match_request,60,2026-09-01T00:00:00Z,a-1
acme,b2b.match_request,70,2026-09-30T23:59:59.999999999Z,a-2
acme,storage_gb,999999999999.5,2026-09-10T00:00:00Z,a-3
beta,b2b.match_request,99.5,2026-09-15T12:00:00Z,b-1
beta,b2b.match_request,7,2026-10-01T00:00:00Z,b-2
dodo,b2b.match_request,3,2026-09-15T12:00:00Z,d-1
";
