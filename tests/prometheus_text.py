"""Reads metrics with Prometheus' own parser for Python and prints them as JSON.

    prometheus_text.py FILE
"""

import json
import sys

from prometheus_client.parser import text_fd_to_metric_families

families = {}
for family in text_fd_to_metric_families(open(sys.argv[1])):
    assert family.name not in families, family.name
    samples = [[sample.name, sample.labels, sample.value] for sample in family.samples]
    families[family.name] = {"type": family.type, "help": family.documentation, "samples": samples}
print(json.dumps(families))
