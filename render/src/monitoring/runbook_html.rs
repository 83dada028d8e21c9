//! Runbooks as HTML, for the operator to serve: made from the same table as the pages of Markdown, without any resource from
//! elsewhere.

use std::fmt::Write as _;

use super::alert::Alert;
use super::alerts::alerts;
use super::runbook::{Cause, Runbook};
use super::runbook_pages::{command, names_a_model};

const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n";

const STYLE: &str = "<style>\n:root { color-scheme: light dark; }\nbody { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }\n\
pre { overflow-x: auto; padding: .75rem; border-radius: .4rem; background: color-mix(in srgb, currentColor 8%, transparent); }\n\
td, th { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; }\n</style>\n";

/// The page of an alert, about this model (namespace and name) where it is given.
#[must_use]
pub fn page(alert: &Alert, subject: Option<(&str, &str)>) -> String {
    let Runbook { meaning, diagnosis, mitigation, resolves } = (alert.runbook)();
    let about = subject.map(|(namespace, model)| format!(" {namespace}/{model}")).unwrap_or_default();
    let title = escape(&format!("{}{about}", alert.name));
    let mut page =
        format!("{HEAD}<title>{title}</title>\n{STYLE}<p><a href=\"./\">All runbooks</a></p>\n<h1>{title}</h1>\n");
    for (heading, text) in [("Meaning", meaning.as_str()), ("Impact", alert.impact)] {
        let _ = writeln!(page, "<h2>{heading}</h2>\n<p>{}</p>", inline(text));
    }
    page.push_str("<h2>Diagnosis</h2>\n");
    if names_a_model(alert, &diagnosis) {
        let (namespace, model) = subject.unwrap_or(("…", "…"));
        let _ = writeln!(page, "<pre>{}</pre>", escape(&format!("NAMESPACE={namespace}\nMODEL={model}")));
    }
    page.push_str("<ol>\n");
    for step in &diagnosis {
        let _ = writeln!(page, "<li>{}<pre>{}</pre></li>", inline(step.ask), escape(&command(step, subject).1));
    }
    page.push_str("</ol>\n<h2>Mitigation</h2>\n<ul>\n");
    for Cause { cause, cure } in mitigation {
        let _ = writeln!(page, "<li><b>{}</b> {}</li>", inline(&cause), inline(&cure));
    }
    let _ = writeln!(page, "</ul>\n<h2>When it resolves</h2>\n<p>{}</p>\n</html>", inline(&resolves));
    page
}

/// The list of all pages.
#[must_use]
pub fn index() -> String {
    let mut page =
        format!("{HEAD}<title>Runbooks</title>\n{STYLE}<h1>Runbooks</h1>\n<table>\n<tr><th>alert<th>impact\n");
    for alert in alerts() {
        let _ = writeln!(page, "<tr><td><a href=\"{0}\">{0}</a><td>{1}", alert.name, inline(alert.impact));
    }
    page.push_str("</table>\n</html>\n");
    page
}

/// Text with code between backticks, and links to other runbooks.
fn inline(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            let _ = write!(html, "<code>{}</code>", escape(part));
        } else {
            html.push_str(&links(part));
        }
    }
    html
}

/// `[text](InferenceModelDown.md)` leads to the page beside this one.
fn links(text: &str) -> String {
    let link = || {
        let (before, rest) = text.split_once('[')?;
        let (name, rest) = rest.split_once("](")?;
        let (target, after) = rest.split_once(')')?;
        Some((before, name, target, after))
    };
    match link() {
        None => escape(text),
        Some((before, name, target, after)) => {
            let target = target.trim_end_matches(".md");
            format!("{}<a href=\"{}\">{}</a>{}", escape(before), escape(target), escape(name), links(after))
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_names_its_alert_and_asks_for_nothing_from_elsewhere() {
        for alert in alerts() {
            let page = page(alert, Some(("search", "minilm")));
            assert!(page.contains(&format!("<h1>{} search/minilm</h1>", alert.name)));
            assert!(!page.contains("src=") && !page.contains("href=\"http"), "{}", alert.name);
            assert!(!page.contains(".md\""), "{}: a link leads to Markdown", alert.name);
            assert!(!page.contains("\"NAMESPACE\"") && !page.contains("&quot;MODEL&quot;"), "{}", alert.name);
        }
        assert_eq!(index().matches("<tr><td>").count(), alerts().len());
    }

    #[test]
    fn what_a_reader_puts_into_the_address_stays_text() {
        let page = page(&alerts()[0], Some(("<script>", "\"&")));
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
    }

    #[test]
    fn code_and_links_are_written_as_such() {
        assert_eq!(inline("a `b<c` [D](D.md)."), "a <code>b&lt;c</code> <a href=\"D\">D</a>.");
        assert_eq!(inline("an open [ and a `lone"), "an open [ and a <code>lone</code>");
    }
}
