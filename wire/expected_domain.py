"""Whether a landing page is where it was expected: hosts, subdomains, path prefixes."""

import re
from dataclasses import dataclass
from functools import lru_cache

from wire import urls
from wire.errors import Malformed
from wire.urls import UrlError

_SEPARATORS = re.compile(r"[\s,;]+")
_MAX_PLACES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One expected host (ASCII, lower case) with a path prefix; *exact*: no subdomains."""

    host: str
    port: int | None = None
    path: str = ""
    exact: bool = False

    def holds(self, host: str, port: int, path: str) -> bool:
        """Whether a page at *host*, *port* and *path* lies here."""
        if self.port is not None and port != self.port:
            return False
        if host != self.host and (self.exact or not host.endswith("." + self.host)):
            return False
        return not self.path or path == self.path or path.startswith(self.path.rstrip("/") + "/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Where a link should land; no *places* means that anywhere will do."""

    places: tuple[Place, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.places)

    def is_met_by(self, url: str) -> bool:
        """Whether the landing page *url* is at one of the places. Raises UrlError for no URL."""
        if not self.places:
            return True
        link = urls.parse(url)
        host = link.host.removesuffix(".")
        path = _path(link.href)
        return any(place.holds(host, link.port, path) for place in self.places)


@lru_cache(maxsize=512)  # a sheet has few domains and many rows
def parse(text: str) -> Expectation:
    """*text* as people type it: ``shop.example, =www.other.example/spring``. Raises Malformed.

    A pasted ``https://`` and a leading ``*.`` are understood.
    """
    words = [word for word in _SEPARATORS.split(text) if word]
    if len(words) > _MAX_PLACES:
        raise Malformed("expected_domain", f"more than {_MAX_PLACES} domains")
    return Expectation(places=tuple(_place(word) for word in words))


def _place(word: str) -> Place:
    exact = word.startswith("=")
    bare = word[1:] if exact else word
    bare = re.sub(r"^https?://", "", bare, flags=re.IGNORECASE).removeprefix("*.")
    if "://" in bare:
        raise Malformed("expected_domain", f"{word[:80]!r} names no host of a website")
    try:
        # http, so that only a port that is written counts as one.
        link = urls.check(f"http://{bare}")
    except UrlError as error:
        raise Malformed("expected_domain", f"{word[:80]!r} names no host") from error
    has_port = bool(re.search(r":\d+$", re.split(r"[/?#]", bare, maxsplit=1)[0]))
    path = _path(link.href)
    return Place(
        host=link.host.removesuffix("."),
        port=link.port if has_port else None,
        path="" if path == "/" else path,
        exact=exact,
    )


def _path(href: str) -> str:
    """The path of a normalised URL, without query and fragment."""
    after_host = href.split("://", 1)[1]
    slash = after_host.find("/")
    return re.split(r"[?#]", after_host[slash:], maxsplit=1)[0] if slash >= 0 else "/"
