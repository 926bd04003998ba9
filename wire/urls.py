"""What is a link: the WHATWG URL parser's answer, and a stricter one for links that strangers send.

``parse`` and ``join`` understand what a browser understands (https://url.spec.whatwg.org); the
resolver needs that for redirects. ``check`` refuses besides everything on which two parsers may
differ: what the checker approves must be what the fetcher fetches.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import ada_url

from wire.errors import WireError

MAX_LENGTH: Final = 8192

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_\-]{0,61}[a-z0-9_])?", re.ASCII)
_ASCII_BLANK_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_MAX_HOST: Final = 253
_MAX_PORT: Final = 65535
_AFTER_SCHEME: Final = len("https://")  # and a host has at least one letter, so http:// is before

# Links that the parser would return letter for letter, and ``check`` approves of: nearly all. Said
# more narrowly than the standard: what does not match is not wrong, only read by the real parser.
_LETTERS = r"A-Za-z0-9\-._~!$&()*+,;=:@%/"
_PLAIN: Final = re.compile(
    rf"(https?)://([a-z0-9_.\-]+)(?::([1-9][0-9]{{0,4}}))?"
    rf"(/[{_LETTERS}]*)(?:\?[{_LETTERS}?]*)?(?:\#[{_LETTERS}?]*)?",
    re.ASCII,
)
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PLAIN_ADDRESS: Final = re.compile(rf"(?:{_BYTE}\.){{3}}{_BYTE}", re.ASCII)

_SENTENCES: Final = {
    "url_too_long": "the link is too long",
    "control_or_space": "there is a space or an invisible character in the link",
    "backslash": "there is a backslash in the link",
    "not_a_url": "this is not a complete link; it has to start with https:// and name a host",
    "scheme_not_allowed": "only http and https links can be checked",
    "credentials_in_url": "there is a user name or password before the host name",
    "invalid_hostname": "the host name cannot exist",
}


class UrlError(WireError):
    """Not a link. *code* is the conclusion it leads to, *reason* the word for what is wrong."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.code = "unsupported_link" if reason == "scheme_not_allowed" else "invalid_url"
        self.detail = _SENTENCES[reason]
        super().__init__(self.detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A parsed URL. *href* is ASCII and normalised; *host* is ASCII, IPv6 without brackets.

    *port* is the one that is connected to; 0 for schemes other than http and https. A link that
    *is_plain* was written letter for letter as its *href*, and ``check`` approves of it.
    """

    href: str
    scheme: str
    host: str
    port: int
    is_address: bool
    is_plain: bool = field(default=False, compare=False)

    @property
    def is_web(self) -> bool:
        """Whether this is http or https."""
        return self.scheme in _DEFAULT_PORTS


def parse(text: str) -> Link:
    """*text* as a browser reads it. Raises UrlError."""
    if (plain := _plain(text)) is not None:
        return plain
    try:
        return _link(ada_url.URL(text))
    except (ValueError, UnicodeEncodeError) as error:
        raise UrlError("not_a_url") from error


def join(base: Link, reference: str) -> Link:
    """*reference* as a browser reads it on the page *base*. Raises UrlError."""
    if base.is_plain and reference.startswith("/") and not reference.startswith("//"):
        plain = _plain(base.href[: base.href.index("/", _AFTER_SCHEME)] + reference)
    else:
        plain = _plain(reference)
    if plain is not None:
        return plain
    try:
        # Read again: of what it joined, the parser does not say whether the host is an address.
        return parse(ada_url.URL(reference, base=base.href).href)
    except (ValueError, UnicodeEncodeError) as error:
        raise UrlError("not_a_url") from error


def _plain(text: str) -> Link | None:
    """*text* read without the parser, where that cannot make a difference."""
    match = _PLAIN.fullmatch(text)
    if match is None:
        return None
    scheme, host, port, path = match.groups()
    if "/." in path or "%2" in path:  # maybe a step up or down, which is resolved
        return None
    is_address = _is_plain_address(host)
    if is_address is None:
        return None
    number = _DEFAULT_PORTS[scheme]
    if port is not None:
        if int(port) == number or int(port) > _MAX_PORT:
            return None
        number = int(port)
    return Link(
        href=text, scheme=scheme, host=host, port=number, is_address=is_address, is_plain=True
    )


@lru_cache(maxsize=4096)  # hosts repeat
def _is_plain_address(host: str) -> bool | None:
    """Whether *host* is an IPv4 address as the parser would write it; None if it may be anything.

    A last label that starts like a number makes the parser read all of it as one.
    """
    if _PLAIN_ADDRESS.fullmatch(host):
        return True
    last = host.rpartition(".")[2]
    is_name = last[:1].isalpha() and "xn--" not in host and _is_hostname(host)
    return False if is_name else None


def _link(url: ada_url.URL) -> Link:
    scheme = url.protocol[:-1]
    port = int(url.port) if url.port else _DEFAULT_PORTS.get(scheme, 0)
    host = url.hostname
    return Link(
        href=url.href,
        scheme=scheme,
        host=host.strip("[]"),
        port=port,
        is_address=url.host_type != ada_url.HostType.DEFAULT,
    )


def check(text: str, *, max_length: int = MAX_LENGTH) -> Link:
    """*text* if it is an http or https link that no two parsers read differently.

    Addresses and ports are not judged here; that is ``wire.addresses``. Raises UrlError.
    """
    if len(text) > max_length:
        raise UrlError("url_too_long")
    if (plain := _plain(text)) is not None:
        return plain
    if _has_blank_or_control(text):
        raise UrlError("control_or_space")
    scheme = _SCHEME.match(text)
    if scheme and scheme[1].lower() not in _DEFAULT_PORTS:
        raise UrlError("scheme_not_allowed")
    if "\\" in text:
        raise UrlError("backslash")
    if not scheme:
        raise UrlError("not_a_url")
    authority = _authority(text[scheme.end() :])
    if not authority:
        raise UrlError("not_a_url")
    if "@" in authority:
        raise UrlError("credentials_in_url")
    link = parse(text)
    if not link.host:
        raise UrlError("not_a_url")
    if not link.is_address and not _is_hostname(link.host):
        raise UrlError("invalid_hostname")
    return link


check_link = check
"""The rule for a ``tracking_url``, the same at intake and in the relay."""


def host_as_written(text: str) -> str:
    """The host of a link that ``check`` approved, as its author spelled it."""
    _, _, rest = text.partition(":")
    authority = _authority(rest)
    if authority.startswith("["):
        return authority[1 : authority.index("]")]
    return authority.partition(":")[0]


def _authority(rest: str) -> str:
    """What stands between exactly two slashes and the next ``/``, ``?`` or ``#``; may be empty."""
    if not rest.startswith("//"):
        return ""
    return re.split(r"[/?#]", rest[2:], maxsplit=1)[0]


def _has_blank_or_control(text: str) -> bool:
    if text.isascii():  # nearly every link, and a batch has a thousand of them
        return _ASCII_BLANK_OR_CONTROL.search(text) is not None
    return any(_is_blank_or_control(character) for character in text)


def _is_blank_or_control(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cs", "Zs", "Zl", "Zp")


def _is_hostname(host: str) -> bool:
    """Whether *host* (ASCII) can be looked up; one trailing dot is the root's."""
    name = host.removesuffix(".")
    return 0 < len(name) <= _MAX_HOST and all(
        _LABEL.fullmatch(label) is not None for label in name.split(".")
    )
