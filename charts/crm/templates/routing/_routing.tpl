{{/* The users' hosts; a JSON list. */}}
{{- define "crm.hosts" -}}
{{- $hosts := list -}}
{{- range .Values.routing.hosts -}}
{{- $hosts = append $hosts (tpl . $) -}}
{{- end -}}
{{- toJson $hosts -}}
{{- end }}

{{/* What the values add to the annotations of the users' route: to be followed by others, hence no key of its own. */}}
{{- define "crm.routeAnnotations" -}}
{{- with .Values.routing.annotations }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{/* Where a blue-green release is seen before users have it. */}}
{{- define "crm.previewHost" -}}
preview.{{ include "crm.domain" . }}
{{- end }}

{{/* Every host that the strategy has a route for; a JSON list. */}}
{{- define "crm.routedHosts" -}}
{{- $hosts := include "crm.hosts" . | fromJsonArray -}}
{{- if eq .Values.strategy.name "blue-green" -}}
{{- $hosts = append $hosts (include "crm.previewHost" .) -}}
{{- end -}}
{{- toJson $hosts -}}
{{- end }}

{{/* How Argo Rollouts tells the router its weights. */}}
{{- define "crm.trafficRouting" -}}
{{- if eq .Values.routing.provider "traefik" }}
traefik: {weightedTraefikServiceName: {{ include "crm.fullname" $ }}}
{{- else if eq .Values.routing.provider "nginx" }}
{{- $beta := eq .Values.strategy.name "ab-test" }}
nginx:
  stableIngress: {{ include "crm.fullname" $ }}
  # Its canary Ingress keeps an annotation that it once had. Empty is none: so an A/B test ends with the next strategy.
  additionalIngressAnnotations:
    canary-by-header: {{ $beta | ternary "X-User-Group" "" | quote }}
    canary-by-header-value: {{ $beta | ternary "beta" "" | quote }}
{{- else if eq .Values.routing.provider "istio" }}
istio:
  virtualService:
    name: {{ include "crm.fullname" $ }}-weights
    routes: [primary]
{{- else if eq .Values.routing.provider "gatewayAPI" }}
plugins:
  argoproj-labs/gatewayAPI: {httpRoute: {{ include "crm.fullname" $ }}, namespace: {{ .Release.Namespace }}}
{{- end }}
{{- end }}

{{/*
The shares of stable and canary, a JSON map by Service. Argo Rollouts writes them; Argo CD is told to leave them alone (charts/environments),
and Helm, which would set them back in the middle of a rollout, is given those that it finds. Takes (list root live), live being maps with
name and weight, none where there is nothing yet.
*/}}
{{- define "crm.weights" -}}
{{- $root := index . 0 -}}
{{- $weights := dict (include "crm.stableService" $root) 100 (include "crm.canaryService" $root) 0 -}}
{{- range index . 1 -}}
{{- $_ := set $weights .name (.weight | default 0) -}}
{{- end -}}
{{- toJson $weights -}}
{{- end }}

{{/* The namespace of the router's pods. */}}
{{- define "crm.routerNamespace" -}}
{{- $usual := dict "traefik" "traefik" "nginx" "ingress-nginx" "istio" "istio-system" -}}
{{- .Values.networkPolicy.ingressNamespace | default (get $usual .Values.routing.provider) -}}
{{- end }}
