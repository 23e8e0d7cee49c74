"""Causes and remedies if an exchange can't be reached or used: see docs/troubleshooting.md.

Connectors add an explanation to each fault; readers of the status find it by its text.
"""

from typing import NamedTuple


class FaultExplanation(NamedTuple):
    """The cause of a fault, and its remedy."""

    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.cause}: {self.remedy}"


RESTRICTED = FaultExplanation(
    "this country or network isn't served",
    "run the connector from where the exchange serves you, or use its site for your country",
)
FIREWALL = FaultExplanation(
    "a firewall in front of the exchange refuses this address",
    "wait some minutes; if that doesn't end it, use another address or ask the exchange",
)
BANNED = FaultExplanation(
    "this address is banned, because it asked on after a 429",
    "nothing is sent until the ban is over; stop what else uses this address",
)
LIMITED = FaultExplanation(
    "too many requests came from this address",
    "nothing is sent for as long as the exchange says; see what else uses this address",
)
DOWN = FaultExplanation(
    "the exchange is overloaded or in maintenance",
    "it is tried again by itself; look at the exchange's status page",
)
PAGE = FaultExplanation(
    "a web page answered, not the exchange's API",
    "look for a login page of the network, a proxy in between, or a wrong URL",
)
WRONG_URL = FaultExplanation(
    "the exchange's API isn't at this address",
    "check the exchange's URL in the settings; redirects aren't followed",
)
NO_NAME = FaultExplanation(
    "the host's name can't be resolved",
    "check this machine's DNS and network, and the exchange's URL in the settings",
)
NO_TRUST = FaultExplanation(
    "the TLS connection isn't trusted",
    "check this machine's clock; where a proxy opens TLS, name its authority in SSL_CERT_FILE",
)
PROXY = FaultExplanation(
    "the proxy refuses, or can't be reached",
    "check HTTPS_PROXY, its user and password, and NO_PROXY",
)
UNREACHABLE = FaultExplanation(
    "no server answers there",
    "check this machine's network and firewall, and the exchange's URL in the settings",
)
TIME = FaultExplanation(
    "the request came too late, or its time is of the future",
    "let this machine's clock follow NTP, and see how slow the network is",
)

EXPLANATIONS = (
    RESTRICTED,
    FIREWALL,
    BANNED,
    LIMITED,
    DOWN,
    PAGE,
    WRONG_URL,
    NO_NAME,
    NO_TRUST,
    PROXY,
    UNREACHABLE,
    TIME,
)


def find_explanation(text: str) -> FaultExplanation | None:
    """The explanation contained in *text*; None if there is none."""
    return next((meaning for meaning in EXPLANATIONS if str(meaning) in text), None)
