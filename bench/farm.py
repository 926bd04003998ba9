"""A redirect farm: one nginx on loopback whose every link leads over some hops to a page.

    with Farm(hops=3) as farm:
        farm.link(17)     # http://127.0.0.1:PORT/3?n=17, which answers 302 to /2?n=17, and so on
        farm.landing(17)  # http://127.0.0.1:PORT/0?n=17, which answers 200

Nothing is installed by itself: without nginx, entering the block raises NoNginx.
"""

import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

READY_SECONDS: Final = 20.0
STOP_SECONDS: Final = 10.0
_ATTEMPTS: Final = 3


class NoNginx(Exception):
    """This machine has no nginx."""

    def __init__(self) -> None:
        super().__init__("nginx is missing (Debian and Ubuntu: apt-get install nginx-light)")


class FarmNotStarted(Exception):
    """The nginx that was started does not answer; the sentence holds its last words."""


def find_nginx() -> str | None:
    """The nginx of this machine, also where Debian hides it from ordinary users."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


class Chains:
    """Addresses of a farm's chains: each link leads over *hops* redirects to a page of its own."""

    def __init__(self, *, hops: int) -> None:
        self.hops = hops
        self.port = 0

    @property
    def url(self) -> str:
        """Where the farm answers, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def link(self, number: int) -> str:
        """The first address of chain *number*: ``hops`` redirects before its page."""
        return f"{self.url}/{self.hops}?n={number}"

    def landing(self, number: int) -> str:
        """The page that chain *number* ends on."""
        return f"{self.url}/0?n={number}"


class Farm(Chains):
    """A website of redirects, for as long as the block lasts.

    *is_closing* ends every connection after one answer, so that each hop needs a fresh one.
    """

    def __init__(self, *, hops: int = 3, is_closing: bool = False) -> None:
        super().__init__(hops=hops)
        self.is_closing = is_closing
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The nginx master's process id."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        nginx = find_nginx()
        if nginx is None:
            raise NoNginx
        self._folder = Path(tempfile.mkdtemp(prefix="linkrow-farm-"))
        try:
            for attempt in range(1, _ATTEMPTS + 1):
                # Between our look and nginx's bind another process may take the port.
                self.port = _free_port()
                try:
                    self._start(nginx, self._folder)
                except FarmNotStarted:
                    self._end()
                    if attempt == _ATTEMPTS:
                        raise
                else:
                    break
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End nginx and leave nothing behind."""
        self._end()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _start(self, nginx: str, folder: Path) -> None:
        (folder / "nginx.conf").write_text(self._config(folder), "utf-8")
        log = folder / "error.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [nginx, "-e", str(log), "-p", str(folder), "-c", str(folder / "nginx.conf")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        until = time.monotonic() + READY_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                said = log.read_text("utf-8", "replace").strip().splitlines()
                raise FarmNotStarted(said[-1] if said else "nginx ended without a word")
            time.sleep(0.02)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/ready")
            # The folder's name: whoever else got this port is not our farm.
            return connection.getresponse().read().decode("utf-8", "replace") == str(self._folder)
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _config(self, folder: Path) -> str:
        # Exact locations and no regular expression: the farm must cost less than its clients.
        hops = "\n".join(
            f"    location = /{hop} {{ return 302 {self.url}/{hop - 1}?$args; }}"
            for hop in range(1, self.hops + 1)
        )
        keep_alive = "0" if self.is_closing else "600s"
        user = "user root;" if os.geteuid() == 0 else ""
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        places = "\n".join(f"  {kind}_temp_path {folder}/{kind};" for kind in kinds)
        return f"""\
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 8192; }}
http {{
{places}
  access_log off;
  tcp_nodelay on;
  keepalive_timeout {keep_alive};
  keepalive_requests 1000000000;
  default_type text/html;
  server {{
    listen 127.0.0.1:{self.port} backlog=8192;
    location = /ready {{ return 200 "{folder}"; }}
    location = /0 {{ return 200 "<!doctype html><title>landed</title>\\n"; }}
{hops}
  }}
}}
"""


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
