"""How long from enqueueing a job until an idle RQ worker has begun it: COUNT simple|forking."""

import subprocess
import sys
import time

import redis as redis_py
from rq import Queue

from bench.clients.no_work import say_when
from bench.frame import ROOT
from bench.relay import bare_redis
from bench.timed import Timed

count, kind = int(sys.argv[1]), sys.argv[2]
workers = {"simple": "rq.worker.SimpleWorker", "forking": "rq.worker.Worker"}
with bare_redis() as url, redis_py.Redis.from_url(url) as redis:
    queue = Queue("links", connection=redis)
    command = [sys.executable, "-m", "rq.cli", "worker", "-u", url, "-w", workers[kind], "links"]
    worker = subprocess.Popen(
        [*command, "--quiet"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        right = 0
        with Timed() as timed:
            for number in range(-1, count):  # the first one warms everything up
                while not any(each["cmd"] in ("blpop", "blmove") for each in redis.client_list()):
                    time.sleep(0.002)
                began = time.monotonic()
                queue.enqueue(say_when, number)
                _, said = redis.blpop(["begun"])
                told, at = said.split()
                if number >= 0:
                    timed.waits.append(float(at) - began)
                    right += int(told) == number
    finally:
        worker.terminate()
        worker.wait()
    print(right)
timed.say()
