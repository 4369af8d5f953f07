"""The workload of questions to failure detectors."""

from __future__ import annotations

from framework.core.random_streams import stream
from plugins.workloads.suspects import SuspectsConfig, SuspectsWorkload, register_workloads


def test_the_question_is_always_the_same() -> None:
    workload = SuspectsWorkload(SuspectsConfig())
    assert workload.functions() == ("suspects",)
    assert workload.next("c1", 0, stream(1, "workload", "c1")) == ("suspects", None, None)


def test_it_is_installed_under_its_name() -> None:
    [spec] = register_workloads()
    assert (spec.name, spec.workload, spec.config) == ("suspects", SuspectsWorkload, SuspectsConfig)
