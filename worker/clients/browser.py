"""Opens the pages of real workers, /docs and the live status at /, in a headless Chromium, and uses them as a person does:
browser.py CHROMIUM WORKER MODEL

A page has to render, to ask nothing but its own worker, and to get an answer for what is sent from it. The exit code is 1 if one of
these fails. Chromium is spoken to by its own protocol through a pipe (--remote-debugging-pipe), so nothing else listens.
"""
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from worker import Worker, head_folder

KEY = "sk-belfry-browser-test"
# Longest wait for anything, in seconds.
LIMIT = 30
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1100,900", "--remote-debugging-pipe",
    # The browser itself may ask no other machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


class Browser:
    """A Chromium with one page, until the end of the `with`."""

    def __init__(self, chromium):
        self.folder = tempfile.mkdtemp(prefix="belfry-chromium-")
        asked, self.write = os.pipe()
        self.read, answered = os.pipe()
        # The browser reads from 3 and writes to 4. Its ends lie above them, so that neither is overwritten before it is copied.
        read, write = (fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (asked, answered))
        pipes = f"exec 3<&{read} 4>&{write}; exec {read}<&- {write}>&-; exec \"$@\""
        command = ["bash", "-c", pipes, "bash", chromium, *FLAGS, f"--user-data-dir={self.folder}", "about:blank"]
        log = open(Path(self.folder) / "log.txt", "wb")
        self.process = subprocess.Popen(command, pass_fds=(read, write), stdout=log, stderr=log, cwd=self.folder,
                                        env=os.environ | {"TMPDIR": self.folder})
        for end in (asked, answered, read, write):
            os.close(end)
        os.set_blocking(self.read, False)
        self.number, self.rest, self.events, self.answers, self.session = 0, b"", [], {}, None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for part in ("Network", "Page", "Runtime", "Log"):
            self.ask(f"{part}.enable")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.read)
        os.close(self.write)
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, method, **params):
        """What the browser answers to a command."""
        self.number += 1
        asked = {"id": self.number, "method": method, "params": params} | ({"sessionId": self.session} if self.session else {})
        os.write(self.write, json.dumps(asked).encode() + b"\0")
        self.until(lambda: self.number in self.answers, method)
        answer = self.answers.pop(self.number)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def until(self, what, named):
        """Reads messages until something is so."""
        end = time.monotonic() + LIMIT
        while not what():
            if time.monotonic() > end or self.process.poll() is not None:
                log = (Path(self.folder) / "log.txt").read_text(errors="replace")[-1500:]
                raise AssertionError(f"{named}: not within {LIMIT} s; the browser's log ends with:\n{log}")
            try:
                self.rest += os.read(self.read, 1 << 20)
            except BlockingIOError:
                time.sleep(0.005)
            *whole, self.rest = self.rest.split(b"\0")
            for message in map(json.loads, whole):
                if "id" in message:
                    self.answers[message["id"]] = message
                else:
                    self.events.append(message)

    def value(self, expression):
        """What an expression in the page gives."""
        given = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in given, (expression, given["exceptionDetails"])
        return given["result"].get("value")

    def wait_for(self, expression):
        """Asks the page until an expression is true."""
        end = time.monotonic() + LIMIT
        while not self.value(expression):
            assert time.monotonic() < end, f"not within {LIMIT} s: {expression}"
            time.sleep(0.02)

    def click(self, selector):
        """Presses the left button where an element is seen."""
        place = self.value(
            f"(() => {{ const e = {selector}; e.scrollIntoView({{ block: 'center' }}); const r = e.getBoundingClientRect();"
            " const x = r.x + r.width / 2, y = r.y + r.height / 2;"
            " return { x, y, seen: r.width > 0 && e.contains(document.elementFromPoint(x, y)) }; })()"
        )
        assert place["seen"], f"{selector} is not where a person could press it"
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=place["x"], y=place["y"], button="left", clickCount=1)

    def type(self, selector, text):
        """Puts a text in place of a field's."""
        self.value(f"{selector}.focus(); {selector}.select()")
        self.ask("Input.insertText", text=text)

    def open(self, url):
        self.ask("Page.navigate", url=url)
        self.until(lambda: any(e["method"] == "Page.loadEventFired" for e in self.events), url)

    def asked(self):
        """Addresses of all requests that the page made."""
        return [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]

    def complaints(self):
        """What the browser holds against the page: exceptions, and what its policy kept from it."""
        thrown = [e["params"]["exceptionDetails"]["text"] for e in self.events if e["method"] == "Runtime.exceptionThrown"]
        logged = [e["params"]["entry"] for e in self.events if e["method"] == "Log.entryAdded"]
        # An answer of 4xx is an entry of its own, and wanted here.
        return thrown + [entry["text"] for entry in logged if entry["level"] == "error" and entry["source"] != "network"]


