"""What Prometheus reads.

The web process serves /metrics: requests, business events and its own database pool. The worker serves what
became of its tasks. Facts about Redis, of which there is one for all pods, are served by beat, of which there
is one too; else sums would multiply them.
"""

from prometheus_client import disable_created_metrics

# No `…_created` series beside each counter: nobody asks for them, and they double the number of series.
disable_created_metrics()  # type: ignore[no-untyped-call]
