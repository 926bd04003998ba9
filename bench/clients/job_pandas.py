"""The script one would write first: pandas reads, 64 threads ask with requests, pandas writes."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pandas as pd
import requests

own = threading.local()


def walk(link: str) -> tuple[str, int, str]:
    if not hasattr(own, "session"):
        own.session = requests.Session()
    answer = own.session.get(link, timeout=15)
    return answer.url, answer.status_code, datetime.now(UTC).isoformat()


frame = pd.read_csv(sys.argv[1], dtype=str)
with ThreadPoolExecutor(64) as pool:
    found = list(pool.map(walk, frame["tracking_url"]))
frame[["final_url", "http_status", "last_checked"]] = found
frame.to_csv(sys.argv[2], index=False)
