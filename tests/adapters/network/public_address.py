"""Dials a real public address, in network namespaces of its own: `unshare -U -r -n python -m …public_address`.

This process has one end of a wire, a child in another namespace has the other end with the public address on it and a
server behind it. No packet leaves this machine. Prints what came of each way as JSON.
"""

import json
import socket
import subprocess
import sys

import anyio

from tests.adapters.network.requests import Client
from tests.adapters.network.servers import Names, names
from tests.adapters.network.ways_out import way_out

PUBLIC, NEIGHBOUR = "93.184.216.34", "93.184.216.1"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\npublic"


def serve() -> None:
    """Serve on the public address, once the wire is there; say from where each request came."""
    print("ready", flush=True)
    sys.stdin.readline()
    _ip("link", "set", "lo", "up")
    _ip("addr", "add", f"{PUBLIC}/24", "dev", "wire1")
    _ip("link", "set", "wire1", "up")
    with socket.create_server((PUBLIC, 80)) as listener:
        print("listening", flush=True)
        while True:
            client, _ = listener.accept()
            with client:
                client.recv(65536)
                client.sendall(ANSWER)


async def dial_all() -> dict[str, object]:
    """Reach the server by a request and through the proxy, and not on this machine's own public address."""
    asked = await Client(names(good_test=PUBLIC)).get("http://good.test/")
    literal = await Client(Names({})).get(f"http://{PUBLIC}/")
    own = await Client(names(good_test=NEIGHBOUR)).get("http://good.test/")
    async with way_out(["good.test"], Names({"good.test": [[PUBLIC], [NEIGHBOUR]]})) as way:
        head = b"CONNECT good.test:80 HTTP/1.1\r\nHost: x\r\n\r\n"
        tunnelled = await way.say(head + b"GET / HTTP/1.1\r\n\r\n")
        refused = await way.say(head)
        told = [[one.host, one.port, one.address, one.reason_code] for one in way.told]
    return {
        "asked": repr(asked),
        "literal": repr(literal),
        "own": repr(own),
        "tunnelled": tunnelled.decode(),
        "refused": refused.decode(),
        "told": told,
    }


def main() -> None:
    """Lay the wire, and use it."""
    command = ["unshare", "-n", sys.executable, "-m", "tests.adapters.network.public_address", "serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            assert server.stdout.readline() == "ready\n"
            _ip("link", "set", "lo", "up")
            _ip("link", "add", "wire0", "type", "veth", "peer", "name", "wire1", "netns", str(server.pid))
            _ip("addr", "add", f"{NEIGHBOUR}/24", "dev", "wire0")
            _ip("link", "set", "wire0", "up")
            server.stdin.write("go\n")
            server.stdin.flush()
            assert server.stdout.readline() == "listening\n"
            print(json.dumps(anyio.run(dial_all)))
        finally:
            server.kill()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()
