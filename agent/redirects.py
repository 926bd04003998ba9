"""Decide what one answer means for the chain. No network, no clock, no state.

Add a case to ``tests/agent/test_redirects.py`` for every oddness met in the wild.
"""

import re
from dataclasses import dataclass
from typing import Final

from agent.head import Head
from wire import urls
from wire.urls import Link, UrlError
from wire.vocab import HopKind

FOLLOWED: Final = frozenset({301, 302, 303, 307, 308})
_FORBIDDEN = re.compile(rb"[\x00\r\n]")


@dataclass(frozen=True, slots=True)
class Follow:
    """Go on at *link*, which has its fragment."""

    link: Link
    kind: HopKind = HopKind.HTTP


@dataclass(frozen=True, slots=True)
class Land:
    """This is the landing page. *flag* is a word about it, or empty."""

    flag: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """The chain ends here without a page: the *word* for why, and the *target* it named."""

    word: str
    target: str = ""


Step = Follow | Land | Stop


def next_step(link: Link, head: Head) -> Step:
    """What a browser would do with the answer *head* at *link*, redirects by header only."""
    if head.status not in FOLLOWED:
        return Land()
    values = [value.strip(b" \t") for value in head.locations]
    if not any(values):
        # The fetch standard would read "" as the same URL; browsers and curl stay where they are.
        return Land(flag="redirect_without_location")
    if any(map(_FORBIDDEN.search, values)):
        return Stop("malformed_response")
    if len(values) > 1 and len(set(values)) > 1:
        # Which one counts differs from client to client, so a checker that picks one may be wrong.
        return Stop("invalid_location", _text(b" | ".join(values[:3])))
    return _resolved(link, _text(values[0]))


def _resolved(base: Link, reference: str) -> Step:
    try:
        link = urls.join(base, reference)
    except UrlError:
        return Stop("invalid_location", reference)
    if not link.is_web:
        return Stop("scheme_not_allowed", link.href)
    return Follow(_with_fragment(link, base))


def _with_fragment(link: Link, base: Link) -> Link:
    """A target without a fragment inherits the one of the page that sent us (RFC 9110 10.2.2)."""
    if "#" in link.href:
        return link
    _, mark, fragment = base.href.partition("#")
    return urls.parse(link.href + mark + fragment) if fragment else link


def _text(value: bytes) -> str:
    """Header bytes as browsers read them: UTF-8, and bytes that are none percent-encoded."""
    text = value.decode("utf-8", "surrogateescape")
    if text.isascii():
        return text
    return "".join(
        f"%{ord(character) - 0xDC00:02X}" if "\udc80" <= character <= "\udcff" else character
        for character in text
    )
