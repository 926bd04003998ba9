"""A small website on this machine whose tracking links do everything tracking links do."""

import socket
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from wire.vocab import Conclusion


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoLink:
    """One row of the demo: its link as a path of the site, and what must come of it."""

    row_id: str
    offer_name: str
    path: str
    expects: Conclusion
    expected_domain: str = ""
    check_status: str = ""


_PAGE = "/shop/spring"

# Where each path leads: a status and a Location ({here} is 127.0.0.1, {there} is localhost).
_REDIRECTS: dict[str, tuple[int, str]] = {
    "/go/one": (302, _PAGE),
    "/go/two": (301, "/go/one"),
    "/go/three": (303, "two"),
    "/go/four": (307, "/go/three"),
    "/go/five": (308, "{there}/go/four"),
    "/go/six": (302, "{here}/go/five"),
    "/r/301": (301, _PAGE),
    "/r/302": (302, _PAGE),
    "/r/303": (303, _PAGE),
    "/r/307": (307, _PAGE),
    "/r/308": (308, _PAGE),
    "/r/relative": (302, "../shop/./autumn"),
    "/r/elsewhere": (302, "{there}/partner"),
    "/r/wrong": (302, "{here}/shop/parked"),
    "/r/loop": (302, "/r/pool"),
    "/r/pool": (302, "/r/loop"),
    "/r/gone": (302, "/shop/gone"),
    "/r/broken": (302, "/shop/broken"),
    "/r/removed": (302, "/shop/removed"),
    "/r/dead": (302, "{dead}/offer"),
    "/r/inside": (302, "http://10.0.0.1/router"),
}

_PAGES: dict[str, int] = {
    _PAGE: 200,
    "/shop/autumn": 200,
    "/shop/parked": 200,
    "/partner": 200,
    "/shop/gone": 404,
    "/shop/broken": 500,
    "/shop/removed": 410,
}

LINKS = (
    DemoLink(row_id="demo-01", offer_name="One hop", path="/go/one", expects=Conclusion.VALID),
    DemoLink(row_id="demo-02", offer_name="Two hops", path="/go/two", expects=Conclusion.VALID),
    DemoLink(row_id="demo-03", offer_name="Three hops", path="/go/three", expects=Conclusion.VALID),
    DemoLink(row_id="demo-04", offer_name="Four hops", path="/go/four", expects=Conclusion.VALID),
    DemoLink(
        row_id="demo-05",
        offer_name="Five hops, two hosts",
        path="/go/five",
        expects=Conclusion.VALID,
        expected_domain="localhost",
    ),
    DemoLink(row_id="demo-06", offer_name="Six hops", path="/go/six", expects=Conclusion.VALID),
    DemoLink(
        row_id="demo-07", offer_name="Moved for good", path="/r/301", expects=Conclusion.VALID
    ),
    DemoLink(row_id="demo-08", offer_name="Found", path="/r/302", expects=Conclusion.VALID),
    DemoLink(row_id="demo-09", offer_name="See other", path="/r/303", expects=Conclusion.VALID),
    DemoLink(row_id="demo-10", offer_name="Temporary", path="/r/307", expects=Conclusion.VALID),
    DemoLink(row_id="demo-11", offer_name="Permanent", path="/r/308", expects=Conclusion.VALID),
    DemoLink(
        row_id="demo-12", offer_name="Relative path", path="/r/relative", expects=Conclusion.VALID
    ),
    DemoLink(
        row_id="demo-13",
        offer_name="Partner site",
        path="/r/elsewhere",
        expects=Conclusion.VALID,
        expected_domain="localhost",
    ),
    DemoLink(
        row_id="demo-14",
        offer_name="Parked domain",
        path="/r/wrong",
        expects=Conclusion.DOMAIN_MISMATCH,
        expected_domain="shop.example.com",
    ),
    DemoLink(
        row_id="demo-15",
        offer_name="Round in circles",
        path="/r/loop",
        expects=Conclusion.REDIRECT_LOOP,
    ),
    DemoLink(
        row_id="demo-16", offer_name="Page not found", path="/r/gone", expects=Conclusion.HTTP_4XX
    ),
    DemoLink(
        row_id="demo-17", offer_name="Shop is down", path="/r/broken", expects=Conclusion.HTTP_5XX
    ),
    DemoLink(
        row_id="demo-18",
        offer_name="Offer removed",
        path="/r/removed",
        expects=Conclusion.LINK_REMOVED,
    ),
    DemoLink(
        row_id="demo-19",
        offer_name="Nobody there",
        path="/r/dead",
        expects=Conclusion.CONNECT_ERROR,
    ),
    DemoLink(
        row_id="demo-20",
        offer_name="Into a home network",
        path="/r/inside",
        expects=Conclusion.UNSAFE_TARGET,
    ),
    DemoLink(
        row_id="demo-21",
        offer_name="Paused by the operator",
        path="/go/one",
        expects=Conclusion.PAUSED_BY_OPERATOR,
        check_status="paused",
    ),
    DemoLink(
        row_id="demo-22", offer_name="Shared link, first", path="/r/302", expects=Conclusion.VALID
    ),
    DemoLink(
        row_id="demo-23", offer_name="Shared link, second", path="/r/302", expects=Conclusion.VALID
    ),
)


class DemoSite:
    """The website, served on 127.0.0.1 (and so on localhost) for as long as the block lasts."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        # A port that is bound but not listened on: nobody answers there, and nobody else can.
        self._dead = socket.socket()
        self._dead.bind(("127.0.0.1", 0))
        self._server.places = {
            "here": f"http://127.0.0.1:{self.port}",
            "there": f"http://localhost:{self.port}",
            "dead": f"http://127.0.0.1:{self._dead.getsockname()[1]}",
        }
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def url(self, path: str) -> str:
        """A link to *path*."""
        return f"http://127.0.0.1:{self.port}{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._dead.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512  # five, the default, drops connections of a busy agent
    places: dict[str, str]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30
    server: _Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in _REDIRECTS:
            status, location = _REDIRECTS[path]
            self._answer(status, b"", location=location.format(**self.server.places))
        else:
            status = _PAGES.get(path, 404)
            self._answer(status, f"<title>{path}</title><h1>{status}</h1>\n".encode())

    def _answer(self, status: int, body: bytes, *, location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        try:
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # whoever asked is gone

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the demo's screen is for its result."""
