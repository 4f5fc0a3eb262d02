// Modules that are only read: their manifests and resource definitions.
module crm/cluster/tools/manifests

go 1.27.0

require github.com/traefik/traefik/v3 v3.7.13
