"""Measures what viewers of the live status cost: CPU of an idle worker and of `belfry top`, in shares of a core.

    viewers.py WORKER BELFRY MODEL [SECONDS]

WORKER and BELFRY are the binaries, MODEL the folder of all-MiniLM-L6-v2. Each figure is over SECONDS=20 s of CPU time as the system
counts it (/proc/PID/stat), which no other load on the machine changes much.
"""
import asyncio
import os
import sys
import threading
import time
from pathlib import Path

import websockets

from top import Terminal
from worker import Worker


def cpu(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def share(pid, seconds):
    before, began = cpu(pid), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu(pid) - before) / (time.monotonic() - began)


class Viewers:
    """So many viewers, in a thread, until the end of the `with`; each counts what it got."""

    def __init__(self, worker, count):
        self.url, self.count, self.got = f"{worker.url.replace('http', 'ws')}/ws/status", count, 0
        self.loop = asyncio.new_event_loop()
        self.open = threading.Event()

    async def view(self):
        async with websockets.connect(self.url, compression=None, ping_interval=None) as socket:
            async for message in socket:
                self.got += 1
                self.bytes = len(message)

    async def all(self):
        tasks = [asyncio.ensure_future(self.view()) for _ in range(self.count)]
        try:
            while self.got < self.count:
                await asyncio.sleep(0.05)
            self.open.set()
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def run(self):
        try:
            self.loop.run_until_complete(self.task)
        except asyncio.CancelledError:
            pass

    def __enter__(self):
        self.task = self.loop.create_task(self.all())
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        assert self.open.wait(30), "the viewers are not connected"
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.task.cancel)
        self.thread.join()


def main():
    binary, belfry, minilm = sys.argv[1:4]
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 20.0
    with Worker(binary, Path(minilm), "minilm") as worker:
        worker.ready()
        print(f"no viewer      worker {share(worker.process.pid, seconds):6.2f} % of a core")
        for count in [1, 10, 100]:
            with Viewers(worker, count) as viewers:
                before = viewers.got
                used = share(worker.process.pid, seconds)
                rate = (viewers.got - before) / count / seconds
                print(f"{count:>3} viewers    worker {used:6.2f} % of a core, {rate:.2f} snapshots a second each, {viewers.bytes} bytes")
        with Terminal(belfry) as terminal:
            terminal.top(worker.url)
            terminal.wait("the model", lambda screen: f"> {worker.name}" in screen)
            print(f"belfry top     {share(terminal.process(), seconds):6.2f} % of a core, {resident(terminal.process()):.1f} MiB")
            terminal.keys("q")


def resident(pid):
    line, = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
