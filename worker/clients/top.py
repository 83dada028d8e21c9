"""`belfry top` in a real terminal (tmux) on a real worker: what it shows, its keys, and that the terminal is as before."""
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import requests

PATIENCE = 30


class Terminal:
    """A shell in a terminal of 80 columns and 24 lines."""

    def __init__(self, belfry):
        self.belfry = belfry
        self.folder = tempfile.TemporaryDirectory()
        self.socket = str(Path(self.folder.name) / "tmux")
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "env", "PS1=ready> ", "NO_COLOR=1", "bash", "--norc")
        self.wait("a shell", lambda screen: "ready>" in screen)

    def tmux(self, *arguments):
        done = subprocess.run(["tmux", "-S", self.socket, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, f"tmux: {done.stderr.strip()}"
        return done.stdout

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def wait(self, what, holds):
        end = time.monotonic() + PATIENCE
        while not holds(screen := self.screen()):
            assert time.monotonic() < end, f"waited for {what}:\n{screen}"
            time.sleep(0.05)
        return screen

    def top(self, *arguments):
        # The settings of the terminal before and after, and the exit code.
        self.keys("-l", f"clear; stty -g > before; {self.belfry} top {' '.join(arguments)}; echo code=$?; stty -g | cmp - before && echo same")
        self.keys("Enter")

    def process(self):
        shell = self.tmux("display-message", "-p", "#{pane_pid}").strip()
        return int(Path(f"/proc/{shell}/task/{shell}/children").read_text().split()[0])

    def __enter__(self):
        self.keys("-l", f"cd {self.folder.name}")
        self.keys("Enter")
        return self

    def __exit__(self, *_):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True)
        self.folder.cleanup()


def restored(screen, code):
    lines = [line for line in screen.splitlines() if line.strip()]
    assert f"code={code}" in lines and "same" in lines, screen
    return not any("LAST 10 s" in line for line in lines)


def shows(belfry, worker):
    with Terminal(belfry) as terminal:
        terminal.top(worker.url)
        terminal.wait("the model", lambda screen: f"> {worker.name}" in screen and "live" in screen)
        for _ in range(20):
            requests.post(f"{worker.url}/embed", json={"inputs": ["a bell"] * 4}).raise_for_status()
        screen = terminal.wait("a p95", lambda screen: any(line.startswith("> ") and " ms" in line for line in screen.splitlines()))
        assert len(screen.splitlines()) == 24 and all(len(line) <= 80 for line in screen.splitlines()), screen
        for part in ["belfry 0.", f"pid {worker.process.pid}", "cpu", "loaded", "texts", "the last 60 s", "inference", "q quit"]:
            assert part in screen, f"{part} is not in:\n{screen}"
        terminal.keys("?")
        terminal.wait("the help", lambda screen: "Any key closes this" in screen)
        terminal.keys("x")
        terminal.wait("no help", lambda screen: "Any key closes this" not in screen)
        terminal.keys("/")
        terminal.keys("-l", "zzz")
        terminal.wait("no model", lambda screen: "no model fits the filter" in screen)
        terminal.keys("Escape")
        terminal.wait("the model again", lambda screen: f"> {worker.name}" in screen)
        terminal.keys("Enter")
        terminal.wait("no detail", lambda screen: "the last 60 s" not in screen)
        terminal.keys("q")
        screen = terminal.wait("the end", lambda screen: "same" in screen)
        assert restored(screen, 0), screen
    return "80x24, keys, and the terminal as before"


def ends_on_signals(belfry, worker):
    with Terminal(belfry) as terminal:
        for number in [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]:
            terminal.top(worker.url)
            terminal.wait("the model", lambda screen: f"> {worker.name}" in screen)
            os.kill(terminal.process(), number)
            screen = terminal.wait("the end", lambda screen: "code=" in screen and "same" in screen)
            assert restored(screen, 128 + number), screen
    return "SIGTERM, SIGINT, SIGHUP: the terminal as before"


def ends_with_its_terminal(belfry, worker):
    """A window that is closed leaves no process behind, which would read from nothing for ever."""
    with Terminal(belfry) as terminal:
        terminal.top(worker.url)
        terminal.wait("the model", lambda screen: f"> {worker.name}" in screen)
        process = terminal.process()
        subprocess.run(["tmux", "-S", terminal.socket, "kill-server"], capture_output=True, check=True)
        end = time.monotonic() + PATIENCE
        while Path(f"/proc/{process}").exists():
            assert time.monotonic() < end, f"process {process} outlives its terminal"
            time.sleep(0.05)
    return "a terminal that is closed ends it"


def reconnects(belfry, worker):
    """The worker must be one that no other row uses: it is ended and started again."""
    with Terminal(belfry) as terminal:
        terminal.top(worker.url)
        terminal.wait("the model", lambda screen: f"> {worker.name}" in screen and "live" in screen)
        worker.process.send_signal(signal.SIGTERM)
        terminal.wait("the loss", lambda screen: "LOST for" in screen and "trying again" in screen)
        worker.process.wait(PATIENCE)
        worker.start()
        terminal.wait("the worker again", lambda screen: "live" in screen and "loaded" in screen)
        terminal.keys("q")
        assert restored(terminal.wait("the end", lambda screen: "same" in screen), 0)
    return "LOST, and live again"


def looks_once(belfry, worker):
    import json
    done = subprocess.run([belfry, "top", worker.url, "--once", "--output", "json"], capture_output=True, text=True, check=True)
    shown, = json.loads(done.stdout)
    assert shown["status"]["models"][0]["name"] == worker.name, shown
    table = subprocess.run([belfry, "top", worker.url, "--once"], capture_output=True, text=True, check=True).stdout
    assert worker.name in table and "loaded" in table, table
    return "tables and JSON"


def refused_key(belfry, worker):
    done = subprocess.run([belfry, "top", worker.url], capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done
    assert "needs an API key" in done.stderr and "BELFRY_API_KEY" in done.stderr, done.stderr
    return done.stderr.strip().split(": ", 2)[2]


def rows(belfry, dense, locked, ending):
    checks = [
        ("in a terminal", shows, dense),
        ("signals", ends_on_signals, dense),
        ("terminal", ends_with_its_terminal, dense),
        ("a worker that comes back", reconnects, ending),
        ("--once", looks_once, dense),
        ("without the key", refused_key, locked),
    ]
    return [("belfry top", call, check, belfry, worker) for call, check, worker in checks]
