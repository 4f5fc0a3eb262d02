"""Which e-mail addresses a mail server can be told."""

from rest_framework.serializers import ValidationError

LONGEST = 254  # of an address on its way, RFC 5321


def validate_deliverable(address: str) -> None:
    """Refuse what EmailField lets through and could not be sent to, or only to somebody else.

    `address` is an e-mail address. Raises ValidationError.
    """
    local, _, domain = address.rpartition("@")
    try:
        sent = domain.encode("idna").decode()
        # Zero-width and full-width characters, ß: the mail would go to another domain than the one that was written.
        says_where = domain.isascii() or sent.encode().decode("idna") == domain.lower()
    except UnicodeError:
        says_where = False
    if not (says_where and local.isascii() and local.isprintable() and len(f"{local}@{sent}") <= LONGEST):
        raise ValidationError("No e-mail can be sent to this address.", code="undeliverable")
