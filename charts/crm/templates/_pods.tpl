{{/* What every pod of ours has in common: Pod Security `restricted`, a read-only root, no token, only /tmp to write to, secrets as files. */}}

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
  # Only what is listed; a key that is missing keeps the pod from starting, and the event names it.
  - name: secrets
    secret:
      secretName: {{ include "crm.secretName" . }}
      defaultMode: 0440
      items:
        {{- range splitList " " (include "crm.secretKeys" .) }}
        - {key: {{ . }}, path: {{ . }}}
        {{- end }}
{{- end }}

{{- define "crm.secretKeys" -}}
secret-key db-name db-user db-password redis-password email-user email-password
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

{{/* Files and not variables: a process's environment is seen by its children, by whoever may describe it, and by dumps of it. */}}
{{- define "crm.secretEnv" -}}
{{- range $key := splitList " " (include "crm.secretKeys" .) }}
- {name: {{ $key | upper | replace "-" "_" }}_FILE, value: /etc/crm/secrets/{{ $key }}}
{{- end }}
{{- end }}

{{/* A process without a port says that it is alive by touching a file at least every 10 s; takes (list probe file). */}}
{{- define "crm.heartbeat" -}}
{{ index . 0 }}:
  exec:
    command: [sh, -c, 'test -n "$(find {{ index . 1 }} -mmin -1)"']
  timeoutSeconds: 10
{{- end }}
