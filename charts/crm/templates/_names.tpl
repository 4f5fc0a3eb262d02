{{/* Names and labels. Each takes the root context; those for one component take (list root "component"). */}}

{{- /* What every object is named by, but postgresql, redis and the AnalysisTemplates. Whoever looks for one from outside goes by labels. */}}
{{- define "crm.fullname" -}}
{{ .Values.fullnameOverride | default "crm" }}
{{- end }}

{{- define "crm.stableService" -}}
{{ include "crm.fullname" . }}-stable
{{- end }}

{{- define "crm.canaryService" -}}
{{ include "crm.fullname" . }}-canary
{{- end }}

{{- define "crm.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: crm
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- /*
The labels of every object. The version stands on workloads alone (crm.workloadLabels): anywhere else it would make
each release rewrite objects that it does not change, and a push would reach the cluster later.
*/}}
{{- define "crm.labels" -}}
{{- $root := index . 0 -}}
{{ include "crm.selector" . }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: crm
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "crm.workloadLabels" -}}
{{ include "crm.labels" . }}
app.kubernetes.io/version: {{ (index . 0).Values.image.version | quote }}
{{- end }}

{{- /* Pods of every role say which release they are of (image and environment), where the pod template's hash is one role's only. */}}
{{- define "crm.podLabels" -}}
{{ include "crm.selector" . }}
delivery.crm/release: {{ include "crm.releaseHash" (index . 0) | quote }}
{{- with (index . 0).Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "crm.releaseHash" -}}
{{ printf "%s %s" .Values.image.digest (include "crm.env" .) | sha256sum | trunc 10 }}
{{- end }}

{{- define "crm.domain" -}}
{{ tpl .Values.domain . }}
{{- end }}

{{- define "crm.image" -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- end }}

{{- define "crm.secretName" -}}
{{ .Values.secrets.create | ternary (print (include "crm.fullname" .) "-secrets") .Values.secrets.existingSecret }}
{{- end }}

{{/* What a sync applies first: everything that the Rollout refers to or is judged by. */}}
{{- define "crm.firstWave" -}}
argocd.argoproj.io/sync-wave: "-2"
{{- end }}

{{/*
The version that a Service selects at the moment. Argo Rollouts writes it into the selector, and Helm, which compares with
what lies in the cluster, would take it out again. Without a cluster (Argo CD, helm template) there is nothing to look up;
Argo CD leaves fields alone that are not in Git.
*/}}
{{- define "crm.selectedVersion" -}}
{{- $root := index . 0 -}}
{{- $service := lookup "v1" "Service" $root.Release.Namespace (index . 1) -}}
{{- with dig "spec" "selector" "rollouts-pod-template-hash" "" $service }}
rollouts-pod-template-hash: {{ . }}
{{- end }}
{{- end }}

{{- /*
Whether there is a Prometheus operator to talk to. A strategy with analyses needs it, so there its absence is an error
of the install; without them the CRM runs on a cluster that has none.
*/}}
{{- define "crm.monitored" -}}
{{- if or .Values.strategy.analyses (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") }}yes{{ end }}
{{- end }}
