"""The live status: the snippet of the guide that SIE's clients were written by, and SIE's own SDK."""
import asyncio
import json

TYPES = {
    "timestamp": float, "loaded_models": list, "server": dict, "gpus": list, "models": list, "counters": dict, "histograms": dict,
}
SERVER = {"version": str, "uptime_seconds": int, "user": str, "working_dir": str, "pid": int}
MODEL = {
    "name": str, "state": str, "device": str, "memory_bytes": int, "queue_depth": int, "queue_pending_items": int, "config": dict,
}
CONFIG = {"adapter": str, "inputs": list, "outputs": list}


def typed(found, types):
    for name, kind in types.items():
        assert type(found[name]) is kind, f"{name} is {found[name]!r}, and not {kind.__name__}"


def checked(status, worker):
    typed(status, TYPES)
    typed(status["server"], SERVER)
    assert status["gpu"] is None and status["gpus"] == [], "this machine's worker is on a CPU"
    assert status["loaded_models"] == [worker.name] and status["server"]["pid"] == worker.process.pid, status
    model, = status["models"]
    typed(model, MODEL)
    typed(model["config"], CONFIG)
    assert model["state"] == "loaded" and model["memory_bytes"] > 1_000_000 and model["config"]["hf_id"] is None, model
    assert model["config"]["inputs"] == ["text"] and "dense" in model["config"]["outputs"], model


def spaced(statuses, worker):
    for status in statuses:
        checked(status, worker)
    times = [status["timestamp"] for status in statuses]
    between = [after - before for before, after in zip(times, times[1:])]
    assert all(0.1 < gap < 1 for gap in between), between
    return f"{len(times)} snapshots, {1000 * sum(between) / len(between):.0f} ms apart"


def snippet(worker, key=None):
    import websockets

    async def monitor():
        seen = []
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with websockets.connect(f"{worker.url.replace('http', 'ws')}/ws/status", additional_headers=headers) as ws:
            async for message in ws:
                status = json.loads(message)
                seen.append(status)
                if len(seen) == 5:
                    return seen

    return spaced(asyncio.run(monitor()), worker)


def watch(worker, key=None):
    from sie_sdk import SIEClient
    stream = SIEClient(worker.url, api_key=key).watch()
    statuses = [next(stream) for _ in range(5)]
    stream.close()
    return spaced(statuses, worker)


def watch_async(worker):
    from sie_sdk import SIEAsyncClient

    async def few():
        seen = []
        async with SIEAsyncClient(worker.url) as client:
            async for status in client.watch():
                seen.append(status)
                if len(seen) == 5:
                    return seen

    return spaced(asyncio.run(few()), worker)


def without_key(worker):
    import websockets
    try:
        snippet(worker)
    except websockets.InvalidStatus as error:
        text = error.response.body.decode()
        assert error.response.status_code == 401 and "needs an API key" in text, text
        return "401: … needs an API key …"
    raise AssertionError("it was shown")


def rows(dense, locked, key):
    return [
        ("websockets", "connect, as the guide does", snippet, dense),
        ("websockets", "connect with a key", snippet, locked, key),
        ("websockets", "connect without the key", without_key, locked),
        ("sie-sdk", "SIEClient.watch", watch, dense),
        ("sie-sdk", "SIEClient.watch with a key", watch, locked, key),
        ("sie-sdk", "SIEAsyncClient.watch", watch_async, dense),
    ]
