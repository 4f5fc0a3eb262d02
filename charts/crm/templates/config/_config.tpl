{{/* The settings of row B2. Where the analysis `health` and synthetic traffic ask, the Service's own name is the host. */}}
{{- define "crm.config" -}}
{{- $hosts := include "crm.hosts" . | fromJsonArray -}}
{{- $scheme := .Values.routing.tls.secret | empty | ternary "http" "https" -}}
{{- $origins := list -}}
{{- range $hosts }}{{ $origins = append $origins (print $scheme "://" .) }}{{ end -}}
{{- $services := list -}}
{{- range list (include "crm.stableService" .) (include "crm.canaryService" .) }}
{{- $name := print . "." $.Release.Namespace ".svc" }}
{{- $services = concat $services (list . $name (print $name ".cluster.local")) }}
{{- end -}}
db-host: {{ eq .Values.database.mode "embedded" | ternary "postgresql" .Values.database.host | quote }}
db-port: {{ eq .Values.database.mode "embedded" | ternary 5432 .Values.database.port | quote }}
redis-host: {{ eq .Values.redis.mode "embedded" | ternary "redis" .Values.redis.host | quote }}
redis-port: {{ eq .Values.redis.mode "embedded" | ternary 6379 .Values.redis.port | quote }}
allowed-hosts: {{ concat $hosts (list (include "crm.previewHost" .)) $services | join "," | quote }}
probe-hosts: {{ $services | join "," | quote }}
cors-origins: {{ .Values.corsOrigins | default $origins | join "," | quote }}
email-host: {{ .Values.email.host | quote }}
email-port: {{ .Values.email.port | quote }}
email-proof: {{ .Values.email.proof }}
{{- range $of, $kinds := .Values.rateLimits }}
{{- range $kind, $rate := $kinds }}
rate-{{ kebabcase $of }}-{{ $kind }}: {{ $rate }}
{{- end }}
{{- end }}
router-hops: {{ kindIs "invalid" .Values.routing.hops | ternary (eq .Values.routing.provider "none" | ternary 0 1) .Values.routing.hops | quote }}
{{- end }}

{{- define "crm.configName" -}}
{{ include "crm.fullname" . }}-config-{{ include "crm.config" . | sha256sum | trunc 10 }}
{{- end }}
