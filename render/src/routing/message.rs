//! The text of a page: severity, alert and model; then the number, the start, the impact on callers, and what to open first.
//!
//! The texts are Go templates, which Alertmanager expands. They are constants: users' texts stand in labels and
//! annotations, which the templates read and Alertmanager does not expand again.

/// Sets `$worst` to the worst severity that still fires. A message about resolved alerts has none.
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

/// Title of a page, one line.
pub(super) const TITLE: &str = concat!(
    worst!(),
    r#"[{{ if eq .Status "firing" }}{{ $worst | toUpper }}{{ else }}RESOLVED{{ end }}] "#,
    "{{ with .CommonLabels.alertname }}{{ . }}{{ else }}{{ len .Alerts }} alerts{{ end }} ",
    "{{ .CommonLabels.namespace }}/{{ .CommonLabels.model }}{{ with .CommonLabels.team }} (team {{ . }}){{ end }}"
);

macro_rules! body {
    () => {
        concat!(
            "{{ range .Alerts }}{{ .Annotations.summary }}\n",
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

/// Body of a page: all alerts of the incident.
pub(super) const BODY: &str = body!();

/// The body for a mail, where Alertmanager escapes what the template reads.
pub(super) const HTML: &str = concat!("<pre style=\"white-space: pre-wrap\">", body!(), "</pre>");

/// A severity of PagerDuty; they have the same names as Belfry's.
pub(super) const SEVERITY: &str = concat!(worst!(), "{{ $worst }}");

/// A priority of Opsgenie.
pub(super) const PRIORITY: &str =
    concat!(worst!(), r#"{{ if eq $worst "critical" }}P1{{ else if eq $worst "warning" }}P3{{ else }}P5{{ end }}"#);

/// A colour of Slack.
pub(super) const COLOR: &str = concat!(
    worst!(),
    r#"{{ if ne .Status "firing" }}good{{ else if eq $worst "critical" }}danger{{ else }}warning{{ end }}"#
);
