"""The mesh against strangers, garbage and peers that do not read: closed, reported, bounded, and the run goes on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
import uvloop

from framework.engine.ray.transport import inbound, mesh
from framework.engine.ray.transport.frames import HEADER, HEADER_SIZE, LENGTH_SIZE, MAX_FRAME, FrameError, check_length
from framework.engine.ray.transport.handshake import MAGIC, NONCE, hello, proof
from framework.engine.ray.transport.mesh import Mesh, PeerAddress

SECRET = b"s" * 32
BOUND_S = 5.0


class Worker:
    """Takes frames as a worker does, and remembers."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.lost_frames: list[bytes] = []
        self.flooded = False
        self.reasons: list[str] = []

    def take(self, data: bytes) -> int:
        at = 0
        while len(data) - at >= HEADER_SIZE:
            length, index, _, _, path_length, _ = HEADER.unpack_from(data, at)
            check_length(length, path_length)
            if index == 99:
                raise FrameError("a message that nobody knows")
            stop = at + LENGTH_SIZE + length
            if stop > len(data):
                break
            self.taken.append(bytes(data[at + HEADER_SIZE : stop]))
            at = stop
        return at

    def lost(self, peer: str, frames: bytes) -> None:
        self.lost_frames.append(frames)

    def rejected(self, why: str) -> None:
        self.reasons.append(why)


def frame(payload: bytes, index: int = 0) -> bytes:
    return HEADER.pack(HEADER_SIZE - LENGTH_SIZE + len(payload), index, 0, 1, 0, 7) + payload


def post(outbox: Any, payload: bytes) -> None:
    """What a worker does to send."""
    data = frame(payload)
    outbox.chunks.append(data)
    outbox.size += len(data)


