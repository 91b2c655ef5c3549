"""How the server stops: what was sent before is answered, and nothing that comes later is taken."""

import asyncio
import contextlib
import ctypes
import select
import socket
import struct
import time

import uvicorn

# a connection that is idle when the service stops may just be sending a request
DRAIN_SECONDS = 0.5
# for the last answer; those who stop the service must wait longer
STOP_SECONDS = 30
# in which a connection that is being made is made, and in which all are taken
ACCEPT_SECONDS, MAX_ACCEPT_SECONDS = 0.1, 5

# Linux' numbers, on all machines that Python has wheels for
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
# a filter of packets (`man 4 bpf`): of those that are to make a connection, it takes none
_FLAGS, _SYN, _SYN_ACK = 13, 0x02, 0x12
NO_NEW = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, _FLAGS),  # load a byte of the TCP header
        (0x54, 0, 0, _SYN_ACK),  # keep these two flags
        (0x15, 0, 1, _SYN),  # if it is just the first
        (0x06, 0, 0, 0),  # drop it
        (0x06, 0, 0, 0xFFFFFFFF),  # else take it
    )
)


class DrainingServer(uvicorn.Server):
    """uvicorn's server, which would reset the connections that it has not taken yet.

    Whoever started this process listens on the same socket, and goes on. So the socket is made to
    ignore new connections, which are tried again a second later, by then with somebody else or in
    vain; and all that were made before are taken.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, also where the process before has stopped."""
        for one in sockets or []:
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connections, answer those that are there, and end in time."""
        waiting = select.poll()
        for one in sockets or []:
            ignore_new(one)
            waiting.register(one, select.POLLIN)
        await asyncio.sleep(ACCEPT_SECONDS)
        deadline = time.monotonic() + MAX_ACCEPT_SECONDS
        while waiting.poll(0) and time.monotonic() < deadline:
            # the loop takes one each time
            await asyncio.sleep(0)
        if self.config.timeout_graceful_shutdown is None:
            self.config.timeout_graceful_shutdown = STOP_SECONDS
        await super().shutdown(sockets)


def ignore_new(listening: socket.socket) -> None:
    """Let a socket take no new connections; where the system cannot do that, it goes on."""
    program = ctypes.create_string_buffer(NO_NEW, len(NO_NEW))
    filter_ = struct.pack("HP", len(NO_NEW) // 8, ctypes.addressof(program))
    with contextlib.suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filter_)
