{{- define "argocd.labels" -}}
app.kubernetes.io/part-of: crm
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "argocd.namespace" -}}
crm-{{ . }}
{{- end }}

{{- define "argocd.deployer" -}}
crm-deployer
{{- end }}
