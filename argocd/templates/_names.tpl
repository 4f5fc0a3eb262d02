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

{{- define "argocd.guardSelector" -}}
app.kubernetes.io/name: delivery-guard
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "argocd.guardLabels" -}}
{{ include "argocd.guardSelector" . }}
{{ include "argocd.labels" . }}
{{- end }}
