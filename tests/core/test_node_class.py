"""What an author gets wrong in a class body is an error when the class is made, and says what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from framework.core.durable import DurableLog, DurableMap, durable, durable_log, durable_map
from framework.core.errors import PluginError
from framework.core.message import Message, NodeId, Record
from framework.core.node import Node, handles, on_timer
from framework.core.node_class import RESERVED, check_durable_types, check_handler_types
from tests.core.bench import Bench, MsgpackStorage, Sent

if TYPE_CHECKING:
    from pathlib import Path as Nowhere


class Ping(Message):
    count: int


class Pong(Message):
    count: int


class Loose(Record):
    votes: list[int]


def refused(make: Callable[[], Any], *words: str) -> str:
    with pytest.raises(PluginError) as raised:
        make()
    text = str(raised.value)
    for word in words:
        assert word in text, text
    assert text.endswith("."), text
    return text


# The class body.


def test_a_constructor_is_refused_and_on_start_named_instead() -> None:
    def make() -> None:
        class Broken(Node):
            def __init__(self) -> None: ...

    refused(make, "Broken: a node has no __init__", "Write on_start")


def test_slots_are_refused() -> None:
    def make() -> None:
        class Broken(Node):
            __slots__ = ("term",)

    refused(make, "Broken: a node has no __slots__", "its attributes are its state")


def test_a_value_that_would_hide_one_of_the_nodes_own_names_is_refused() -> None:
    def make() -> None:
        class Broken(Node):
            state: str = "follower"  # type: ignore[assignment]

    refused(make, "Broken.state: every node has a state already", "Choose another name")


def test_a_durable_field_may_not_hide_one_either() -> None:
    def make() -> None:
        class Broken(Node):
            now: int = durable(0)

    refused(make, "Broken.now: every node has a now already")


def test_the_reserved_names_are_all_the_public_names_of_a_node() -> None:
    public = {name for name in [*vars(Node), *Node.__annotations__] if not name.startswith("_")}
    assert public == RESERVED


@pytest.mark.parametrize("mutable", [[], {}, set(), bytearray()])
def test_a_class_attribute_that_can_change_is_refused_for_all_nodes_would_share_it(mutable: object) -> None:
    def make() -> None:
        type("Broken", (Node,), {"acked": mutable})

    refused(make, "Broken.acked", "shared by all its nodes", "Set self.acked in on_start")


def test_a_table_in_capitals_is_a_constant() -> None:
    class Fine(Node):
        NEXT = {"follower": "candidate"}

    assert Fine.NEXT["follower"] == "candidate"


def test_an_async_on_start_is_refused_for_it_would_never_run() -> None:
    def make() -> None:
        class Broken(Node):
            async def on_start(self) -> None: ...  # type: ignore[override]

    refused(make, "Broken.on_start: on_start cannot be async")


# Handlers.


def test_an_async_handler_is_refused() -> None:
    def make() -> None:
        class Broken(Node):
            @handles(Ping)  # type: ignore[type-var]
            async def on_ping(self, sender: NodeId, ping: Ping) -> None: ...

    refused(make, "Broken.on_ping: a handler cannot be async", "Write def")


def test_a_handler_that_yields_is_refused_for_its_body_would_never_run() -> None:
    def make() -> None:
        class Broken(Node):
            @handles(Ping)
            def on_ping(self, sender: NodeId, ping: Ping) -> Any:
                yield 1

    refused(make, "Broken.on_ping: a handler cannot yield")


def test_a_handler_takes_a_sender_and_a_message() -> None:
    def one_too_few() -> None:
        class Broken(Node):
            @handles(Ping)
            def on_ping(self, ping: Ping) -> None: ...

    def by_keyword() -> None:
        class Broken(Node):
            @handles(Ping)
            def on_ping(self, sender: NodeId, *, ping: Ping) -> None: ...

    for make in (one_too_few, by_keyword):
        refused(make, "Broken.on_ping", "def on_ping(self, sender: NodeId, message: Ping) -> None")


def test_a_handler_is_a_plain_method() -> None:
    def make() -> None:
        class Broken(Node):
            @classmethod
            @handles(Ping)
            def on_ping(cls, sender: NodeId, ping: Ping) -> None: ...

    refused(make, "Broken.on_ping: a handler is a plain method, not a classmethod")


def test_two_handlers_of_one_message_are_refused() -> None:
    def make() -> None:
        class Broken(Node):
            @handles(Ping)
            def on_ping(self, sender: NodeId, ping: Ping) -> None: ...

            @handles(Pong, Ping)
            def on_either(self, sender: NodeId, message: Message) -> None: ...

    refused(make, "Broken.on_either: Ping is handled by on_ping too", "Keep one handler a message")


@pytest.mark.parametrize("wrong", [Record, int, "Ping", Ping(1)])
def test_handles_takes_message_classes(wrong: Any) -> None:
    refused(lambda: handles(wrong), "@handles(", "takes Message classes", "class Vote(Message)")


def test_handles_without_a_message_is_refused() -> None:
    refused(lambda: handles(), "@handles()", "names no message")


def test_timers_are_held_to_the_same() -> None:
    def asynchronous() -> None:
        class Broken(Node):
            @on_timer  # type: ignore[type-var]
            async def retry(self) -> None: ...

    def yielding() -> None:
        class Broken(Node):
            @on_timer
            def retry(self) -> Any:
                yield

    refused(asynchronous, "Broken.retry: a timer cannot be async")
    refused(yielding, "Broken.retry: a timer cannot yield")


# Durable fields.


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        ([], "Use a tuple, or durable_log(Entry)"),
        ({}, "Use durable_map(K, V)"),
        (set(), "Use a frozenset"),
        (([],), "Use a tuple"),
        (Loose([1]), "Use a tuple"),
        (object(), "Use an immutable value"),
    ],
)
def test_a_default_that_can_change_is_refused_with_what_to_use_instead(value: Any, remedy: str) -> None:
    def make() -> None:
        class Broken(Node):
            votes: Any = durable(value)

    refused(make, "Broken.votes", "a durable field cannot hold", remedy)


def test_a_private_durable_field_is_refused() -> None:
    def make() -> None:
        class Broken(Node):
            _term: int = durable(0)

    refused(make, "Broken._term: a durable field is public", "Call it term")


def test_a_durable_field_without_a_type_is_refused_for_it_could_not_be_read_back() -> None:
    def make() -> None:
        class Broken(Node):
            term = durable(3)

    refused(make, "Broken.term: a durable field needs its type", "Write term: int = durable(3)")


def test_a_subclass_may_not_hide_a_durable_field() -> None:
    class Base(Node):
        term: int = durable(0)

    def make() -> None:
        class Broken(Base):
            term = 5

    refused(make, "Broken.term: hides a durable field", "term: int = durable(5)")


class Wide(Node):
    votes: list[int] = durable(())  # type: ignore[arg-type]


class Vague(Node):
    log: DurableLog[Any] = durable_log(Any)


class Nested(Node):
    log: DurableLog[Loose] = durable_log(Loose)


class Absent(Node):
    home: Nowhere | None = durable(None)


class Precise(Node):
    voted_for: NodeId | None = durable(None)
    members: frozenset[NodeId] = durable(frozenset())
    log: DurableLog[tuple[int, bytes]] = durable_log(tuple[int, bytes])
    table: DurableMap[str, int] = durable_map(str, int)


def test_the_types_of_durable_fields_are_held_to_immutability_at_registration() -> None:
    refused(lambda: check_durable_types(Wide), "Wide.votes: a durable field cannot hold list[int]", "tuple[X, ...]")
    refused(lambda: check_durable_types(Vague), "Vague.log: a durable field cannot hold Any", "precise type")
    refused(lambda: check_durable_types(Nested), "Loose.votes: a durable field cannot hold list[int]")
    refused(lambda: check_durable_types(Absent), "Absent.home: its type cannot be found", "'Nowhere'", "Import it in")
    check_durable_types(Precise)


# Inheritance.


class Base(Node):
    term: int = durable(0)
    log: DurableLog[int] = durable_log(int)

    def on_start(self) -> None:
        self.seen: list[str] = []
        self.set_timer(self.retry, after=10)

    @handles(Ping)
    def on_ping(self, sender: NodeId, ping: Ping) -> None:
        self.seen.append("base")

    @on_timer
    def retry(self) -> None:
        self.seen.append("base retry")


class Derived(Base):
    ballot: int = durable(7)

    def on_ping(self, sender: NodeId, ping: Ping) -> None:
        self.seen.append("derived")

    def retry(self) -> None:
        self.seen.append("derived retry")


def test_an_override_of_a_handler_or_a_timer_needs_no_decorator() -> None:
    bench = Bench(Derived)

    bench.deliver(("n2", Ping(1)))
    bench.advance(10)

    assert bench.node.seen == ["derived", "derived retry"]


def test_an_override_is_checked_like_the_method_it_takes_the_place_of() -> None:
    def make() -> None:
        class Broken(Base):
            async def on_ping(self, sender: NodeId, ping: Ping) -> None: ...  # type: ignore[override]

    def value() -> None:
        class Broken(Base):
            retry = None  # type: ignore[assignment]

    refused(make, "Broken.on_ping: a handler cannot be async")
    refused(value, "Broken.retry: a timer is a plain method, not a NoneType")


def test_an_override_decorated_anew_takes_only_what_it_now_names() -> None:
    class Changed(Base):
        @handles(Pong)
        def on_ping(self, sender: NodeId, pong: Pong) -> None:  # type: ignore[override]
            self.seen.append("pong")

    assert list(Changed._handlers) == [Pong]


def test_durable_fields_are_inherited_and_stand_before_the_subclasss_own() -> None:
    bench = Bench(Derived)
    bench.node.term, bench.node.ballot = 3, 8
    bench.node.log.append(5)
    bench.finish()
    bench.boot()

    assert (bench.node.term, bench.node.ballot, list(bench.node.log)) == (3, 8, [5])
    assert list(Derived._durable) == ["term", "log", "ballot"]


def test_a_subclass_may_declare_a_field_anew() -> None:
    class Later(Base):
        term: int = durable(9)

    assert (Bench(Later).node.term, Bench(Base).node.term) == (9, 0)


class Leases:
    """A plain mixin: handlers, timers and durable fields of its own."""

    lease: int = durable(1)

    @handles(Pong)
    def on_pong(self, sender: NodeId, pong: Pong) -> None:
        self.lease += pong.count

    @on_timer
    def expire(self) -> None: ...


class WithLeases(Leases, Base):
    pass


def test_a_mixins_handlers_timers_and_durable_fields_count() -> None:
    bench = Bench(WithLeases)
    bench.deliver(("n2", Pong(4)), ("n2", Ping(1)))
    bench.node.set_timer(bench.node.expire, after=1)
    bench.boot()

    assert bench.node.lease == 5
    assert WithLeases._durable == {"term": "scalar", "log": "log", "lease": "scalar"}


class Left(Base):
    @handles(Pong)
    def on_pong(self, sender: NodeId, pong: Pong) -> None:
        self.seen.append("left")


class Right(Base):
    def on_ping(self, sender: NodeId, ping: Ping) -> None:
        self.seen.append("right")


class Diamond(Left, Right):
    pass


def test_a_diamond_follows_the_order_in_which_python_looks_names_up() -> None:
    bench = Bench(Diamond)

    bench.deliver(("n2", Ping(1)), ("n2", Pong(1)))

    assert bench.node.seen == ["right", "left"]


# Restoring from a storage that keeps no types.


class Ballot(Record):
    round: int
    node: NodeId


class Put(Record, tag=True):
    key: str
    value: bytes


class Delete(Record, tag=True):
    key: str


class Keeper(Node):
    """Annotations are strings here, and one of them cannot be resolved: only those of durable fields are looked at."""

    nowhere: Nowhere
    ratio: float = durable(0.5)
    voted_for: NodeId | None = durable(None)
    promised: Ballot | None = durable(None)
    members: frozenset[NodeId] = durable(frozenset())
    pair: tuple[int, tuple[str, ...]] = durable((0, ()))
    log: DurableLog[Put | Delete] = durable_log(Put | Delete)  # type: ignore[arg-type]
    accepted: DurableMap[int, Ballot] = durable_map(int, Ballot)

    @handles(Ping)
    def on_ping(self, sender: NodeId, ping: Ping) -> None:
        self.ratio, self.voted_for, self.promised = 0.25, sender, Ballot(3, "n2")
        self.members, self.pair = frozenset({"n1", "n2"}), (1, ("a", "b"))
        self.log.extend([Put("x", b"\x00\xff"), Delete("x"), Put("y", b"1")])
        self.log.compact(1)
        self.accepted[5], self.accepted[2] = Ballot(1, "n1"), Ballot(2, "n3")


def test_values_come_back_with_their_types_from_msgpack() -> None:
    check_durable_types(Keeper)
    bench = Bench(Keeper, storage=MsgpackStorage())
    bench.deliver(("n2", Ping(1)))
    before = bench.node.state()

    bench.boot()

    assert bench.node.state() == before
    node = bench.node
    assert (type(node.members), type(node.pair[1]), type(node.promised)) == (frozenset, tuple, Ballot)
    assert [type(entry) for entry in node.log] == [Delete, Put]
    assert list(node.accepted) == [5, 2]


def test_nothing_is_written_when_what_was_restored_has_not_changed() -> None:
    bench = Bench(Keeper, storage=MsgpackStorage())
    bench.deliver(("n2", Ping(1)))
    commits = len(bench.commits)

    bench.boot()

    assert len(bench.commits) == commits


class Mistyped(Node):
    term: int = durable(0)

    @handles(Ping)
    def on_ping(self, sender: NodeId, ping: Ping) -> None:
        self.term = "three"  # type: ignore[assignment]


def test_a_value_that_is_not_of_the_declared_type_is_refused_when_it_is_read_back() -> None:
    bench = Bench(Mistyped, storage=MsgpackStorage())
    bench.deliver(("n2", Ping(1)))

    text = refused(bench.boot, "Mistyped.term: what was committed is not of the declared type")
    assert re.search("Expected `int`, got `str`", text)


def test_a_node_whose_state_another_class_left_behind_says_so() -> None:
    storage = MsgpackStorage()
    Bench(Mistyped, storage=storage).deliver(("n2", Ping(1)))

    refused(lambda: Bench(Precise, storage=storage), "Precise: n1 has stored term at ''", "destroy=True")


class Greeter(Node):
    def on_start(self) -> None:
        self.broadcast(Ping(1))


def test_the_smallest_node_needs_no_declaration_at_all() -> None:
    assert Bench(Greeter).left == [Sent("n2", Ping(1)), Sent("n3", Ping(1))]


# Annotations of handlers, at registration.


class Odd(Message):
    count: int


class Numbered(Message):
    count: int


class NumberedPing(Numbered):
    pass


class Agreeing(Node):
    @handles(Ping)
    def on_ping(self, sender: NodeId, ping: Ping) -> None: ...

    @handles(Pong, Odd)
    def on_either(self, sender: NodeId, message: Pong | Odd) -> None: ...

    @handles(NumberedPing)
    def on_numbered(self, sender: NodeId, message: Numbered) -> None: ...


class Unannotated(Node):
    @handles(Ping)
    def on_ping(self, sender, ping): ...  # type: ignore[no-untyped-def]

    @handles(Pong)
    def on_pong(self, sender: NodeId, pong: Any) -> None: ...


class Disagreeing(Node):
    @handles(Ping)
    def on_ping(self, sender: NodeId, ping: Pong) -> None: ...


class HalfAgreeing(Node):
    @handles(Ping, Odd)
    def on_either(self, sender: NodeId, message: Ping | Pong) -> None: ...


class Unresolved(Node):
    @handles(Ping)
    def on_ping(self, sender: NodeId, ping: Nowhere) -> None: ...


class Numeric(Node):
    @handles(Ping)
    def on_ping(self, sender: NodeId, ping: int) -> None: ...


class Misread(Agreeing):
    def on_ping(self, sender: NodeId, ping: Pong) -> None: ...  # type: ignore[override]


def test_the_annotation_of_a_handler_admits_what_it_handles() -> None:
    check_handler_types(Agreeing)
    check_handler_types(Unannotated)
    wrong = "Disagreeing.on_ping: handles Ping, but its parameter is ping: Pong"
    refused(lambda: check_handler_types(Disagreeing), wrong, "Write ping: Ping, or @handles(Pong)")
    refused(lambda: check_handler_types(HalfAgreeing), "HalfAgreeing.on_either: handles Odd", "message: Ping | Pong")
    refused(
        lambda: check_handler_types(Unresolved), "Unresolved.on_ping", "cannot be found", "'Nowhere'", "Import it in"
    )
    refused(lambda: check_handler_types(Numeric), "Numeric.on_ping: handles Ping, but its parameter is ping: int")
    refused(lambda: check_handler_types(Misread), "Misread.on_ping: handles Ping, but its parameter is ping: Pong")


def test_a_local_class_is_accepted_by_its_name() -> None:
    class Local(Message):
        count: int

    class Handler(Node):
        @handles(Local, Ping)
        def on_local(self, sender: NodeId, message: Local | Ping) -> None: ...

    check_handler_types(Handler)


def test_a_status_is_a_property() -> None:
    def shown() -> None:
        class Broken(Node):
            status = {"role": "leader"}

    def called() -> None:
        class Broken(Node):
            def replica(self) -> None: ...

    refused(shown, "Broken.status: is dict, and not a property", "Write @property above def status(self) -> Status.")
    refused(called, "Broken.replica: is a method, and not a property", "Write @property above def replica(self).")
