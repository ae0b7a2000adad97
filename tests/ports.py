"""Finds ports for servers of the tests."""

import random
import socket

# Below the ports that the system gives to connections: one of those may be taken by a client of
# a database between the look and the listening.
RANGE = range(20_000, 32_000)
# Not the seeded one, which is the same in every parallel test process.
_dice = random.SystemRandom()


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    while True:
        port = _dice.choice(RANGE)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
