{{/* What every pod of ours has in common: Pod Security `restricted`, a read-only root, no token, only /tmp to write to. */}}

{{- define "crm.podDefaults" -}}
serviceAccountName: crm
automountServiceAccountToken: false
# Kubernetes' own REDIS_PORT=tcp://… for the Service `redis` must not meet the application's.
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{ include "crm.podSecurity" 10001 }}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: 256Mi}
{{- end }}

{{- define "crm.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ . }}
  runAsGroup: {{ . }}
  fsGroup: {{ . }}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "crm.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "crm.containerDefaults" -}}
image: {{ include "crm.image" . | quote }}
imagePullPolicy: IfNotPresent
{{ include "crm.containerSecurity" . }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
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

{{- define "crm.secretEnv" -}}
{{- $secret := include "crm.secretName" . }}
{{- range $key := list "secret-key" "db-name" "db-user" "db-password" "redis-password" "email-user" "email-password" }}
- name: {{ $key | upper | replace "-" "_" }}
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $key }}}}
{{- end }}
{{- end }}

{{/* A process without a port says that it is alive by touching a file at least every 10 s; takes (list probe file). */}}
{{- define "crm.heartbeat" -}}
{{ index . 0 }}:
  exec:
    command: [sh, -c, 'test -n "$(find {{ index . 1 }} -mmin -1)"']
  timeoutSeconds: 10
{{- end }}
