"""Raise recorders and kill each at a named moment; a process of its own that forks.

Reads "<moment> <n>" per line on standard input: the recorder is killed when it reaches that moment
for the n-th time. Answers the signal that ended it.
"""

import os
import signal
import sys

import redis as redis_py

from relay.ledger.ledger import Ledger
from relay.queue.broker import Broker
from relay.recorder import Recorder


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Mortal(Recorder):
    """A recorder that is killed at *moment* of its *batch*-th batch."""

    def __init__(self, broker: Broker, ledger: Ledger, moment: str, batch: int) -> None:
        super().__init__(broker, ledger)
        self._moment = moment
        self._left = batch
        settle = self._settle
        forget = broker.forget

        def settled(*args: object, **named: object) -> object:
            answer = settle(*args, **named)
            self._reach("acknowledged")
            return answer

        def forgotten(job_ids: object) -> None:
            forget(job_ids)
            self._reach("forgotten")

        self._settle = settled
        broker.forget = forgotten

    def _reach(self, moment: str) -> None:
        self._left -= moment == self._moment
        if not self._left:
            die()

    def _record(self, batch, raw, life):
        self._reach("read")
        recorded = super()._record(batch, raw, life)
        self._reach("committed")
        return recorded


def main(redis_url: str, database_url: str) -> None:
    for line in sys.stdin:
        moment, batch = line.split()
        child = os.fork()
        if child == 0:
            broker = Broker(redis_py.Redis.from_url(redis_url))
            Mortal(broker, Ledger.open(database_url), moment, int(batch)).drain()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