def on_a_loop(story: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(asyncio.wait_for(story(), BOUND_S))

    run.__name__, run.__doc__ = story.__name__, story.__doc__
    return run


async def until(condition: Callable[[], Any]) -> None:
    """Waits for a condition; the story's bound ends a wait in vain."""
    while not condition():
        await asyncio.sleep(0.001)


async def acceptor() -> tuple[Mesh, Worker, PeerAddress]:
    worker = Worker()
    made = Mesh(asyncio.get_running_loop(), "s1.0", SECRET, worker)
    return made, worker, await made.listen("127.0.0.1")


async def stranger(address: PeerAddress) -> socket.socket:
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setblocking(False)
    await loop.sock_connect(connection, address)
    return connection


async def introduced(address: PeerAddress, secret: bytes = SECRET) -> tuple[socket.socket, bytes, bytes]:
    """A connection that has proved itself with `secret`; and what it said: its hello and its proof."""
    loop, nonce = asyncio.get_running_loop(), b"n" * NONCE
    connection = await stranger(address)
    first = hello("s0.0", "s1.0", nonce)
    await loop.sock_sendall(connection, first)
    theirs = await loop.sock_recv(connection, NONCE)
    second = proof(secret, b"open", "s0.0", "s1.0", nonce + theirs)
    await loop.sock_sendall(connection, second)
    return connection, first, second


async def closed(connection: socket.socket) -> None:
    """Waits until the other end has closed."""
    loop = asyncio.get_running_loop()
    try:
        while await loop.sock_recv(connection, 65536):
            pass
    except ConnectionResetError:
        pass
    connection.close()


@on_a_loop
async def test_frames_arrive_in_order_however_they_are_cut() -> None:
    _, worker, address = await acceptor()
    connection, _, _ = await introduced(address)
    loop = asyncio.get_running_loop()
    await loop.sock_recv(connection, 32)
    data = b"".join(frame(bytes([number]) * number) for number in range(40)) + frame(b"x" * 1_000_000)
    for start in range(0, 800, 7):
        await loop.sock_sendall(connection, data[start : start + 7])
    await loop.sock_sendall(connection, data[805:] if len(range(0, 800, 7)) * 7 == 805 else data[800:])
    await until(lambda: len(worker.taken) == 41)
    assert worker.taken[:40] == [bytes([number]) * number for number in range(40)]
    assert worker.reasons == []


@on_a_loop
async def test_two_meshes_that_share_the_secret_talk() -> None:
    _, worker, address = await acceptor()
    opener = Mesh(asyncio.get_running_loop(), "s0.0", SECRET, Worker())
    opener.learn(1, "s1.0", address)
    peer = opener.peer(1)
    for number in range(3):
        post(peer, b"%d" % number)
    opener.waiting.append(peer)
    opener.flush()
    await until(lambda: worker.taken == [b"0", b"1", b"2"])
    assert peer.size == 0


@on_a_loop
async def test_a_stranger_with_garbage_is_closed_and_reported() -> None:
    _, worker, address = await acceptor()
    connection = await stranger(address)
    await asyncio.get_running_loop().sock_sendall(connection, b"GET / HTTP/1.1\r\n\r\n")
    await closed(connection)
    assert worker.reasons == ["a stranger that does not speak the mesh's language"]


@on_a_loop
async def test_one_without_the_secret_learns_nothing() -> None:
    _, worker, address = await acceptor()
    connection, _, _ = await introduced(address, secret=b"wrong" * 8)
    await closed(connection)
    assert worker.reasons == ["one that calls itself s0.0 does not know the run's secret"]


@on_a_loop
async def test_a_replayed_handshake_is_worthless() -> None:
    _, worker, address = await acceptor()
    honest, first, second = await introduced(address)
    connection = await stranger(address)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(connection, first)
    await loop.sock_recv(connection, NONCE)
    await loop.sock_sendall(connection, second)
    await closed(connection)
    assert worker.reasons == ["one that calls itself s0.0 does not know the run's secret"]
    honest.close()


@on_a_loop
async def test_a_proof_of_the_other_direction_is_worthless() -> None:
    _, worker, address = await acceptor()
    loop, nonce = asyncio.get_running_loop(), b"n" * NONCE
    connection = await stranger(address)
    await loop.sock_sendall(connection, hello("s0.0", "s1.0", nonce))
    theirs = await loop.sock_recv(connection, NONCE)
    await loop.sock_sendall(connection, proof(SECRET, b"accept", "s0.0", "s1.0", nonce + theirs))
    await closed(connection)
    assert len(worker.reasons) == 1


@on_a_loop
async def test_one_that_says_hello_as_one_station_and_proves_as_another_is_refused() -> None:
    _, worker, address = await acceptor()
    loop, nonce = asyncio.get_running_loop(), b"n" * NONCE
    connection = await stranger(address)
    await loop.sock_sendall(connection, hello("s0.0", "s1.0", nonce))
    theirs = await loop.sock_recv(connection, NONCE)
    await loop.sock_sendall(connection, proof(SECRET, b"open", "s2.0", "s1.0", nonce + theirs))
    await closed(connection)
    assert worker.reasons == ["one that calls itself s0.0 does not know the run's secret"]
    assert worker.taken == []


@on_a_loop
async def test_one_that_looks_for_somebody_else_is_sent_away() -> None:
    """A restarted worker has a new name: what was meant for its earlier life does not reach it."""
    _, worker, address = await acceptor()
    connection = await stranger(address)
    await asyncio.get_running_loop().sock_sendall(connection, hello("s0.0", "s1.7", b"n" * NONCE))
    await closed(connection)
    assert worker.reasons == ["s0.0 looks for s1.7; this is s1.0"]


@on_a_loop
async def test_one_that_hangs_up_in_the_handshake_is_reported() -> None:
    made, worker, address = await acceptor()
    connection = await stranger(address)
    await asyncio.get_running_loop().sock_sendall(connection, MAGIC + b"half")
    await until(lambda: made.strangers == 1)
    connection.close()
    await until(lambda: worker.reasons)
    assert worker.reasons == ["a stranger closed in the middle of the handshake"]
    assert made.strangers == 0


def test_a_silent_stranger_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbound, "HANDSHAKE_S", 0.05)

    @on_a_loop
    async def story() -> None:
        _, worker, address = await acceptor()
        connection = await stranger(address)
        await closed(connection)
        assert worker.reasons == ["no proof within 0.05 s"]

    story()


def test_only_so_many_strangers_wait_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbound, "STRANGERS", 3)

    @on_a_loop
    async def story() -> None:
        made, worker, address = await acceptor()
        waiting = [await stranger(address) for _ in range(3)]
        await until(lambda: made.strangers == 3)
        await closed(await stranger(address))
        assert worker.reasons == ["more than 3 connections that have not proved themselves"]
        for connection in waiting:
            connection.close()
        await until(lambda: made.strangers == 0)
        connection, _, _ = await introduced(address)
        assert len(await asyncio.get_running_loop().sock_recv(connection, 32)) == 32
        connection.close()

    story()


