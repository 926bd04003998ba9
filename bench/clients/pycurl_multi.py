"""Walk the links of a file with pycurl's multi interface and nothing around it.

Redirects are followed by this loop, as Linkrow must (it judges each hop), so both send the same.
"""

import json
import sys
import time
from pathlib import Path

import pycurl

links, in_flight = Path(sys.argv[1]).read_text("utf-8").split(), int(sys.argv[2])
began = time.perf_counter()
multi = pycurl.CurlMulti()
multi.setopt(pycurl.M_MAXCONNECTS, in_flight)
waiting = iter(links)
found: list[tuple[str, int]] = []
hops: dict[pycurl.Curl, int] = {}
handles = []


def ask(curl: pycurl.Curl, link: str, hop: int) -> None:
    curl.setopt(pycurl.URL, link)
    hops[curl] = hop
    multi.add_handle(curl)


for link, _ in zip(waiting, range(in_flight), strict=False):
    curl = pycurl.Curl()
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.WRITEFUNCTION, len)
    handles.append(curl)
    ask(curl, link, 0)
    if len(handles) == min(in_flight, len(links)):
        break
while len(found) < len(links):
    while multi.perform()[0] == pycurl.E_CALL_MULTI_PERFORM:
        pass
    while True:
        left, good, bad = multi.info_read()
        if bad:
            sys.exit(f"{bad[0][2]}")
        for curl in good:
            multi.remove_handle(curl)
            target = curl.getinfo(pycurl.REDIRECT_URL)
            if target:
                ask(curl, target, hops[curl] + 1)
                continue
            found.append((curl.getinfo(pycurl.EFFECTIVE_URL), hops[curl]))
            link = next(waiting, None)
            if link is not None:
                ask(curl, link, 0)
        if not left:
            break
    multi.select(1.0)
seconds = time.perf_counter() - began
for url, count in found:
    print(url, count)
print(json.dumps({"seconds": seconds}), file=sys.stderr)
