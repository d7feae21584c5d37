{{- /*
Validations of the containers in which Slipway runs, where the sandbox of models is required: takes
the rules and the allowed fields.
*/ -}}
{{- define "slipway.operator.requiredSandbox" -}}
{{- $rules := index . 0 }}
{{- $allowed := index . 1 }}
{{- $remedy := "could bypass the sandbox that this platform requires: remove it, or list it in operator.podTemplate.allowedFields of the chart" }}
{{- $fields := list }}
{{- range $rules.refusedFields }}
{{- if not (has (print "containers." .) $allowed) }}{{ $fields = append $fields . }}{{ end }}
{{- end }}
{{- $variables := list }}
{{- range $allowed }}
{{- if hasPrefix "containers.env." . }}{{ $variables = append $variables (trimPrefix "containers.env." .) }}{{ end }}
{{- end }}
- expression: variables.programs.all(c, c.all(k, !(k in {{ $fields | toJson }})))
  messageExpression: >-
    'PodTemplateRefused: ' + variables.programs.map(c, c.filter(k, k in {{ $fields | toJson }}).map(k, 'containers.' + k).join(' ')).join(' ').trim() + ' {{ $remedy }}'
{{- if not (has "containers.image" $allowed) }}
- expression: object.spec.?runtime.?image.orValue('') == '' && object.spec.?batch.?image.orValue('') == ''
  message: 'PodTemplateRefused: an own image (containers.image) {{ $remedy }}'
{{- end }}
{{- if not (has "containers.env" $allowed) }}
{{- $passes := printf "(n in %s || (n.matches('%s') && !n.matches('%s')))" ($variables | toJson) $rules.allowedVariable $rules.refusedVariable }}
- expression: >-
    variables.programs.all(c, c.?env.orValue([]).map(e, e.?name.orValue('')).all(n, {{ $passes }}))
  messageExpression: >-
    'PodTemplateRefused: ' + variables.programs.map(c, c.?env.orValue([]).map(e, e.?name.orValue('')).filter(n, !{{ $passes }}).map(n, 'containers.env.' + n).join(' ')).join(' ').trim() + ' {{ $remedy }}'
{{- end }}
{{- $isMountable := printf "matches('%s') && !f.contains('..')" $rules.allowedFolder }}
{{- $folders := "/data, /dev/shm, /media, /mnt, /models, /pvc, /srv and /tmp" }}
{{- if not (has "containers.volumeMounts" $allowed) }}
- expression: variables.programs.all(c, c.?volumeMounts.orValue([]).map(m, m.?mountPath.orValue('')).all(f, f.{{ $isMountable }}))
  message: 'PodTemplateRefused: a mount outside {{ $folders }} (containers.volumeMounts) {{ $remedy }}'
{{- end }}
{{- range list "readPaths" "writePaths" }}
{{- if not (has (print "sandbox." .) $allowed) }}
- expression: object.spec.?runtime.?sandbox.?{{ . }}.orValue([]).all(f, f.{{ $isMountable }})
  message: 'PodTemplateRefused: a path outside {{ $folders }} (sandbox.{{ . }}) {{ $remedy }}'
{{- end }}
{{- end }}
{{- end -}}
