"""What Prometheus reads.

The web process serves /metrics: requests, business events and its own database pool. Facts about Redis, of
which there is one for all pods, are served by beat, of which there is one too; else sums would multiply them.
"""
