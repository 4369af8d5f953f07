"""A program that starts a run on a runtime of its own, says how it went, and that the other tests interrupt.

python -m tests.engine.ray.interrupted FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from framework.core.time import SECOND
from framework.engine.ray.driver.engine import RayEngine
from framework.engine.tally import Tally
from tests.engine.ray.register import register_run


def main() -> None:
    said = False

    def progress(now: int, tally: Tally) -> None:
        nonlocal said
        if tally.ok and not said:
            said = True
            print("running", flush=True)

    result = RayEngine().run(register_run(Path(sys.argv[1]), duration=60 * SECOND), progress)
    print(json.dumps({"interrupted": result.interrupted, "ok": result.tally.ok, "failure": result.failure}), flush=True)


if __name__ == "__main__":
    main()
