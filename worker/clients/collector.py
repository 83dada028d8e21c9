"""An OpenTelemetry Collector that takes spans and keeps none, until the end of the `with`."""
import os
import socket
import subprocess
import time
from pathlib import Path

CONFIG = """
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}}
exporters: {{file: {{path: /dev/null}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [file]}}}}
"""


class Collector:
    def __init__(self, folder):
        cache = os.environ.get("BELFRY_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "belfry"
        self.program, self.config = Path(cache) / "tools/bin/collector", Path(folder) / "collector.yaml"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.endpoint = f"127.0.0.1:{self.port}"
        self.config.write_text(CONFIG.format(port=self.port))

    def __enter__(self):
        # Where it runs in a cluster it is on another machine: here it must not take the worker's time.
        command = ["nice", "-n", "19", self.program, f"--config={self.config}"]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.05)
        raise TimeoutError("the collector does not listen")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
