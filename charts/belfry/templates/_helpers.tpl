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
