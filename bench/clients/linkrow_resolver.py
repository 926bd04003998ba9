"""Walk the links of a file with the product's own resolver."""

import ipaddress
import json
import sys
import time
from pathlib import Path

from agent.resolver import Resolver, Task

links, in_flight = Path(sys.argv[1]).read_text("utf-8").split(), int(sys.argv[2])
began = time.perf_counter()
resolver = Resolver(
    allow=[ipaddress.ip_network("127.0.0.0/8")], max_in_flight=in_flight, per_host=in_flight
)
for number, link in enumerate(links):
    resolver.submit(Task(key=str(number), url=link))
found = []
while len(found) < len(links):
    found += resolver.poll(1.0)
seconds = time.perf_counter() - began
resolver.close()
for each in found:
    print(each.outcome.final_url, len(each.outcome.hops) - 1)
print(json.dumps({"seconds": seconds}), file=sys.stderr)
