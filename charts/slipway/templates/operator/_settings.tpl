{{/*
Settings of the operator, as a YAML map of strings: the names of its environment variables without
the prefix SLIPWAY_OPERATOR_, and their values.
*/}}
{{- define "slipway.operator.settings" -}}
{{- $namespaces := include "slipway.namespaces" . }}
# The operator itself. It takes an empty list as all namespaces.
NAMESPACES: {{ ternary "[]" $namespaces (has "*" (fromJsonArray $namespaces)) | quote }}
LOG_LEVEL: {{ .Values.operator.logLevel | quote }}

# Pods of the models: images, logs, what they record
INFERENCE_IMAGE: {{ include "slipway.image" (list . "inference") | quote }}
INFERENCE_CUDA_IMAGE: {{ include "slipway.image.cuda" (list . "inference") | quote }}
BATCH_IMAGE: {{ include "slipway.image" (list . "batch") | quote }}
BATCH_CUDA_IMAGE: {{ include "slipway.image.cuda" (list . "batch") | quote }}
IMAGE_PULL_POLICY: {{ .Values.images.pullPolicy | quote }}
IMAGE_PULL_SECRETS: {{ include "slipway.pullSecrets.names" . | quote }}
SANDBOX: {{ .Values.sandbox.mode | quote }}
MODEL_LOG_LEVEL: {{ .Values.operator.modelLogLevel | quote }}
PAYLOAD_LOGGING: {{ .Values.predictionLog.payloads | quote }}
POD_TEMPLATE_ALLOWED_FIELDS: {{ .Values.operator.podTemplate.allowedFields | toJson | quote }}
RETENTION_DAYS: {{ .Values.predictionLog.retentionDays | quote }}
PLATFORM_LABELS: {{ include "slipway.platform.labels" . | fromYaml | toJson | quote }}

# PostgreSQL
DATABASE_SECRET: {{ include "slipway.postgresql.secret" . | quote }}
DATABASE_SECRET_KEY: {{ include "slipway.postgresql.key" . | quote }}
DATABASE_VOLUME_SIZE: {{ include "slipway.postgresql.volumeSize" . | quote }}
DATABASE_PORT: {{ include "slipway.postgresql.port" . | quote }}

# Redis
REDIS_SECRET: {{ include "slipway.redis.secret" . | quote }}
REDIS_SECRET_KEY: {{ include "slipway.redis.key" . | quote }}
REDIS_PASSWORD_KEY: {{ include "slipway.redis.passwordKey" . | quote }}
REDIS_USERNAME_KEY: {{ include "slipway.redis.usernameKey" . | quote }}
REDIS_ADDRESS: {{ include "slipway.redis.address" . | quote }}
REDIS_PORT: {{ include "slipway.redis.port" . | quote }}
REDIS_DATABASE: {{ include "slipway.redis.database" . | quote }}
REDIS_TLS: {{ include "slipway.redis.tls" . | quote }}

# Webhooks of batch jobs
WEBHOOK_SECRET: {{ .Values.webhooks.existingSecret | quote }}
WEBHOOK_SECRET_KEY: {{ .Values.webhooks.key | quote }}
WEBHOOK_ALLOWED_HOSTS: {{ .Values.webhooks.allowedHosts | toJson | quote }}

# Routes
ROUTING: {{ .Values.routing.provider | quote }}
INGRESS_CLASS: {{ .Values.routing.ingressClassName | quote }}
DEFAULT_HOST: {{ .Values.routing.host | quote }}
HOST_GRANTS: {{ merge (dict) .Values.routing.hosts (dict .Release.Namespace (list "*")) | toJson | quote }}
DEFAULT_TLS_SECRET: {{ .Values.routing.tlsSecretName | quote }}
CORS_ORIGINS: {{ .Values.routing.corsOrigins | toJson | quote }}
EXTERNAL_URL: {{ .Values.routing.externalUrl | quote }}
GATEWAY_NAME: {{ .Values.routing.gateway.name | default "public" | quote }}
GATEWAY_NAMESPACE: {{ .Values.routing.gateway.namespace | default .Release.Namespace | quote }}

# Monitoring and network policies
SERVICE_MONITORS: {{ .Values.monitoring.serviceMonitors | quote }}
MONITOR_LABELS: {{ .Values.monitoring.labels | toJson | quote }}
DATABASE_PEERS: {{ include "slipway.postgresql.peers" . | fromYamlArray | toJson | quote }}
REDIS_PEERS: {{ include "slipway.redis.peers" . | fromYamlArray | toJson | quote }}
DNS_PEERS: {{ .Values.networkPolicies.dns | toJson | quote }}
CALLER_PEERS: {{ .Values.networkPolicies.callers | toJson | quote }}
EGRESS_GRANTS: {{ .Values.networkPolicies.egress | toJson | quote }}
NETWORK_POLICIES: {{ .Values.networkPolicies.enabled | quote }}
{{- end -}}
