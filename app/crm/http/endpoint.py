"""Which endpoint a request is for."""

from django.http import HttpRequest

UNMATCHED = "unmatched"


def endpoint_of(request: HttpRequest) -> str:
    """The name of the request's URL pattern, e.g. `deals-list`: never the path, of which there is no end."""
    match = request.resolver_match
    return match.view_name if match and match.view_name else UNMATCHED


def is_probe(request: HttpRequest) -> bool:
    """Whether the cluster itself asks: for health or for metrics."""
    return request.path.startswith("/health/") or request.path == "/metrics"
