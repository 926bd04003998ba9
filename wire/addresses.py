"""Where we may connect: one policy for webhooks (the relay's) and links (the agent's).

``judge`` reads a URL and, if given, what its name resolves to. ``judge_address`` is asked once more
with the address that a socket is about to connect to: only that verdict counts, because a name
may resolve to something else a moment later.
The tables are our own: ``ipaddress.is_global`` is wrong for many ranges on Python 3.11. Sources:
the IANA special-purpose registries for IPv4 and IPv6, RFC 6761, RFC 8375, RFC 9476, the bad ports
of https://fetch.spec.whatwg.org/#port-blocking, and the metadata services of the cloud vendors.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from wire import urls
from wire.urls import Link, UrlError

Profile = Literal["webhook", "agent"]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to go there; if not, *reason* is the word for why."""

    ok: bool
    reason: str = ""


ACCEPT: Final = Verdict(ok=True)


def _refuse(reason: str) -> Verdict:
    return Verdict(ok=False, reason=reason)


MAX_LENGTH: Final = 2048
"""What a URL may have unless the caller says otherwise; a row's link may be longer."""

# The first network that holds an address names the reason.
_REFUSED_4: Final = tuple(
    (ipaddress.IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "this_network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "cgnat"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link_local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "ietf_protocol"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "as112"),
        ("192.52.193.0/24", "amt"),
        ("192.88.99.0/24", "6to4_relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "as112"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("168.63.129.16/32", "cloud_metadata"),  # Azure's WireServer: public by registry
    )
)

_REFUSED_6: Final = tuple(
    (ipaddress.IPv6Network(network), reason)
    for network, reason in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::/96", "ipv6_embeds_ipv4"),  # IPv4-compatible
        ("::ffff:0:0/96", "ipv6_embeds_ipv4"),  # IPv4-mapped
        ("::ffff:0:0:0/96", "ipv6_embeds_ipv4"),  # IPv4-translated, RFC 2765
        ("64:ff9b::/96", "ipv6_embeds_ipv4"),  # NAT64, RFC 6052
        ("64:ff9b:1::/48", "ipv6_embeds_ipv4"),  # local NAT64, RFC 8215
        ("2002::/16", "ipv6_embeds_ipv4"),  # 6to4
        ("2001::/32", "ipv6_embeds_ipv4"),  # Teredo
        ("100::/64", "discard_only"),
        ("2001:db8::/32", "documentation"),
        ("3fff::/20", "documentation"),
        ("2001:4:112::/48", "as112"),
        ("2620:4f:8000::/48", "as112"),
        ("2001::/23", "ietf_protocol"),
        ("5f00::/16", "srv6"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link_local"),
        ("fec0::/10", "site_local"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_UNICAST_6: Final = ipaddress.IPv6Network("2000::/3")
# ISATAP (RFC 5214) puts an IPv4 address behind one of these, in any prefix.
_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})

_SPECIAL_USE: Final = frozenset(
    """
    alt arpa corp example home internal intranet invalid lan local localdomain localhost mail
    onion private svc test
    """.split()  # noqa: SIM905 - a table, to be read as one
)

_METADATA_NAMES: Final = frozenset(
    """
    instance-data instance-data.ec2.internal metadata metadata.amazonaws.com
    metadata.azure.internal metadata.goog metadata.google.internal metadata.hetzner.cloud
    metadata.oraclecloud.com metadata.packet.net metadata.platformequinix.com
    metadata.tencentyun.com rancher-metadata
    """.split()  # noqa: SIM905
)

_BAD_PORTS: Final = frozenset(
    int(port)
    for port in """
    0 1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111
    113 115 117 119 123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540
    548 554 556 563 587 601 636 989 990 993 995 1719 1720 1723 2049 3659 4045 4190 5060 5061
    6000 6566 6665 6666 6667 6668 6669 6679 6697 10080
    """.split()  # noqa: SIM905
)


def judge(
    url: str | Link,
    *,
    profile: Profile,
    answers: Iterable[str | Address] = (),
    allow: Sequence[Network] = (),
    max_length: int = MAX_LENGTH,
) -> Verdict:
    """Whether *profile* may fetch *url*, whose host resolves to *answers*.

    A *url* parsed before is not parsed again where its spelling cannot matter.
    Without *answers* no look-up was made: the syntax and literal addresses are judged. A look-up
    that failed is the caller's ``dns_error``. *allow* are networks of this machine's own settings;
    they also lift the refusal of the exact name ``localhost``, of whose addresses only those
    inside *allow* are to be tried.
    """
    written = url if isinstance(url, str) else url.href
    try:
        if not isinstance(url, str) and url.is_plain and len(written) <= max_length:
            link = url
        else:
            link = urls.check(written, max_length=max_length)
    except UrlError as error:
        return _refuse(error.reason)
    if profile == "webhook" and link.scheme != "https":
        return _refuse("scheme_not_allowed")
    verdict = (
        _judge_literal(link, written, profile, allow)
        if link.is_address
        else _judge_name(link, written, allow)
    )
    if not verdict.ok:
        return verdict
    if not _is_port_allowed(link.port, profile):
        return _refuse("port_not_allowed")
    if link.is_address:
        return ACCEPT
    return _judge_answers(link, list(answers), profile, allow)


def judge_address(ip: str | Address, *, profile: Profile, allow: Sequence[Network] = ()) -> Verdict:
    """Whether a socket of *profile* may connect to *ip*. Raises ValueError if it is none."""
    address = ipaddress.ip_address(ip.partition("%")[0]) if isinstance(ip, str) else ip
    if any(address.version == network.version and address in network for network in allow):
        return ACCEPT
    reason = (
        _reason_4(address) if isinstance(address, ipaddress.IPv4Address) else _reason_6(address)
    )
    return _refuse(reason) if reason else ACCEPT


def _reason_4(address: ipaddress.IPv4Address) -> str:
    return next((reason for network, reason in _REFUSED_4 if address in network), "")


def _reason_6(address: ipaddress.IPv6Address) -> str:
    for network, reason in _REFUSED_6:
        if address in network:
            return reason
    if address not in _GLOBAL_UNICAST_6:
        return "not_global_unicast"
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
        return "ipv6_embeds_ipv4"
    return ""


def _judge_literal(link: Link, url: str, profile: Profile, allow: Sequence[Network]) -> Verdict:
    verdict = judge_address(link.host, profile=profile, allow=allow)
    if not verdict.ok or profile == "agent":
        return verdict
    # 134744072 and 8.8.2056 are 8.8.8.8 to a browser and something else to other parsers. IPv6 has
    # many spellings by design.
    if ":" not in link.host and urls.host_as_written(url) != link.host:
        return _refuse("ip_literal_not_canonical")
    return verdict


def _judge_name(link: Link, url: str, allow: Sequence[Network]) -> Verdict:
    name = link.host.removesuffix(".")
    if name in _METADATA_NAMES:
        return _refuse("cloud_metadata")
    if link.host == "localhost" and allow:
        return ACCEPT
    if name.rpartition(".")[2] in _SPECIAL_USE:
        return _refuse("special_use_name")
    if "." not in name:
        return _refuse("single_label_host")
    if "%" in urls.host_as_written(url):
        return _refuse("invalid_hostname")
    return ACCEPT


def _is_port_allowed(port: int, profile: Profile) -> bool:
    return port == 443 if profile == "webhook" else port not in _BAD_PORTS


def _judge_answers(
    link: Link, answers: list[str | Address], profile: Profile, allow: Sequence[Network]
) -> Verdict:
    verdicts = [judge_address(answer, profile=profile, allow=allow) for answer in answers]
    refused = next((verdict for verdict in verdicts if not verdict.ok), None)
    if refused is None:
        return ACCEPT
    if link.host == "localhost" and any(verdict.ok for verdict in verdicts):
        return ACCEPT
    return _refuse(f"resolves_to_{refused.reason}")
