"""Hand in so many links, in batches of 500, to a bare Flask endpoint: COUNT each|many."""

import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import redis as redis_py
import requests

from bench.frame import ROOT
from bench.relay import bare_redis
from bench.timed import Timed

BATCH, SENDERS = 500, 2
LINK = "https://trk.example/click?campaign=spring&affiliate=4711&offer="

count, way = int(sys.argv[1]), sys.argv[2]
own = threading.local()


def send(links: list[str]) -> int:
    if not hasattr(own, "session"):
        own.session = requests.Session()
    answer = own.session.post(f"{base}/{way}", json={"links": links}, timeout=60)
    answer.raise_for_status()
    return len(answer.json()["jobs"])


with bare_redis() as url, socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.clients.flask_rq", url, str(listener.fileno())],
        pass_fds=[listener.fileno()],
        cwd=ROOT,
    )
    try:
        send([LINK] * 10)  # waits in the socket until the server is up
        links = [f"{LINK}{n}" for n in range(count)]
        batches = [links[first : first + BATCH] for first in range(0, count, BATCH)]
        with ThreadPoolExecutor(SENDERS) as pool, Timed() as timed:
            taken = sum(pool.map(send, batches))
    finally:
        server.terminate()
        server.wait()
    with redis_py.Redis.from_url(url) as redis:
        print(taken, redis.llen("rq:queue:links") - 10)
timed.say()
