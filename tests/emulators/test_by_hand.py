"""python -m tests.emulators.sheets: the URL it prints answers, and it ends when told to."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.processes
def test_the_emulator_serves_a_seeded_sheet_by_hand(tmp_path: Path):
    seed = tmp_path / "seed.json"
    seed.write_text(json.dumps([["id", "url"], ["r_1", "http://a.example"]]))
    key = tmp_path / "key.json"
    arguments = ["--port", "0", "--seed", str(seed), "--credentials", str(key), "--key", "abc"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.emulators.sheets", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        match = re.fullmatch(r"Sheets emulator at (http://127\.0\.0\.1:\d+)\n", first)
        assert match is not None
        url = match.group(1)
        read = requests.get(f"{url}/v4/spreadsheets/abc/values/A1:B", timeout=60).json()
        assert read["values"] == [["id", "url"], ["r_1", "http://a.example"]]
        assert requests.get(f"{url}/_admin/files", timeout=60).json()[0]["file_id"] == "abc"
        assert json.loads(key.read_text())["token_uri"] == f"{url}/token"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
