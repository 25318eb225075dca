"""Sends requests that schemathesis makes up from /openapi.json, and checks that each response is one that is described there.

    made_up_requests.py ADDRESS TOKEN
"""

import pathlib
import subprocess
import sys

address, token = sys.argv[1:]
config = pathlib.Path(__file__).with_suffix(".toml")
command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "--config-file", config, "run"]
command += [f"http://{address}/openapi.json", "--header", f"Authorization: Bearer {token}"]
run = subprocess.run(command, capture_output=True, text=True)
print(run.stdout)
if run.returncode:
    sys.exit(run.stdout + run.stderr)
