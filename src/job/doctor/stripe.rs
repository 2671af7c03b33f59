//! Stripe: the key, the account, and all checks before the first push.
//!
//! In: settings, whether the database can be read. Out: findings. Nothing but reads is asked, and the sandbox is started in memory only.

use jiff::{SignedDuration, Timestamp};

use crate::domain::catalog::Catalog;
use crate::domain::intent::PushMode;
use crate::domain::invoice::Account;
use crate::domain::tenant::Tenant;
use crate::job::checks::{self, Severity as CheckSeverity, check_grace_period, check_key};
use crate::job::connection::{Target, Wire, check_pin};
use crate::job::doctor::{Check, Finding, Severity, Surroundings};
use crate::job::due::require_first_period;
use crate::job::seed::seed;
use crate::job::standing::{self, Invoices};
use crate::job::{Settings, current_catalog};
use crate::store::Access;
use crate::stripe::StripeError;

/// How far back invoices tell how long they were drafts.
const LOOKED_AT: SignedDuration = SignedDuration::from_hours(35 * 24);

pub async fn look(
    settings: &Settings,
    around: &Surroundings,
    is_readable: bool,
    now: Timestamp,
) -> Vec<Finding> {
    let has_key = settings.stripe.api_key.is_some();
    // Without a key and a database nothing is set up yet.
    if !has_key && !is_readable {
        return Vec::new();
    }
    let target = match Target::choose(settings).await {
        Ok(target) => target,
        Err(error) => return vec![of_error(&error)],
    };
    let mut findings = Vec::new();
    let key = settings.stripe.api_key.as_ref().filter(|_| !target.is_sandbox());
    findings.extend(key.and_then(check_key).as_ref().map(of_check));
    if !is_readable {
        return findings;
    }
    if let Err(error) = require_first_period(settings, &target) {
        findings.push(Finding::error(
            Check::FirstPeriod,
            error.to_string(),
            "set first_period in billrecon.toml",
        ));
    }
    match Box::pin(of_account(settings, around, target, now)).await {
        Ok(found) => findings.extend(found),
        Err(error) => findings.push(of_error(&error)),
    }
    findings
}

/// What the books know, read at once.
struct Known {
    pinned: Option<Account>,
    catalog: Option<Catalog>,
    tenants: Vec<Tenant>,
}

async fn of_account(
    settings: &Settings,
    around: &Surroundings,
    target: Target,
    now: Timestamp,
) -> anyhow::Result<Vec<Finding>> {
    let known = known(settings).await?;
    if let Err(refusal) = check_pin(known.pinned.as_ref(), &target) {
        let remedy = "use a key of the account and mode that this database belongs to, or another database";
        return Ok(vec![Finding::error(Check::StripeAccount, refusal.to_string(), remedy)]);
    }
    let Some(catalog) = known.catalog else { return Ok(Vec::new()) };
    let seed = seed(&catalog, &known.tenants, settings, now);
    let wire = Box::pin(target.connect(settings, &seed, true, now)).await?;
    let found = Box::pin(of_catalog(&wire, around, (&catalog, &known.tenants), now)).await;
    wire.close().await;
    found
}

async fn known(settings: &Settings) -> anyhow::Result<Known> {
    let store = settings.open(Access::ReadOnly).await?;
    let mut view = store.books().snapshot().await?;
    let pinned = view.pinned_account().await?;
    let catalog = match view.catalog().await? {
        Some(_) => Some(current_catalog(&mut view).await?.1),
        None => None,
    };
    let tenants = view.tenants().await?;
    drop(view);
    store.close().await;
    Ok(Known { pinned, catalog, tenants })
}

async fn of_catalog(
    wire: &Wire,
    around: &Surroundings,
    (catalog, tenants): (&Catalog, &[Tenant]),
    now: Timestamp,
) -> anyhow::Result<Vec<Finding>> {
    let findings = standing::findings(wire, catalog).await?;
    // What is refused stands before all else: a run would look no further.
    if findings.iter().any(|one| one.severity == CheckSeverity::Refuse) {
        return Ok(findings.iter().map(of_check).collect());
    }
    let since = now.checked_sub(LOOKED_AT).unwrap_or(Timestamp::MIN);
    let standing =
        standing::read(wire, catalog, tenants, Some(Invoices { since, only_drafts: false }), now).await?;
    let gap = around.longest_gap.as_ref().ok().filter(|_| wire.push == PushMode::Push);
    let grace = gap.and_then(|gap| check_grace_period(standing.invoices.values().flatten(), *gap));
    Ok(standing.warnings.iter().chain(&grace).map(of_check).collect())
}

fn of_check(finding: &checks::Finding) -> Finding {
    let severity = match finding.severity {
        CheckSeverity::Refuse => Severity::Error,
        CheckSeverity::Warn => Severity::Warning,
    };
    let remedy = finding.check.remedy().to_owned();
    let cause = format!("{}: {}", finding.place, finding.text);
    Finding { severity, check: Check::Stripe(finding.check), cause, remedy }
}

fn of_error(error: &anyhow::Error) -> Finding {
    let cause = format!("{error:#}");
    let of_stripe = error.chain().find_map(|cause| cause.downcast_ref::<StripeError>());
    match of_stripe {
        Some(StripeError::Unauthorized { .. }) => Finding::error(
            Check::StripeAccount,
            cause,
            "set a key that Stripe takes, with the permissions that docs/stripe.md lists",
        ),
        Some(StripeError::Configuration(_)) => {
            Finding::error(Check::Certificates, cause, "install ca-certificates, or set SSL_CERT_FILE")
        }
        Some(_) => Finding::error(
            Check::StripeReach,
            cause,
            "see that this machine may reach Stripe over https; a run tries again by itself",
        ),
        None => Finding::error(Check::StripeAccount, cause, "set what is named"),
    }
}
