{{/* Pods that may reach the stores: Slipway's own, in the release's namespace and in those that are served. */}}
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
