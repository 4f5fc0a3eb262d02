{{/* What every pod of ours has in common: Pod Security `restricted`, a read-only root, no token, only /tmp to write to, secrets as files. */}}

{{- define "crm.podDefaults" -}}
{{- $root := index . 0 -}}
{{ include "crm.scheduling" . }}
serviceAccountName: {{ include "crm.fullname" $root }}
automountServiceAccountToken: false
# Kubernetes' own REDIS_PORT=tcp://… for the Service `redis` must not meet the application's.
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{ include "crm.podSecurity" (list $root 10001) }}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: 256Mi}
  # Only what is listed; a key that is missing keeps the pod from starting, and the event names it.
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        {{- include "crm.secretSources" $root | trim | nindent 8 }}
  {{- with $root.Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* Where pods may run: what a component says for itself, else what is said for all. Takes (list root component). */}}
{{- define "crm.scheduling" -}}
{{- $all := (index . 0).Values -}}
{{- $own := get $all (index . 1) | default dict -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" }}
{{- with hasKey $own $key | ternary (get $own $key) (get $all $key) }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Annotations of every pod of the application; nothing where there are none. */}}
{{- define "crm.podAnnotations" -}}
{{- with .Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
The files below /etc/crm/secrets, a JSON map of file to {secret, key}: the CRM's own, and what the Secrets of the database's and
Redis' operators have, by the keys that they call it.
*/}}
{{- define "crm.secretFiles" -}}
{{- $own := include "crm.secretName" . -}}
{{- $files := dict -}}
{{- $usual := list "secret-key" "email-user" "email-password" -}}
{{- $called := dict "username" "user" "dbname" "name" -}}
{{- range $of, $service := dict "db" .Values.database "redis" .Values.redis -}}
{{- if $service.existingSecret -}}
{{- range $part, $key := $service.secretKeys -}}
{{- if $key -}}
{{- $_ := set $files (print $of "-" (get $called $part | default $part)) (dict "secret" $service.existingSecret "key" $key) -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- $usual = concat $usual (eq $of "db" | ternary (list "db-name" "db-user" "db-password") (list "redis-password")) -}}
{{- end -}}
{{- end -}}
{{- range $usual -}}
{{- $_ := set $files . (dict "secret" $own "key" .) -}}
{{- end -}}
{{- toJson $files -}}
{{- end }}

{{- define "crm.secretSources" -}}
{{- $secrets := dict -}}
{{- range $file, $from := include "crm.secretFiles" . | fromJson -}}
{{- $_ := set $secrets $from.secret (append (get $secrets $from.secret | default list) (dict "key" $from.key "path" $file)) -}}
{{- end -}}
{{- range $secret, $items := $secrets }}
- secret:
    name: {{ $secret }}
    items:
      {{- toYaml $items | nindent 6 }}
{{- end }}
{{- range $of, $service := dict "db" .Values.database "redis" .Values.redis }}
{{- $ca := $service.ca }}
{{- if or $ca.secret $ca.configMap }}
- {{ empty $ca.secret | ternary "configMap" "secret" }}:
    name: {{ $ca.secret | default $ca.configMap }}
    items: [{key: {{ $ca.key }}, path: {{ $of }}-ca}]
{{- end }}
{{- end }}
{{- end }}

{{/* Takes (list root user). OpenShift gives each namespace users and groups of its own and refuses others. */}}
{{- define "crm.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  {{- if not (index . 0).Values.openshift }}
  {{- range list "runAsUser" "runAsGroup" "fsGroup" }}
  {{ . }}: {{ index $ 1 }}
  {{- end }}
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "crm.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "crm.container" -}}
image: {{ include "crm.image" . | quote }}
imagePullPolicy: IfNotPresent
{{ include "crm.containerSecurity" . }}
{{- end }}

{{- define "crm.containerDefaults" -}}
{{ include "crm.container" . }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  - {name: secrets, mountPath: /etc/crm/secrets, readOnly: true}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Settings and secrets, in the names that the application reads. */}}
{{- define "crm.env" -}}
- {name: ENVIRONMENT, value: {{ .Values.environment }}}
- {name: LOG_LEVEL, value: {{ .Values.logLevel }}}
- {name: HOME, value: /tmp}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
{{- $config := include "crm.configName" . }}
{{- range $key := keys (include "crm.config" . | fromYaml) | sortAlpha }}
- name: {{ $key | upper | replace "-" "_" }}
  valueFrom: {configMapKeyRef: {name: {{ $config }}, key: {{ $key }}}}
{{- end }}
{{ include "crm.secretEnv" . }}
{{- end }}

{{/*
The migration is a Helm hook: before an upgrade the new ConfigMap does not exist yet, so the same settings stand in its
own definition.
*/}}
{{- define "crm.envInline" -}}
- {name: ENVIRONMENT, value: {{ .Values.environment }}}
- {name: LOG_LEVEL, value: {{ .Values.logLevel }}}
- {name: HOME, value: /tmp}
{{- range $key, $value := include "crm.config" . | fromYaml }}
- {name: {{ $key | upper | replace "-" "_" }}, value: {{ $value | quote }}}
{{- end }}
{{ include "crm.secretEnv" . }}
{{- end }}

{{/* Secrets, and what the values add. Files and not variables: a process's environment is seen by its children, by whoever may describe it, and by dumps of it. */}}
{{- define "crm.secretEnv" -}}
{{- range $file := keys (include "crm.secretFiles" . | fromJson) | sortAlpha }}
- {name: {{ $file | upper | replace "-" "_" }}_FILE, value: /etc/crm/secrets/{{ $file }}}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* A process without a port says that it is alive by touching a file at least every 10 s; takes (list probe file). */}}
{{- define "crm.heartbeat" -}}
{{ index . 0 }}:
  exec:
    command: [sh, -c, 'test -n "$(find {{ index . 1 }} -mmin -1)"']
  timeoutSeconds: 10
{{- end }}
