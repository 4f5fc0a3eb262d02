{{- define "environments.labels" -}}
app.kubernetes.io/part-of: crm
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
