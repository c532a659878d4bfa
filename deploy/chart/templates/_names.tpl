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
