"""The way to the relay of a run: the one that was named, or our own, also after it was gone."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Self

from connector import device_key
from connector.errors import RelayNotStarted
from connector.relay_client import RelayClient
from connector.relay_errors import RelayError
from connector.running.options import Options
from connector.running.own_relay import OwnRelay, saved_credentials
from wire.signing import Credentials


class RelayLink:
    """The way to the relay, given or our own, and back to it after it was gone."""

    def __init__(self, options: Options, *, environ: Mapping[str, str]) -> None:
        self._options = options
        self._environ = environ
        self._held = ExitStack()
        self._own: OwnRelay | None = None
        self.url = ""
        self._client: RelayClient | None = None
        self.credentials = Credentials(key_id="", secret="")

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._held.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._client:
            self._client.close()
        self._held.close()

    def _open(self) -> None:
        given = device_key.from_environ(self._environ)
        if self._options.relay is not None:
            self.credentials = given or saved_credentials(self._options.home / "relay")
            self._connect(self._options.relay)
            return
        if sys.platform == "win32":
            raise RelayNotStarted(
                "the relay runs on Linux and macOS; name one that is up: --relay URL"
            )
        self._own = self._held.enter_context(
            OwnRelay(self._options.home, environ=self._environ, is_up=_answers)
        )
        url = self._own.ensure()
        self.credentials = given or self._own.credentials()
        self._connect(url)

    def _connect(self, url: str) -> None:
        if self._client:
            self._client.close()
        self.url = url
        self._client = RelayClient(url, self.credentials)

    @property
    def client(self) -> RelayClient:
        """The present client; it changes when the relay comes back elsewhere."""
        assert self._client is not None
        return self._client

    @property
    def own_pid(self) -> int | None:
        """The process of our own relay; None when the relay was named."""
        known = self._own.address() if self._own else None
        return known.pid if known else None

    def check(self) -> None:
        """One signed call, so that a wrong key is known before anything is written."""
        self.client.jobs(limit=1)

    def revive(self) -> bool:
        """Bring our own relay back if it is gone. Whether there is one to talk to."""
        if self._own is None:
            return _answers(self.url)
        try:
            url = self._own.ensure()
        except RelayNotStarted:
            return False
        if url != self.url:
            self._connect(url)
        return True


def _answers(url: str) -> bool:
    client = RelayClient(url, Credentials(key_id="", secret=""))
    try:
        return client.health()
    except RelayError:
        return False
    finally:
        client.close()
