"""An Airflow DAG that refreshes a Linkrow source every night; Airflow 2.10 or newer, also 3.

Put linkrow_refresh.py beside this file. The relay and the key come from an Airflow connection named
``linkrow``: host is the relay's whole address, login the key's id, password its secret. As a
setting: AIRFLOW_CONN_LINKROW='{"conn_type": "http", "host": "https://relay.example.com",
"login": "lrk_...", "password": "lrs_..."}'.
"""

# ruff: noqa: INP001, T201 - a folder of DAGs is no package, and a task's log is what it prints

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

try:
    from airflow.sdk import BaseHook, PokeReturnValue, dag, get_current_context, task
except ImportError:  # Airflow 2
    from airflow.decorators import dag, task
    from airflow.hooks.base import BaseHook
    from airflow.operators.python import get_current_context
    from airflow.sensors.base import PokeReturnValue
from airflow.exceptions import AirflowException, AirflowFailException

sys.path.insert(0, str(Path(__file__).parent))
import linkrow_refresh

SOURCE = "src_spring"


def relay():
    """The relay of the connection."""
    found = BaseHook.get_connection("linkrow")
    return linkrow_refresh.Relay(found.host, found.login, found.password, attempts=2)


@dag(
    schedule="15 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),  # noqa: UP017 - Airflow runs on 3.9 too
    catchup=False,
    max_active_runs=1,
    tags=["linkrow"],
    doc_md=__doc__,
)
def linkrow_refresh_nightly():
    """Ask for a refresh, then look every minute how far it is, without holding a worker."""

    @task(retries=5, retry_delay=timedelta(minutes=1), retry_exponential_backoff=True)
    def ask():
        # One key for one run of the DAG: a retry, or a task that is cleared, is the same refresh,
        # unless that one failed.
        run_id = get_current_context()["run_id"]
        key = "airflow-" + "".join(letter if letter.isalnum() else "-" for letter in run_id)
        body = {"scope": "stale", "max_age_seconds": 24 * 3600}
        try:
            found = linkrow_refresh.ask(relay(), SOURCE, body, key=key[:240])
        except linkrow_refresh.RefusedError as error:
            raise (AirflowException if error.may_pass else AirflowFailException)(
                str(error)
            ) from error
        return found["refresh_id"]

    @task.sensor(poke_interval=60, timeout=6 * 3600, mode="reschedule", retries=2)
    def is_over(refresh_id):
        found = relay().progress(SOURCE, refresh_id)
        print(linkrow_refresh.told(found))
        code = linkrow_refresh.exit_of(found)
        if code in (linkrow_refresh.FAILED, linkrow_refresh.UNFINISHED):
            raise AirflowFailException(linkrow_refresh.told(found))
        return PokeReturnValue(is_done=code == linkrow_refresh.OK, xcom_value=found)

    is_over(ask())


linkrow_refresh_nightly()
