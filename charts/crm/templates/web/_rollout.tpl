{{/*
The steps of a strategy: for each weight its share of the traffic, a hold if asked for, and the gate that asks the
questions. A release that wants approval waits before its last step. `health` is asked in the background only, `weight` at
the steps only, which tell it their own.
*/}}
{{- define "crm.steps" -}}
{{- $strategy := .Values.strategy -}}
{{- $gates := without $strategy.questions "health" -}}
{{- range $weight := $strategy.weights }}
{{- if and $strategy.approval (eq (int $weight) 100) }}
- pause: {} # until: kubectl argo rollouts promote crm
{{- end }}
- setWeight: {{ $weight }}
{{- if not (regexMatch "^0+[smh]?$" $strategy.hold) }}
- pause: {duration: {{ $strategy.hold }}}
{{- end }}
{{- if $gates }}
- analysis:
    templates:
      {{- range $gates }}
      - templateName: {{ . }}
      {{- end }}
    {{- include "crm.analysisArgs" $ | nindent 4 }}
      {{- if has "weight" $gates }}
      - name: weight
        value: {{ $weight | quote }}
      {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The same questions for the whole rollout: `-watch` holds the conditions for the background (VERDICTS.md). */}}
{{- define "crm.background" -}}
templates:
  {{- range without .Values.strategy.questions "weight" }}
  - templateName: {{ eq . "health" | ternary . (print . "-watch") }}
  {{- end }}
{{ include "crm.analysisArgs" . }}
# Before the first weight is set the canary Service still points to the stable version: nothing to judge yet.
startingStep: 1
{{- end }}

{{- define "crm.analysisArgs" -}}
args:
  - name: canary-hash
    valueFrom: {podTemplateHashValue: Latest}
  - name: stable-hash
    valueFrom: {podTemplateHashValue: Stable}
{{- end }}
