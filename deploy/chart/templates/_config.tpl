{{/* config.yml: `config` of the values, and what the chart knows better. */}}
{{- define "authproxy.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $name := .Values.host | default (include "authproxy.fullname" .) }}
{{- $http := $config.http | default dict }}
{{- if .Values.tls.enabled }}
{{- $_ := set $http "tls" (mergeOverwrite ($http.tls | default dict) (dict "certificate" "/etc/authproxy/certs/domain.crt" "key" "/etc/authproxy/certs/domain.key")) }}
{{- else if and (include "authproxy.tlsEndsBefore" .) (not $http.host) }}
{{- $hosts := .Values.ingress.enabled | ternary (include "authproxy.ingressHosts" .) (include "authproxy.gatewayHosts" .) | fromJsonArray }}
{{- $_ := set $http "host" (printf "https://%s" (.Values.host | default (first $hosts))) }}
{{- end }}
{{- $_ := set $config "http" $http }}
{{- if $config.token }}
{{- $_ := set $config "token" (merge $config.token (dict "service" $name "issuer" $name)) }}
{{- end }}
{{- $folder := empty .Values.users.existingSecret | ternary "/var/lib/authproxy" "/etc/authproxy/users" }}
{{- $files := list (dict "htpasswd" (dict "path" (printf "%s/htpasswd" $folder))) (dict "users" (dict "path" (printf "%s/users.yaml" $folder))) }}
{{- if $config.token }}
{{- $_ := set $config "identities" (concat $files ($config.identities | default list)) }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* The path of each secret in `config`: a list of a map and the path to it. */}}
{{- define "authproxy.secretsIn" -}}
{{- $path := index . 1 }}
{{- $node := index . 0 }}
{{- if kindIs "map" $node }}
{{- range $key, $value := $node }}
{{- $here := printf "%s.%s" $path $key }}
{{- if or (kindIs "map" $value) (kindIs "slice" $value) }}
{{- if regexMatch "(?i)^(authorization|cookie)$" $key }}{{ printf "%s " $here }}{{ end }}
{{- include "authproxy.secretsIn" (list $value $here) }}
{{- else if and $value (regexMatch "(?i)^(secret|password|authorization|cookie)$" $key) }}
{{- printf "%s " $here }}
{{- end }}
{{- end }}
{{- else if kindIs "slice" $node }}
{{- range $index, $value := $node }}
{{- include "authproxy.secretsIn" (list $value (printf "%s[%d]" $path $index)) }}
{{- end }}
{{- end }}
{{- end }}
