//! The level `restricted` of the Pod Security Standards, with `baseline`, which it includes. Written from the page "Pod
//! Security Standards" of the Kubernetes documentation, for version 1.34.

use serde_json::Value;

/// Volumes that `restricted` allows.
const VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Everything of a pod template that breaks the level.
pub(crate) fn violations(template: &Value) -> Vec<String> {
    let pod = &template["spec"];
    let mut found = vec![];
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        check(&mut found, !is_true(&pod[field]), field);
    }
    for volume in list(&pod["volumes"]) {
        let kinds = volume.as_object().unwrap().keys().filter(|key| *key != "name");
        kinds.filter(|kind| !VOLUMES.contains(&kind.as_str())).for_each(|kind| found.push(format!("volume {kind}")));
    }
    for key in template["metadata"]["annotations"].as_object().into_iter().flat_map(|map| map.keys()) {
        let is_confinement = key.contains("apparmor.security") || key.contains("seccomp.security");
        check(&mut found, !is_confinement, key);
    }
    let context = &pod["securityContext"];
    check(&mut found, list(&context["sysctls"]).is_empty(), "sysctls");
    check(&mut found, context["windowsOptions"].is_null(), "windowsOptions");
    common(&mut found, context, "pod");
    for group in ["initContainers", "containers", "ephemeralContainers"] {
        for container in list(&pod[group]) {
            of_container(&mut found, container, context);
        }
    }
    check(&mut found, !list(&pod["containers"]).is_empty(), "no container");
    found
}

fn of_container(found: &mut Vec<String>, container: &Value, pod: &Value) {
    let name = container["name"].as_str().unwrap();
    let context = &container["securityContext"];
    common(found, context, name);
    check(found, !is_true(&context["privileged"]), &format!("{name}: privileged"));
    check(found, context["allowPrivilegeEscalation"] == false, &format!("{name}: allowPrivilegeEscalation"));
    let drops = list(&context["capabilities"]["drop"]);
    check(found, drops.iter().any(|c| *c == "ALL"), &format!("{name}: capabilities.drop"));
    let adds = list(&context["capabilities"]["add"]);
    check(found, adds.iter().all(|c| *c == "NET_BIND_SERVICE"), &format!("{name}: capabilities.add"));
    let mask = &context["procMount"];
    check(found, mask.is_null() || mask == "Default", &format!("{name}: procMount"));
    for port in list(&container["ports"]) {
        check(found, port["hostPort"].is_null() || port["hostPort"] == 0, &format!("{name}: hostPort"));
    }
    for hook in ["postStart", "preStop"] {
        let handler = &container["lifecycle"][hook];
        check(found, handler["httpGet"]["host"].is_null() && handler["tcpSocket"]["host"].is_null(), "lifecycle host");
    }
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let probe = &container[probe];
        check(found, probe["httpGet"]["host"].is_null() && probe["tcpSocket"]["host"].is_null(), "probe host");
    }
    // The container's setting wins over the pod's; one of the two must exist.
    let effective = |field: &str| if context[field].is_null() { pod[field].clone() } else { context[field].clone() };
    check(found, effective("runAsNonRoot") == true, &format!("{name}: runAsNonRoot"));
    check(found, effective("runAsUser") != 0, &format!("{name}: runAsUser"));
    let seccomp = effective("seccompProfile");
    let confined = ["RuntimeDefault", "Localhost"].iter().any(|kind| seccomp["type"] == *kind);
    check(found, confined, &format!("{name}: seccompProfile"));
}

/// Settings that may stand at the pod and at a container.
fn common(found: &mut Vec<String>, context: &Value, name: &str) {
    check(found, context["runAsUser"] != 0, &format!("{name}: runAsUser"));
    check(found, context["runAsNonRoot"] != false, &format!("{name}: runAsNonRoot"));
    check(found, context["seccompProfile"]["type"] != "Unconfined", &format!("{name}: seccompProfile"));
    check(found, context["appArmorProfile"]["type"] != "Unconfined", &format!("{name}: appArmorProfile"));
    let linux = &context["seLinuxOptions"];
    let kinds = ["container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    let is_known = linux["type"].as_str().is_none_or(|kind| kind.is_empty() || kinds.contains(&kind));
    let is_plain = linux["user"].is_null() && linux["role"].is_null();
    check(found, is_known && is_plain, &format!("{name}: seLinuxOptions"));
}

fn check(found: &mut Vec<String>, holds: bool, what: &str) {
    if !holds {
        found.push(what.to_owned());
    }
}

fn is_true(value: &Value) -> bool {
    value.as_bool() == Some(true)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Changes of a good pod that each break the level.
pub(crate) const SINS: &[(&str, &str)] = &[
    ("/spec/hostNetwork", "true"),
    ("/spec/hostPID", "true"),
    ("/spec/volumes/0", r#"{"name": "node", "hostPath": {"path": "/"}}"#),
    ("/spec/securityContext/runAsUser", "0"),
    ("/spec/securityContext/seccompProfile", r#"{"type": "Unconfined"}"#),
    ("/spec/securityContext/seccompProfile", "null"),
    ("/spec/securityContext/sysctls", r#"[{"name": "kernel.shm_rmid_forced", "value": "0"}]"#),
    ("/spec/containers/0/securityContext", "null"),
    ("/spec/containers/0/securityContext/privileged", "true"),
    ("/spec/containers/0/securityContext/allowPrivilegeEscalation", "true"),
    ("/spec/containers/0/securityContext/capabilities/add", r#"["SYS_ADMIN"]"#),
    ("/spec/containers/0/securityContext/capabilities/drop", r#"["KILL"]"#),
    ("/spec/containers/0/securityContext/runAsNonRoot", "false"),
    ("/spec/containers/0/securityContext/procMount", r#""Unmasked""#),
    ("/spec/containers/0/ports/0/hostPort", "8080"),
    ("/spec/containers/0/livenessProbe/httpGet/host", r#""10.0.0.1""#),
    ("/metadata/annotations", r#"{"container.apparmor.security.beta.kubernetes.io/worker": "unconfined"}"#),
];

/// Puts a value where a JSON pointer leads.
pub(crate) fn put(target: &mut Value, pointer: &str, value: Value) {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    match target.pointer_mut(parent).unwrap() {
        Value::Array(list) => list[field.parse::<usize>().unwrap()] = value,
        parent => parent[field] = value,
    }
}
