"""Measures what telemetry costs a worker: `make bench-telemetry`.

    telemetry.py WORKER BELFRY MODEL OUT [ROUNDS]

WORKER and BELFRY are the binaries, MODEL the folder of all-MiniLM-L6-v2, OUT the file for the measurements. Two workers run side by side.
One has all telemetry on: a line of JSON for each request, its spans for a collector, a scrape of OpenMetrics a second, and ten viewers of its live status. The other
logs nothing, and is not watched. Callers ask one and then the other, in rounds of four seconds, so that whatever else the machine does meets both. Then the
same, in rounds of two seconds, with workers whose log, collector or viewers are broken (broken.py).
"""
import http.client
import json
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

from broken import FAULTS, starter
from collector import Collector
from top import Terminal
from viewers import Viewers, cpu, share
from worker import Worker

CALLERS = 4
SECONDS = 4.0
SECONDS_BROKEN = 2.0

# Prometheus drops a scrape with more (SAMPLE_LIMIT in render/src/children/service_monitor.rs).
MOST_SERIES = 2000

# As Prometheus 3 asks.
OPENMETRICS = {"accept": "application/openmetrics-text;version=1.0.0;q=0.7,text/plain;version=0.0.4;q=0.4,*/*;q=0.3"}
BODY = json.dumps({"inputs": "the quick brown fox jumps over the lazy dog and then sleeps in the sun for a while " * 2})
HEADERS = {
    "content-type": "application/json",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}


def ask(port, end, latencies):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while (began := time.perf_counter()) < end:
        connection.request("POST", "/embed", BODY, HEADERS)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        latencies.append(time.perf_counter() - began)
    connection.close()


