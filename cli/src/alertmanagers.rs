//! The alerts that fire, from the Alertmanagers of the Prometheus Operator, by kubectl.

use serde_json::Value;

use crate::kubectl::Kubectl;

/// What the Alertmanagers of a cluster said.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Alerts that fire, those that are silenced or inhibited among them; `None` where no Alertmanager answered.
    pub(crate) alerts: Option<Vec<Value>>,
    /// Who did not answer, and why.
    pub(crate) missing: Vec<(String, String)>,
}

/// Asks each of them for the alerts with these labels, whose values are names of objects of Kubernetes.
pub(crate) fn alerts(kubectl: &Kubectl, labels: &[(&str, &str)]) -> Answers {
    let mut answers = Answers::default();
    let managers = match kubectl.json(&["get", "alertmanagers.monitoring.coreos.com", "--all-namespaces"]) {
        Ok(list) => list["items"].as_array().cloned().unwrap_or_default(),
        Err(error) => {
            answers.missing.push(("Alertmanagers".to_owned(), format!("{error:#}")));
            return answers;
        }
    };
    for manager in &managers {
        let of = |pointer: &str| manager.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let url = url(of("/metadata/namespace"), of("/spec/routePrefix"), labels);
        let answer = kubectl.run(&["get", "--raw", &url, "--request-timeout=10s"]);
        match answer.and_then(|text| Ok(serde_json::from_slice::<Vec<Value>>(&text)?)) {
            Ok(alerts) => answers.alerts.get_or_insert_default().extend(alerts),
            Err(error) => {
                let name = format!("alerts of Alertmanager {}/{}", of("/metadata/namespace"), of("/metadata/name"));
                answers.missing.push((name, format!("{error:#}")));
            }
        }
    }
    answers
}

/// The path of the API server that leads to an Alertmanager.
fn url(namespace: &str, prefix: &str, labels: &[(&str, &str)]) -> String {
    let filters: String = labels.iter().map(|(label, value)| format!("&filter={label}%3D%22{value}%22")).collect();
    let service = format!("/api/v1/namespaces/{namespace}/services/http:alertmanager-operated:9093/proxy");
    format!("{service}{}/api/v2/alerts?active=true&silenced=true&inhibited=true{filters}", prefix.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_to_an_alertmanager_has_its_prefix_and_the_labels() {
        let proxy = "/api/v1/namespaces/monitoring/services/http:alertmanager-operated:9093/proxy";
        let query = "active=true&silenced=true&inhibited=true";
        assert_eq!(url("monitoring", "/", &[]), format!("{proxy}/api/v2/alerts?{query}"));
        assert_eq!(
            url("monitoring", "/am/", &[("model", "minilm")]),
            format!("{proxy}/am/api/v2/alerts?{query}&filter=model%3D%22minilm%22")
        );
    }
}
