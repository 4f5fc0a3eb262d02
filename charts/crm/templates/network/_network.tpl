{{/* The pods that run the CRM's own code. */}}
{{- define "crm.applicationPods" -}}
matchLabels:
  app.kubernetes.io/name: crm
  app.kubernetes.io/instance: {{ .Release.Name }}
matchExpressions:
  - {key: app.kubernetes.io/component, operator: In, values: [web, worker, beat, migration]}
{{- end }}