async def reason_for(data: bytes, hang_up: bool = False) -> tuple[list[str], list[bytes]]:
    """What a worker says of a peer that has proved itself and then sends `data`."""
    _, worker, address = await acceptor()
    connection, _, _ = await introduced(address)
    loop = asyncio.get_running_loop()
    await loop.sock_recv(connection, 32)
    await loop.sock_sendall(connection, data)
    if hang_up:
        await until(lambda: worker.taken)
        connection.close()
        await until(lambda: worker.reasons)
    else:
        await closed(connection)
    return worker.reasons, worker.taken


@on_a_loop
async def test_a_frame_beyond_the_bound_closes_the_connection() -> None:
    too_long = HEADER.pack(MAX_FRAME + 1, 0, 0, 1, 0, 7)
    reasons, _ = await reason_for(too_long)
    assert reasons == [f"a frame of {MAX_FRAME + 1} bytes; the longest allowed has {MAX_FRAME}"]


@pytest.mark.parametrize("first", [1, 4, 18])
def test_a_frame_beyond_the_bound_is_refused_at_its_length_however_it_is_cut(first: int) -> None:
    @on_a_loop
    async def story() -> None:
        made, worker, address = await acceptor()
        connection, _, _ = await introduced(address)
        loop = asyncio.get_running_loop()
        await loop.sock_recv(connection, 32)
        (end,) = made.inbound
        too_long = HEADER.pack(MAX_FRAME + 1, 0, 0, 1, 0, 7)[:18]
        end.data_received(too_long[:first])
        end.data_received(too_long[first:])
        await closed(connection)
        assert worker.reasons == [f"a frame of {MAX_FRAME + 1} bytes; the longest allowed has {MAX_FRAME}"]

    story()


@on_a_loop
async def test_a_frame_shorter_than_its_header_closes_the_connection() -> None:
    reasons, _ = await reason_for(HEADER.pack(3, 0, 0, 1, 0, 7) + b"abc")
    assert reasons == ["a frame of 3 bytes is shorter than its header"]


@on_a_loop
async def test_frames_before_a_bad_one_count_and_those_behind_it_do_not() -> None:
    reasons, taken = await reason_for(frame(b"good") + frame(b"bad", index=99) + frame(b"late"))
    assert reasons == ["a message that nobody knows"]
    assert taken == [b"good"]


@on_a_loop
async def test_half_a_frame_is_reported_when_its_peer_hangs_up() -> None:
    reasons, taken = await reason_for(frame(b"good") + frame(b"half of this is missing")[:-9], hang_up=True)
    assert reasons == ["s0.0 closed in the middle of a frame"]
    assert taken == [b"good"]


@on_a_loop
async def test_what_is_meant_for_a_peer_that_is_down_is_lost_at_once() -> None:
    loop, worker = asyncio.get_running_loop(), Worker()
    opener = Mesh(loop, "s0.0", SECRET, worker)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        opener.learn(1, "s1.0", nobody.getsockname())
    peer = opener.peer(1)
    post(peer, b"first")
    peer.flush()
    await until(lambda: worker.lost_frames)
    post(peer, b"second")
    peer.flush()
    assert worker.lost_frames == [frame(b"first"), frame(b"second")]
    assert peer.size == 0


@on_a_loop
async def test_a_peer_that_comes_back_elsewhere_is_found_again() -> None:
    first, _, address = await acceptor()
    opener = Mesh(asyncio.get_running_loop(), "s0.0", SECRET, Worker())
    opener.learn(1, "s1.0", address)
    await opener.connect_all()
    first.close()
    reborn = Worker()
    second = Mesh(asyncio.get_running_loop(), "s1.1", SECRET, reborn)
    opener.learn(1, "s1.1", await second.listen("127.0.0.1"))
    post(opener.peer(1), b"welcome back")
    opener.peer(1).flush()
    await until(lambda: reborn.taken == [b"welcome back"])


