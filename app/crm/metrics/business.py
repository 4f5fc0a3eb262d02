"""Business events, counted once they are committed."""

from prometheus_client import Counter, disable_created_metrics

# No `…_created` series beside each counter: nobody asks for them, and they double the number of series.
disable_created_metrics()  # type: ignore[no-untyped-call]

USER_REGISTRATIONS = Counter("user_registrations", "Users that registered.")
DEAL_CONVERSIONS = Counter("deal_conversions", "Deals that were won.", ["pipeline"])
