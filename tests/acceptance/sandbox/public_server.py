"""A server with a public address in a network namespace of its own, and a wire to it: `… COMMAND [ARGUMENT…]`.

For root, in a network and a mount namespace of its own (`unshare --net --mount`). Names stand in a hosts file that only
the command sees. No packet leaves this machine. Each request that came is a line of the file that `REQUESTS` names.
"""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

PUBLIC, EVIL, NEIGHBOUR = "93.184.216.34", "93.184.216.66", "93.184.216.1"
HOSTS = f"""127.0.0.1 localhost inside.test
{PUBLIC} good.test
{EVIL} evil.test
169.254.169.254 metadata.test
{NEIGHBOUR} own.test
"""
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


def serve(requests: Path) -> None:
    """Serve on both public addresses, once the wire is there."""
    print("ready", flush=True)
    sys.stdin.readline()
    _ip("link", "set", "lo", "up")
    for address in (PUBLIC, EVIL):
        _ip("addr", "add", f"{address}/24", "dev", "wire1")
    _ip("link", "set", "wire1", "up")
    with socket.create_server(("", 80)) as listener:
        print("listening", flush=True)
        while True:
            client, _ = listener.accept()
            with client, requests.open("a") as log:
                log.write(f"{client.getsockname()[0]} {client.recv(65536)!r}\n")
                client.sendall(ANSWER)


def main() -> int:
    """Lay the wire, run the command, and return its status."""
    requests = os.environ.pop("REQUESTS")
    server_command = [
        "unshare",
        "--net",
        sys.executable,
        "-m",
        "tests.acceptance.sandbox.public_server",
        "serve",
        requests,
    ]
    with (
        tempfile.NamedTemporaryFile("w", suffix=".hosts") as hosts,
        subprocess.Popen(server_command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
    ):
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            hosts.write(HOSTS)
            hosts.flush()
            Path(hosts.name).chmod(0o644)
            subprocess.run(["mount", "--bind", hosts.name, "/etc/hosts"], check=True)
            assert server.stdout.readline() == "ready\n"
            _ip("link", "set", "lo", "up")
            _ip("link", "add", "wire0", "type", "veth", "peer", "name", "wire1", "netns", str(server.pid))
            _ip("addr", "add", f"{NEIGHBOUR}/24", "dev", "wire0")
            _ip("link", "set", "wire0", "up")
            server.stdin.write("go\n")
            server.stdin.flush()
            assert server.stdout.readline() == "listening\n"
            return subprocess.call(sys.argv[1:], cwd=os.environ["BASE"])
        finally:
            server.kill()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(Path(sys.argv[2]))
    sys.exit(main())
