{{/* A small StatefulSet's storage: a claim, or the life of the pod. Takes (list root settings). */}}
{{- define "crm.claim" -}}
{{- $persistence := (index . 1).persistence -}}
{{- if $persistence.enabled -}}
volumeClaimTemplates:
  - apiVersion: v1
    kind: PersistentVolumeClaim
    metadata:
      name: data
    spec:
      accessModes: [ReadWriteOnce]
      {{- with $persistence.storageClass }}
      storageClassName: {{ . }}
      {{- end }}
      resources: {requests: {storage: {{ $persistence.size }}}}
{{- end }}
{{- end }}

{{/* Takes (list root component). */}}
{{- define "crm.dataPod" -}}
{{ include "crm.scheduling" . }}
serviceAccountName: {{ include "crm.fullname" (index . 0) }}
automountServiceAccountToken: false
enableServiceLinks: false
{{ include "crm.podSecurity" (list (index . 0) 999) }}
{{- end }}
