"""`python -m framework.new protocol NAME [--dir FOLDER]`: a protocol that runs, its experiment, and its test.

It writes below FOLDER, or else below the project that one stands in: the nearest folder with a pyproject.toml, else the
current folder. What it writes is a register kept by one node: small enough to read at once, and checked for linearizability, so that
the author changes it step by step and hears at once when it breaks.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("framework.new.__main__")

import keyword
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from framework.console.entry import carried_out
from framework.core.errors import ConfigError, did_you_mean
from framework.core.tracebacks import printable
from framework.registry.discovery import ROOT
from framework.registry.registry import load

USAGE = "usage: python -m framework.new protocol NAME [--dir FOLDER]"

PLUGIN = '''"""{title}: a register that one node keeps."""

from framework import (
    Client,
    Message,
    Node,
    NodeId,
    Ok,
    Operation,
    OperationId,
    ProtocolSpec,
    durable,
    handles,
    hookimpl,
)


class Read(Message):
    operation: OperationId


class Write(Message):
    operation: OperationId
    value: str


class Answer(Message):
    operation: OperationId
    value: str | None


class {title}Node(Node):
    value: str | None = durable(None)  # survives a crash; leaves in no answer before it is on disk

    @handles(Read)
    def on_read(self, sender: NodeId, read: Read) -> None:
        self.send(sender, Answer(operation=read.operation, value=self.value))

    @handles(Write)
    def on_write(self, sender: NodeId, write: Write) -> None:
        self.value = write.value
        self.send(sender, Answer(operation=write.operation, value=None))


class {title}Client(Client):
    def invoke(self, operation: Operation) -> None:
        keeper = self.servers[0]
        if operation.function == "read":
            self.send(keeper, Read(operation=operation.id))
        else:
            self.send(keeper, Write(operation=operation.id, value=operation.argument))

    @handles(Answer)
    def on_answer(self, sender: NodeId, answer: Answer) -> None:
        self.complete(answer.operation, Ok(answer.value))


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="{name}",
            node={title}Node,
            client={title}Client,
            summary="A register that one node keeps.",
            operations=("read", "write"),
            model="register",
            checkers=("linearizability",),
        )
    ]
'''

EXPERIMENT = """# @package _global_
# {title} under concurrent reads and writes of one key.
defaults:
  - override /protocol: {name}
  - override /workload: kv

nodes: 3
clients: 4
duration: 2s

workload:
  keys: 1
{path}"""

TEST = '''"""{title}: what it promises, on the simulator."""

from pathlib import Path

from framework.config.compose import compose
from framework.core.client import Operation
from framework.core.effects import Send
from framework.core.node_runtime import Deliver, Invoke, NodeRuntime, Start
from framework.core.random_streams import stream
from framework.engine.sim.engine import SimEngine
from framework.trace.reader import open_run
from framework.checking.history.calls import calls_from_table
from {module} import {names}

CONFIG_DIR = {config_dir}


def test_a_node_answers_a_read_with_what_was_written() -> None:
    runtime = NodeRuntime("n1", stream(0, "node", "n1"))
    write = Deliver("", "c1", Write(operation=1, value="x"))
    read = Deliver("", "c2", Read(operation=2))
    batch = runtime.run([Start({title}Node, None, ()), write, read])
    assert batch.effects == [
        Send("c1", "", Answer(operation=1, value=None)),
        Send("c2", "", Answer(operation=2, value="x")),
    ]


def test_a_client_asks_the_first_server() -> None:
    runtime = NodeRuntime("c1", stream(0, "node", "c1"))
    read = Invoke(Operation(id=7, function="read"), timeout=0)
    batch = runtime.run([Start({title}Client, None, ("n1", "n2")), read])
    assert batch.effects == [Send("n1", "", Read(operation=7))]


def test_a_run_is_linearizable(tmp_path: Path) -> None:
    overrides = ["experiment={name}", "engine=sim", f"run.dir={{tmp_path / 'run'}}"]
    composed = compose(overrides, CONFIG_DIR)
    composed.experiment.run_dir.mkdir()
    SimEngine().run(composed.experiment, lambda time, tally: None)
    calls = calls_from_table(open_run(composed.experiment.run_dir).history)
    for checker, config in composed.checkers:
        result = checker.check(calls, composed.models, config)
        assert result.verdict == "valid", result.reason
'''


def main(arguments: Sequence[str]) -> int:
    """Writes the files and prints their names and the next step; 2 with one line on stderr if it cannot."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(USAGE)
        return 0
    return carried_out(lambda: _write(*_read(list(arguments))))


