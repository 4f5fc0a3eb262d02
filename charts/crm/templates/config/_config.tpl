{{/* The settings of row B2. Where the health question and the probes ask, the Service's own name is the host. */}}
{{- define "crm.config" -}}
{{- $domain := include "crm.domain" . -}}
{{- $hosts := list (print "crm." $domain) (print "api." $domain) (print "app." $domain) -}}
{{- $scheme := has "websecure" .Values.routing.entryPoints | ternary "https" "http" -}}
{{- $origins := list -}}
{{- range $hosts }}{{ $origins = append $origins (print $scheme "://" .) }}{{ end -}}
{{- $services := list -}}
{{- range list "crm-stable" "crm-canary" }}
{{- $name := print . "." $.Release.Namespace ".svc" }}
{{- $services = concat $services (list . $name (print $name ".cluster.local")) }}
{{- end -}}
db-host: {{ eq .Values.database.mode "embedded" | ternary "postgresql" .Values.database.host | quote }}
db-port: {{ eq .Values.database.mode "embedded" | ternary 5432 .Values.database.port | quote }}
redis-host: {{ eq .Values.redis.mode "embedded" | ternary "redis" .Values.redis.host | quote }}
redis-port: {{ eq .Values.redis.mode "embedded" | ternary 6379 .Values.redis.port | quote }}
allowed-hosts: {{ concat $hosts $services | join "," | quote }}
probe-hosts: {{ $services | join "," | quote }}
cors-origins: {{ .Values.corsOrigins | default $origins | join "," | quote }}
email-host: {{ .Values.email.host | quote }}
email-port: {{ .Values.email.port | quote }}
{{- end }}

{{- define "crm.configName" -}}
crm-config-{{ include "crm.config" . | sha256sum | trunc 10 }}
{{- end }}
