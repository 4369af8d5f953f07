"""Files as they come: each ends in a verdict or in one line that says what is wrong, in bounded memory and time."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework.check.__main__ import main
from framework.checking.history import files
from framework.checking.history.byte_chunks import PIECE
from framework.checking.models.catalog import built_in_models
from framework.core.tracebacks import LONGEST_LINE

JSON = '{"process": 0, "type": "invoke", "f": "write", "value": 1}\n{"process": 0, "type": "ok", "f": "write"}\n'
EDN = "{:process 0, :type :invoke, :f :write, :value 1}\n{:process 0, :type :ok, :f :write, :value 1}\n"
SAW = "{:process 1, :type :invoke, :f :read, :value nil}\n{:process 1, :type :ok, :f :read, :value %s}\n"
WROTE = EDN.replace("1}", "%s}")
VALID, INVALID, NEITHER = "verdict: valid", "verdict: invalid", ""
"""What the last line on stdout begins with; NEITHER: there is a line on stderr instead."""


def line(value: str, name: str = "value") -> str:
    return JSON.replace('"value": 1', f'"{name}": {value}')


def pairs(value: str, other: str) -> str:
    return (WROTE + SAW) % (value, value, other)


# name: what is in it; what comes of it; words of the line on stderr
ODD: dict[str, tuple[str | bytes, str, str]] = {
    # encodings
    "bom.jsonl": (b"\xef\xbb\xbf" + JSON.encode(), VALID, ""),
    "bom.edn": (b"\xef\xbb\xbf" + EDN.encode(), VALID, ""),
    "utf16.jsonl": (JSON.encode("utf-16"), NEITHER, ": is UTF-16 or UTF-32. Save it as UTF-8."),
    "utf16-be.edn": (b"\xfe\xff" + EDN.encode("utf-16-be"), NEITHER, ": is UTF-16. Save it as UTF-8."),
    "utf16-without-mark.jsonl": (JSON.encode("utf-16-le"), NEITHER, ":1: holds zero bytes. Is it damaged, or not UTF-8?"),
    "utf32.jsonl": (JSON.encode("utf-32"), NEITHER, ": is UTF-16 or UTF-32. Save it as UTF-8."),
    "latin1.jsonl": (JSON.encode() + line('"é"').encode("latin-1"), NEITHER, ":3: is not text in UTF-8 (byte 0xe9)."),
    "latin1.edn": (pairs('"é"', '"é"').encode("latin-1"), NEITHER, ":1: is not text in UTF-8 (byte 0xe9)."),
    "half-a-character.edn": (EDN.encode() + "é".encode()[:1], NEITHER, ":3: is not text in UTF-8 (byte 0xc3)."),
    "gzip.jsonl": (gzip.compress(JSON.encode()), NEITHER, ": is compressed (gzip). Unpack it: gunzip FILE."),
    "bzip2.edn": (bz2.compress(EDN.encode()), NEITHER, ": is compressed (bzip2). Unpack it: bunzip2 FILE."),
    "xz.jsonl": (lzma.compress(JSON.encode()), NEITHER, ": is compressed (xz). Unpack it: unxz FILE."),
    "zip.jsonl": (b"PK\x03\x04" + JSON.encode(), NEITHER, ": is a zip archive. Unpack it: unzip FILE."),
    "arrow.arrow": (b"ARROW1\0\0", NEITHER, ": is an Arrow file. Give the folder of the run that it belongs to."),
    "stream.arrow": (b"\xff\xff\xff\xff\0", NEITHER, ": is an Arrow stream. Give the folder of the run that it belongs to."),
    "test.jepsen": (b"JEPSEN\0\0", NEITHER, ": is Jepsen's own binary format. Give the history.edn beside it."),
    "noise": (bytes(range(254, 0, -1)) * 9, NEITHER, ":1: is not text in UTF-8 (byte 0xfe)."),
    "zeros-at-the-end.jsonl": (JSON.encode() + bytes(4096), NEITHER, ":3: holds zero bytes."),
    "crlf.jsonl": (JSON.replace("\n", "\r\n"), VALID, ""),
    "crlf.edn": (EDN.replace("\n", "\r\n"), VALID, ""),
    "cr.edn": (EDN.replace("\n", "\r"), VALID, ""),
    "cr.jsonl": (JSON.replace("\n", "\r"), NEITHER, r":1: not JSON (JSON is malformed: trailing characters (byte 60)). Lines end with \r"),
    # shapes
    "empty.jsonl": ("", NEITHER, ": is empty. Write lines like "),
    "empty.edn": ("", NEITHER, ": is empty. Write lines like "),
    "blank.jsonl": ("\n \r\n\t\n", NEITHER, ": holds no operations. Write lines like "),
    "only-comments.edn": ("; nothing\n# more", NEITHER, ": holds no operations. Write lines like "),
    "array.json": (f"[{JSON.strip().replace(chr(10), ',')}]", VALID, ""),
    "pretty-array.json": (json.dumps([json.loads(each) for each in JSON.splitlines()], indent=2), VALID, ""),
    "empty-array.json": ("[ ]", NEITHER, ": holds no operations."),
    "array-cut-off.json": ("[\n" + JSON.replace("\n", ",\n"), NEITHER, ":3: not JSON (Input data was truncated). Is the file cut off?"),
    "array-with-a-mistake.json": ('[\n{"process": 0,\n"type": "ok", "f": "write"}]', NEITHER, ":2: write of process 0 completes, but was never"),
    "array-of-others.json": ("[[1], 2]", NEITHER, ":1: Expected `object`, got `array`. Write lines like "),
    "one-object-over-many-lines.json": (json.dumps(json.loads(JSON.splitlines()[0]), indent=2), NEITHER, ":1: not JSON (Input data was truncated). Write one operation a line: jq -c . FILE."),
    "comments.jsonl": (f"# a history\n\n{JSON}#end", VALID, ""),
    "comments.edn": (f"# a history\n#!x\n;; more\n{EDN}#", VALID, ""),
    "list.edn": (f"({EDN})", VALID, ""),
    "vector.edn": (f"; Knossos\n[{EDN}]", VALID, ""),
    "vector.txt": (f"[{EDN}]", VALID, ""),
    "list-cut-off.edn": (f"\n({EDN}", NEITHER, ":2: '(' is never closed. Is the file cut off?"),
    "cut-off.edn": (EDN[:-5], NEITHER, ":2: '{' is never closed. Is the file cut off?"),
    "edn-named.json": (EDN, VALID, ""),
    "json-named.edn": (JSON, VALID, ""),
    "edn-after-json.jsonl": (JSON + EDN, NEITHER, ":3: not JSON (JSON is malformed: object keys must be strings (byte 1)). That line is EDN"),
    "json-after-edn.edn": (EDN + JSON, NEITHER, ":3: not EDN at ':': a keyword has a name. Is this JSON, or cut off?"),
    "records.edn": (EDN.replace("{", "#jepsen.history.Op{"), VALID, ""),
    "discarded.edn": (f"#_ {SAW} #_#_ 1 2 {EDN}", NEITHER, ":2: read of process 1 completes, but was never invoked."),
    "metadata.edn": (f'^{{:doc "a history"}} [^:first {EDN}]', VALID, ""),
    "namespaces.edn": (EDN.replace("{", "#:op{"), NEITHER, ":1: has no :process, but :op/process. Write its keys without a namespace."),
    "namespaces-within.edn": (EDN.replace("1}", "1, :error #:db{:code 5}}"), VALID, ""),
    "throwable.edn": (EDN.replace("1}", '1, :error #error {:cause "no" :via [{:at [a "b" 1]}]}}'), VALID, ""),
    "object.edn": (EDN.replace("1}", '1, :node #object[java.lang.Object 0x1 "x"]}'), NEITHER, ":1: '0x1' is not a number of EDN."),
    "regex.edn": (EDN.replace("1}", r'1, :error #"a\d+[}"]"}'.replace('"]"', ']"')), VALID, ""),
    "code.edn": (EDN.replace("1}", "1, :check #(+ % 1)}"), NEITHER, ":1: not EDN at '#(+ % 1)}\\n{:process ': Clojure's '#' is code, not data."),
    "log.txt": ("INFO  jepsen.util - 3\t:invoke\t:read\tnil\n", NEITHER, ":1: begins with 'INFO jepsen.util - 3"),
    "page.html": ("\n\n<html></html>", NEITHER, ":3: begins with '<html></html>', neither JSON nor EDN. Write lines like "),
    "comma-too-many.jsonl": (JSON.replace("}", ",}"), NEITHER, "(byte 58)). Write lines like "),
    "python.jsonl": ("{'process': 0}", NEITHER, "JSON's quotes are double."),
    "words.edn": ("a history", NEITHER, ":1: holds a. Write operations like {:process 0, :type :invoke, :f :read}."),
    # values
    "infinity.edn": (pairs("##Inf", "##Inf"), VALID, ""),
    "minus-infinity.edn": (pairs("##Inf", "##-Inf"), INVALID, ""),
    "not-a-number.edn": (pairs("##NaN", "##NaN"), VALID, ""),
    "not-a-number.jsonl": (line("NaN"), NEITHER, ":1: not JSON (JSON is malformed: invalid character (byte 56)). JSON has no such number"),
    "sets.edn": (pairs("#{1 2 :a}", "#{:a 2 1}"), VALID, ""),
    "set-with-a-value-twice.edn": (pairs("#{1 1}", "1"), NEITHER, ":1: a set holds 1 twice. Is the file damaged?"),
    "surrogates.edn": (pairs(r'"\ud83d\ude00"', '"😀"'), VALID, ""),
    "half-a-pair.edn": (pairs(r'"\ud83d"', "1"), NEITHER, r":1: \ud83d is half of a surrogate pair."),
    "half-a-pair.jsonl": (JSON + line(r'"\ud83d"'), NEITHER, r":3: \ud83d is half of a surrogate pair."),
    "other-half.jsonl": (line(r'"x\ude00y"'), NEITHER, r":1: \ude00 is half of a surrogate pair."),
    "half-a-pair-in-bytes.jsonl": (line('"\ud83d"').encode(errors="surrogatepass"), NEITHER, ":1: is not text in UTF-8 (byte 0xed)."),
    "digits.jsonl": (JSON + line("9" * 5000), NEITHER, ":3: holds an integer of more digits than can be read."),
    "digits.edn": (EDN + pairs("9" * 5000, "1"), NEITHER, ":3: holds an integer of 5,000 digits, more than can be read."),
    "many-digits.edn": (pairs("9" * 4000, "9" * 4000), VALID, ""),
    "large.jsonl": (line("1e999"), NEITHER, ":1: holds a number beyond those of 64 bits."),
    "nested.jsonl": (JSON + line("[" * 20000 + "]" * 20000), NEITHER, ":3: brackets nest more than 100 deep. Write flat values."),
    "nested-a-little.jsonl": (line("[" * 300 + "]" * 300), NEITHER, ":1: brackets nest more than 100 deep. Write flat values."),
    "nested-maps.jsonl": (line('{"a":' * 300 + "1" + "}" * 300), NEITHER, ":1: brackets nest more than 100 deep. Write flat values."),
    "nested-elsewhere.jsonl": (line("[" * 300 + "]" * 300, "extra"), VALID, ""),
    "nested.edn": (EDN + pairs("[" * 20000 + "]" * 20000, "1"), NEITHER, ":3: brackets nest more than 100 deep. Write flat values."),
    "never-closed.edn": ("[" * 20000, NEITHER, ":1: brackets nest more than 100 deep. Write flat values."),
    "long-value.jsonl": (line(json.dumps("x" * 3_000_000)) + line("2"), VALID, ""),
    "long-map.edn": (pairs("{" + " ".join(f":{n} {n}" for n in range(100_000)) + "}", "1"), NEITHER, ":1: operation 0 (write by 0) has a value that cannot be compared: {:0: 0, :1: 1"),
    "long-function.jsonl": (line("1").replace('"write"', json.dumps("x" * 3_000_000)), NEITHER, ":1: operation 0 (xxx"),
    "long-type.jsonl": (line("1").replace('"invoke"', json.dumps("x" * 300_000)), NEITHER, ":1: Invalid enum value"),
    "long-process.edn": (EDN.replace("0", f":{'x' * 3_000_000}") + SAW % 2, INVALID, ""),
    "long-key.jsonl": (line("1").replace('"f"', f'"key": {json.dumps("k" * 3_000_000)}, "f"') + line("1"), VALID, ""),
    "unread-long-key.jsonl": (JSON.replace("write", "read").replace('"read"}', '"read", "value": 5}').replace('"f"', f'"key": {json.dumps("k" * 3_000_000)}, "f"'), INVALID, ""),
}  # fmt: skip


def said(captured: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    """The lines on stdout and stderr, none of which is long."""
    told = captured.readouterr()
    lines = told.out.splitlines(), told.err.splitlines()
    assert all(len(each) <= LONGEST_LINE + 30 for each in lines[0] + lines[1])
    return lines


@pytest.mark.parametrize("name", ODD)
def test_an_odd_file(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, outcome, words = ODD[name]
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    code = main(["linearizability", "--model", "register", str(file)])
    out, err = said(capsys)
    if outcome:
        assert out[1].startswith(outcome) and not err
        assert code == {VALID: 0, INVALID: 1}[outcome]
    else:
        assert code == 2 and not out
        (complaint,) = err
        assert complaint.startswith(str(file)) and words in complaint


FRAGMENTS = [
    *(*"{}[]()^,:\"\\#", "#{", "#_", "#tag ", "#:a", "\n", "\r\n", " ", "; c\n", "# c\n", "\0", "\x01", "é"),
    *('"a"', r'"\ud83d"', r"\a", "##NaN", "nil", "null", "true", "1", "1.0", "1.5M", "1/2", "01", "9" * 4400, "1e999", ":x", "x"),
    *(":process", ":type", ":ok", ":f", ":value", ":nemesis", '"process"', '"type"', '"f"', '"value"', "[" * 50),
    *(*EDN.splitlines(keepends=True), *JSON.splitlines(keepends=True), *(SAW % "[1 1]").splitlines(keepends=True)),
]  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=20), st.sampled_from(sorted(built_in_models())))
def test_any_mixture_ends_in_a_verdict_or_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fragments: list[str], model: str
) -> None:
    file = tmp_path / "mixture"
    file.write_text("".join(fragments))
    code = main(["linearizability", "--model", model, str(file)])
    out, err = said(capsys)
    assert code == {"valid": 0, "invalid": 1, "unknown": 2}[out[1].split()[1]] if out else code == 2
    assert len(err) == (not out)


def sparse(file: Path, head: str | bytes, size: int) -> None:
    """A file of `size` bytes, the most of them zeros that take no room on the disk."""
    file.write_bytes(head if isinstance(head, bytes) else head.encode())
    os.truncate(file, size)


GIB = 1 << 30
LONG = 33 << 20
HUGE = {
    "zeros": (b"", ":1: holds zero bytes."),
    "zeros.jsonl": (JSON, ":3: holds zero bytes."),
    "zeros.edn": (EDN, ":3: holds zero bytes."),
    "array-and-zeros.json": (f"[{JSON.strip().replace(chr(10), ',')},", ":1: holds zero bytes."),
    "one-line.jsonl": (
        '{"process": 0, "type": "invoke", "f": "write", "value": "' + "x" * LONG,
        ":1: is longer than 16 MiB.",
    ),
    "one-text.edn": (
        '{:process 0, :type :invoke, :f :write, :value "' + "x" * LONG,
        ":1: an operation longer than 16 MiB.",
    ),
    "one-value.edn": (
        "\n{:process 0, :type :invoke, :f :write, :value [" + "123456789 " * (LONG // 10),
        ":2: an operation longer than 16 MiB.",
    ),
    "one-comment.edn": (f"{EDN}; " + "x" * LONG, ":3: an operation longer than 16 MiB."),
}


def run(*arguments: str, timeout_s: float = 60, memory: int = GIB) -> tuple[int, list[str], list[str]]:
    """The command in a process of its own, which has so much memory and time."""
    ended = subprocess.run(
        [sys.executable, "-m", "framework.check", "linearizability", "--model", "register", *arguments],
        capture_output=True, text=True, timeout=timeout_s,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)),
    )  # fmt: skip
    return ended.returncode, ended.stdout.splitlines(), ended.stderr.splitlines()


@pytest.mark.long
@pytest.mark.parametrize("name", HUGE)
def test_a_huge_file(name: str, tmp_path: Path) -> None:
    head, words = HUGE[name]
    file = tmp_path / name
    sparse(file, head, 2 * GIB)
    code, out, err = run(str(file))
    assert code == 2 and not out
    (complaint,) = err
    assert complaint.startswith(f"{file}{words}")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/dev/zero", ":1: holds zero bytes."),
        ("/dev/urandom", ":"),
        ("/dev/null", ": holds nothing."),
        ("fifo", ": holds nothing."),
    ],
)
def test_a_device_or_a_pipe_that_nobody_writes_to(name: str, words: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    path = str(tmp_path / name)
    code, out, err = run(path)
    assert code == 2 and not out
    (complaint,) = err
    assert complaint.startswith(f"{path}{words}")


def test_a_pipe_is_read_as_it_is_written(tmp_path: Path) -> None:
    pipe = tmp_path / "fifo"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)  # the reader finds a writer
    command = [sys.executable, "-m", "framework.check", "linearizability", "--model", "register", str(pipe)]
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    other = os.open(pipe, os.O_WRONLY)
    for number in range(2000):  # more than a pipe holds
        os.write(other, JSON.replace("1", str(number)).encode())
    os.close(other)
    os.close(writer)
    told, _ = reader.communicate(timeout=60)
    assert told.splitlines()[-1] == "verdict: valid — 2,000 operations on 1 key explained"


def test_an_endless_pipe_of_nothing_ends(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("framework.checking.history.byte_chunks.ENDLESS", 20 * PIECE)
    blank, written = os.pipe()
    with subprocess.Popen(["yes", ""], stdout=written) as endless:
        os.close(written)
        try:
            assert main(["linearizability", "--model", "register", f"/dev/fd/{blank}"]) == 2
        finally:
            endless.kill()
            os.close(blank)
    _, (complaint,) = said(capsys)
    assert complaint.startswith(f"/dev/fd/{blank}: has no end within ")


def test_a_silent_pipe_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("framework.checking.history.byte_chunks.PATIENCE_S", 0.01)
    pipe = tmp_path / "fifo"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    os.write(writer, JSON.encode())
    assert main(["linearizability", "--model", "register", str(pipe)]) == 2
    os.close(writer)
    _, (complaint,) = said(capsys)
    assert complaint == f"{pipe}: is a pipe that was silent for 0.01 s. Write it to a file first."


def test_a_long_array_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(files, "LONGEST_ARRAY", 3 << 20)
    file = tmp_path / "array.json"
    file.write_text("[" + " " * (4 << 20))
    assert main(["linearizability", "--model", "register", str(file)]) == 2
    _, (complaint,) = said(capsys)
    assert complaint == f"{file}: a JSON array of more than 3 MiB. Write one operation a line: jq -c '.[]' FILE."


@pytest.mark.parametrize("edn", [False, True])
def test_a_history_longer_than_a_piece_is_read_in_order(
    edn: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = EDN if edn else JSON
    count = PIECE // len(content) + 1000
    file = tmp_path / "long"
    file.write_text(
        "".join(content.replace("1", str(number)) for number in range(count)) + content.splitlines(keepends=True)[0]
    )
    assert main(["linearizability", "--model", "register", str(file)]) == 0
    out, _ = said(capsys)
    assert out[-1] == f"verdict: valid — {count:,} operations on 1 key explained"
    file.write_text(file.read_text() + "}")
    assert main(["linearizability", "--model", "register", str(file)]) == 2
    _, (complaint,) = said(capsys)
    assert complaint.startswith(f"{file}:{2 * count + 2}: ")


def test_a_name_that_is_not_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = os.fsdecode(bytes(tmp_path / "h") + b"\xff.jsonl")
    Path(file).write_text(JSON)
    assert main(["linearizability", "--model", "register", file]) == 0
    assert main(["linearizability", "--model", "register", file + "x"]) == 2
    out, err = said(capsys)
    assert "h\\udcff.jsonl: register, 1 operations" in out[0] and "h\\udcff.jsonlx: cannot be read" in err[0]


def test_a_folder_without_a_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["linearizability", "--model", "register", str(tmp_path)]) == 2
    _, (complaint,) = said(capsys)
    assert complaint == f"{tmp_path}: holds no history.arrow. Give the folder of a run, or a file."
