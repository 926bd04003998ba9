"""A machine of a user: its registered sources, the agent that serves them, ``linkrow`` on it."""

import csv
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connector.registered import FilePlace, RegisteredSource
from connector.registry import Registry
from tests.processes import ROOT, SECONDS, Relay, Site, wait_until
from wire.models import JobAnswer, RefreshProgress
from wire.vocab import RefreshState

LINKROW = [sys.executable, "-m", "connector.cli"]


class Source:
    """A CSV that is registered on a machine."""

    def __init__(self, machine: "Machine", name: str, links: list[str]) -> None:
        self.machine = machine
        self.relay = machine.relay
        self.name = name
        self.links = links
        self.path = machine.folder / f"{name}.csv"
        with self.path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["row_id", "tracking_url", "note"])
            writer.writerows([f"r_{number}", link, "ours"] for number, link in enumerate(links))
        place = FilePlace.of(self.path)
        registry = Registry(machine.home)
        self.source_id = registry.source_id_of(place)
        registry.add(
            RegisteredSource(
                source_id=self.source_id, name=name, place=place, added_at=datetime.now(UTC)
            )
        )

    @property
    def rows(self) -> list[dict[str, str]]:
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))

    def column(self, name: str) -> list[str]:
        return [row.get(name) or "" for row in self.rows]

    def progress(self, refresh_id: str) -> RefreshProgress:
        found = self.relay.client.progress(self.source_id, refresh_id)
        assert found
        return found

    def await_state(self, refresh_id: str, *states: RefreshState) -> RefreshProgress:
        wait_until(
            lambda: self.progress(refresh_id).state in states, what=f"{refresh_id} is {states}"
        )
        return self.progress(refresh_id)

    def jobs(self, refresh_id: str) -> list[JobAnswer]:
        """Every job of a refresh, as the relay lists them."""
        found: list[JobAnswer] = []
        cursor: str | None = None
        while True:
            page = self.relay.client.jobs(refresh_id=refresh_id, limit=100, cursor=cursor)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                return found

    def assert_right(self, rows: range | None = None) -> None:
        """Every row (of *rows*) has what its own link led to, and nothing else of it changed."""
        found = self.rows
        for number in rows or range(len(found)):
            row = found[number]
            host, _, path = row["tracking_url"].partition("//")[2].partition("/")
            assert row["final_url"] == f"http://{host}/page/{path}"
            assert (row["check_status"], row["conclusion"], row["error"]) == ("valid", "valid", "")
        assert [row["row_id"] for row in found] == [f"r_{n}" for n in range(len(found))]
        assert [row["note"] for row in found] == ["ours"] * len(found)
        assert [row["tracking_url"] for row in found] == self.links


class Machine:
    """Its data folder is *folder*/home; what runs on it is ended with ``close``."""

    def __init__(self, relay: Relay, folder: Path) -> None:
        self.relay = relay
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.environ = {
            **relay.environ,
            "LINKROW_HOME": str(self.home),
            "LINKROW_RELAY_URL": relay.url,
            "LINKROW_DEVICE_KEY": relay.credentials.key_id,
            "LINKROW_DEVICE_SECRET": relay.credentials.secret,
        }
        self._started: list[subprocess.Popen[str]] = []
        self.agent: subprocess.Popen[str] | None = None

    def source(self, site: Site, name: str, *, fast: int = 0, slow: int = 0) -> Source:
        links = [f"{site.url}/fast/{name}{n}" for n in range(fast)]
        links += [f"{site.url}/slow/{name}{n}" for n in range(slow)]
        return Source(self, name, links)

    def start_agent(self) -> None:
        """``linkrow-agent run``, serving what is registered."""
        with (self.folder / "agent.log").open("ab") as log:
            self.agent = subprocess.Popen(
                [sys.executable, "-m", "agent.cli", "run", "--allow-private", "127.0.0.0/8"],
                cwd=ROOT,
                env=self.environ,
                stdout=log,
                stderr=log,
                text=True,
            )
        self._started.append(self.agent)

    def kill_agent(self) -> None:
        assert self.agent
        self.agent.kill()
        self.agent.wait(SECONDS)

    def end_agent(self) -> int:
        assert self.agent
        self.agent.terminate()
        return self.agent.wait(SECONDS)

    def linkrow(self, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*LINKROW, *arguments],
            cwd=ROOT,
            env=self.environ | environ,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*LINKROW, *arguments],
            cwd=ROOT,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def ask(self, source: Source, *options: str) -> str:
        """Ask for a refresh; its id."""
        done = self.linkrow("refresh", source.name, "--json", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return str(found["refresh_id"])

    @property
    def log(self) -> str:
        return (self.folder / "agent.log").read_text()

    def close(self) -> None:
        for each in self._started:
            if each.poll() is None:
                each.kill()
            each.wait(SECONDS)
            for stream in (each.stdout, each.stderr):
                if stream:
                    stream.close()
