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
{{- if not (include "authproxy.hasCore" .) }}
{{- $_ := unset $config "storage" }}
{{- end }}
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

{{/*
The path of each secret in a part of `config`: a list of the part and its path. Secrets are keys named so, headers that
carry credentials or that configuration.md never shows, and URLs with a user.
*/}}
{{- define "authproxy.secretsIn" -}}
{{- $node := index . 0 }}
{{- $path := index . 1 }}
{{- $headers := "(?i)^config[.](audit[.]webhook|(health[.]http|notifications[.]endpoints)[.[][0-9]+\\]?)[.]headers" }}
{{- if not $node }}
{{- else if regexMatch "(?i)[.](secret|password|secretkey|accountkey)$" $path }}{{ printf "%s " $path }}
{{- else if regexMatch "(?i)[.]headers[.](.*[.])?((proxy-)?authorization|(set-)?cookie)$" $path }}{{ printf "%s " $path }}
{{- else if regexMatch (print $headers "[.]") $path }}{{ printf "%s " $path }}
{{- else if and (not (kindIs "map" $node)) (regexMatch (print $headers "$") $path) }}{{ printf "%s " $path }}
{{- else if kindIs "map" $node }}
{{- range $key, $value := $node }}
{{- include "authproxy.secretsIn" (list $value (printf "%s.%s" $path $key)) }}
{{- end }}
{{- else if kindIs "slice" $node }}
{{- range $index, $value := $node }}
{{- include "authproxy.secretsIn" (list $value (printf "%s[%d]" $path $index)) }}
{{- end }}
{{- else if regexMatch "(?i)[a-z]://[^/?#\\s]*@" (toString $node) }}{{ printf "%s " $path }}
{{- end }}
{{- end }}

{{/* Not empty where the variable, a map of name and value, is a secret in plain text. */}}
{{- define "authproxy.secretVariable" -}}
{{- $value := .value | default "" | toString }}
{{- $part := (printf "part:%s" (nindent 2 $value) | fromYaml).part }}
{{- $path := .name | replace "_" "." | lower | trimPrefix "registry." | printf "config.%s" }}
{{- if hasSuffix "_FILE" .name }}
{{- else if hasPrefix "REGISTRY_" .name }}
{{- include "authproxy.secretsIn" (list (or (kindIs "map" $part) (kindIs "slice" $part) | ternary $part $value) $path) }}
{{- else }}
{{- include "authproxy.secretsIn" (list $value "extraEnv") }}
{{- end }}
{{- end }}
