//! What a page says: how bad, what, where; then the number, since when, what callers notice, and what to open first.
//!
//! Go templates, expanded by Alertmanager. They are constants: what users write stands in labels and annotations, which
//! the templates read and which are not expanded again.

/// The worst severity that still rings, in `$worst`. A resolved message has none.
macro_rules! worst {
    () => {
        concat!(
            r#"{{ $worst := "info" }}{{ range .Alerts.Firing }}"#,
            r#"{{ if eq .Labels.severity "critical" }}{{ $worst = "critical" }}"#,
            r#"{{ else if and (eq .Labels.severity "warning") (ne $worst "critical") }}{{ $worst = "warning" }}"#,
            "{{ end }}{{ end }}"
        )
    };
}

/// One line.
pub(super) const TITLE: &str = concat!(
    worst!(),
    r#"[{{ if eq .Status "firing" }}{{ $worst | toUpper }}{{ else }}RESOLVED{{ end }}] "#,
    "{{ with .CommonLabels.alertname }}{{ . }}{{ else }}{{ len .Alerts }} alerts{{ end }} ",
    "{{ .CommonLabels.namespace }}/{{ .CommonLabels.model }}{{ with .CommonLabels.team }} (team {{ . }}){{ end }}"
);

macro_rules! body {
    () => {
        concat!(
            "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ .Annotations.description }}\n",
            r#"{{ if eq .Status "firing" }}Since {{ .StartsAt.UTC.Format "2006-01-02 15:04:05" }} UTC."#,
            "{{ else }}Resolved; it lasted {{ (.EndsAt.Sub .StartsAt).Round 1000000000 }}.{{ end }}\n",
            "{{ with .Annotations.impact }}Impact: {{ . }}\n{{ end }}",
            "{{ with .Annotations.runbook_url }}Runbook: {{ . }}\n{{ end }}",
            "{{ with .Annotations.dashboard_url }}Dashboard: {{ . }}\n{{ end }}",
            "{{ with .Annotations.contact }}Ask: {{ . }}\n{{ end }}",
            "Silence: {{ $.ExternalURL }}/#/silences/new?filter=%7Bnamespace%3D%22{{ .Labels.namespace }}%22%2C",
            "model%3D%22{{ .Labels.model }}%22%2Calertname%3D%22{{ .Labels.alertname }}%22%7D\n\n{{ end }}"
        )
    };
}

/// All alerts of the incident.
pub(super) const BODY: &str = body!();

/// The same for a mail, where Alertmanager escapes what the template reads.
pub(super) const HTML: &str = concat!("<pre style=\"white-space: pre-wrap\">", body!(), "</pre>");

/// One of PagerDuty's severities, which are named as ours.
pub(super) const SEVERITY: &str = concat!(worst!(), "{{ $worst }}");

/// One of Opsgenie's priorities.
pub(super) const PRIORITY: &str =
    concat!(worst!(), r#"{{ if eq $worst "critical" }}P1{{ else if eq $worst "warning" }}P3{{ else }}P5{{ end }}"#);

/// One of Slack's colours.
pub(super) const COLOR: &str = concat!(
    worst!(),
    r#"{{ if ne .Status "firing" }}good{{ else if eq $worst "critical" }}danger{{ else }}warning{{ end }}"#
);
