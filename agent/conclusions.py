"""What the end of a walk means: DESIGN's table in one pure place.

First match wins among pages that answered: link_removed, blocked, http_5xx, http_4xx,
domain_mismatch, destination_changed, valid.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from wire import expected_domain, urls
from wire.errors import Malformed
from wire.models import ErrorDetail, Hop, Outcome
from wire.urls import UrlError
from wire.vocab import STATUS_OF, Conclusion, JobStatus

ROTATING: Final = (
    "_ga", "_gl", "click_id", "clickid", "dclid", "fbclid", "gad_source", "gbraid", "gclid",
    "gclsrc", "igshid", "irclickid", "mc_cid", "mc_eid", "msclkid", "s_kwcid", "srsltid", "ttclid",
    "twclid", "utm_*", "wbraid", "yclid",
)  # fmt: skip
"""Query parameters that change at every click and so say nothing; ``*`` stands for anything."""

_BLOCKED: Final = frozenset({401, 403, 429, 451})

_CONCLUSIONS: Final[dict[str, tuple[Conclusion, str]]] = {
    "dns_error": (Conclusion.DNS_ERROR, "the host name {host} does not exist"),
    "connection_refused": (Conclusion.CONNECT_ERROR, "nobody answers at {host}"),
    "connection_closed": (
        Conclusion.BAD_RESPONSE,
        "{host} closed the connection without an answer",
    ),
    "malformed_response": (Conclusion.BAD_RESPONSE, "what {host} sent is not HTTP"),
    "headers_too_large": (Conclusion.BAD_RESPONSE, "{host} sent more than 64 KiB of headers"),
    "tls_error": (Conclusion.TLS_ERROR, "the certificate of {host} is not right"),
    "timeout": (Conclusion.TIMEOUT, "{host} did not answer in time"),
    "redirect_loop": (Conclusion.REDIRECT_LOOP, "the redirects go round in circles at {host}"),
    "too_many_redirects": (Conclusion.TOO_MANY_REDIRECTS, "more than {limit} redirects"),
    "invalid_location": (Conclusion.BAD_REDIRECT, "{host} redirects to something that is no link"),
    "url_too_long": (Conclusion.BAD_REDIRECT, "{host} redirects to a link that is too long"),
    "body_too_large": (Conclusion.BODY_TOO_LARGE, "the answer of {host} is too large"),
    "proxy_error": (Conclusion.PROXY_ERROR, "the proxy failed"),
    "scheme_not_allowed": (
        Conclusion.UNSUPPORTED_LINK,
        "it leads to {target}, which is neither http nor https",
    ),
    "port_not_allowed": (
        Conclusion.UNSAFE_TARGET,
        "it leads to a port that no website uses: {target}",
    ),
    "blocked_address": (
        Conclusion.UNSAFE_TARGET,
        "it leads into a private or special network and was not fetched: {target}",
    ),
    "special_use_name": (
        Conclusion.UNSAFE_TARGET,
        "it leads to a name that exists in private networks only: {target}",
    ),
    "cloud_metadata": (
        Conclusion.UNSAFE_TARGET,
        "it leads to a cloud's metadata service and was not fetched: {target}",
    ),
    "credentials_in_url": (
        Conclusion.UNSAFE_TARGET,
        "it leads to a link with a user name or password in it: {target}",
    ),
}

# Of the reasons why an address is refused, those that cases know by name.
_NAMED: Final = frozenset(
    {"port_not_allowed", "special_use_name", "cloud_metadata", "credentials_in_url"}
)
_SYNTAX: Final = frozenset({"control_or_space", "backslash", "not_a_url", "invalid_hostname"})


def word_for(reason: str) -> str:
    """The word for what ``wire.addresses`` refused, as it stands in ``error.code``."""
    if reason in _NAMED or reason in ("scheme_not_allowed", "url_too_long"):
        return reason
    if reason == "single_label_host":
        return "special_use_name"
    if reason in _SYNTAX:
        return "invalid_location"
    return "blocked_address"


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A page answered at *url*."""

    url: str
    status: int
    hops: Sequence[Hop]
    flags: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """No page was reached: *word* says why, *target* names what was refused."""

    word: str
    host: str
    hops: Sequence[Hop]
    target: str = ""
    flags: Sequence[str] = ()


