{{/*
Those of the strategy's analyses that analysis-templates/<analysis>.yaml has a template for, by the end of its name: none for
the gate at each step, -watch for the background (docs/verdicts.md). Takes (list root end); a JSON list.
*/}}
{{- define "crm.analysisTemplates" -}}
{{- $root := index . 0 -}}
{{- $end := index . 1 -}}
{{- $found := list -}}
{{- range $root.Values.strategy.analyses }}
{{- $text := $root.Files.Get (printf "analysis-templates/%s.yaml" .) }}
{{- if regexMatch (printf "(?m)^  name: %s%s$" . $end) $text }}
{{- $found = append $found (print . $end) }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{/* An analysis of those templates; takes (list root templates weight), the weight being nil where no step has set one. */}}
{{- define "crm.analysis" -}}
{{- $root := index . 0 -}}
{{- $weight := index . 2 -}}
templates:
  {{- range index . 1 }}
  - templateName: {{ . }}
  {{- end }}
# What a template does not declare is left out by Argo Rollouts.
args:
  - name: canary-hash
    valueFrom: {podTemplateHashValue: Latest}
  - name: stable-hash
    valueFrom: {podTemplateHashValue: Stable}
  - name: release-hash
    value: {{ include "crm.releaseHash" $root | quote }}
  - name: image
    value: {{ include "crm.image" $root }}
  {{- if $weight }}
  - name: weight
    value: {{ $weight | quote }}
  {{- end }}
{{- end }}

{{/* The gate at one step; takes (list root weight). */}}
{{- define "crm.gate" -}}
{{- $root := index . 0 -}}
{{- with include "crm.analysisTemplates" (list $root "") | fromJsonArray }}
- analysis:
    {{- include "crm.analysis" (list $root . (index $ 1)) | nindent 4 }}
{{- end }}
{{- end }}

{{/* The analysis before the new version has a pod: may its image be released at all? */}}
{{- define "crm.admission" -}}
{{- if .Values.analysis.security }}
- analysis:
    {{- include "crm.analysis" (list . (list "security") nil) | nindent 4 }}
{{- end }}
{{- end }}

{{/*
The steps of a canary: for each weight its share of the traffic, a pause if asked for, and the gate. A release that wants approval
waits before its last step; one that bakes stays at 100 % for a while with the version before still at full size.
*/}}
{{- define "crm.steps" -}}
{{- $strategy := .Values.strategy -}}
{{- include "crm.admission" . }}
{{- range $weight := $strategy.weights }}
{{- if and $strategy.approval (eq (int $weight) 100) }}
- pause: {} # until: kubectl argo rollouts promote {{ include "crm.fullname" $ }}
{{- end }}
- setWeight: {{ $weight }}
{{- if not (regexMatch "^0+[smh]?$" $strategy.stepDuration) }}
- pause: {duration: {{ $strategy.stepDuration }}}
{{- end }}
{{- include "crm.gate" (list $ $weight) }}
{{- end }}
{{- if $strategy.bake }}
- pause: {duration: {{ .Values.analysis.bake }}}
{{- end }}
{{- end }}

{{/*
The steps of an A/B test: half as many pods as the stable version has, no share of the traffic (the header's route sends the group
beta to the canary Service), the gate on what beta asked, and then the background analyses until a person decides.
*/}}
{{- define "crm.abSteps" -}}
{{- include "crm.admission" . }}
- setCanaryScale: {weight: 50}
{{- include "crm.gate" (list . nil) }}
- pause: {} # until: kubectl argo rollouts promote {{ include "crm.fullname" $ }}
# All pods first, and then everybody: a scale that followed the weight would leave the group beta without a pod in between.
- setCanaryScale: {weight: 100}
- setWeight: 100
{{- include "crm.gate" (list . 100) }}
{{- end }}

{{- define "crm.canary" -}}
canary:
  {{- if ne .Values.routing.provider "none" }}
  stableService: {{ include "crm.stableService" $ }}
  canaryService: {{ include "crm.canaryService" $ }}
  trafficRouting:
    {{- include "crm.trafficRouting" . | nindent 4 }}
  # One pod of a small canary may die without costing a request.
  minPodsPerReplicaSet: 2
  # Stable stays at full size, so an abort needs no new pod: it only moves the weight.
  dynamicStableScale: false
  # The router may be seconds behind; pods outlive their last weight by this long.
  scaleDownDelaySeconds: 30
  # As long as an aborted release has pods, Argo Rollouts moves the canary Service to and fro between both versions, as fast as it
  # can (docs/decisions/0032). 0 would be for ever. preStop gives the router the time that it needs.
  abortScaleDownDelaySeconds: 1
  {{- end }}
  maxSurge: 25%
  maxUnavailable: 0
  steps:
    {{- include (ternary "crm.abSteps" "crm.steps" (eq .Values.strategy.name "ab-test")) . | nindent 4 }}
  {{- with include "crm.analysisTemplates" (list . "-watch") | fromJsonArray }}
  # The same analyses for the whole rollout.
  analysis:
    {{- include "crm.analysis" (list $ . nil) | nindent 4 }}
    # Before the first step is done that gives the new version pods, the canary Service still points to the stable version:
    # nothing to judge yet.
    startingStep: {{ $.Values.analysis.security | ternary 2 1 }}
  {{- end }}
{{- end }}

{{/* The new version stands beside the old one, is asked through its preview, and then gets everybody at once. */}}
{{- define "crm.blueGreen" -}}
{{- $gates := include "crm.analysisTemplates" (list . "") | fromJsonArray -}}
{{- $before := .Values.analysis.security | ternary (prepend $gates "security" | uniq) $gates -}}
blueGreen:
  activeService: {{ include "crm.stableService" $ }}
  previewService: {{ include "crm.canaryService" $ }}
  autoPromotionEnabled: {{ not .Values.strategy.approval }}
  {{- with $before }}
  prePromotionAnalysis:
    {{- include "crm.analysis" (list $ . nil) | nindent 4 }}
  {{- end }}
  {{- with $gates }}
  postPromotionAnalysis:
    {{- include "crm.analysis" (list $ . nil) | nindent 4 }}
  {{- end }}
  # So long the version before is there at full size, and going back takes no pod.
  scaleDownDelaySeconds: {{ .Values.strategy.bake | ternary (include "crm.seconds" .Values.analysis.bake) 30 }}
  abortScaleDownDelaySeconds: 30
  maxUnavailable: 0
{{- end }}

{{/* A duration such as 90s, 10m or 1h, in seconds. */}}
{{- define "crm.seconds" -}}
{{- $unit := . | trimAll "0123456789" -}}
{{- mul (. | trimSuffix $unit | int) (get (dict "s" 1 "m" 60 "h" 3600) $unit) -}}
{{- end }}

{{/*
Between which numbers of pods the autoscaler chooses. A fixed number is its too, so that one hand sets it always: whoever begins or
ends autoscaling under load moves only these bounds.
*/}}
{{- define "crm.replicas" -}}
{{- if .Values.autoscaling.enabled -}}
min: {{ .Values.autoscaling.minReplicas }}
max: {{ .Values.autoscaling.maxReplicas }}
{{- else -}}
min: {{ .Values.web.replicas }}
max: {{ .Values.web.replicas }}
{{- end }}
{{- end }}
