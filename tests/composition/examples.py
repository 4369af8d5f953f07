"""The examples of docs/composition.md as plugin files, and the overrides that run each."""

from __future__ import annotations

from pathlib import Path

from tests.docs.markdown import blocks

PAGE = "docs/composition.md"

RUNS: dict[str, tuple[str, ...]] = {
    "desk": ("protocol=desk", "workload=kv"),
    "router-raft": ("protocol=router", "protocol.groups=8", "workload=kv", "workload.keys=50"),
    "router-multipaxos": (
        "protocol=router", "protocol.groups=8", "protocol.group=multipaxos", "workload=kv", "workload.keys=50",
    ),
    "herald-raft": ("protocol=herald", "workload=counter", "state_machine=counter"),
    "herald-multipaxos": ("protocol=herald", "protocol.group=multipaxos", "workload=counter", "state_machine=counter"),
    "mirror": ("protocol=mirror", "workload=kv"),
    "leases-raft": ("protocol=raft", "state_machine=leases", "state_machine.length=100ms", "workload=guarded", "checker=tokens"),
    "leases-multipaxos": (
        "protocol=multipaxos", "state_machine=leases", "state_machine.length=100ms", "workload=guarded", "checker=tokens",
    ),
    "chunks": ("protocol=chunks", "workload=kv"),
    "meter": ("protocol=meter", "workload=kv"),
}  # fmt: skip


def lay(folder: Path) -> str:
    """Writes the page's plugin files into `folder`; the override that loads them all."""
    files = [block for block in blocks(PAGE) if (block.setting("file") or "").endswith(".py")]
    for block in files:
        (folder / str(block.setting("file"))).write_text(block.text, encoding="utf-8")
    names = ",".join(str(folder / str(block.setting("file"))) for block in files)
    return f"plugins.path=[{names}]"


def overrides(name: str, plugins: str, *more: str) -> list[str]:
    """The command line of an example: three nodes, five clients."""
    return [*RUNS[name], plugins, "workload.timeout=500ms", "nodes=3", "clients=5", "--quiet", *more]
