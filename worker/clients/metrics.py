"""The metrics, as Prometheus' own client for Python parses them: it refuses what the standard of OpenMetrics does not allow."""
import urllib.request


def parsed(worker, accept, parse):
    asked = urllib.request.Request(f"{worker.url}/metrics", headers={"accept": accept})
    with urllib.request.urlopen(asked, timeout=5) as answer:
        assert answer.headers["content-type"].startswith(accept), answer.headers["content-type"]
        families = list(parse(answer.read().decode()))
    return {family.name: family for family in families}


def openmetrics(worker):
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_parser
    from prometheus_client.parser import text_string_to_metric_families as plain_parser
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"content-type": "application/json", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    urllib.request.urlopen(urllib.request.Request(f"{worker.url}/embed", b'{"inputs": "hello"}', headers), timeout=30).close()
    found = parsed(worker, "application/openmetrics-text; version=1.0.0", open_parser)
    plain = parsed(worker, "text/plain; version=0.0.4", plain_parser)
    kinds = lambda families: {name: family.type for name, family in families.items()}
    assert kinds(found) == kinds(plain), "the families differ"
    labels = lambda sample: tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
    series = lambda families: sorted((sample.name, labels(sample)) for family in families.values() for sample in family.samples)
    assert series(found) == series(plain), "the series differ"
    assert found["inference_device_busy_seconds"].unit == "seconds"
    samples = found["inference_request_duration_seconds"].samples
    exemplars = {sample.labels["phase"]: sample.exemplar.labels for sample in samples if sample.exemplar}
    assert exemplars == dict.fromkeys(["tokenize", "queue", "inference", "total"], {"trace_id": trace}), exemplars
    return f"{len(series(found))} series of {len(found)} families, as in the plain text; {len(exemplars)} exemplars"


def rows(worker):
    return [("prometheus_client", "GET /metrics as OpenMetrics 1.0.0", openmetrics, worker)]
