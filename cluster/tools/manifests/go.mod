// Modules that are only read: their manifests and resource definitions.
module crm/cluster/tools/manifests

go 1.27.0

require (
	github.com/cert-manager/cert-manager v1.21.2
	github.com/traefik/traefik/v3 v3.7.13
	istio.io/api v1.31.4
	sigs.k8s.io/gateway-api v1.7.0
)
