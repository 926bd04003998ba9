"""What one would write first: an open Flask endpoint that puts links into an RQ queue.

No signature, no limits, no ids of rows, no books. ``/each`` enqueues one by one, ``/many`` with one
``enqueue_many``. Served as the relay is, by one gunicorn worker with 32 threads: REDIS_URL FD.
"""

import sys

import redis as redis_py
from flask import Flask, request
from gunicorn.app.base import BaseApplication
from rq import Queue

from bench.clients.no_work import resolve

app = Flask(__name__)
queue = Queue("links", connection=redis_py.Redis.from_url(sys.argv[1]))


@app.post("/each")
def each() -> dict[str, list[str]]:
    jobs = [queue.enqueue(resolve, link) for link in request.json["links"]]
    return {"jobs": [job.id for job in jobs]}


@app.post("/many")
def many() -> dict[str, list[str]]:
    data = [Queue.prepare_data(resolve, (link,)) for link in request.json["links"]]
    return {"jobs": [job.id for job in queue.enqueue_many(data)]}


class Server(BaseApplication):
    def load_config(self) -> None:
        settings = {"bind": [f"fd://{sys.argv[2]}"], "worker_class": "gthread", "threads": 32}
        for name, value in (settings | {"keepalive": 75, "loglevel": "error"}).items():
            self.cfg.set(name, value)
        if "control_socket_disable" in self.cfg.settings:
            self.cfg.set("control_socket_disable", True)

    def load(self) -> Flask:
        return app


Server().run()