def conclude(
    end: Landed | Failed,
    *,
    expected: str = "",
    previous: str | None = None,
    rotating: Collection[str] = ROTATING,
    limit: int = 20,
) -> Outcome:
    """The outcome of a walk. An *expected* that cannot be read is met by nothing."""
    if isinstance(end, Failed):
        return _failed(end, limit=limit)
    is_changed, is_other_host = _compare(end.url, previous, rotating)
    conclusion = _of_page(end, expected=expected, is_other_host=is_other_host)
    return Outcome(
        status=JobStatus.DONE,
        conclusion=conclusion,
        final_url=end.url,
        http_status=end.status,
        hops=list(end.hops),
        error=_of_status(end.status, conclusion),
        destination_changed=is_changed,
        flags=list(end.flags),
    )


def invalid(error: UrlError) -> Outcome:
    """The outcome of a link that is none, and so was never walked."""
    conclusion = Conclusion(error.code)
    return Outcome(
        status=STATUS_OF[conclusion],
        conclusion=conclusion,
        error=ErrorDetail(code=error.reason, detail=error.detail),
    )


def _failed(end: Failed, *, limit: int) -> Outcome:
    conclusion, sentence = _CONCLUSIONS[end.word]
    detail = sentence.format(host=end.host, target=end.target[:300], limit=limit)
    return Outcome(
        status=STATUS_OF[conclusion],
        conclusion=conclusion,
        hops=list(end.hops),
        error=ErrorDetail(code=end.word, detail=detail),
        flags=list(end.flags),
    )


def _of_page(end: Landed, *, expected: str, is_other_host: bool) -> Conclusion:
    if end.status == 410:
        return Conclusion.LINK_REMOVED
    if end.status in _BLOCKED:
        return Conclusion.BLOCKED
    if end.status >= 500:
        return Conclusion.HTTP_5XX
    if end.status >= 400:
        return Conclusion.HTTP_4XX
    if expected:
        return _as_expected(end.url, expected, is_other_host=is_other_host)
    return _unexpected(is_other_host=is_other_host)


def _as_expected(url: str, expected: str, *, is_other_host: bool) -> Conclusion:
    try:
        expectation = expected_domain.parse(expected)
    except Malformed:
        return Conclusion.DOMAIN_MISMATCH
    if not expectation:
        return _unexpected(is_other_host=is_other_host)
    return Conclusion.VALID if expectation.is_met_by(url) else Conclusion.DOMAIN_MISMATCH


def _unexpected(*, is_other_host: bool) -> Conclusion:
    return Conclusion.DESTINATION_CHANGED if is_other_host else Conclusion.VALID


def _of_status(status: int, conclusion: Conclusion) -> ErrorDetail | None:
    """Why a page that answered is not what was hoped for, in a sentence."""
    if conclusion is Conclusion.VALID:
        return None
    sentences = {
        Conclusion.LINK_REMOVED: "the page says it was removed for good (410)",
        Conclusion.BLOCKED: f"the server refuses us ({status})",
        Conclusion.HTTP_5XX: f"the server has a problem ({status})",
        Conclusion.HTTP_4XX: f"the page is not there ({status})",
        Conclusion.DOMAIN_MISMATCH: "the landing page is on another domain than expected",
        Conclusion.DESTINATION_CHANGED: "the landing page is on another host than last time",
    }
    sentence = sentences.get(conclusion)
    return ErrorDetail(code=conclusion, detail=sentence) if sentence else None


def _compare(url: str, previous: str | None, rotating: Collection[str]) -> tuple[bool, bool]:
    """Whether *url* differs from *previous* in anything that counts, and in its host."""
    if not previous:
        return False, False
    try:
        then, now = urls.parse(previous), urls.parse(url)
    except UrlError:
        return False, False
    is_other_host = then.host.removesuffix(".") != now.host.removesuffix(".")
    return is_other_host or _essence(then.href, rotating) != _essence(now.href, rotating), (
        is_other_host
    )


def _essence(href: str, rotating: Collection[str]) -> tuple[object, ...]:
    parts = urlsplit(href)
    query = [
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if not any(fnmatchcase(name.lower(), pattern) for pattern in rotating)
    ]
    return (parts.path or "/", sorted(query))
