{{- define "crm.secretsJob" -}}
backoffLimit: 3
activeDeadlineSeconds: 120
template:
  metadata:
    labels:
      {{- include "crm.selector" (list . "secrets") | nindent 6 }}
  spec:
    restartPolicy: OnFailure
    {{- $pod := include "crm.podDefaults" (list . "secrets") | fromYaml }}
    {{- $_ := unset $pod "volumes" }}
    {{- $_ := set $pod "serviceAccountName" (include "crm.secretName" .) }}
    {{- $_ := set $pod "automountServiceAccountToken" true }}
    {{- toYaml $pod | nindent 4 }}
    containers:
      - name: create
        {{- include "crm.container" . | nindent 8 }}
        command: [python3, -c]
        args:
          - |
            {{- .Files.Get "files/secrets/create.py" | nindent 12 }}
        env:
          - name: NAMESPACE
            valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
          - {name: SECRET, value: {{ include "crm.secretName" . }}}
        resources:
          requests: {cpu: 10m, memory: 64Mi}
          limits: {cpu: 500m, memory: 128Mi}
{{- end }}
