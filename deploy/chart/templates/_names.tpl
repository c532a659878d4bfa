{{- define "authproxy.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "authproxy.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "authproxy.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "authproxy.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "authproxy.selector" -}}
app.kubernetes.io/name: {{ include "authproxy.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "authproxy.labels" -}}
{{ include "authproxy.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end }}

{{/* Name, namespace and labels of an object: a list of the context and the end of the name. */}}
{{- define "authproxy.metadata" -}}
{{- $top := index . 0 -}}
name: {{ printf "%s%s" (include "authproxy.fullname" $top) (index . 1) | quote }}
namespace: {{ $top.Release.Namespace | quote }}
labels:
  {{- include "authproxy.labels" $top | nindent 2 }}
{{- end }}

{{- define "authproxy.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion }}
{{- printf "%s:%s%s" .Values.image.repository $tag (empty .Values.image.digest | ternary "" (printf "@%s" .Values.image.digest)) }}
{{- end }}

{{- define "authproxy.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "authproxy.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{- define "authproxy.adminSecret" -}}
{{- .Values.admin.existingSecret | default (printf "%s-admin" (include "authproxy.fullname" .)) }}
{{- end }}

{{- define "authproxy.tlsSecret" -}}
{{- .Values.tls.existingSecret | default (printf "%s-tls" (include "authproxy.fullname" .)) }}
{{- end }}

{{/* What stays when the release is removed: it belongs to the volumes. */}}
{{- define "authproxy.keep" -}}
{{- if and .Values.persistence.enabled .Values.persistence.keep }}
helm.sh/resource-policy: keep
{{- end }}
{{- end }}

{{/* The names under which clients ask for the registry, as a JSON list. */}}
{{- define "authproxy.ingressHosts" -}}
{{- .Values.ingress.hosts | default (compact (list .Values.host)) | toJson }}
{{- end }}

{{- define "authproxy.gatewayHosts" -}}
{{- .Values.gateway.hostnames | default (compact (list .Values.host)) | toJson }}
{{- end }}

{{/* The names of the certificate, as a JSON list. */}}
{{- define "authproxy.certificateNames" -}}
{{- $service := include "authproxy.fullname" . }}
{{- $inside := list $service (printf "%s.%s" $service .Release.Namespace) (printf "%s.%s.svc" $service .Release.Namespace) (printf "%s.%s.svc.cluster.local" $service .Release.Namespace) "localhost" }}
{{- concat (compact (list .Values.host)) .Values.tls.names $inside | uniq | toJson }}
{{- end }}

{{/* Not empty where a proxy in front of the pods terminates TLS. */}}
{{- define "authproxy.tlsEndsBefore" -}}
{{- if and (not .Values.tls.enabled) (or .Values.ingress.enabled (and .Values.gateway.enabled (eq .Values.gateway.kind "HTTPRoute"))) }}true{{ end }}
{{- end }}

{{/* Not empty where the pods keep content: all but those whose every repository is that of an upstream. */}}
{{- define "authproxy.hasCore" -}}
{{- $has := not (or .Values.config.upstream .Values.config.upstreams) }}
{{- range .Values.config.upstreams }}
{{- $has = or $has (eq (get . "backend" | toString) "core") }}
{{- end }}
{{- if or $has .Values.existingConfigMap }}true{{ end }}
{{- end }}

{{/* The claims of the pods, as a JSON object: volumes and the keys of `persistence`. */}}
{{- define "authproxy.claims" -}}
{{- $claims := dict "authproxy" "state" }}
{{- if include "authproxy.hasCore" . }}
{{- $_ := set $claims "registry" "registry" }}
{{- end }}
{{- toJson $claims }}
{{- end }}

{{/* Host and port that clients type. A port that Kubernetes chooses is NODEPORT. */}}
{{- define "authproxy.address" -}}
{{- $routed := or .Values.ingress.enabled .Values.gateway.enabled }}
{{- if not (or .Values.host $routed) }}localhost:5000
{{- else if $routed }}
{{- $hosts := .Values.ingress.enabled | ternary (include "authproxy.ingressHosts" .) (include "authproxy.gatewayHosts" .) | fromJsonArray }}
{{- .Values.host | default (first $hosts) }}
{{- else if eq .Values.service.type "NodePort" }}
{{- printf "%s:%v" .Values.host (.Values.service.nodePort | default "NODEPORT") }}
{{- else if ne (int .Values.service.port) 443 }}
{{- printf "%s:%d" .Values.host (int .Values.service.port) }}
{{- else }}{{ .Values.host }}
{{- end }}
{{- end }}