def load(worker, seconds=SECONDS):
    """Requests of one round: how many a second, and how long each took. One that is not answered with 200 ends its caller."""
    latencies, began = [], time.perf_counter()
    callers = [threading.Thread(target=ask, args=(worker.port, began + seconds, latencies)) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return len(latencies) / (time.perf_counter() - began), latencies


def scraped(url):
    with urllib.request.urlopen(urllib.request.Request(f"{url}/metrics", headers=OPENMETRICS), timeout=5) as answer:
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        return answer.read().decode()


def scrape(worker):
    began = time.perf_counter()
    text = scraped(worker.url)
    took = time.perf_counter() - began
    assert text.endswith("# EOF\n") and "inference_requests_total" in text
    return took


def series(worker):
    return sum(not line.startswith("#") for line in scraped(worker.url).splitlines())


def lost(worker):
    name = 'inference_trace_spans_total{outcome="failed"} '
    return float(next(line for line in worker.get("/metrics")[1].splitlines() if line.startswith(name)).removeprefix(name))


class Scrapes:
    """A scrape every so many seconds, in a thread, until the end of the `with`."""

    def __init__(self, worker, pause):
        self.worker, self.pause, self.took, self.ends = worker, pause, [], threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.ends.wait(self.pause):
            self.took.append(scrape(self.worker))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()


def watch(url, ready, ends):
    with Viewers(SimpleNamespace(url=url), 10):
        ready.set()
        while not ends.wait(1.0):
            scraped(url)


class Watchers:
    """Ten viewers and a scrape a second, until the end of the `with`: in a process of their own, since the callers would wait for them."""

    def __init__(self, worker):
        self.ready, self.ends = multiprocessing.Event(), multiprocessing.Event()
        self.process = multiprocessing.Process(target=watch, args=(worker.url, self.ready, self.ends))

    def __enter__(self):
        self.process.start()
        assert self.ready.wait(30), "the viewers are not connected"

    def __exit__(self, *_):
        # Without the viewers' goodbyes, which take seconds.
        self.process.kill()
        self.process.join()


def percentile(values, percent):
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def measurement(metric, unit, ours, reference=None, target=None, holds=None):
    ratio = ours / reference if reference else None
    return {"metric": metric, "unit": unit, "ours": ours, "reference": reference, "ratio": ratio, "target": target, "holds": holds}


def interleaved(one, other, rounds, seconds, around=lambda worker: nullcontext()):
    """Requests a second of each worker, how long its requests took, and the CPU time of one in seconds, which the machine's other work changes least."""
    rates, latencies, used = {one: [], other: []}, {one: [], other: []}, {one: 0.0, other: 0.0}
    for number in range(rounds):
        # Who is first changes: the second of two rounds may find the machine warmer.
        for worker in [one, other] if number % 2 else [other, one]:
            with around(worker):
                before = cpu(worker.process.pid)
                rate, took = load(worker, seconds)
                used[worker] += cpu(worker.process.pid) - before
            rates[worker].append(rate)
            latencies[worker] += took
    means = {worker: statistics.mean(of) for worker, of in rates.items()}
    return means, latencies, {worker: used[worker] / max(len(latencies[worker]), 1) for worker in used}


def compare(on, off, rounds):
    around = lambda worker: Watchers(on) if worker is on else nullcontext()
    sums, latencies, used = interleaved(on, off, rounds, SECONDS, around)
    lost = 1 - sums[on] / sums[off]
    yield measurement("requests a second", "1/s", sums[on], sums[off], "at most 2 % fewer", lost < 0.02)
    yield measurement("CPU of a request", "ms", used[on] * 1000, used[off] * 1000)
    for percent, target in [(50, None), (99, 1.05)]:
        ours, reference = (percentile(latencies[worker], percent) * 1000 for worker in [on, off])
        words = "at most 5 % more" if target else None
        yield measurement(f"latency, p{percent}", "ms", ours, reference, words, target and ours < reference * target)


def broken(binary, folder, off, rounds):
    for name, fault in FAULTS:
        with fault(starter(binary, folder)) as worker:
            worker.ready(), load(worker, SECONDS_BROKEN)
            sums, latencies, used = interleaved(worker, off, rounds, SECONDS_BROKEN)
        slower = percentile(latencies[worker], 99) / percentile(latencies[off], 99)
        for word, holds, ours, reference, unit, target in [
            ("requests a second", sums[worker] > 0.98 * sums[off], sums[worker], sums[off], "1/s", "at most 2 % fewer"),
            ("latency, p99", slower < 1.05, *(percentile(latencies[one], 99) * 1000 for one in [worker, off]), "ms", "at most 5 % more"),
        ]:
            yield measurement(f"{name}: {word}", unit, ours, reference, target, holds)
        yield measurement(f"{name}: CPU of a request", "ms", used[worker] * 1000, used[off] * 1000)


def odd(worker):
    """Requests that no other is like: what they make up must not become a label."""
    connection = http.client.HTTPConnection("127.0.0.1", worker.port)
    for number in range(200):
        for path, body in [(f"/{number}", ""), ("/embed", f'{{"inputs": {number}}}'), ("/v1/embeddings", f'{{"model": "m{number}", "input": "x"}}')]:
            headers = HEADERS | {"x-request-id": f"odd{number}", "user-agent": f"odd{number}"}
            connection.request("POST", path, body, headers)
            connection.getresponse().read()
    connection.close()


def bounded(on):
    odd(on)
    before = series(on)
    odd(on)
    yield measurement("series of a model's worker", "series", before, None, f"at most {MOST_SERIES}", before <= MOST_SERIES)
    more = series(on) - before
    yield measurement("series that 600 requests add that differ in all", "series", more, None, "none", more == 0)


def watched(on, belfry, seconds):
    with Scrapes(on, 0.05) as scrapes:
        load(on)
    p50 = statistics.median(scrapes.took) * 1000
    yield measurement("scrape of a busy worker, p50", "ms", p50, None, "< 2 ms", p50 < 2)
    idle = share(on.process.pid, seconds)
    yield measurement("CPU of an idle worker", "% of a core", idle)
    with Viewers(on, 100):
        used = share(on.process.pid, seconds) - idle
    yield measurement("CPU of 100 viewers", "% of a core", used, None, "< 3 %", used < 3)
    with Terminal(belfry) as terminal:
        terminal.top(on.url)
        terminal.wait("the model", lambda screen: f"> {on.name}" in screen)
        top = share(terminal.process(), seconds)
        terminal.keys("q")
    yield measurement("CPU of belfry top", "% of a core", top, None, "< 5 %", top < 5)


def table(measurements):
    number = lambda value: "" if value is None else f"{value:.4g}"
    word = {None: "", True: "yes", False: "NO"}
    rows = [["metric", "ours", "reference", "ratio", "unit", "target", "holds"]]
    for one in measurements:
        rows.append([one["metric"], number(one["ours"]), number(one["reference"]), number(one["ratio"]), one["unit"], one["target"] or "", word[one["holds"]]])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def processor():
    return next(line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))


def main():
    binary, belfry, minilm, out = sys.argv[1:5]
    rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 12
    with tempfile.TemporaryDirectory() as folder, open(Path(folder) / "log", "wb") as log:
        collector = Collector(folder)
        flags = ["--json-logs", "--log-requests", "1", "--enable-trace", "--otlp-traces-endpoint", collector.endpoint]
        on = Worker(binary, Path(minilm), "minilm", *flags, stdout=log)
        with collector, on, Worker(binary, Path(minilm), "minilm", "--log", "off") as off:
            on.ready(), off.ready(), load(on), load(off)
            measurements = [*compare(on, off, rounds), *watched(on, belfry, 10.0), *bounded(on)]
            dropped = [line for line in on.get("/metrics")[1].splitlines() if line.startswith("inference_log_lines_dropped_total ")]
            assert dropped == ["inference_log_lines_dropped_total 0"], dropped
            assert lost(on) == 0, "the collector did not take every span"
            on.process.kill()
            measurements += broken(binary, Path(minilm), off, rounds)
    print(f"Processor: {processor()}\n{table(measurements)}")
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out).write_text(json.dumps(measurements, indent=2) + "\n")


if __name__ == "__main__":
    main()
