"""Walk the links of a file with requests, a session for each of some threads."""

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

links, threads = Path(sys.argv[1]).read_text("utf-8").split(), int(sys.argv[2])
own = threading.local()


def walk(link: str) -> tuple[str, int]:
    if not hasattr(own, "session"):
        own.session = requests.Session()
    answer = own.session.get(link, timeout=15)
    return answer.url, len(answer.history)


began = time.perf_counter()
with ThreadPoolExecutor(threads) as pool:
    found = list(pool.map(walk, links))
seconds = time.perf_counter() - began
for url, count in found:
    print(url, count)
print(json.dumps({"seconds": seconds}), file=sys.stderr)
