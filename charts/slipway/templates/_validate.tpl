{{/*
Fail on values that contradict each other. JSON Schema checks each value on its own. It is included by
NOTES.txt, which every installation and upgrade renders.
*/}}
{{- define "slipway.validate" -}}
{{- if and (eq .Values.routing.provider "gateway") (not .Values.routing.gateway.name) -}}
{{- fail "`routing.gateway.name` is needed with `routing.provider` 'gateway': set it to the Gateway that the HTTPRoutes attach to" -}}
{{- end -}}
{{- $hosts := list -}}
{{- range $name, $spec := .Values.models -}}
{{- if and $spec ($spec.route | default dict).default -}}
{{- $host := $spec.route.host | default $.Values.routing.host -}}
{{- if has $host $hosts -}}
{{- fail (printf "`models.%s.route.default` is true, but another model answers at the root of host '%s' already: set it for one of them only" $name $host) -}}
{{- end -}}
{{- $hosts = append $hosts $host -}}
{{- end -}}
{{- end -}}
{{- if and .Values.redis.external.existingSecret (not .Values.redis.external.address) -}}
{{- fail "`redis.external.address` is needed with `redis.external.existingSecret`: set it to host:port, which KEDA and network policies cannot read from a Secret" -}}
{{- end -}}
{{- if and .Values.postgresql.external.owner.existingSecret (not .Values.postgresql.external.existingSecret) -}}
{{- fail "`postgresql.external.owner.existingSecret` needs `postgresql.external.existingSecret`: set it to the Secret with the URL for the models" -}}
{{- end -}}
{{- if and .Values.test.model (not (hasKey .Values.models .Values.test.model)) -}}
{{- fail (printf "`test.model` is '%s', which is not in `models`: name one of %s" .Values.test.model (keys .Values.models | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
