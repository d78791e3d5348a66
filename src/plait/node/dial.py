"""Connections from the agent straight to an app: inside its place, where its own sidecar is not in the way."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from plait.node import netns

Dial = Callable[[int], Awaitable[socket.socket]]
"""Connects to a port of the app; raises OSError."""


def dial_in(namespace: str) -> Dial:
    """How to reach the app in that network namespace; an empty one is the agent's own."""

    async def dial(port: int) -> socket.socket:
        if namespace:
            channel = await asyncio.to_thread(netns.open_socket, namespace)
        else:
            channel = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            channel.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(channel, ("127.0.0.1", port))
        except BaseException:
            channel.close()
            raise
        return channel

    return dial
