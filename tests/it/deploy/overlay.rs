//! The overlay for production: its patches are applied here as `kubectl apply -k` would apply them.

use serde_json::Value;

use super::manifests::jobs;
use super::rules::faults;
use super::{base, read, yaml};

const FOLDER: &str = "deploy/kubernetes/overlays/production";

/// The objects of the base as the overlay makes them.
pub fn production() -> Vec<Value> {
    let overlay = yaml(&read(&format!("{FOLDER}/kustomization.yaml")));
    assert_eq!(overlay["resources"], serde_json::json!(["../../base"]));
    let mut objects = base();
    for patch in overlay["patches"].as_array().unwrap() {
        let (path, target) = (patch["path"].as_str().unwrap(), &patch["target"]["name"]);
        let operations: json_patch::Patch =
            serde_json::from_value(yaml(&read(&format!("{FOLDER}/{path}")))).unwrap();
        let mut named: Vec<&mut Value> =
            objects.iter_mut().filter(|object| object["metadata"]["name"] == *target).collect();
        let [object] = &mut named[..] else { panic!("{path} is for one object, {target}") };
        json_patch::patch(object, &operations).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let image = &overlay["images"][0];
    for object in &mut objects {
        object["metadata"]["namespace"] = overlay["namespace"].clone();
        let place = "/spec/jobTemplate/spec/template/spec/containers/0/image";
        if let Some(used) = object.pointer_mut(place) {
            let name = used.as_str().unwrap().split(':').next().unwrap();
            assert_eq!(image["name"], name);
            let tagged = [&image["newName"], &image["newTag"]].map(|part| part.as_str().unwrap());
            *used = tagged.join(":").into();
        }
    }
    objects
}

#[test]
fn what_the_overlay_makes_keeps_the_rules() {
    let objects = production();
    for job in jobs(&objects) {
        assert_eq!(faults(&job), [""; 0]);
        assert_eq!(job["metadata"]["namespace"], "billing");
    }
    assert_ne!(objects, base());
}

/// Each secret that a container looks for is one that the overlay puts there, and none is in the repository.
#[test]
fn each_secret_comes_from_a_file_that_is_not_here() {
    let overlay = yaml(&read(&format!("{FOLDER}/kustomization.yaml")));
    let generated = &overlay["secretGenerator"][0];
    assert_eq!(generated["name"], "billrecon-secrets");
    let files: Vec<&str> =
        generated["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap()).collect();
    let mut wanted: Vec<String> = Vec::new();
    for job in jobs(&production()) {
        let env = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["env"].clone();
        for variable in env.as_array().unwrap() {
            let path = variable["value"].as_str().unwrap();
            let name = path.strip_prefix("/run/secrets/billrecon/").unwrap_or_else(|| panic!("{path}"));
            wanted.push(format!("secrets/{name}"));
        }
    }
    wanted.sort();
    wanted.dedup();
    let mut listed: Vec<&str> = files.clone();
    listed.sort_unstable();
    assert_eq!(listed, wanted);
    assert!(read(&format!("{FOLDER}/.gitignore")).lines().any(|line| line == "/secrets/"));
    assert!(!super::home().join(FOLDER).join("secrets").exists());
}
