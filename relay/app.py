"""The Flask app: handed everything, reads nothing from the environment."""

import secrets
import threading

from flask import Flask, Response, g

from relay.parts import Parts
from relay.problems import answer_problems
from relay.views.agent import agent
from relay.views.health import health
from relay.views.jobs import jobs
from relay.views.refreshes import refreshes
from relay.views.sources import sources


def create_app(parts: Parts) -> Flask:
    """The service over *parts*. Creates no connection, starts no thread."""
    app = Flask("linkrow", static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False
    app.extensions["linkrow"] = parts
    # So many agents may wait for work at once in this process; others are answered at once.
    app.extensions["linkrow.waiting"] = threading.BoundedSemaphore(parts.max_waiting)

    @app.before_request
    def name_request() -> None:
        g.request_id = secrets.token_hex(8)

    @app.after_request
    def tell_name(response: Response) -> Response:
        response.headers["Linkrow-Request-Id"] = g.request_id
        response.headers["Cache-Control"] = "no-store"
        return response

    answer_problems(app)
    for blueprint in (jobs, sources, refreshes, agent, health):
        app.register_blueprint(blueprint)
    return app
