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
{{- $db := .Values.database }}
{{- $redis := .Values.redis }}
{{- /* What the operator's Secret says is empty here: a file and a variable of one name contradict each other. */}}
{{- $told := $db.existingSecret | empty | ternary dict $db.secretKeys }}
db-host: {{ eq $db.mode "embedded" | ternary "postgresql" $db.host | quote }}
db-port: {{ or $told.port $told.uri | empty | ternary (eq $db.mode "embedded" | ternary 5432 $db.port) "" | quote }}
{{- if eq $db.mode "external" }}
db-sslmode: {{ $db.sslmode }}
{{- with or $db.ca.secret $db.ca.configMap }}
db-ca: /etc/crm/secrets/db-ca
{{- end }}
{{- end }}
redis-host: {{ eq $redis.mode "embedded" | ternary "redis" $redis.host | quote }}
redis-port: {{ eq $redis.mode "embedded" | ternary 6379 $redis.port | quote }}
{{- if eq $redis.mode "external" }}
redis-tls: {{ $redis.tls | quote }}
{{- with $redis.username }}
redis-user: {{ . | quote }}
{{- end }}
{{- with or $redis.ca.secret $redis.ca.configMap }}
redis-ca: /etc/crm/secrets/redis-ca
{{- end }}
{{- end }}
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