def at(name):
    return f"document.getElementById('{name}')"


def route(name):
    return f"[...document.querySelectorAll('#routes button')].find((button) => button.textContent === '{name}')"


def send(browser, name):
    """Chooses a route, sends what the page proposes, and gives the status and the answer."""
    browser.click(route(name))
    browser.wait_for(f"{at('title')}.textContent === '{name}'")
    browser.click(at("send"))
    browser.wait_for(f"/^[0-9]/.test({at('status')}.textContent) && !{at('send')}.disabled")
    return browser.value(f"{at('status')}.textContent"), browser.value(f"{at('answer')}.textContent")


def renders(browser, worker):
    """The style and the script of the page ran, and the routes are there."""
    browser.wait_for(f"{at('model')}.textContent.includes('gives: ')")
    assert worker.name in browser.value(f"{at('model')}.textContent")
    style = browser.value("(() => { const s = getComputedStyle(document.querySelector('main')); return s.display + ' ' + s.gridTemplateColumns; })()")
    assert style.startswith("grid ") and len(style.split()) == 3, style
    routes = browser.value("document.querySelectorAll('#routes button').length")
    assert routes >= 20, f"{routes} routes"
    picture = browser.ask("Page.captureScreenshot", format="png")["data"]
    assert len(picture) > 10_000, "the picture of the page is empty"
    return f"{routes} routes, a picture of {len(picture) * 3 // 4} bytes"


def own_routes(browser):
    """The routes of the first group, which this model answers."""
    return browser.value("[...document.querySelector('#routes ul').querySelectorAll('button')].map((button) => button.textContent)")


def answers(browser):
    """Every route that this model answers, with what the page proposes."""
    routes = own_routes(browser)
    for name in routes:
        status, answer = send(browser, name)
        assert status.startswith("200 ") and answer, f"{name}: {status} {answer[:300]}"
    return f"200 for {', '.join(name.removeprefix('POST ') for name in routes)}"


def numbers(browser):
    """A vector of the real model, of a text that was typed."""
    browser.click(route("POST /v1/embeddings"))
    browser.type(at("body"), json.dumps({"input": "typed in a browser", "model": "minilm"}))
    browser.click(at("send"))
    browser.wait_for(f"{at('status')}.textContent.startsWith('200 ')")
    vector = json.loads(browser.value(f"{at('answer')}.textContent"))["data"][0]["embedding"]
    assert len(vector) == 384 and abs(sum(x * x for x in vector) - 1) < 1e-3, len(vector)
    line = browser.value(f"{at('curl')}.textContent")
    assert "typed in a browser" in line and KEY not in line, line
    return "384 numbers of length 1"


def refusal(browser):
    """What is wrong with a body is shown."""
    browser.type(at("body"), "{")
    browser.click(at("send"))
    browser.wait_for(f"{at('status')}.textContent.startsWith('400 ')")
    assert browser.value(f"{at('status')}.className") == "bad"
    text = browser.value(f"{at('answer')}.textContent")
    assert "JSON" in text, text
    return "400, and why"


def key(browser):
    """Without its key the page says what it needs, and with it it loads."""
    browser.wait_for(f"{at('model')}.textContent.includes('needs an API key')")
    browser.type(at("key"), KEY)
    browser.click(at("load"))
    browser.wait_for(f"{at('model')}.textContent.includes('gives: ')")
    return "asked for, and taken"


