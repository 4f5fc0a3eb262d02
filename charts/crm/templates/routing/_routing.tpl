{{/* How Argo Rollouts tells the router its weights. */}}
{{- define "crm.trafficRouting" -}}
{{- if eq .Values.routing.provider "traefik" }}
traefik: {weightedTraefikServiceName: crm}
{{- end }}
{{- end }}
