{{/*
Prefix of the name of every object: the release's name and the chart's, or `fullnameOverride`.
It has at most 40 characters, so that the name with its longest suffix fits into 63.
*/}}
{{- define "slipway.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Name of the operator's objects. */}}
{{- define "slipway.operator.name" -}}{{ include "slipway.fullname" . }}-operator{{- end -}}

{{/* Name of the objects of the bundled PostgreSQL, its Secret included. */}}
{{- define "slipway.postgresql.name" -}}{{ include "slipway.fullname" . }}-postgresql{{- end -}}

{{/* Name of the objects of the bundled Valkey, its Secret included. */}}
{{- define "slipway.redis.name" -}}{{ include "slipway.fullname" . }}-redis{{- end -}}

{{/* Name of the objects of the job that generates passwords. */}}
{{- define "slipway.passwords.name" -}}{{ include "slipway.fullname" . }}-passwords{{- end -}}

{{/* Value of the label helm.sh/chart. */}}
{{- define "slipway.chart" -}}
{{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/*
Labels that select a component's pods. Selectors are immutable: never change them.
Call with (list $ "component").
*/}}
{{- define "slipway.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of a component's objects. Call with (list $ "component"). */}}
{{- define "slipway.labels" -}}
{{- $root := index . 0 -}}
{{ include "slipway.selector" . }}
app.kubernetes.io/part-of: slipway
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ include "slipway.chart" $root }}
{{- end -}}

{{/* Labels that the Secrets and claims of the release have in common. */}}
{{- define "slipway.platform.labels" -}}
{{ omit (include "slipway.selector" (list . "") | fromYaml) "app.kubernetes.io/component" | toYaml }}
{{- end -}}

{{/* Namespaces in which the operator serves ModelDeployments, as a JSON list; ["*"] means all. */}}
{{- define "slipway.namespaces" -}}
{{ .Values.operator.namespaces | default (list .Release.Namespace) | uniq | sortAlpha | toJson }}
{{- end -}}

{{/* Name of the model that `helm test` uses: `test.model`, else the first of `models`; may be empty. */}}
{{- define "slipway.test.model" -}}
{{ .Values.test.model | default (keys .Values.models | sortAlpha | first | default "") }}
{{- end -}}
