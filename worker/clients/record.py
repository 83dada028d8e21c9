"""Records what a real worker says under changing load, for the golden screens of `belfry top`.

    record.py WORKER MODEL > cli/tests/top/recorded.jsonl

WORKER is the binary, MODEL the folder of all-MiniLM-L6-v2. One snapshot a second for 14 s; then `make golden`.
"""
import asyncio
import os
import random
import sys
import threading
import time
from pathlib import Path

import requests
import websockets

from worker import Worker

SNAPSHOTS = 14


def load(worker, seed, stop):
    """One caller, who is busier in some seconds than in others, and makes a mistake now and then."""
    draw, began = random.Random(seed), time.monotonic()
    while not stop.is_set():
        texts = ["a bell rings in the tower " * draw.randint(1, 6)] * draw.randint(1, 8)
        requests.post(f"{worker.url}/embed", json={"inputs": [""] if draw.random() < 0.03 else texts}, timeout=30)
        time.sleep(draw.expovariate(2 + 6 * abs((time.monotonic() - began + seed) % 10 - 5) / 5))


async def snapshots(worker):
    seen = []
    async with websockets.connect(f"{worker.url.replace('http', 'ws')}/ws/status") as socket:
        async for message in socket:
            seen.append(message)
            if len(seen) == 5 * SNAPSHOTS:
                return seen[::5]


def main():
    binary, minilm = [str(Path(path).resolve()) for path in sys.argv[1:3]]
    # The snapshots have the worker's folder in them.
    os.chdir("/")
    stop = threading.Event()
    with Worker(binary, minilm, "minilm") as worker:
        worker.ready()
        callers = [threading.Thread(target=load, args=(worker, seed, stop)) for seed in range(3)]
        for caller in callers:
            caller.start()
        time.sleep(2)
        print("\n".join(asyncio.run(snapshots(worker))))
        stop.set()
        for caller in callers:
            caller.join()


main()
