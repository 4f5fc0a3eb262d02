"""Who asks, as far as addresses tell."""

from ipaddress import IPv6Address, IPv6Network, ip_address

from django.conf import settings
from django.http import HttpRequest

ONE_CUSTOMERS = 64  # bits: who has one IPv6 address has as many as they like with these in common


def client_of(request: HttpRequest) -> str:
    """The address of the client, as the routers in front of us saw it: IPv4, or the first half of IPv6.

    Each router adds whom it saw to the end of X-Forwarded-For, so the entry that counts is the one that the outermost
    of our ROUTER_HOPS has added; whatever stands before it came with the request. A request that passed fewer of them
    is of whoever opened the connection. Empty if that is nobody with an address.
    """
    connected = str(request.META.get("REMOTE_ADDR", ""))
    entries = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",")
    hops = settings.ROUTER_HOPS
    seen = entries[-hops] if 0 < hops <= len(entries) else connected
    return _network(seen) or _network(connected)


def _network(text: str) -> str:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(IPv6Network((int(address), ONE_CUSTOMERS), strict=False))
    return str(address)
