"""``/v1/sources``: for now, how far a run over a source is."""

import re

from flask import Blueprint, Response

from relay.parts import parts
from relay.refusals import refuse
from relay.views.gates import json_answer, requires_signature, spend_nonce
from wire import ids
from wire.vocab import Scope

sources = Blueprint("sources", __name__)
sources.before_request(requires_signature(may={"GET": Scope.JOBS_READ}))

_REFRESH_ID = re.compile(ids.REFRESH_ID)


@sources.get("/v1/sources/<source_id>/refreshes/<refresh_id>")
def progress(source_id: str, refresh_id: str) -> Response:
    """How many of a refresh's jobs were submitted, have ended, and how."""
    account_id = spend_nonce().account_id
    if not _REFRESH_ID.fullmatch(refresh_id):
        raise refuse("not_found", "there is no such refresh")
    found = parts().broker.progress(account_id, refresh_id)
    if found is None:
        raise refuse("not_found", "there is no such refresh")
    return json_answer(found.model_dump_json())
