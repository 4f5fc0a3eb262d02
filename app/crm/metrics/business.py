"""Business events, counted once they are committed."""

from prometheus_client import Counter

USER_REGISTRATIONS = Counter("user_registrations", "Users that registered.")
SIGN_INS = Counter("sign_ins", "Users that signed in by name and password.")
DEALS_CREATED = Counter("deals_created", "Deals that were created.")
DEAL_CONVERSIONS = Counter("deal_conversions", "Deals that were won.", ["pipeline"])