@on_a_loop
async def test_a_connection_that_breaks_is_opened_again_after_a_pause() -> None:
    made, worker, address = await acceptor()
    opener = Mesh(asyncio.get_running_loop(), "s0.0", SECRET, Worker())
    opener.learn(1, "s1.0", address)
    await opener.connect_all()
    await until(lambda: made.inbound)
    for connection in list(made.inbound):
        connection.abort()
    peer = opener.peer(1)

    async def again() -> bool:
        post(peer, b"again")
        peer.flush()
        await asyncio.sleep(0.005)
        return b"again" in worker.taken

    await eventually(again)


async def eventually(attempt: Callable[[], Awaitable[bool]]) -> None:
    while not await attempt():
        pass


@on_a_loop
async def test_an_impostor_in_a_peers_place_gets_no_frame() -> None:
    """Someone else listens where a peer used to: he cannot prove that he knows the secret."""
    loop, worker, heard = asyncio.get_running_loop(), Worker(), bytearray()

    class Impostor(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.write(b"n" * NONCE + b"p" * 32)  # type: ignore[attr-defined]

        def data_received(self, data: bytes) -> None:
            heard.extend(data)

    server = await loop.create_server(Impostor, "127.0.0.1", 0)
    opener = Mesh(loop, "s0.0", SECRET, worker)
    opener.learn(1, "s1.0", server.sockets[0].getsockname())
    post(opener.peer(1), b"confidential")
    opener.peer(1).flush()
    await until(lambda: worker.lost_frames)
    assert "does not know the run's secret" in worker.reasons[0]
    assert b"confidential" not in heard
    server.close()


@on_a_loop
async def test_a_peer_that_stops_reading_does_not_eat_memory_and_gets_the_rest_when_it_goes_on() -> None:
    _, worker, address = await acceptor()
    opener = Mesh(asyncio.get_running_loop(), "s0.0", SECRET, Worker())
    opener.learn(1, "s1.0", address)
    await opener.connect_all()
    peer = opener.peer(1)
    for _ in range(200):  # the other end shares this loop, and cannot read as long as nothing is awaited
        post(peer, b"x" * 100_000)
        peer.flush()
    assert 0 < peer.size <= 200 * (100_000 + HEADER_SIZE)
    assert peer.size < mesh.QUEUE_BYTES
    await until(lambda: len(worker.taken) == 200)
    assert peer.size == 0


@on_a_loop
async def test_what_a_dead_peer_did_not_read_is_reported_lost_frame_by_frame() -> None:
    worker = Worker()
    server = socket.create_server(("127.0.0.1", 0))
    opener = Mesh(asyncio.get_running_loop(), "s0.0", SECRET, worker)
    opener.learn(1, "s1.0", server.getsockname())
    peer = opener.peer(1)
    connecting = asyncio.ensure_future(peer.connect())
    connection = await deaf_acceptor(server)
    await connecting
    for number in range(100):
        post(peer, bytes([number]) * 200_000)
    peer.flush()
    assert peer.size > 0
    connection.close()
    await until(lambda: worker.lost_frames)
    lost = b"".join(worker.lost_frames)
    assert lost.endswith(frame(bytes([99]) * 200_000))
    assert len(lost) % len(frame(b"x" * 200_000)) == 0
    server.close()


async def deaf_acceptor(server: socket.socket) -> socket.socket:
    """The other end of a handshake, which then reads no more."""
    loop = asyncio.get_running_loop()
    server.setblocking(False)
    connection, _ = await loop.sock_accept(server)
    said = await loop.sock_recv(connection, 4096)
    nonces = said[len(MAGIC) : len(MAGIC) + NONCE] + b"a" * NONCE
    await loop.sock_sendall(connection, b"a" * NONCE)
    await loop.sock_recv(connection, 4096)
    await loop.sock_sendall(connection, proof(SECRET, b"accept", "s0.0", "s1.0", nonces))
    return connection


@on_a_loop
async def test_a_flooded_station_stops_reading_until_it_goes_on() -> None:
    made, worker, address = await acceptor()
    connection, _, _ = await introduced(address)
    loop = asyncio.get_running_loop()
    await loop.sock_recv(connection, 32)
    worker.flooded = True
    await loop.sock_sendall(connection, frame(b"first"))
    await until(lambda: made.paused)
    await loop.sock_sendall(connection, frame(b"second"))
    await asyncio.sleep(0)
    assert worker.taken == [b"first"]
    worker.flooded = False
    made.resume()
    await until(lambda: worker.taken == [b"first", b"second"])
    connection.close()
