{{/*
The Deployments' selectors; takes a name. They cannot be changed, and both were made by the release `environments` when that had the
guard as well (docs/decisions/0046): so they say that still, and whoever upgrades loses no pod.
*/}}
{{- define "guard.selector" -}}
app.kubernetes.io/name: {{ . }}
app.kubernetes.io/instance: environments
{{- end }}

{{- define "guard.labels" -}}
{{ include "guard.selector" . }}
app.kubernetes.io/part-of: crm
app.kubernetes.io/managed-by: Helm
{{- end }}

{{- define "guard.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10003
runAsGroup: 10003
fsGroup: 10003
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "guard.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "guard.git" -}}
{{- if not (regexMatch "^https?://" .Values.repoURL) }}
{{- fail (printf "repoURL is %s: the guard signs in with a user and a password, so repoURL has to be an http(s) address." .Values.repoURL) }}
{{- end -}}
- {name: DELIVERY_REMOTE, value: {{ .Values.repoURL | quote }}}
# The password is for this one address; wherever else Git is sent to, it goes without.
- {name: GIT_CONFIG_COUNT, value: "1"}
- {name: GIT_CONFIG_KEY_0, value: {{ printf "credential.%s.helper" .Values.repoURL | quote }}}
- {name: GIT_CONFIG_VALUE_0, value: /app/delivery/credential-helper /etc/delivery/git}
{{- end }}

{{- define "guard.volumes" -}}
# Copies of the repository: commits, and the small files of one branch; a few MB where the server can leave the rest out
# (uploadpack.allowFilter).
- {name: tmp, emptyDir: {sizeLimit: 1Gi}}
- name: git
  secret:
    secretName: {{ .Values.git.existingSecret }}
    defaultMode: 0440
    items: [{key: username, path: username}, {key: password, path: password}]
{{- end }}

{{/* To DNS. */}}
{{- define "guard.toNames" -}}
- to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
      podSelector: {matchLabels: {k8s-app: kube-dns}}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end }}

{{/* To the application's pods, through their Services. */}}
{{- define "guard.toPods" -}}
- to:
    {{- range .Values.environments }}
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: crm-{{ .name }}}}
      podSelector: {matchLabels: {app.kubernetes.io/name: crm, app.kubernetes.io/component: web}}
    {{- end }}
  ports:
    - {protocol: TCP, port: http}
{{- end }}

{{/* Ports of what no label selects the addresses of; takes (list usual addresses), of which some have ports of their own. */}}
{{- define "guard.ports" -}}
{{- $ports := index . 0 -}}
{{- range $address := index . 1 }}
{{- with regexFind ":[0-9]+$" (urlParse $address).host }}
{{- $ports = append $ports (trimPrefix ":" . | int) }}
{{- end }}
{{- end }}
{{- range $ports | uniq }}
- {protocol: TCP, port: {{ . }}}
{{- end }}
{{- end }}
