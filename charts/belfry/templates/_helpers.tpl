{{- define "belfry.name" -}}belfry-operator{{- end }}

{{- define "belfry.selectorLabels" -}}
app.kubernetes.io/name: {{ include "belfry.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "belfry.labels" -}}
{{ include "belfry.selectorLabels" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "belfry.monitoring" -}}
{{- if kindIs "invalid" .Values.monitoring.enabled -}}
{{- if .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" -}}true{{- end -}}
{{- else if .Values.monitoring.enabled -}}true{{- end -}}
{{- end }}

{{/* A dashboard of the chart, with the time zone, the data source and the runbooks of the values. */}}
{{- define "belfry.dashboard" -}}
{{- $root := index . 0 }}
{{- $values := $root.Values.monitoring.dashboard }}
{{- $board := $root.Files.Get (index . 1) | fromJson }}
{{- $_ := set $board "timezone" $values.timezone }}
{{- with $values.datasource }}
{{- $_ := set (first $board.templating.list) "current" (dict "text" . "value" .) }}
{{- end }}
{{- with $root.Values.runbookBaseURL }}
{{- $_ := set (first $board.links) "url" (printf "%s/" (. | trimSuffix "/")) }}
{{- end }}
{{- $board | toJson }}
{{- end }}