def live(browser, worker):
    """The live status: the model and its device are there, and what the worker answers meanwhile moves the trends."""
    browser.wait_for(f"{at('link')}.textContent === 'live'")
    cells = "[...document.querySelectorAll('#models td, #devices td')].map((cell) => cell.textContent)"
    shown = browser.value(cells)
    assert shown[:3] == [worker.name, "loaded", "cpu"] and "cpu" in shown[6:], shown
    ask = "fetch('/rerank', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query: 'a', texts: ['b'] }) })"
    browser.value(f"window.asking = setInterval(() => {ask}, 100)")
    chart = "[...document.querySelectorAll('#charts figure')].find((one) => one.querySelector('span').textContent === '%s')"
    for name in ["requests", "p95, in all", "tokens"]:
        browser.wait_for(f"/^[0-9.]+k? (.s|ms)$/.test({chart % name}.querySelector('b').textContent)")
        browser.wait_for(f"[...{chart % name}.querySelectorAll('rect')].some((bar) => bar.getBoundingClientRect().height > 20)")
    browser.value("clearInterval(window.asking)")
    picture = browser.ask("Page.captureScreenshot", format="png")["data"]
    assert len(picture) > 10_000, "the picture of the page is empty"
    rate = browser.value(f"{chart % 'requests'}.querySelector('b').textContent")
    return f"requests at {rate}, a picture of {len(picture) * 3 // 4} bytes"


def live_key(browser):
    """The live status asks for the key, and shows itself with it."""
    browser.wait_for(f"{at('link')}.textContent.includes('needs an API key') && !{at('locked')}.hidden")
    assert browser.value("document.querySelectorAll('#models td').length") == 0
    browser.type(at("key"), KEY)
    browser.wait_for(f"{at('link')}.textContent === 'live'")
    return "asked for, and taken"


def checked(name, check, *arguments):
    began = time.monotonic()
    try:
        result, good = check(*arguments), True
    except (AssertionError, KeyError, ValueError) as error:
        result, good = f"FAILED: {error}", False
    print(f"{name:<28} {time.monotonic() - began:5.1f} s  {result}", flush=True)
    return good


def page(chromium, worker, path, steps):
    """Opens a page of a worker, goes through steps, and looks at what was asked meanwhile."""
    with Browser(chromium) as browser:
        browser.open(f"{worker.url}{path}")
        good = [checked(f"{worker.name}: {step.__name__}", step, browser, *more) for step, *more in steps]
        asked, complaints = browser.asked(), browser.complaints()

        def outside():
            others = [url for url in asked if not url.startswith(f"{worker.url}/")]
            assert not others and len(asked) >= 3, f"the page asked for {others or 'nothing'}"
            assert not complaints, f"the browser says: {complaints}"
            return f"{len(asked)} requests, all to its worker"

        def noticed():
            """The watch itself: what the page would ask elsewhere is seen, and kept from it."""
            browser.value("fetch('http://127.0.0.2/').then(() => 'an answer', (error) => error.message)")
            assert browser.complaints(), "a request to another address left no trace"
            return "and would have been seen"

        return all([*good, checked(f"{worker.name}: nothing from outside", outside), checked(f"{worker.name}: the watch", noticed)])


def main():
    chromium, binary, model = sys.argv[1:4]
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys.txt"
        keys.write_text(f"{KEY}\n")
        reranker = head_folder(Path(model), Path(folder) / "reranker", ["relevant"])
        with Worker(binary, model, "minilm", "--api-key-file", str(keys)) as embedder, Worker(binary, reranker, "rerank") as other:
            embedder.ready(), other.ready()
            good = page(chromium, embedder, "/docs", [(key,), (renders, embedder), (answers,), (numbers,), (refusal,)])
            good &= page(chromium, other, "/docs", [(renders, other), (answers,)])
            good &= page(chromium, embedder, "/", [(live_key,)])
            good &= page(chromium, other, "/", [(live, other)])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
