"""Where a request comes from, as far as a client cannot choose it."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from config.records import dataclass

AGENT_MAX_LENGTH = 200


@dataclass(frozen=True)
class ClientInfo:
    """`ip` is the address of the connection; `agent` is what the client says of itself."""

    ip: str
    agent: str = ""

    @property
    def network(self) -> str:
        """The source that counts as one: an IPv4 address, or the /64 of an IPv6 subscriber."""
        try:
            address = ipaddress.ip_address(self.ip)
        except ValueError:
            return self.ip
        if isinstance(address, ipaddress.IPv6Address):
            mapped = address.ipv4_mapped
            return str(mapped or ipaddress.ip_network((address, 64), strict=False))
        return str(address)

    @property
    def device(self) -> str:
        """Browser and system as the agent names them, for people: e.g. `Firefox on Windows`."""
        browser = next((name for mark, name in BROWSERS if mark in self.agent), "")
        system = next((name for mark, name in SYSTEMS if mark in self.agent), "")
        program = browser or self.agent.partition("/")[0].partition(" ")[0][:40]
        return " on ".join(part for part in (program, system) if part)


# The names in agents' texts, the more specific first: all of them name Safari or Chrome too.
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)

SYSTEM = ClientInfo("")  # our own people


def client_info_of(environ: Mapping[str, Any]) -> ClientInfo:
    """The source of a WSGI request: API Gateway's word, or the socket's; never a header's."""
    gateway = environ.get("apig_wsgi.request_context")
    ip = gateway["identity"]["sourceIp"] if gateway else environ.get("REMOTE_ADDR", "")
    agent = "".join(c for c in environ.get("HTTP_USER_AGENT", "") if c.isprintable())
    return ClientInfo(str(ip), agent[:AGENT_MAX_LENGTH])
