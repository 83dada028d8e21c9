"""Runs real clients against real workers, and prints a table: client, version, call, result.

    check.py WORKER BELFRY MODEL [--quick]

WORKER and BELFRY are the binaries, MODEL the folder of all-MiniLM-L6-v2. --quick leaves out the pauses of 12 s. The exit code is 1 if
a row fails. Every client runs as it comes: no setting beside its address, its key and the model's name.
"""
import os
import subprocess
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import llama_index.core

# The vocabulary that LangChain tokenizes with comes with llama-index, so that nothing is downloaded.
os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(llama_index.core.__file__).parent / "_static/tiktoken_cache")
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import embedding  # noqa: E402
import errors  # noqa: E402
import metrics  # noqa: E402
import pauses  # noqa: E402
import ranking  # noqa: E402
import sie  # noqa: E402
import status  # noqa: E402
import top  # noqa: E402
from worker import Worker, head_folder  # noqa: E402

KEY = "sk-belfry-clients-test"


def run(row):
    package, call, check, *arguments = row
    began = time.monotonic()
    try:
        result, good = check(*arguments), True
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        result, good = f"FAILED {type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})", False
    return package, call, " ".join(str(result).split()), good, time.monotonic() - began


def released(package, belfry):
    if package != "belfry top":
        return version(package)
    return subprocess.run([belfry, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]


def main():
    flags = [word for word in sys.argv[1:] if word.startswith("-")]
    binary, belfry, minilm = [word for word in sys.argv[1:] if not word.startswith("-")]
    minilm = Path(minilm)
    with tempfile.TemporaryDirectory() as folder:
        ranker = head_folder(minilm, Path(folder) / "ranker", ["score"])
        classifier = head_folder(minilm, Path(folder) / "classifier", ["no", "yes", "maybe"])
        tagger = head_folder(minilm, Path(folder) / "tagger", ["O", "B-PER", "I-PER"], "TokenClassification")
        keys = Path(folder) / "keys"
        keys.write_text(f"sk-another-one-here\n{KEY}\n")
        with (
            Worker(binary, minilm, "minilm") as dense,
            Worker(binary, ranker, "ranker") as rerank,
            Worker(binary, classifier, "classifier") as classify,
            Worker(binary, tagger, "tagger") as tag,
            Worker(binary, minilm, "minilm", "--api-key-file", str(keys)) as locked,
            Worker(binary, minilm, "minilm", "--drain-delay-seconds", "0") as returning,
            Worker(binary, minilm, "minilm", "--drain-delay-seconds", "0", "--drain-timeout-seconds", "60") as ending,
        ):
            for worker in [dense, rerank, classify, tag, locked, returning, ending]:
                worker.ready()
            with ThreadPoolExecutor(16) as pool:
                waiting = [] if "--quick" in flags else [pool.submit(run, row) for row in pauses.rows(dense)]
                held = ending.drain()
                waiting += [pool.submit(run, row) for row in errors.draining(ending)]
                rows = embedding.rows(dense) + ranking.rows(rerank, classify, tag) + sie.rows(dense, rerank)
                rows += errors.rows(dense, rerank) + status.rows(dense, locked, KEY)
                rows += top.rows(belfry, dense, locked, returning) + metrics.rows(dense)
                results = [run(row) for row in rows + errors.keys(locked, KEY)]
                results += [one.result() for one in waiting]
                held.close()
    for package, call, result, good, took in sorted(results, key=lambda row: row[0]):
        print(f"{package:<48} {released(package, belfry):<9} {call:<52} {took:5.1f} s  {result[:150] if good else result}")
    failed = sum(not good for *_, good, _ in results)
    print(f"{len(results)} calls of {len({row[0] for row in results})} clients, {failed} failed")
    sys.exit(1 if failed else 0)


main()
