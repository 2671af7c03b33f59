//! The manifests of the base against the rules, and texts that the rules must find.

use serde_json::{Value, json};

use super::rules::{faults, is_hourly};
use super::{base, home, read, yaml, yaml_files};

#[track_caller]
pub fn jobs(objects: &[Value]) -> Vec<Value> {
    let jobs: Vec<Value> = objects.iter().filter(|object| object["kind"] == "CronJob").cloned().collect();
    let names: Vec<&str> = jobs.iter().map(|job| job["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["billrecon-run", "billrecon-guard"]);
    jobs
}

#[test]
fn both_jobs_keep_the_rules() {
    for job in jobs(&base()) {
        assert_eq!(faults(&job), [""; 0], "{}", job["metadata"]["name"]);
    }
}

/// Who deploys a schema-valid manifest with one of these would learn of it in production.
#[test]
fn what_no_schema_finds_is_found() {
    let run = &jobs(&base())[0];
    let pod = "/spec/jobTemplate/spec/template/spec";
    let rules = "/spec/jobTemplate/spec/podFailurePolicy/rules";
    let breaks: [(&str, Value, &str); 16] = [
        ("/spec/schedule", json!("99 2 1 * *"), "schedule"),
        ("/spec/schedule", json!("5 2 * * *"), "schedule"),
        ("/spec/schedule", json!("@hourly"), "schedule"),
        ("/spec/timeZone", json!("Europe/Ankara"), "timeZone"),
        ("/spec/concurrencyPolicy", json!("Allow"), "concurrencyPolicy"),
        ("/spec/startingDeadlineSeconds", json!(5), "startingDeadlineSeconds"),
        ("/metadata/name", json!("b".repeat(53)), "name"),
        (&format!("{pod}/restartPolicy"), json!("OnFailure"), "restartPolicy"),
        (&format!("{pod}/terminationGracePeriodSeconds"), json!(30), "terminationGracePeriodSeconds"),
        (&format!("{pod}/containers/0/image"), json!("host:5000/billrecon"), "image"),
        (&format!("{pod}/containers/0/image"), json!("billrecon:latest"), "image"),
        (&format!("{pod}/containers/0/env/0/name"), json!("BILLRECON_DATABASE_URL"), "secrets"),
        (&format!("{pod}/securityContext/runAsUser"), json!(0), "65532"),
        (&format!("{rules}/1/onExitCodes/values/2"), json!(11), "FailJob"),
        (&format!("{rules}/2/onExitCodes/values/0"), json!(12), "Count"),
        (&format!("{rules}/0/action"), json!("Count"), "disruption"),
    ];
    for (place, value, found) in breaks {
        let mut broken = run.clone();
        *broken.pointer_mut(place).unwrap_or_else(|| panic!("{place}")) = value.clone();
        let faults = faults(&broken);
        assert!(faults.iter().any(|fault| fault.contains(found)), "{place} = {value}: {faults:?}");
    }
    assert!(is_hourly("5 * * * *") && !is_hourly("*/5 * * * *") && !is_hourly("60 * * * *"));
}

/// A patch or a list has no `kind`, so whatever has one can be validated.
#[test]
fn each_file_with_a_kind_is_one_whole_object() {
    for path in yaml_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let value = yaml(&text);
        let is_object = value.get("kind").is_some();
        assert_eq!(is_object, text.contains("kind:"), "{path:?}: kind stands somewhere inside");
        if is_object {
            assert!(value["apiVersion"].is_string() && value["metadata"]["name"].is_string(), "{path:?}");
            assert!(!text.contains("\n---"), "{path:?}: one object a file");
            assert!(path.starts_with(home().join("deploy/kubernetes/base")), "{path:?}: overlays patch");
        }
    }
}

#[test]
fn each_file_of_the_base_is_in_its_list() {
    let list = yaml(&read("deploy/kubernetes/base/kustomization.yaml"));
    let mut listed: Vec<String> =
        list["resources"].as_array().unwrap().iter().map(|file| file.as_str().unwrap().to_owned()).collect();
    listed.push("kustomization.yaml".to_owned());
    listed.sort();
    let base = home().join("deploy/kubernetes/base");
    let files = yaml_files().into_iter().filter(|path| path.starts_with(&base));
    let files: Vec<String> =
        files.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(files, listed);
}

/// What is named in one object stands in another.
#[test]
fn volumes_accounts_and_labels_fit_together() {
    let objects = base();
    let named = |kind: &str, name: &Value| {
        objects.iter().any(|object| object["kind"] == kind && object["metadata"]["name"] == *name)
    };
    let policy = objects.iter().find(|object| object["kind"] == "NetworkPolicy").unwrap();
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(policy["spec"]["ingress"], json!([]));
    let selected = policy["spec"]["podSelector"]["matchLabels"].as_object().unwrap();
    for job in jobs(&objects) {
        let template = &job["spec"]["jobTemplate"]["spec"]["template"];
        let pod = &template["spec"];
        assert!(named("ServiceAccount", &pod["serviceAccountName"]));
        assert!(selected.iter().all(|(key, value)| template["metadata"]["labels"][key] == *value));
        let volumes = pod["volumes"].as_array().unwrap();
        for volume in volumes {
            match volume {
                _ if volume.get("emptyDir").is_some() => {}
                _ if volume.get("configMap").is_some() => {
                    assert!(named("ConfigMap", &volume["configMap"]["name"]));
                }
                _ if volume.get("secret").is_some() => {
                    assert_eq!(volume["secret"]["secretName"], "billrecon-secrets");
                    assert_eq!(volume["secret"]["defaultMode"], 0o440);
                }
                _ => assert!(named("PersistentVolumeClaim", &volume["persistentVolumeClaim"]["claimName"])),
            }
        }
        let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
        assert_eq!(mounts.len(), volumes.len());
        assert!(mounts.iter().all(|mount| volumes.iter().any(|volume| volume["name"] == mount["name"])));
    }
}
