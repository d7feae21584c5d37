{{/* What the schema cannot say: values that only together make sense. */}}
{{- define "slipway.validate" -}}
{{- if and (eq .Values.routing.provider "gateway") (not .Values.routing.gateway.name) -}}
{{- fail "`routing.gateway.name` is needed with `routing.provider` 'gateway': name the Gateway that the HTTPRoutes attach to" -}}
{{- end -}}
{{- $hosts := list -}}
{{- range $name, $spec := .Values.models -}}
{{- if and $spec ($spec.route | default dict).default -}}
{{- $host := $spec.route.host | default $.Values.routing.host -}}
{{- if has $host $hosts -}}
{{- fail (printf "`models.%s.route.default` is true and another model answers at the root of host '%s' already: let one of them do so" $name $host) -}}
{{- end -}}
{{- $hosts = append $hosts $host -}}
{{- end -}}
{{- end -}}
{{- if and .Values.redis.external.existingSecret (not .Values.redis.external.address) -}}
{{- fail "`redis.external.address` is needed with `redis.external.existingSecret`: give host:port, which KEDA and network policies cannot read from a Secret" -}}
{{- end -}}
{{- if and .Values.test.model (not (hasKey .Values.models .Values.test.model)) -}}
{{- fail (printf "`test.model` is '%s', which is not in `models`: name one of %s" .Values.test.model (keys .Values.models | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
