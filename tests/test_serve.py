"""The server as people start it: answers, refusals, limits, and drawings that survive a crash."""

import base64
import http.client
import io
import json
import os
import re
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest
from conftest import Command, dots, with_metadata
from PIL import Image as PillowImage
from playwright.sync_api import Browser
from served import Server, serving

from digits.pictures.ink import encoded
from digits.pictures.scenes import picture_of
from digits_reader.decode import FORMATS
from digits_reader.guard import check_origin
from digits_reader.pictures import read_picture
from digits_reader.server import own_address
from plain_errors import ConfigError


@pytest.fixture(scope="module")
def server(quickstart: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models = (quickstart, quickstart / "model.onnx")
    allowed = ("--allow-host", "Allowed.name", "--allow-origin", SITE, "--allow-origin", "http://[::1]:3000")
    with serving(*models, *allowed, cwd=tmp_path_factory.mktemp("serving")) as running:
        yield running


@pytest.fixture(scope="module")
def seven() -> bytes:
    return encoded(picture_of("canvas", 7, 0))


MOMENTS = [0, 0, 0.002, 0.01, 0.03, 0.06, 0.1, 0.2, 0.4, 0.8]  # seconds after the first line, while all is imported
SITE = "https://site.example"
ENDS = {130: "interrupted", 143: "terminated"}
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def files_in(folder: Path) -> list[str]:
    """The files below a folder, but for the lock."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return [str(path.relative_to(folder)) for path in paths]


def drawing(**changes: Any) -> dict[str, Any]:
    pixels = np.zeros((28, 28))
    pixels[4:24, 13:16] = 1
    given = {"id": str(uuid.uuid4()), "pixels": pixels.tolist(), "label": 1, "model": "cnn", "answer": 7}
    return given | changes


def test_a_picture_is_read(server: Server, seven: bytes):
    reply = server.ask("POST", "/api/predict", seven, "image/png")
    answer = reply.json
    assert reply.status == 200
    assert answer["digit"] == 7 == answer["probabilities"][0]["digit"]
    assert answer["confidence"] == answer["probabilities"][0]["probability"]
    assert answer["runner_up"] == answer["probabilities"][1]["digit"]
    shares = [each["probability"] for each in answer["probabilities"]]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1, abs=1e-5)
    assert np.abs(np.array(answer["image"]) - read_picture(seven)[0]).max() < 1e-3
    assert answer["certain"] is None, "the model has not learned to tell"
    assert answer["model"] == "cnn" and 0 < answer["milliseconds"] < 10_000


def test_a_number_is_read_and_is_no_digit(server: Server, seven: bytes):
    row = PillowImage.new("RGB", (560, 280), "white")
    for place in (0, 280):
        row.paste(picture_of("canvas", 7, 0), (place, 0))
    both = encoded(row)
    reply = server.ask("POST", "/api/number?model=cnn", both, "image/png")
    (line,) = reply.json["lines"]
    assert reply.status == 200 and reply.json["model"] == "cnn" and line["number"] == "77"
    left, top, right, bottom = line["digits"][1]["box"]
    assert 280 < left < right < 560 and 0 < top < bottom < 280 and 0 < line["digits"][1]["confidence"] <= 1
    assert line["digits"][1]["certain"] is None
    reply = server.ask("POST", "/api/predict", both, "image/png")
    assert (reply.status, reply.json["code"]) == (409, "several_digits") and "several digits" in reply.json["error"]
    assert server.ask("POST", "/api/number", seven, "image/png").json["lines"][0]["number"] == "7"


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", "image/png;charset=utf-8"])
def test_a_canvas_data_url_is_read_as_the_picture_itself(server: Server, seven: bytes, kind: str):
    url = f"data:{kind};base64,{base64.b64encode(seven).decode()}"
    for path in ("/api/predict", "/api/number"):
        direct, by_url = (server.ask("POST", path, body, "image/png").json for body in (seven, {"picture": url}))
        assert by_url | {"milliseconds": 0} == direct | {"milliseconds": 0}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "the JSON: wanted {"),
        (b"{", "the JSON: wanted {"),
        (b"[" * 100_000, "the JSON: wanted {"),
        (b'"data:image/png;base64,AAAA"', "the JSON: wanted {"),
        ({"pixels": []}, "/api/pixels takes 28x28 pixels"),
        ({"picture": 7}, "the JSON: wanted {"),
        ({"picture": "data:image/png;base64,AAAA", "more": 1}, "the JSON: wanted {"),
        ({"picture": "data:,"}, "the JSON: wanted {"),  # of a canvas without pixels
        ({"picture": "data:text/plain;base64,AAAA"}, "the JSON: wanted {"),
        ({"picture": "data:image/svg+xml,<svg/>"}, "the JSON: wanted {"),
        ({"picture": "data:image/png;base64,AAA"}, "the base64"),
        ({"picture": "data:image/png;base64,AA\nAA"}, "the base64"),
        ({"picture": "data:image/png;base64,ä"}, "the base64"),
        ({"picture": "data:image/png;base64,"}, "not a picture"),
        ({"picture": "data:image/png;base64,AAAA"}, "not a picture"),
    ],
)
def test_a_wrong_data_url_is_refused_in_one_sentence(server: Server, body, sentence: str):
    for path in ("/api/predict", "/api/number"):
        reply = server.ask("POST", path, body, "application/json")
        assert reply.status == 422 and set(reply.json) <= {"error", "code"} and sentence in reply.json["error"]


def test_pixels_are_neither_scaled_nor_centred(server: Server, seven: bytes):
    first = server.ask("POST", "/api/predict", seven, "image/png").json
    again = server.ask("POST", "/api/pixels?model=cnn%202", {"pixels": first["image"]}).json
    assert again["model"] == "cnn 2" and again["image"] == first["image"]
    assert again["confidence"] == pytest.approx(first["confidence"], abs=1e-3)


def test_models_health_docs_and_schema_can_be_fetched(server: Server):
    models = server.ask("GET", "/api/models").json["models"]
    assert [model["name"] for model in models] == ["cnn", "cnn 2"]
    assert models[0]["classes"] == list(range(10)) and 0.5 < models[0]["test_accuracy"] <= 1
    assert server.ask("GET", "/healthz").json == {"status": "ok"}
    assert b"/api/predict" in server.ask("GET", "/docs").content
    paths = server.ask("GET", "/openapi.json").json["paths"]
    assert "/api/drawings" in paths
    for path in ("/api/predict", "/api/number"):
        kinds = paths[path]["post"]["requestBody"]["content"]
        assert kinds["application/json"]["schema"]["properties"]["picture"]["pattern"].startswith("^data:")
    docs = server.ask("GET", "/docs").content.decode()
    assert "canvas.toDataURL()" in docs and "`" not in docs
    for name, kind in (
        ("pixels", "list of list of number from 0 to 1"),
        ("probabilities", "list of object of digit, probability"),
        ("reason", "string or null"),
    ):
        assert f"<code>{name}</code></th><td>{kind}</td>" in docs
    assert "409 several digits on the picture; /api/number reads them" in docs


@pytest.mark.parametrize("width", [390, 768, 1400])
def test_the_docs_fit_the_window(server: Server, browser: Browser, width: int):
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(f"{server.url}/docs")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("[...document.querySelectorAll('pre')].every(each => each.scrollWidth <= each.clientWidth)")
    page.close()


@pytest.mark.parametrize("path", ["/", "/page.css", "/healthz", "/docs", "/openapi.json", "/api/models", "/nothing"])
def test_head_answers_as_get_does_without_a_body(server: Server, path: str):
    got, head = server.ask("GET", path), server.ask("HEAD", path)
    assert got.content and not head.content
    assert head.status == got.status == (404 if path == "/nothing" else 200)
    del got.headers["date"], head.headers["date"]
    assert head.headers.items() == got.headers.items()


def test_docs_with_a_slash_leads_to_the_docs_behind_a_proxy_too(server: Server):
    for method in ("GET", "HEAD"):
        reply = server.ask(method, "/docs/", Host="allowed.name")
        assert reply.status == 307
        assert urljoin("https://allowed.name/prefix/docs/", reply.headers["Location"]).endswith("/prefix/docs")
    for path in ("/healthz/", "/page.css/", "/docs/x/"):
        assert (server.ask("GET", path).status, server.ask("GET", path).headers["Location"]) == (404, None)


def test_every_answer_forbids_content_from_other_sites(server: Server):
    for path in ("/", "/docs", "/api/models", "/nothing"):
        headers = server.ask("GET", path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("body", "kind", "status", "sentence", "code"),
    [
        (b"x", None, 415, "wanted one of image/png", None),
        (b"x", "multipart/form-data; boundary=x", 415, "as the body: curl --data-binary @seven.png -H", None),
        (b"x", "image/png", 422, "not a picture", "no_picture"),
        (encoded(picture_of("canvas", 7, 0))[:500], "image/png", 422, "damaged", "no_picture"),
        (encoded(picture_of("canvas", 7, 0).point(lambda _: 255)), "image/png", 422, "no ink", "no_ink"),
        (encoded(dots()), "image/png", 422, "no single digit", "no_single_digit"),
    ],
)
def test_a_wrong_picture_is_refused_with_the_reason(server: Server, body, kind, status, sentence, code):
    reply = server.ask("POST", "/api/predict", body, kind)
    assert reply.status == status
    assert reply.json == {"error": reply.json["error"]} | ({"code": code} if code else {})
    assert sentence in reply.json["error"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "sentence"),
    [
        (b"x", "image/png", 415, "wanted application/json"),
        (b"", "application/json", 422, "Field required"),
        (b"[" * 100_000, "application/json", 400, "parsing the body"),
        (b'{"pixels": [[NaN]]}', "application/json", 422, "finite"),
        (json.dumps({"pixels": [[0.5] * 28] * 27}).encode(), "application/json", 422, "at least 28 items"),
        (json.dumps({"pixels": [[1.5] * 28] * 28}).encode(), "application/json", 422, "less than or equal to 1"),
        (json.dumps({"pixels": [["1"] * 28] * 28}).encode(), "application/json", 422, "valid number"),
        (b'{"pixels": []', "application/json", 422, "JSON decode error"),
        (json.dumps({"pixels": [[0] * 28] * 28}).encode(), "application/json", 422, "no ink"),
    ],
)
def test_wrong_pixels_are_refused_with_the_reason(server: Server, body: bytes, kind: str, status: int, sentence: str):
    reply = server.ask("POST", "/api/pixels", body, kind)
    assert reply.status == status
    assert set(reply.json) <= {"error", "code"} and sentence in reply.json["error"]


def test_unknown_models_pages_and_methods_are_refused(server: Server, seven: bytes):
    missing = server.ask("POST", "/api/predict?model=%3Cb%3E", seven, "image/png")
    assert missing.status == 404 and missing.json == {"error": "no such model, wanted one of cnn, cnn 2"}
    for path in ("/x.js", "/..%2f..%2fetc%2fpasswd", "//etc/passwd", "/page/../../app.py", "/%00"):
        assert server.ask("GET", path).status == 404
    assert server.ask("GET", "/api/predict").status == 405


def test_a_large_body_is_refused_with_and_without_its_length(server: Server):
    large = bytes(5_000_001)
    parts = (large[at : at + 100_000] for at in range(0, len(large), 100_000))
    for body in (large, parts):
        reply = server.ask("POST", "/api/predict", body, "image/png")
        assert reply.status == 413 and reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.json == {"error": "the body is too large, wanted at most 5,000,000 bytes"}
    assert server.ask("POST", "/api/predict", large[:5_000_000], "image/png").status == 422
    url = {"picture": f"data:image/png;base64,{'A' * 5_000_000}"}
    assert server.ask("POST", "/api/predict", url).status == 413


def test_a_slow_body_is_refused_after_ten_seconds(server: Server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as slow:
        head = f"POST /api/predict HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: image/png\r\n"
        slow.sendall(f"{head}Content-Length: 1000\r\n\r\nxyz".encode())
        started = time.monotonic()
        answer = http.client.HTTPResponse(slow)
        answer.begin()
        assert 9 < time.monotonic() - started < 20
        assert answer.status == 408 and answer.headers["X-Content-Type-Options"] == "nosniff"
        assert json.load(answer) == {"error": "the body took longer than 10 seconds"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
        ({"Host": "["}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:1", "Origin": "http://localhost:1"}, 200),
        ({"Host": "192.0.2.7:8000", "Origin": "http://192.0.2.7:8000"}, 200),
        ({"Host": "[2001:db8::7]"}, 200),
        ({"Host": "LocalHost"}, 200),
        ({"Host": "127.0.0.1:8000", "Origin": "https://allowed.name"}, 200),
        ({"Host": "127.0.0.1:8000", "Origin": "https://ALLOWED.NAME:8443"}, 200),
        ({"Host": "allowed.name:443", "Origin": "https://Allowed.Name"}, 200),
        ({"Host": "192.0.2.7", "Origin": "http://192.0.2.7:80"}, 200),
        ({"Host": "127.0.0.1:8000", "Origin": "https://other.name"}, 403),
        ({"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:3000"}, 403),
        ({"Host": "127.0.0.1:8000", "Origin": "http://localhost:3000"}, 403),
        ({"Host": "127.0.0.1:8000", "Origin": "allowed.name"}, 403),
        ({"Host": "127.0.0.1:8000", "Origin": "https://allowed.name:x"}, 403),
        ({"Origin": SITE}, 200),
        ({"Origin": "http://[::1]:3000"}, 200),
        ({"Origin": "http://site.example"}, 403),
        ({"Origin": f"{SITE}:8443"}, 403),
        ({"Origin": f"{SITE}.evil.example"}, 403),
        ({"Origin": SITE, "Host": "evil.example"}, 421),
    ],
)
def test_other_hosts_and_origins_are_refused(server: Server, headers: dict[str, str], status: int):
    reply = server.ask("GET", "/api/models", **headers)
    assert reply.status == status and reply.headers["X-Content-Type-Options"] == "nosniff"
    assert (list(reply.json) == ["error"]) == (status != 200)
    assert status == 200 or "--allow-host NAME" in reply.json["error"]
    assert status != 403 or "--allow-origin ORIGIN" in reply.json["error"]
    is_allowed = headers.get("Origin") in (SITE, "http://[::1]:3000")
    assert reply.headers["Access-Control-Allow-Origin"] == (headers["Origin"] if is_allowed else None)


@pytest.mark.parametrize(
    ("path", "body", "kind", "status"),
    [
        ("/api/predict", encoded(picture_of("canvas", 7, 0)), "image/png", 200),
        ("/api/number?model=x", b"x", "image/png", 404),
        ("/api/predict", bytes(5_000_001), "image/png", 413),
        ("/api/predict", iter([bytes(5_000_001)]), "image/png", 413),
        ("/api/number", b"x", "text/plain", 415),
        ("/api/predict", b"x", "image/png", 422),
        ("/api/pixels", b"{}", "application/json", 422),
    ],
)
def test_an_allowed_sites_page_can_read_answers_and_errors(server: Server, path, body, kind, status):
    asks = {"Origin": SITE, "Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "content-type"}
    preflight = server.ask("OPTIONS", path, **asks)
    assert preflight.status == 200 and preflight.headers["X-Content-Type-Options"] == "nosniff"
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Content-Type" in preflight.headers["Access-Control-Allow-Headers"]
    reply = server.ask("POST", path, body, kind, Origin=SITE)
    assert reply.status == status
    for headers in (preflight.headers, reply.headers):
        assert headers["Access-Control-Allow-Origin"] == SITE and "Origin" in headers["Vary"]
    assert server.ask("OPTIONS", path, **asks | {"Origin": "https://other.example"}).status == 403


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("https://Site.example:443/page", SITE),
        ("https://me@site.example", SITE),
        ("http://[::1]:3000/", "http://[::1]:3000"),
        ("https://sité.example", "https://xn--sit-dma.example"),
        *((given, "a site such as https://example.org") for given in ("*", "null", "", "site.example", "file:///a")),
    ],
)
def test_an_origin_is_written_as_browsers_send_it(given: str, wanted: str):
    with pytest.raises(ConfigError, match=f"^{re.escape(f'--allow-origin: got {given}, wanted {wanted}')}$"):
        check_origin(given)


@pytest.mark.parametrize("path", ["/", "/docs", "/api/drawings", "/api/drawings/6f1c0e1e-0000-4000-8000-000000000000"])
def test_an_allowed_sites_page_can_do_no_more_than_read(server: Server, path: str):
    before = server.saved()
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        reply = server.ask(method, path, drawing(), Origin=SITE, Access_Control_Request_Method="POST")
        assert reply.status == 403 and "which may not do this" in reply.json["error"]
        assert reply.headers["Access-Control-Allow-Origin"] is None
    assert server.saved() == before


@pytest.mark.parametrize("host", ["::1", "::"])
def test_the_server_listens_on_ipv6(quickstart: Path, tmp_path: Path, seven: bytes, ipv6: None, host: str):
    with serving(quickstart, "--host", host, cwd=tmp_path) as server:
        assert server.url == f"http://[::1]:{server.port}"
        for name in ("[::1]", "[::1]:1", "[2001:db8::7]", "127.0.0.1", f"localhost:{server.port}"):
            reply = server.ask("POST", "/api/predict", seven, "image/png", Host=name, Origin=f"http://{name}")
            assert reply.status == 200
        assert server.ask("GET", "/healthz", Host="[::1", Origin="http://[::1]").status == 421
        assert server.ask("GET", "/healthz", Host="[::1]", Origin="http://[::2]").status == 403
        if host == "::":
            assert replace(server, url=f"http://127.0.0.1:{server.port}").ask("GET", "/healthz").status == 200


def test_a_server_for_the_whole_network_says_its_address_there(quickstart: Path, tmp_path: Path, seven: bytes):
    outer = own_address()
    with serving(quickstart, "--host", "0.0.0.0", cwd=tmp_path) as server:
        found = [f"http://{each}:{server.port}" for each in ("127.0.0.1", outer) if each]
        assert server.said.startswith(f"digits: {' and, for other devices, '.join(found)} (models: ")
        for url in found:
            assert replace(server, url=url).ask("POST", "/api/predict", seven, "image/png", Origin=url).status == 200
        assert not list(server.drawings.iterdir()), "nobody has kept a drawing"


def test_a_machine_without_a_network_has_no_address_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(socket, "socket", Unreachable)
    assert own_address() is None


class Unreachable(socket.socket):
    """A socket of a machine without a network."""

    def connect(self, address: object) -> None:
        raise OSError(101, "Network is unreachable")


def test_a_drawing_is_saved_once_and_deleted(server: Server):
    given = drawing()
    assert server.ask("POST", "/api/drawings", given).status == 201
    assert server.ask("POST", "/api/drawings", given | {"label": 2}).status == 200
    saved = server.saved()[given["id"]]
    assert (saved.label, saved.model, saved.answer) == (1, "cnn", 7)
    assert sum(saved.image) == 255 * 60 and saved.time.endswith("+00:00")
    assert server.ask("DELETE", f"/api/drawings/{given['id']}").status == 204
    assert server.ask("DELETE", f"/api/drawings/{given['id']}").status == 404
    assert given["id"] not in server.saved()


@pytest.mark.parametrize(
    "change", [{"label": 10}, {"label": True}, {"id": "x"}, {"pixels": []}, {"more": 1}, {"model": "svm"}]
)
def test_a_wrong_drawing_is_refused_and_not_saved(server: Server, change: dict[str, Any]):
    before = server.saved()
    reply = server.ask("POST", "/api/drawings", drawing(**change))
    assert reply.status == 422 and next(iter(change)) in reply.json["error"]
    assert server.ask("POST", "/api/drawings", json.dumps(drawing()), "text/plain").status == 415
    assert server.saved() == before


def test_clients_save_and_delete_through_two_workers_at_once(quickstart: Path, tmp_path: Path):
    with serving(quickstart, "--workers", "2", cwd=tmp_path) as server, ThreadPoolExecutor(4) as people:

        def save_and_delete(number: int) -> tuple[str, bool]:
            given = drawing(label=number % 10)
            assert server.ask("POST", "/api/drawings", given).status == 201
            assert server.ask("POST", "/api/drawings", given).status == 200
            is_deleted = number % 3 == 0
            if is_deleted:
                assert server.ask("DELETE", f"/api/drawings/{given['id']}").status == 204
            return given["id"], is_deleted

        results = list(people.map(save_and_delete, range(120)))
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        assert len(children) >= 2
        assert server.saved().keys() == {id for id, is_deleted in results if not is_deleted}
        os.kill(server.process.pid, signal.SIGTERM)
        assert server.process.wait(timeout=20) == 143
    assert all(re.fullmatch(rf"\d/{UUID}\.png", name) for name in files_in(tmp_path / "drawings"))


def test_heic_is_read_or_the_extra_is_named(server: Server):
    reply = server.ask("POST", "/api/predict", b"\0\0\0\x18ftypheic" + bytes(99), "image/heic")
    if "HEIF" in FORMATS:
        file = io.BytesIO()
        picture_of("canvas", 7, 0).save(file, "HEIF")
        assert reply.status == 422
        assert server.ask("POST", "/api/predict", file.getvalue(), "image/heic").json["digit"] == 7
    else:
        assert reply.status == 422 and "pip install pillow-heif" in reply.json["error"]


@pytest.mark.parametrize(
    "kind", ["image/jpg", "image/pjpeg", "image/x-png", "application/octet-stream", "image/png; q=1"]
)
def test_a_picture_is_known_by_its_content(server: Server, seven: bytes, kind: str):
    reply = server.ask("POST", "/api/predict", seven, kind)
    assert (reply.status, reply.json["digit"], reply.json["pages"]) == (200, 7, 1)


def test_one_request_too_many_is_refused(quickstart: Path, tmp_path: Path):
    with serving(quickstart, cwd=tmp_path) as server:
        head = f"POST /api/predict HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: image/png\r\n"
        waiting = []
        for _ in range(128):
            waiting.append(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            waiting[-1].sendall(f"{head}Content-Length: 9\r\n\r\n".encode())
        time.sleep(0.5)
        refused = server.ask("GET", "/healthz")
        assert refused.status == 503 and refused.headers["Retry-After"] == "1"
        assert refused.json == {"error": "too many requests at once, try again in a second"}
        assert refused.headers["X-Content-Type-Options"] == "nosniff"
        for connection in waiting:
            connection.close()
        time.sleep(0.5)
        assert server.ask("GET", "/healthz").status == 200


def test_the_newest_model_is_the_default(quickstart: Path, tmp_path: Path):
    for name, time_of_end in (("old", 1), ("new", 3), ("older", 2)):
        folder = with_metadata(quickstart, tmp_path / "outputs" / "2026-01-31" / name, model=name)
        os.utime(folder / "model.onnx", (time_of_end, time_of_end))
    (tmp_path / "outputs" / "2026-01-31" / "failed").mkdir()
    job = with_metadata(quickstart, tmp_path / "outputs" / "sweeps" / "newest" / "0", model="job")
    (job.parent / "jobs.json").write_text("[]")
    with serving(cwd=tmp_path) as server:
        assert [model["name"] for model in server.ask("GET", "/api/models").json["models"]] == ["new"]


def test_without_a_run_the_model_that_comes_with_digits_answers(tmp_path: Path, seven: bytes):
    with serving(cwd=tmp_path) as server:
        assert [model["name"] for model in server.ask("GET", "/api/models").json["models"]] == ["reader"]
        assert server.ask("POST", "/api/predict", seven, "image/png").json["digit"] == 7


def test_the_server_starts_and_answers_in_seconds(quickstart: Path, tmp_path: Path, seven: bytes):
    started = time.monotonic()
    with serving(quickstart, cwd=tmp_path) as server:
        assert server.ask("POST", "/api/predict", seven, "image/png").status == 200
    assert time.monotonic() - started < 6  # 0.7 seconds where nothing else runs


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_signal_ends_the_server_with_its_code_at_any_moment(quickstart: Path, tmp_path: Path, workers: str):
    for moment, (sent, code) in zip(MOMENTS[:: int(workers)], cycle([(signal.SIGINT, 130), (signal.SIGTERM, 143)])):
        with serving(quickstart, "--workers", workers, cwd=tmp_path) as server:
            time.sleep(moment)
            os.kill(server.process.pid, sent)
            assert server.process.wait(timeout=20) == code, moment
            assert (tmp_path / "stderr.txt").read_text() == f"{ENDS[code]}\n", moment
    with serving(quickstart, "--workers", workers, cwd=tmp_path) as server:
        assert server.ask("GET", "/healthz").status == 200
        os.kill(server.process.pid, signal.SIGINT)  # right after its first answer
        assert server.process.wait(timeout=20) == 130


def test_a_wrong_command_ends_in_one_line(command: Command, quickstart: Path, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("scripts/serve.py", str(quickstart), "--port", str(port))
    assert done.returncode == 2 and done.stderr.startswith(f"error: 127.0.0.1:{port}: Address already in use; choose")
    done = command("scripts/serve.py", str(quickstart), "--port", "99999")
    assert done.returncode == 2 and done.stderr.startswith("error: 127.0.0.1:99999: bind(): port must be 0-65535")
    done = command("scripts/serve.py", str(quickstart), "--host", "2001:db8::1")  # with and without IPv6
    assert done.returncode == 2 and re.fullmatch(r"error: \[2001:db8::1\]:8000: [^;]+; choose [^;]+\n", done.stderr)
    done = command("scripts/serve.py", "--allow-origin", SITE, "--allow-origin", f"{SITE}/")
    assert (done.returncode, done.stderr) == (2, f"error: --allow-origin: got {SITE}/, wanted {SITE}\n")
    done = command("scripts/serve.py", "nothing.onnx")
    assert done.returncode == 4 and "nothing.onnx: no such file" in done.stderr
    (tmp_path / "old.sqlite").write_text("a file")
    done = command("scripts/serve.py", str(quickstart), "--drawings", "old.sqlite")
    wanted = "is a file, wanted a folder; if an older version wrote it: digits drawings --file old.sqlite export old"
    assert (done.returncode, done.stderr) == (3, f"error: old.sqlite: {wanted}\n")
    done = command("scripts/serve.py", str(quickstart), "--drawings", "old.sqlite/drawings")
    wanted = "Not a directory; wanted a folder that can be written"
    assert (done.returncode, done.stderr) == (3, f"error: old.sqlite/drawings: {wanted}\n")
