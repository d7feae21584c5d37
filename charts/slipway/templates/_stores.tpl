{{/* Name of the Secret with the connection URL of PostgreSQL. */}}
{{- define "slipway.postgresql.secret" -}}
{{ .Values.postgresql.external.existingSecret | default (include "slipway.postgresql.name" .) }}
{{- end -}}

{{/* Key of the connection URL in that Secret. */}}
{{- define "slipway.postgresql.key" -}}
{{- if .Values.postgresql.external.existingSecret -}}{{ .Values.postgresql.external.key }}{{- else -}}url{{- end -}}
{{- end -}}

{{/* Name of the Secret with the connection URL of the role that owns the tables. */}}
{{- define "slipway.postgresql.ownerSecret" -}}
{{- $external := .Values.postgresql.external -}}
{{- if $external.existingSecret -}}
{{ $external.owner.existingSecret | default $external.existingSecret }}
{{- else -}}
{{ include "slipway.postgresql.name" . }}-owner
{{- end -}}
{{- end -}}

{{/* Key of the connection URL in that Secret. */}}
{{- define "slipway.postgresql.ownerKey" -}}
{{- $external := .Values.postgresql.external -}}
{{- if and $external.existingSecret $external.owner.existingSecret -}}
{{ $external.owner.key }}
{{- else -}}
{{ include "slipway.postgresql.key" . }}
{{- end -}}
{{- end -}}

{{/* Port of PostgreSQL, for the network policies of the models. */}}
{{- define "slipway.postgresql.port" -}}
{{- if .Values.postgresql.external.existingSecret -}}{{ .Values.postgresql.external.port }}{{- else -}}5432{{- end -}}
{{- end -}}

{{/* NetworkPolicyPeers of PostgreSQL, as a YAML list; empty for any address. */}}
{{- define "slipway.postgresql.peers" -}}
{{- if .Values.postgresql.external.existingSecret -}}
{{ .Values.postgresql.external.peers | toYaml }}
{{- else -}}
{{ include "slipway.store.peer" (list . "postgresql") }}
{{- end -}}
{{- end -}}

{{/* NetworkPolicyPeers of Redis, as a YAML list; empty for any address. */}}
{{- define "slipway.redis.peers" -}}
{{- if .Values.redis.external.existingSecret -}}
{{ .Values.redis.external.peers | toYaml }}
{{- else -}}
{{ include "slipway.store.peer" (list . "redis") }}
{{- end -}}
{{- end -}}

{{/* The pods of a bundled store as a NetworkPolicyPeer. Call with (list $ "component"). */}}
{{- define "slipway.store.peer" -}}
- podSelector:
    matchLabels: {{- include "slipway.selector" . | nindent 6 }}
  namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ (index . 0).Release.Namespace }}
{{- end -}}

{{/* Size of the volume of PostgreSQL; empty for an external one. */}}
{{- define "slipway.postgresql.volumeSize" -}}
{{- if not .Values.postgresql.external.existingSecret -}}{{ .Values.postgresql.storage.size }}{{- end -}}
{{- end -}}

{{/* Name of the Secret with the connection URL of Redis. */}}
{{- define "slipway.redis.secret" -}}
{{ .Values.redis.external.existingSecret | default (include "slipway.redis.name" .) }}
{{- end -}}

{{/* Key of the connection URL in that Secret. */}}
{{- define "slipway.redis.key" -}}
{{- if .Values.redis.external.existingSecret -}}{{ .Values.redis.external.key }}{{- else -}}url{{- end -}}
{{- end -}}

{{/* Key of the password in that Secret, for KEDA; empty when Redis has no password. */}}
{{- define "slipway.redis.passwordKey" -}}
{{- if .Values.redis.external.existingSecret -}}{{ .Values.redis.external.passwordKey }}{{- else -}}password{{- end -}}
{{- end -}}

{{/* Key of the user name in that Secret, for KEDA; empty when Redis has no user names. */}}
{{- define "slipway.redis.usernameKey" -}}
{{- if .Values.redis.external.existingSecret -}}{{ .Values.redis.external.usernameKey }}{{- end -}}
{{- end -}}

{{/* host:port of Redis, for KEDA. */}}
{{- define "slipway.redis.address" -}}
{{- if .Values.redis.external.existingSecret -}}
{{ .Values.redis.external.address }}
{{- else -}}
{{ include "slipway.redis.name" . }}.{{ .Release.Namespace }}.svc:6379
{{- end -}}
{{- end -}}

{{/* Port of Redis, for the network policies of the models. */}}
{{- define "slipway.redis.port" -}}
{{ include "slipway.redis.address" . | splitList ":" | last }}
{{- end -}}

{{/* Number of the database in Redis, for KEDA. */}}
{{- define "slipway.redis.database" -}}
{{- if .Values.redis.external.existingSecret -}}{{ .Values.redis.external.database }}{{- else -}}0{{- end -}}
{{- end -}}

{{/* Whether KEDA connects to Redis over TLS: "true" or "false". */}}
{{- define "slipway.redis.tls" -}}
{{- if .Values.redis.external.existingSecret -}}{{ .Values.redis.external.tls }}{{- else -}}false{{- end -}}
{{- end -}}

{{/* Non-empty when the release runs PostgreSQL or Valkey itself, so that passwords are generated. */}}
{{- define "slipway.passwords.needed" -}}
{{- if not (and .Values.postgresql.external.existingSecret .Values.redis.external.existingSecret) }}yes{{ end -}}
{{- end -}}

{{/*
Peers of the stores' network policies: Slipway's pods in the release's namespace and in the
namespaces that the operator serves.
*/}}
{{- define "slipway.clients" -}}
{{- $namespaces := fromJsonArray (include "slipway.namespaces" .) -}}
- podSelector:
    matchLabels:
      app.kubernetes.io/part-of: slipway
{{- if has "*" $namespaces }}
  namespaceSelector: {}
{{- else }}
  namespaceSelector:
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: In
        values: {{ append $namespaces .Release.Namespace | uniq | sortAlpha | toJson }}
{{- end }}
{{- end -}}
