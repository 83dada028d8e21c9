//! `belfry runbook`: the page of an alert, about the model at hand.

use anyhow::bail;
use belfry_render::monitoring::{Alert, alerts, runbook_pages};

/// The runbook of an alert, as Markdown.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the alert, such as InferenceModelDown; `Inference` may be left out. Without a name, the list of all alerts.
    alert: Option<String>,

    /// Namespace of the model: the alert's label `namespace`.
    #[arg(short, long, requires = "model")]
    namespace: Option<String>,

    /// Name of the model: the alert's label `model`.
    #[arg(short, long, requires = "namespace")]
    model: Option<String>,
}

pub(crate) fn runbook(args: &Args) -> anyhow::Result<String> {
    let Some(name) = &args.alert else { return Ok(list()) };
    let alert = find(name)?;
    Ok(match (&args.namespace, &args.model) {
        (Some(namespace), Some(model)) => runbook_pages::page_about(alert, checked(namespace)?, checked(model)?),
        _ => runbook_pages::page(alert),
    })
}

fn find(name: &str) -> anyhow::Result<&'static Alert> {
    let is_named = |alert: &&Alert| {
        let short = alert.name.strip_prefix("Inference").unwrap_or(alert.name);
        alert.name.eq_ignore_ascii_case(name) || short.eq_ignore_ascii_case(name)
    };
    match alerts().iter().find(is_named) {
        Some(alert) => Ok(alert),
        None => bail!("there is no alert {name}; `belfry runbook` lists all"),
    }
}

fn checked(name: &str) -> anyhow::Result<&str> {
    if !runbook_pages::is_name(name) {
        bail!("{name:?} is no name of an object of Kubernetes: take it from the labels of the alert");
    }
    Ok(name)
}

fn list() -> String {
    let width = alerts().iter().map(|alert| alert.name.len()).max().unwrap_or_default();
    alerts().iter().map(|alert| format!("{:width$}  {}\n", alert.name, alert.impact)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(alert: Option<&str>, subject: Option<(&str, &str)>) -> anyhow::Result<String> {
        runbook(&Args {
            alert: alert.map(Into::into),
            namespace: subject.map(|(namespace, _)| namespace.into()),
            model: subject.map(|(_, model)| model.into()),
        })
    }

    #[test]
    fn a_page_about_a_model_has_nothing_left_to_fill_in() {
        for name in ["InferenceModelDown", "modeldown"] {
            let page = of(Some(name), Some(("search", "minilm"))).unwrap();
            assert!(page.contains("NAMESPACE=search\nMODEL=minilm\n"), "{page}");
            assert!(page.contains(r#"namespace="search",model="minilm""#) && !page.contains('…'), "{page}");
        }
    }

    #[test]
    fn without_a_name_every_alert_is_listed_and_an_unknown_one_is_refused() {
        assert_eq!(of(None, None).unwrap().lines().count(), alerts().len());
        assert!(of(Some("Nothing"), None).unwrap_err().to_string().contains("belfry runbook"));
        assert!(of(Some("ModelDown"), Some(("a", "$(reboot)"))).unwrap_err().to_string().contains("no name"));
    }
}
