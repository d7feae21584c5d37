{{/* First part of every object's name: at most 40 characters, so that the longest suffix fits into 63. */}}
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

{{/* Labels that select a component's pods; they never change. Call with (list $ "component"). */}}
{{- define "slipway.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* All labels of a component's objects. Call with (list $ "component"). */}}
{{- define "slipway.labels" -}}
{{- $root := index . 0 -}}
{{ include "slipway.selector" . }}
app.kubernetes.io/part-of: slipway
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "slipway.operator.name" -}}{{ include "slipway.fullname" . }}-operator{{- end -}}
{{- define "slipway.postgresql.name" -}}{{ include "slipway.fullname" . }}-postgresql{{- end -}}
{{- define "slipway.redis.name" -}}{{ include "slipway.fullname" . }}-redis{{- end -}}

{{- define "slipway.passwords.name" -}}{{ include "slipway.fullname" . }}-passwords{{- end -}}

{{/* Not empty when the release runs a server of its own, whose password has to be made. */}}
{{- define "slipway.passwords.needed" -}}
{{- if not (and .Values.postgresql.external.existingSecret .Values.redis.external.existingSecret) }}yes{{ end -}}
{{- end -}}

{{/* Secret with the address of PostgreSQL, and its key in it. */}}
{{- define "slipway.postgresql.secret" -}}
{{ .Values.postgresql.external.existingSecret | default (include "slipway.postgresql.name" .) }}
{{- end -}}
{{- define "slipway.postgresql.key" -}}
{{ ternary .Values.postgresql.external.key "url" (not (empty .Values.postgresql.external.existingSecret)) }}
{{- end -}}

{{/* Namespaces whose ModelDeployments are served, as a JSON list; ["*"] is all. */}}
{{- define "slipway.namespaces" -}}
{{ .Values.operator.namespaces | default (list .Release.Namespace) | uniq | sortAlpha | toJson }}
{{- end -}}
