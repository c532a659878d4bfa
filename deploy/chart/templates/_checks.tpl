{{/* Values that contradict each other, or would have no effect: an error that says what to set. */}}
{{- define "authproxy.check" -}}
{{- $v := .Values }}
{{- range $key := list "addr" "net" "debug" }}
{{- if hasKey ($v.config.http | default dict) $key }}
{{- fail (printf "config.http.%s: the chart sets it; remove it (the port of the Service is service.port)" $key) }}
{{- end }}
{{- end }}
{{- range $key := list "certificate" "key" }}
{{- if hasKey (($v.config.http | default dict).tls | default dict) $key }}
{{- fail (printf "config.http.tls.%s: the chart sets it; name the Secret in tls.existingSecret" $key) }}
{{- end }}
{{- end }}
{{- with include "authproxy.secretsIn" (list $v.config "config") | trim }}
{{- fail (printf "%s: everyone who may read ConfigMaps could read it; put it into a Secret, and give it by extraEnv as the variable REGISTRY_… of that key, with valueFrom.secretKeyRef" .) }}
{{- end }}
{{- $default := .Files.Get "files/config.yaml" | fromYaml }}
{{- if and $v.existingConfigMap (ne (toJson $v.config) (toJson $default)) }}
{{- fail "config has no effect beside existingConfigMap: remove one of them" }}
{{- end }}
{{- $core := include "authproxy.hasCore" . }}
{{- if and (not $core) $v.config.storage (ne (toJson $v.config.storage) (toJson $default.storage)) }}
{{- fail "config.storage has no effect with config.upstream: the content is in the registry of upstream; remove one of them" }}
{{- end }}
{{- if and (not $core) $v.persistence.registry.existingClaim }}
{{- fail "persistence.registry.existingClaim has no effect with config.upstream: the content is in the registry of upstream; remove one of them" }}
{{- end }}
{{- range $v.extraEnv }}
{{- if has .name (list "REGISTRY_HTTP_ADDR" "REGISTRY_HTTP_DEBUG_ADDR" "REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED" "AUTHPROXY_ADMIN_PASSWORD_FILE") }}
{{- fail (printf "extraEnv: %s: the chart sets it; remove it (the port of the Service is service.port, the admin's password admin.existingSecret)" .name) }}
{{- end }}
{{- if eq .name "AUTHPROXY_ADMIN_PASSWORD" }}
{{- fail "extraEnv: AUTHPROXY_ADMIN_PASSWORD: the chart gives the password as a file; put yours into a Secret and name it in admin.existingSecret" }}
{{- end }}
{{- if include "authproxy.secretVariable" . | trim }}
{{- fail (printf "extraEnv: %s: everyone who may read Deployments could read it; put it into a Secret and use valueFrom.secretKeyRef instead of value" .name) }}
{{- end }}
{{- end }}
{{- if and $v.policies $v.existingPoliciesConfigMap }}
{{- fail "policies has no effect beside existingPoliciesConfigMap: remove one of them" }}
{{- end }}
{{- range $name, $_ := $v.policies }}
{{- if not (regexMatch "^[A-Za-z0-9_-][A-Za-z0-9._-]*[.]ya?ml$" $name) }}
{{- fail (printf "policies: %q is no file of policies; its name has to end in .yaml" $name) }}
{{- end }}
{{- end }}
{{- if and $v.admin.existingSecret $v.users.existingSecret }}
{{- fail "admin.existingSecret has no effect beside users.existingSecret: remove one of them" }}
{{- end }}
{{- if and $v.users.existingSecret (not $v.config.token) (not $v.existingConfigMap) }}
{{- fail "users.existingSecret has no effect without config.token" }}
{{- end }}
{{- if and $v.tls.existingSecret $v.tls.certManager.enabled }}
{{- fail "tls.existingSecret has no effect beside tls.certManager.enabled: remove one of them" }}
{{- end }}
{{- if and (not $v.tls.enabled) (or $v.tls.existingSecret $v.tls.certManager.enabled) }}
{{- fail "tls.existingSecret and tls.certManager have no effect with tls.enabled: false" }}
{{- end }}
{{- range $key := list "names" "addresses" }}
{{- if and (index $v.tls $key) (or $v.tls.existingSecret (not $v.tls.enabled)) }}
{{- fail (printf "tls.%s has no effect with tls.existingSecret or tls.enabled: false: the certificate is made elsewhere; remove it" $key) }}
{{- end }}
{{- end }}
{{- if and $v.tls.certManager.issuerRef (not $v.tls.certManager.enabled) }}
{{- fail "tls.certManager.issuerRef has no effect without tls.certManager.enabled: set that to true, or remove it" }}
{{- end }}
{{- range $part, $keys := dict "ingress" (list "className" "annotations" "hosts" "tls") "gateway" (list "annotations" "parentRefs" "hostnames") "networkPolicy" (list "from" "egress") "serviceMonitor" (list "labels") }}
{{- range $key := $keys }}
{{- if and (index $v $part $key) (not (index $v $part).enabled) }}
{{- fail (printf "%s.%s has no effect without %s.enabled: set that to true, or remove it" $part $key $part) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name := list "registry" "state" }}
{{- if and (index $v.persistence $name).existingClaim (not $v.persistence.enabled) }}
{{- fail (printf "persistence.%s.existingClaim has no effect without persistence.enabled: set that to true, or remove it" $name) }}
{{- end }}
{{- end }}
{{- if eq $v.service.type "ClusterIP" }}
{{- range $key := list "nodePort" "externalTrafficPolicy" }}
{{- if index $v.service $key }}
{{- fail (printf "service.%s has no effect with service.type ClusterIP: set the type to NodePort or LoadBalancer, or remove it" $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- if ne $v.service.type "LoadBalancer" }}
{{- range $key := list "loadBalancerIP" "loadBalancerClass" "loadBalancerSourceRanges" }}
{{- if index $v.service $key }}
{{- fail (printf "service.%s has no effect with service.type %s: set the type to LoadBalancer, or remove it" $key $v.service.type) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $key, $_ := include "authproxy.selector" . | fromYaml }}
{{- if hasKey $v.podLabels $key }}
{{- fail (printf "podLabels: %s: the chart sets it, to select the pods; remove it" $key) }}
{{- end }}
{{- end }}
{{- if and $v.tls.certManager.enabled (not $v.tls.certManager.issuerRef.name) }}
{{- fail "tls.certManager.issuerRef.name: which issuer signs? kubectl get issuers,clusterissuers" }}
{{- end }}
{{- if and $v.ingress.enabled (not (include "authproxy.ingressHosts" . | fromJsonArray)) }}
{{- fail "ingress.enabled: set host, or ingress.hosts" }}
{{- end }}
{{- if $v.gateway.enabled }}
{{- if not (include "authproxy.gatewayHosts" . | fromJsonArray) }}
{{- fail "gateway.enabled: set host, or gateway.hostnames" }}
{{- end }}
{{- if not $v.gateway.parentRefs }}
{{- fail "gateway.parentRefs: name the Gateway. kubectl get gateways --all-namespaces" }}
{{- end }}
{{- if and (eq $v.gateway.kind "HTTPRoute") $v.tls.enabled }}
{{- fail "gateway.kind HTTPRoute: the gateway terminates TLS and speaks plain HTTP to the pods; set tls.enabled to false, or take TLSRoute" }}
{{- end }}
{{- if and (eq $v.gateway.kind "TLSRoute") (not $v.tls.enabled) }}
{{- fail "gateway.kind TLSRoute: the gateway passes TLS through, so the pods need it; set tls.enabled to true, or take HTTPRoute" }}
{{- end }}
{{- end }}
{{- if gt (int $v.replicaCount) 1 }}
{{- if not $v.persistence.enabled }}
{{- fail "replicaCount: without persistence each pod would have a registry of its own; set persistence.enabled" }}
{{- end }}
{{- range $name := include "authproxy.claims" . | fromJson | values | sortAlpha }}
{{- $claim := index $v.persistence $name }}
{{- if not (or $claim.existingClaim (has "ReadWriteMany" $claim.accessModes)) }}
{{- fail (printf "replicaCount: several pods need persistence.%s.accessModes: [ReadWriteMany]" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
