"""The debug port of a real server: health that turns clients away and back in, numbers that never go down."""

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.server import Server, free_port, running_server

# Checks are made every tenth of a second here; this is that with a margin for a machine that is busy.
KNOWN_WITHIN_S = 10.0
REPLACED_WITHIN_S = 20.0
QUICK = "100ms"


class Watched:
    """A server with a debug port, open to everybody, in plain HTTP."""

    def __init__(self, server: Server, debug_port: int) -> None:
        self.server = server
        self.debug = f"http://127.0.0.1:{debug_port}"

    def catalog(self) -> httpx.Response:
        """One request, on a connection of its own: any worker may get it."""
        with self.server.client() as client:
            return client.get("/v2/_catalog")

    def ask(self, path: str) -> httpx.Response:
        """One request to the debug port, on a connection of its own."""
        return httpx.get(self.debug + path, trust_env=False)

    def value(self, name: str, **labels: str) -> float:
        """One number of a scrape; 0 where there is none yet."""
        for family in text_string_to_metric_families(self.ask("/metrics").text):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return 0

    def catalogs(self) -> float:
        """How often the catalog was asked for."""
        return self.value("registry_http_requests_total", handler="catalog", method="get", code="200")


@contextmanager
def watched(folder: Path, *, workers: int = 1, **health: Any) -> Iterator[Watched]:
    """A server that has `health` in its configuration."""
    folder.mkdir()
    debug_port = free_port()
    config = {
        "version": "0.1",
        "http": {
            "workers": workers,
            "debug": {"addr": f"127.0.0.1:{debug_port}", "prometheus": {"enabled": True}},
        },
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "auth": "none",
        "health": health,
    }
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    with running_server(folder, arguments=["config.yml"], has_tls=False) as server:
        yield Watched(server, debug_port)


def expect(watched: Watched, failing: dict[str, str]) -> None:
    """Wait until these checks fail, and look what the debug port and the registry say then."""
    watched.server.wait_until(lambda: watched.ask("/debug/health").json() == failing)
    health, answer = watched.ask("/debug/health"), watched.catalog()
    assert health.status_code == answer.status_code == (503 if failing else 200)
    if failing:
        error = answer.json()["errors"][0]
        assert (error["code"], error["detail"]) == ("UNAVAILABLE", "health check failed: please see /debug/health")
        assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


def test_a_file_takes_the_registry_out_of_service_and_back(tmp_path: Path) -> None:
    switch = tmp_path / "down"
    with watched(tmp_path / "server", file=[{"file": str(switch), "interval": QUICK}]) as server:
        expect(server, {})
        switch.touch()
        expect(server, {str(switch): "file exists"})
        assert server.value("authproxy_health_check_up", check=str(switch)) == 0
        switch.unlink()
        expect(server, {})
        assert server.value("authproxy_health_check_up", check=str(switch)) == 1


def test_a_storage_that_goes_is_noticed(tmp_path: Path) -> None:
    with watched(tmp_path / "server", storagedriver={"enabled": True, "interval": QUICK, "threshold": 2}) as server:
        expect(server, {})
        root = tmp_path / "server" / "registry"
        shutil.move(root, tmp_path / "elsewhere")
        expect(server, {"storagedriver_filesystem": "the storage does not answer: No such file or directory"})
        shutil.move(tmp_path / "elsewhere", root)
        expect(server, {})


def test_a_port_that_stops_is_noticed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        check = {"addr": address, "interval": QUICK, "timeout": "1s", "threshold": 2}
        with watched(tmp_path / "server", tcp=[check]) as server:
            expect(server, {})
            listener.close()
            expect(server, {address: "connection failed: Connection refused"})


def test_an_http_server_that_answers_wrong_is_noticed(tmp_path: Path) -> None:
    status = 200

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status if self.headers["X-Key"] == "secret" else 403)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as other:
        Thread(target=other.serve_forever).start()
        try:
            url = f"http://127.0.0.1:{other.server_port}/live"
            check = {"uri": url, "headers": {"X-Key": ["secret"]}, "interval": QUICK}
            with watched(tmp_path / "server", http=[check]) as server:
                expect(server, {})
                status = 500
                expect(server, {url: "answered 500, not 200"})
                status = 200
                expect(server, {})
            assert "secret" not in server.server.output
        finally:
            other.shutdown()


def test_the_debug_port_has_health_and_metrics_and_nothing_else(tmp_path: Path) -> None:
    with watched(tmp_path / "server") as server:
        assert server.ask("/debug/health").json() == {}
        with socket.create_connection(("127.0.0.1", server.server.port)) as waiting:
            # Its body does not come: it is being answered until it goes away.
            waiting.sendall(
                b"POST /v2/a/blobs/uploads/?digest=sha256:%064d HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n" % 0
            )
            server.server.wait_until(lambda: server.value("registry_http_in_flight_requests") == 1)
        server.server.wait_until(lambda: server.value("registry_http_in_flight_requests") == 0)
        assert server.ask("/metrics").headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert [server.ask(path).status_code for path in ("/", "/debug/vars", "/v2/", "/token")] == [404] * 4


def test_a_debug_port_that_is_taken_is_said_at_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = {"REGISTRY_HTTP_DEBUG_ADDR": f"127.0.0.1:{port}"}
        server = Server(tmp_path, settings)
        with pytest.raises(AssertionError, match=rf"http\.debug\.addr: cannot listen on 127\.0\.0\.1:{port}"):
            server.start()


def test_any_worker_tells_of_all_and_of_those_that_died(tmp_path: Path) -> None:
    with watched(tmp_path / "server", workers=2) as server:
        server.server.wait_until(lambda: server.value("authproxy_workers") == 2)
        for _ in range(40):
            assert server.catalog().status_code == 200
        server.server.wait_until(lambda: server.catalogs() == 40)
        assert [server.catalogs() for _ in range(8)] == [40] * 8, "either worker may have answered"
        before = server.server.worker_ids()
        os.kill(min(before), signal.SIGKILL)
        server.server.wait_until(lambda: len(server.server.worker_ids() - before) == 1, REPLACED_WITHIN_S)
        server.server.wait_until(lambda: server.value("authproxy_workers") == 2, REPLACED_WITHIN_S)
        assert [server.catalogs() for _ in range(8)] == [40] * 8
        server.catalog()
        server.server.wait_until(lambda: server.catalogs() == 41)


def test_a_scraper_that_stays_connected_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with watched(tmp_path / "server", workers=2) as server, httpx.Client(trust_env=False) as scraper:
        scraper.get(server.debug + "/metrics")
        server.server.stop()  # which waits for half as long as the server would for a request
