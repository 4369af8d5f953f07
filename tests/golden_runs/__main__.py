"""`python -m tests.golden_runs`: takes all runs and writes their digests."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.golden_runs.runs import DIGESTS, digest_of, names

with tempfile.TemporaryDirectory() as folder:
    found = {name: digest_of(name, Path(folder) / name)._asdict() for name in names()}
DIGESTS.write_text(json.dumps(found, indent=1) + "\n")
