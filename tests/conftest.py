"""Options and fixtures that all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import distributions

import pytest
from hypothesis import settings

from framework.engine.sim.engine import settle_collector

pytest_plugins = ["pytester"]
_INSTALLED = {(entry.group, entry.name) for found in distributions() for entry in found.entry_points}
if ("pytest11", "synod") not in _INSTALLED:  # a checkout that is on the import path and not installed
    pytest_plugins.append("framework.testing.pytest_plugin")
    os.environ["PYTEST_PLUGINS"] = "framework.testing.pytest_plugin"  # for the sessions that tests start

# How long an example takes is the machine's business. The same examples each time; pytest --hypothesis-profile=other
# draws others.
settings.register_profile("synod", deadline=None, derandomize=True)
settings.register_profile("other", deadline=None)
settings.load_profile("synod")


LONG = ("docs", "experiments", "packaging", "replay", "shrink")
"""Folders whose tests walk through the docs, run studies, replay or shrink: `make test` has them, `make quick` has not. A
single file says so by its `pytestmark`."""


LONG_CHECKS = ("digest_ignores_the_hash_seed", "survives_a_crash_at_every_step")
"""The checks of the conformance kit that start a process or hundreds of runs for each protocol."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    folders = tuple(f"{config.rootpath / 'tests' / name}{os.sep}" for name in LONG)
    for item in items:
        if str(item.path).startswith(folders) or item.name.removesuffix("]").endswith(LONG_CHECKS):
            item.add_marker(pytest.mark.long)


def pytest_collection_finish() -> None:
    """All that is loaded by now stays: the simulator, which collects before each run, need not look at it again."""
    settle_collector()


@pytest.fixture(scope="session")
def ray_runtime() -> Iterator[None]:
    """One local Ray for all tests of a session that need one; the engine uses the runtime that a process has."""
    from framework.engine.ray.runtime import runtime

    with runtime(None, actors=8, modules=()):
        yield
