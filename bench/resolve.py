"""Lines on the resolver: chains of redirects, walked by it and by what else could have."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.delayed_farm import DelayedFarm
from bench.farm import Farm
from bench.frame import Aim, Contestant, Line, WrongAnswer

HOPS = 3
IN_FLIGHT = 200
DELAY_MS = 50
MANY_IN_FLIGHT = 1000
THREADS = 64


class NoCurl(Exception):
    """This machine has no curl."""

    def __init__(self) -> None:
        super().__init__("curl is missing (Debian and Ubuntu: apt-get install curl)")


@contextmanager
def kept_alive(folder: Path, *, links: int) -> Iterator[Line]:
    """The same connections all along. Raises NoNginx or NoCurl."""
    curl = shutil.which("curl")
    if curl is None:
        raise NoCurl
    with Farm(hops=HOPS) as farm:
        few = max(1, links // 10)
        config = folder / "curl.conf"
        config.write_text(
            "".join(f'url = "{farm.link(n)}"\noutput = "/dev/null"\n' for n in range(links)),
            "utf-8",
        )
        own = [curl, "--parallel", "--parallel-max", str(IN_FLIGHT), "-L", "-s", "-K", str(config)]
        own += ["-w", r"%{url_effective} %{num_redirects}\n"]
        yield Line(
            name="resolve",
            title=f"{links:,} links x {HOPS} redirects, no latency, connections kept",
            unit="links",
            contestants=(
                _python("linkrow_resolver", "Linkrow's resolver", farm, folder, links, IN_FLIGHT),
                Contestant(
                    name="curl --parallel -L",
                    command=own,
                    count=links,
                    check=lambda said: _check(said, farm, links),
                ),
                _python("pycurl_multi", "bare pycurl multi", farm, folder, links, IN_FLIGHT),
                _python("requests_threads", "requests, 64 threads", farm, folder, few, THREADS),
            ),
            aims=(
                Aim(yardstick="curl --parallel -L", ratio=1.0),
                Aim(yardstick="bare pycurl multi", ratio=0.8),
                Aim(yardstick="requests, 64 threads", ratio=30.0),
            ),
        )


@contextmanager
def fresh(folder: Path, *, links: int) -> Iterator[Line]:
    """A connection for every hop. Raises NoNginx."""
    with Farm(hops=HOPS, is_closing=True) as farm:
        yield Line(
            name="fresh",
            title=f"{links:,} links x {HOPS} redirects, no latency, a fresh connection per hop",
            unit="links",
            contestants=(
                _python("linkrow_resolver", "Linkrow's resolver", farm, folder, links, IN_FLIGHT),
                _python("pycurl_multi", "bare pycurl multi", farm, folder, links, IN_FLIGHT),
            ),
            aims=(Aim(yardstick="bare pycurl multi", ratio=0.6),),
        )


@contextmanager
def late(folder: Path, *, links: int) -> Iterator[Line]:
    """Each answer comes 50 ms late: what counts is how many are waited for at once."""
    in_flight = min(MANY_IN_FLIGHT, links)
    bound = in_flight / ((HOPS + 1) * DELAY_MS / 1000)
    with DelayedFarm(hops=HOPS, delay_ms=DELAY_MS) as farm:
        yield Line(
            name="late",
            title=f"{links:,} links x {HOPS} redirects, {DELAY_MS} ms an answer, "
            f"{in_flight:,} in flight",
            unit="links",
            contestants=(
                _python("linkrow_resolver", "Linkrow's resolver", farm, folder, links, in_flight),
                _python("pycurl_multi", "bare pycurl multi", farm, folder, links, in_flight),
            ),
            aims=(
                Aim(yardstick=f"the latency's bound, {bound:,.0f}/s", ratio=0.9, mark=bound),
                Aim(yardstick="bare pycurl multi", ratio=0.8),
            ),
        )


def _python(
    script: str, name: str, farm: Farm | DelayedFarm, folder: Path, links: int, in_flight: int
) -> Contestant:
    path = folder / f"{links}-{farm.port}.txt"
    path.write_text("".join(f"{farm.link(n)}\n" for n in range(links)), "utf-8")
    return Contestant(
        name=name,
        command=[sys.executable, "-m", f"bench.clients.{script}", str(path), str(in_flight)],
        count=links,
        check=lambda said: _check(said, farm, links),
    )


def _check(said: str, farm: Farm | DelayedFarm, links: int) -> None:
    """Every chain walked once, to its page, over every hop."""
    expected = sorted(f"{farm.landing(n)} {farm.hops}" for n in range(links))
    if sorted(said.split("\n")[:-1]) != expected:
        raise WrongAnswer(f"{links} links did not all land after {farm.hops} redirects")
