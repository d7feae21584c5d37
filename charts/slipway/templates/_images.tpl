{{/* Repository of one of Slipway's images, with the registry. Call with (list $ "operator"). */}}
{{- define "slipway.image.repository" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.images.registry -}}{{ . | trimSuffix "/" }}/{{- end -}}
{{- (index $root.Values.images (index . 1)).repository -}}
{{- end -}}

{{/* Reference of one of Slipway's images. Call with (list $ "operator"). */}}
{{- define "slipway.image" -}}
{{- $root := index . 0 -}}
{{- $image := index $root.Values.images (index . 1) -}}
{{- $tag := $image.tag | default $root.Values.images.tag | default $root.Chart.AppVersion -}}
{{- include "slipway.image.repository" . -}}
{{- if $image.digest -}}@{{ $image.digest }}{{- else -}}:{{ $tag }}{{- end -}}
{{- end -}}

{{/*
Reference of the CUDA build of an image; empty when `cudaTag` is. Call with (list $ "inference").
*/}}
{{- define "slipway.image.cuda" -}}
{{- $image := index (index . 0).Values.images (index . 1) -}}
{{- if $image.cudaTag -}}{{ include "slipway.image.repository" . }}:{{ $image.cudaTag }}{{- end -}}
{{- end -}}

{{/* Field imagePullSecrets of a pod; empty when there are none. */}}
{{- define "slipway.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Names of the pull secrets, as a JSON list. */}}
{{- define "slipway.pullSecrets.names" -}}
{{- $names := list -}}
{{- range .Values.imagePullSecrets -}}{{- $names = append $names .name -}}{{- end -}}
{{- $names | toJson -}}
{{- end -}}
