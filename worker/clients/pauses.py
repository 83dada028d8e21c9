"""Clients that keep a connection for 12 s between two requests; a server that closes it meanwhile loses the second."""
import asyncio
import time

import aiohttp
import httpx
import requests

PAUSE, TIMES = 12, 2
BODY = {"input": "hello world"}


def with_requests(url):
    with requests.Session() as session:
        for index in range(TIMES):
            if index:
                time.sleep(PAUSE)
            session.post(f"{url}/v1/embeddings", json=BODY).raise_for_status()
        pools = session.get_adapter(url).poolmanager.pools
        made = sum(pools[key].num_connections for key in pools.keys())
    assert made == 1, f"{made} connections"
    return "one connection"


def with_httpx(url):
    # Its own pool drops a connection after 5 s; this one keeps it.
    with httpx.Client(limits=httpx.Limits(keepalive_expiry=60)) as client:
        used = []
        for index in range(TIMES):
            if index:
                time.sleep(PAUSE)
            answer = client.post(f"{url}/v1/embeddings", json=BODY)
            answer.raise_for_status()
            used.append(answer.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(set(used)) == 1, used
    return "one connection"


def with_aiohttp(url):
    made = []

    async def ask():
        trace = aiohttp.TraceConfig()

        async def note(*_):
            made.append(1)

        trace.on_connection_create_end.append(note)
        async with aiohttp.ClientSession(trace_configs=[trace]) as session:
            for index in range(TIMES):
                if index:
                    await asyncio.sleep(PAUSE)
                async with session.post(f"{url}/v1/embeddings", json=BODY) as answer:
                    answer.raise_for_status()
                    await answer.read()

    asyncio.run(ask())
    assert len(made) == 1, f"{len(made)} connections"
    return "one connection"


def with_openai(url):
    from openai import OpenAI
    client = OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)
    for index in range(TIMES):
        if index:
            time.sleep(PAUSE)
        client.embeddings.create(model="minilm", input="hello world")
    return "answered without a retry"


def rows(worker):
    checks = [("requests", with_requests), ("httpx", with_httpx), ("aiohttp", with_aiohttp), ("openai", with_openai)]
    return [(package, f"two requests, {PAUSE} s apart", check, worker.url) for package, check in checks]
