"""A real single-node Kubernetes with the delivery platform on it, on a bare Linux machine."""