def _write(name: str, folder: Path) -> int:
    written = write_protocol(name, folder)
    for file in written:
        print(f"wrote {file}")
    elsewhere = "" if folder == ROOT else f" --config-dir {folder / 'conf'}"
    print(f"run it: python -m framework.run experiment={name} engine=sim{elsewhere}")
    print(f"test it: python -m pytest {written[-1]}")
    return 0


def write_protocol(name: str, folder: Path) -> list[Path]:
    """The plugin, its experiment and its test, written below `folder`: their paths.

    ConfigError if the name cannot be one or is taken, or if a file would be overwritten; then nothing is written.
    """
    check_name(name)
    if name in load().names("protocol"):
        raise ConfigError(f"protocol {name!r}", "exists already", "Choose another name.")
    if printable(str(folder)) != str(folder):
        raise ConfigError(printable(str(folder)), "is no text that a file can hold", "Name another folder with --dir.")
    files = _contents(name, folder)
    for file in files:
        if file.exists():
            raise ConfigError(str(file), "exists already", "Choose another name, or another folder with --dir.")
    try:
        for file, content in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            str(folder), f"cannot be written to: {error.strerror}", "Name a folder with --dir."
        ) from error
    return list(files)


def check_name(name: str) -> None:
    """ConfigError unless `name` can be a protocol's and a module's: lower case, digits, underscores."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        better = re.sub(r"[^a-z0-9]+", "_", apart).strip("_0123456789") or "my_protocol"
        raise ConfigError(f"{name!r}", "is no name for a protocol", f"Write {better!r}.")
    taken = keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in sys.stdlib_module_names
    if taken or name in ("none", "auto", "null", "true", "false", "off", "on", "yes", "no"):
        what = "is a module of Python's own" if name in sys.stdlib_module_names else "means something else already"
        raise ConfigError(f"{name!r}", what, f"Write 'my_{name}'.")


def _contents(name: str, folder: Path) -> dict[Path, str]:
    ours = folder == ROOT
    title = "".join(part.capitalize() for part in name.split("_"))
    plugin = folder / "plugins" / "protocols" / f"{name}.py"
    words = {
        "name": name,
        "names": ", ".join(sorted(("Answer", "Read", "Write", f"{title}Client", f"{title}Node"))),
        "title": title,
        "module": f"plugins.protocols.{name}" if ours else name,
        "config_dir": "None" if ours else f'"{(folder / "conf").as_posix()}"',
        "path": "" if ours else f'\nplugins:\n  path: "{plugin.as_posix()}"\n',
    }
    test = TEST if ours else _with_import_path(TEST, plugin.parent)
    return {
        plugin: PLUGIN.format(**words),
        folder / "conf" / "experiment" / f"{name}.yaml": EXPERIMENT.format(**words),
        folder / "tests" / "plugins" / f"test_{name}.py": test.format(**words),
    }


def _with_import_path(test: str, folder: Path) -> str:
    """The test of a protocol that is not installed says where to import it from."""
    setting = f'import sys\nfrom pathlib import Path\n\nsys.path.append("{folder.as_posix()}")\n'
    return test.replace("from pathlib import Path\n", setting, 1)


def project(place: Path) -> Path:
    """The project that `place` lies in: the nearest folder above, or itself, with a pyproject.toml; else `place`."""
    return next((folder for folder in (place, *place.parents) if (folder / "pyproject.toml").is_file()), place)


def _read(arguments: list[str]) -> tuple[str, Path]:
    folder = project(Path.cwd())
    if "--dir" in arguments:
        at = arguments.index("--dir")
        if at + 1 == len(arguments):
            raise ConfigError("--dir", "names no folder", USAGE)
        folder = Path(arguments[at + 1]).expanduser().resolve()
        del arguments[at : at + 2]
    if arguments and arguments[0] != "protocol":
        what = f"there is no kind {arguments[0]!r} that it could write"
        raise ConfigError("framework.new", what, did_you_mean(arguments[0], ["protocol"]))
    if len(arguments) != 2:
        raise ConfigError("framework.new", "takes a kind and a name", USAGE)
    return arguments[1], folder
