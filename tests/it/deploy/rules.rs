//! The rules that a job of ours keeps and that no schema knows.

use croner::Cron;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::exit_codes;

/// A request of ours may take so long; a pod that is told to end must have more.
const LONGEST_REQUEST: i64 = 30;
/// They say that nothing failed, or that somebody ended it.
const NO_RULE: [i64; 3] = [0, 130, 143];
const FAIL_JOB: [i64; 10] = [1, 2, 3, 20, 21, 22, 65, 73, 77, 78];
const COUNT: [i64; 3] = [11, 74, 75];

/// What is wrong with it.
pub fn faults(job: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            faults.push(what.to_owned());
        }
    };
    let (spec, of_job) = (&job["spec"], &job["spec"]["jobTemplate"]["spec"]);
    let pod = &of_job["template"]["spec"];
    let number = |value: &Value| value.as_i64().unwrap_or(-1);
    must(
        job["metadata"]["name"].as_str().is_some_and(|name| name.len() <= 52),
        "name: at most 52 characters",
    );
    must(spec["schedule"].as_str().is_some_and(is_hourly), "schedule: once an hour");
    must(spec["timeZone"].as_str().is_some_and(|zone| TimeZone::get(zone).is_ok()), "timeZone: a zone");
    must(spec["concurrencyPolicy"] == "Forbid", "concurrencyPolicy: Forbid");
    must(
        (60..3600).contains(&number(&spec["startingDeadlineSeconds"])),
        "startingDeadlineSeconds: below an hour",
    );
    must(number(&spec["successfulJobsHistoryLimit"]) > 0, "successfulJobsHistoryLimit: some");
    must(number(&spec["failedJobsHistoryLimit"]) > 0, "failedJobsHistoryLimit: some");
    must(
        (600..=21_600).contains(&number(&of_job["activeDeadlineSeconds"])),
        "activeDeadlineSeconds: minutes to hours",
    );
    must((0..=3).contains(&number(&of_job["backoffLimit"])), "backoffLimit: a few");
    must(of_job["podReplacementPolicy"] == "Failed", "podReplacementPolicy: Failed");
    must(pod["restartPolicy"] == "Never", "restartPolicy: Never, else there may be no podFailurePolicy");
    must(
        number(&pod["terminationGracePeriodSeconds"]) > LONGEST_REQUEST,
        "terminationGracePeriodSeconds: longer than a request",
    );
    must(pod["automountServiceAccountToken"] == false, "automountServiceAccountToken: false");
    must(pod["enableServiceLinks"] == false, "enableServiceLinks: false");
    faults.extend(policy_faults(&of_job["podFailurePolicy"]["rules"]));
    faults.extend(security_faults(pod));
    faults
}

/// One ring in each hour: a minute, and a star for all else.
pub fn is_hourly(schedule: &str) -> bool {
    let fields: Vec<&str> = schedule.split(' ').collect();
    let [minute, rest @ ..] = &fields[..] else { return false };
    schedule.parse::<Cron>().is_ok()
        && minute.parse::<u8>().is_ok_and(|minute| minute < 60)
        && rest == ["*"; 4]
}

/// Every code of the program that says that something failed stands in exactly one rule, and in the right one.
fn policy_faults(rules: &Value) -> Vec<String> {
    let empty = Vec::new();
    let rules = rules.as_array().unwrap_or(&empty);
    let codes_of = |action: &str| -> Vec<i64> {
        let of_action = rules.iter().filter(|rule| rule["action"] == action);
        let exit_codes = of_action.map(|rule| &rule["onExitCodes"]);
        let ours = exit_codes.filter(|one| one["operator"] == "In" && one["containerName"] == "billrecon");
        ours.flat_map(|one| one["values"].as_array().unwrap_or(&empty)).filter_map(Value::as_i64).collect()
    };
    let mut faults = Vec::new();
    for (action, expected) in [("FailJob", &FAIL_JOB[..]), ("Count", &COUNT[..])] {
        let found = codes_of(action);
        if found != expected {
            faults.push(format!("podFailurePolicy: {action} on {expected:?}, not {found:?}"));
        }
    }
    let ignored = |rule: &Value| {
        rule["action"] == "Ignore"
            && rule["onPodConditions"][0]["type"] == "DisruptionTarget"
            && rule["onPodConditions"][0]["status"] == "True"
    };
    if !rules.first().is_some_and(ignored) {
        faults.push("podFailurePolicy: a disruption is ignored, before any code is looked at".to_owned());
    }
    faults
}

fn security_faults(pod: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            faults.push(what.to_owned());
        }
    };
    let of_pod = &pod["securityContext"];
    must(of_pod["runAsNonRoot"] == true, "runAsNonRoot");
    for key in ["runAsUser", "runAsGroup", "fsGroup"] {
        must(of_pod[key] == 65_532, "runs as 65532, as the image does");
    }
    must(of_pod["seccompProfile"]["type"] == "RuntimeDefault", "seccompProfile: RuntimeDefault");
    for container in pod["containers"].as_array().into_iter().flatten() {
        let context = &container["securityContext"];
        must(context["allowPrivilegeEscalation"] == false, "allowPrivilegeEscalation: false");
        must(context["readOnlyRootFilesystem"] == true, "readOnlyRootFilesystem");
        must(context["capabilities"]["drop"] == serde_json::json!(["ALL"]), "capabilities: none");
        for kind in ["requests", "limits"] {
            let of_kind = &container["resources"][kind];
            must(of_kind["cpu"].is_string() && of_kind["memory"].is_string(), "requests and limits");
        }
        let image = container["image"].as_str().unwrap_or_default();
        let tag = image.rsplit('/').next().and_then(|name| name.split_once(':')).map(|(_, tag)| tag);
        must(
            tag.is_some_and(|tag| !tag.is_empty() && tag != "latest"),
            "image: with a tag that is not latest",
        );
        for variable in container["env"].as_array().into_iter().flatten() {
            let (name, value) = (variable["name"].as_str().unwrap_or_default(), &variable["value"]);
            let is_secret = ["KEY", "URL", "TOKEN"].iter().any(|end| name.ends_with(end));
            must(!is_secret && value.is_string(), "secrets are mounted files, named by *_FILE");
        }
    }
    must(pod["containers"].as_array().is_some_and(|all| all.len() == 1), "one container");
    faults
}

#[test]
fn the_rules_name_every_code_of_the_program_once() {
    let mut ruled = [&NO_RULE[..], &FAIL_JOB, &COUNT].concat();
    ruled.sort_unstable();
    assert_eq!(ruled, exit_codes());
}
