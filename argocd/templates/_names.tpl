{{- define "argocd.labels" -}}
app.kubernetes.io/part-of: crm
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "argocd.namespace" -}}
crm-{{ . }}
{{- end }}

{{- define "argocd.deployer" -}}
crm-deployer
{{- end }}

{{- define "argocd.guardSelector" -}}
app.kubernetes.io/name: delivery-guard
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "argocd.guardLabels" -}}
{{ include "argocd.guardSelector" . }}
{{ include "argocd.labels" . }}
{{- end }}

{{- define "argocd.verdictsSelector" -}}
app.kubernetes.io/name: delivery-verdicts
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "argocd.verdictsLabels" -}}
{{ include "argocd.verdictsSelector" . }}
{{ include "argocd.labels" . }}
{{- end }}

{{- define "argocd.guardSecurity" -}}
runAsNonRoot: true
runAsUser: 10003
runAsGroup: 10003
fsGroup: 10003
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "argocd.guardContainerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "argocd.guardGit" -}}
{{- if not (regexMatch "^https?://" .Values.repoURL) }}
{{- fail (printf "guard.image is given, but repoURL is %s: the guard signs in with a user and a password, so repoURL has to be an http(s) address." .Values.repoURL) }}
{{- end -}}
- {name: DELIVERY_REMOTE, value: {{ .Values.repoURL | quote }}}
# The password is for this one address; wherever else Git is sent to, it goes without.
- {name: GIT_CONFIG_COUNT, value: "1"}
- {name: GIT_CONFIG_KEY_0, value: {{ printf "credential.%s.helper" .Values.repoURL | quote }}}
- {name: GIT_CONFIG_VALUE_0, value: /app/delivery/credential-helper /etc/delivery/git}
{{- end }}

{{- define "argocd.guardGitVolume" -}}
- name: git
  secret:
    secretName: {{ .gitSecret }}
    defaultMode: 0440
    items: [{key: username, path: username}, {key: password, path: password}]
{{- end }}

{{/* Who resolves names. */}}
{{- define "argocd.guardNames" -}}
- to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
      podSelector: {matchLabels: {k8s-app: kube-dns}}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end }}

{{/* To the application's pods, through their Services. */}}
{{- define "argocd.guardToPods" -}}
- to:
    {{- range .Values.environments }}
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ include "argocd.namespace" .name }}}}
      podSelector: {matchLabels: {app.kubernetes.io/name: crm, app.kubernetes.io/component: web}}
    {{- end }}
  ports:
    - {protocol: TCP, port: http}
{{- end }}

{{/* Ports of what no label selects the addresses of; takes (list usual addresses), of which some have ports of their own. */}}
{{- define "argocd.guardPorts" -}}
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
