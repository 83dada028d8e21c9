"""Workers whose telemetry goes nowhere: each is a way in which what listens to a worker fails, and none may matter to a request."""
import os
import socket
from contextlib import ExitStack, contextmanager

from worker import Worker

TELEMETRY = ["--json-logs", "--log-requests", "1", "--enable-trace", "--otlp-traces-endpoint"]

# Where there is nothing to send spans to, they are sent all the same: a refused connection costs what it costs.
NOWHERE = "127.0.0.1:1"

UPGRADE = (
    "GET /ws/status HTTP/1.1\r\nhost: worker\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@contextmanager
def dead_collector(start):
    """It accepts connections, since the kernel does, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent, open(os.devnull, "wb") as log:
        with start(log, f"127.0.0.1:{silent.getsockname()[1]}") as worker:
            yield worker


@contextmanager
def full_disk(start):
    """Each write of the log fails: there is no space left."""
    with open("/dev/full", "wb") as log, start(log, NOWHERE) as worker:
        yield worker


@contextmanager
def blocked_stdout(start):
    """Nothing reads the pipe that the log goes to, and it is full from the first."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    try:
        while os.write(writes, bytes(4096)):
            pass
    except BlockingIOError:
        pass
    os.set_blocking(writes, True)
    try:
        with start(writes, NOWHERE) as worker:
            yield worker
    finally:
        os.close(reads)
        os.close(writes)


@contextmanager
def viewers_that_never_read(start):
    """Ten that ask for the live status and read nothing; the worker drops each once it has to wait for it."""
    with open(os.devnull, "wb") as log, start(log, NOWHERE) as worker, ExitStack() as open_ones:
        worker.ready()
        for _ in range(10):
            viewer = open_ones.enter_context(socket.socket())
            # So that little is on its way to it before the worker has to wait.
            viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            viewer.connect(("127.0.0.1", worker.port))
            viewer.sendall(UPGRADE.encode())
        yield worker


# What is broken, and how.
FAULTS = [
    ("a collector that does not answer", dead_collector),
    ("a full disk", full_disk),
    ("a blocked stdout", blocked_stdout),
    ("viewers that never read", viewers_that_never_read),
]


def starter(binary, folder):
    """How a fault starts its worker: with a file for the log, and a collector."""
    return lambda log, collector: Worker(binary, folder, "minilm", *TELEMETRY, collector, stdout=log)
