"""Say which RQ, which client and which Redis are about to be tried."""

import subprocess
from importlib.metadata import version

from tests.conftest import find_redis

server = find_redis()
said = "none"
if server is not None:
    words = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
    said = words.split("v=")[1].split()[0]
print(f"RQ {version('rq')}, redis-py {version('redis')}, Redis {said}", flush=True)
