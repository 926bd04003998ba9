"""``linkrow run`` on a copy of a CSV, from nothing: a relay and an agent of its own are started.

CSV COPY. Whatever the run leaves behind for a moment (its relay writes its books) becomes a child
of this process, so that the system's account of us has all of it.
"""

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress

from bench.frame import ROOT

PR_SET_CHILD_SUBREAPER = 36

if sys.platform == "linux":
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
shutil.copyfile(sys.argv[1], sys.argv[2])
with tempfile.TemporaryDirectory(prefix="linkrow-bench-") as home:
    environ = {name: value for name, value in os.environ.items() if "LINKROW_" not in name}
    command = [sys.executable, "-m", "connector.cli", "run", sys.argv[2], "--json"]
    began = time.perf_counter()
    ended = subprocess.run(
        [*command, "--allow-private", "127.0.0.0/8"],
        cwd=ROOT,
        env=environ | {"LINKROW_HOME": home},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    seconds = time.perf_counter() - began
    with suppress(ChildProcessError):
        while True:
            os.wait()
print(json.dumps({"seconds": seconds}), file=sys.stderr)
sys.exit(ended.returncode)
