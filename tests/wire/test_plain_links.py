"""Links that are read without the real parser: it must not make a difference, to anybody."""

import ada_url
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wire import urls

LETTERS = "abzAZ019-._~!$&'()*+,;=:@%/?#|^`{}[]<>\"\\ \t\n\x00\x7fäß‥。İ"
NAMES = [
    "a.example", "a-b.example", "a--b.example", "_a.example", "a_b.example", "A.example",
    "xn--bcher-kva.example", "xn--.example", "example", "localhost", "1a.example", "a.b1", "a.1b",
    "a.1", "a.0x1", "a.example.", ".example", "a..example", "-a.example", "a-.example", "a.-b",
    "1.2.3.4", "1.2.3", "1.2.3.4.", "01.2.3.4", "1.2.3.256", "0x7f.0.0.1", "2130706433", "[::1]",
    "a%2eexample", "x" * 63 + ".example", "x" * 64 + ".example", ".".join(["x" * 60] * 5),
]  # fmt: skip
PORTS = ["", ":", ":80", ":443", ":8080", ":0", ":080", ":65535", ":65536", ":99999", ":1a"]
STEPS = ["/", "/a", "/.", "/..", "/.a", "/a.", "/a..b", "/%2e", "/%2E%2e", "/.%2e", "/%2", "/a%2fb"]
links = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["http", "https", "HTTP", "ftp", ""]),
        st.sampled_from(["://", ":", ":/", ":///"]),
        st.sampled_from(["", "user@", "a:b@"]) | st.just(""),
        st.sampled_from(NAMES) | st.just("a.example"),
        st.sampled_from(PORTS) | st.just(""),
        st.lists(st.sampled_from(STEPS), max_size=4).map("".join),
        st.text(LETTERS, max_size=12),
    ),
)


def real(text: str) -> urls.Link:
    """*text* as the parser reads it. Raises ValueError."""
    url = ada_url.URL(text)
    scheme = url.protocol[:-1]
    return urls.Link(
        href=url.href,
        scheme=scheme,
        host=url.hostname.strip("[]"),
        port=int(url.port or {"http": 80, "https": 443}[scheme]),
        is_address=url.host_type != ada_url.HostType.DEFAULT,
    )


@settings(deadline=None, max_examples=3000, derandomize=True)
@given(text=links)
@example("http://a.example:80/")
@example("http://a.example:65536/")
@example("http://a.example/%2e%2E/b")
def test_a_plain_link_is_what_the_parser_makes_of_it_and_approved(text: str) -> None:
    try:
        link = urls.parse(text)
    except urls.UrlError:
        return
    if not link.is_plain:
        return

    assert link.href == text
    assert link == real(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(urls, "_plain", lambda text: None)
        assert urls.check(text) == link


@settings(deadline=None, max_examples=1500, derandomize=True)
@given(
    base=links,
    reference=st.lists(st.sampled_from([*STEPS, "?a", "#f", "//b.example", "\\b"]), max_size=4).map(
        "".join
    )
    | st.text(LETTERS, max_size=8)
    | links,
)
@example(base="http://a.example/x", reference="/\\b.example")
@example(base="http://a.example/x", reference="//b.example/y")
@example(base="http://a.example:81/x", reference="/y?z#f")
def test_a_reference_leads_where_the_parser_says(base: str, reference: str) -> None:
    try:
        start = urls.parse(base)
    except urls.UrlError:
        return
    try:
        expected = ada_url.URL(reference, base=start.href).href
    except (ValueError, UnicodeEncodeError):
        with pytest.raises(urls.UrlError):
            urls.join(start, reference)
        return

    assert urls.join(start, reference).href == expected


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        ("https://click.example-network.com/t/?id=47&utm_source=sheet&u=https%3A%2F%2Fa.b", True),
        ("http://127.0.0.1:8080/a/b.html?x=1&y=(2)#top", True),
        ("http://localhost/", True),
        ("http://a.example", False),
        ("http://a.example/a/../b", False),
        ("http://a.example/a%2e%2e/b", False),
        ("http://a.example:80/", False),
        ("http://A.example/", False),
        ("http://xn--bcher-kva.example/", False),
        ("http://2130706433/", False),
        ("http://u:p@a.example/", False),
        ("http://a.example/ä", False),
        ("http://a.example/?'", False),
        ("http://[::1]/", False),
    ],
)
def test_what_is_read_without_the_parser(text: str, is_plain: bool) -> None:
    assert urls.parse(text).is_plain is is_plain
