"""Let an RQ worker that does not fork run so many jobs that do nothing."""

import logging
import sys

import redis as redis_py
from rq import Queue, SimpleWorker

from bench.clients.no_work import resolve
from bench.relay import bare_redis
from bench.timed import Timed

count = int(sys.argv[1])
with bare_redis() as url, redis_py.Redis.from_url(url) as redis:
    queue = Queue("links", connection=redis)
    for first in range(0, count, 500):
        links = [
            f"https://trk.example/click?offer={n}" for n in range(first, min(first + 500, count))
        ]
        queue.enqueue_many([Queue.prepare_data(resolve, (link,)) for link in links])
    worker = SimpleWorker([queue], connection=redis)
    with Timed() as timed:
        worker.work(burst=True, logging_level=logging.ERROR)
    print(queue.finished_job_registry.get_job_count(), count)
timed.say()
