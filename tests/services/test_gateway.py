"""The routes over a fake backend: what is asked is understood, what is wrong is said, and nothing stays behind."""

from __future__ import annotations

import asyncio
import json

import pytest

from services.problems import Problem
from tests.services.fake import make_service

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(5000)


@pytest.fixture
def service(tmp_path):
    return make_service(tmp_path)


def run(service, work, token: bool = True):
    async def inside():
        async with service.client(token) as client:
            return await work(client)

    return asyncio.run(inside())


def error_of(response) -> dict:
    body = response.json()
    assert set(body) == {"error"}
    assert body["error"]["request_id"] == response.headers["x-request-id"]
    return body["error"]


def post(service, path="/v1/classify", data=None, files=None, **more):
    files = {"video": ("clip.mp4", VIDEO, "video/mp4")} if files is None else files
    fields = {"model": "moves"} if data is None else data
    return run(service, lambda client: client.post(path, data=fields, files=files, **more))


def test_a_form_with_a_video_is_answered_with_the_version_and_leaves_nothing_behind(service):
    response = post(service, data={"model": "moves", "num_clips": "4", "num_crops": "3", "stride": "0.5"})
    assert response.status_code == 200
    assert response.headers["x-model-version"] == "moves/3"
    assert response.json()["top"][0] == {"name": "left", "score": 0.75}
    (job,) = service.backend.jobs
    assert (job.name, job.options.num_clips, job.options.num_crops, job.options.stride) == ("clip.mp4", 4, 3, 0.5)
    assert service.backend.sizes == [len(VIDEO)]
    assert service.spooled() == []


def test_a_body_that_is_the_video_is_the_same(service):
    headers = {"content-type": "video/mp4", "x-filename": "a%20b.mp4"}
    response = run(service, lambda c: c.post("/v1/classify?model=moves&top=1", content=VIDEO, headers=headers))
    assert response.status_code == 200
    assert service.backend.sizes == [len(VIDEO)]
    assert service.backend.jobs[0].name == "a b.mp4"
    assert service.backend.jobs[0].options.top == 1


def test_json_names_a_video_of_a_store_which_is_read_in_place(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_bytes(VIDEO)
    service = make_service(tmp_path, stores={"clips": str(tmp_path / "clips")})
    response = run(service, lambda c: c.post("/v1/classify", json={"model": "moves", "uri": "clips:a.mp4"}))
    assert response.status_code == 200
    assert service.backend.jobs[0].path == str(tmp_path / "clips" / "a.mp4")
    assert (tmp_path / "clips" / "a.mp4").exists()


@pytest.mark.parametrize(
    "path", ["../secret", "a/../../secret", "/etc/passwd", "link", "", "a\\..\\b", "none.mp4", "%2e%2e/secret"]
)
def test_a_store_shows_nothing_but_its_files(tmp_path, path):
    (tmp_path / "clips" / "a").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "clips" / "link").symlink_to(tmp_path / "secret")
    service = make_service(tmp_path, stores={"clips": str(tmp_path / "clips")})
    response = run(service, lambda c: c.post("/v1/classify", json={"model": "moves", "uri": f"clips:{path}"}))
    assert response.status_code == 422
    assert error_of(response)["field"] == "uri"
    assert service.backend.jobs == []


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1/x.mp4", "https://example.com/x.mp4", "file:///etc/passwd", "concat:a|b", "pipe:0"]
)
def test_addresses_are_not_fetched_by_default(service, uri):
    response = run(service, lambda c: c.post("/v1/classify", json={"model": "moves", "uri": uri}))
    assert response.status_code == 422
    assert error_of(response)["field"] == "uri"


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        ({}, "invalid", "model"),
        ({"model": "mover"}, "unknown_model", "model"),
        ({"model": "who"}, "invalid", "model"),
        ({"model": "moves", "num_clips": "0"}, "invalid", "num_clips"),
        ({"model": "moves", "num_clips": "many"}, "invalid", "num_clips"),
        ({"model": "moves", "num_crops": "2"}, "invalid", "num_crops"),
        ({"model": "moves", "stride": "-1"}, "invalid", "stride"),
        ({"model": "moves", "stride": "NaN"}, "invalid", "stride"),
        ({"model": "moves", "stride": "1e400"}, "invalid", "stride"),
        ({"model": "moves", "colour": "red"}, "invalid", "colour"),
        ({"model": "moves", "uri": "clips:a.mp4"}, "invalid", "video"),
    ],
)
def test_a_wrong_field_is_named(service, data, code, field):
    response = post(service, data=data)
    error = error_of(response)
    assert (error["code"], error["field"]) == (code, field)
    assert response.status_code in (404, 422)
    assert service.backend.jobs == []
    assert service.spooled() == []


@pytest.mark.parametrize(
    ("boxes", "code", "field"),
    [
        ([{"time": 1, "x1": 9, "y1": 1, "x2": 1, "y2": 9}], "invalid", "boxes.0"),
        ([{"time": 1, "x1": 1, "y1": 1, "x2": 9, "y2": 9}] * 257, "media_limit", "boxes"),
        ([], "invalid", "boxes"),
    ],
)
def test_boxes_that_cannot_be_are_named_before_a_model_is_asked(service, boxes, code, field):
    error = error_of(post(service, "/v1/detect-actions", {"model": "who", "boxes": json.dumps(boxes)}))
    assert (error["code"], error["field"]) == (code, field)
    assert service.backend.jobs == []


def test_a_near_name_is_proposed(service):
    assert "did you mean 'moves'" in error_of(post(service, data={"model": "mover"}))["message"]


def test_bodies_over_the_limit_are_refused_whether_they_say_their_length_or_not(tmp_path):
    service = make_service(tmp_path, limits={"body_mb": 0.01})

    async def endless():
        while True:
            yield bytes(1000)

    declared = post(service, files={"video": ("clip.mp4", bytes(20_000), "video/mp4")})
    headers = {"content-type": "video/mp4"}
    chunked = run(service, lambda c: c.post("/v1/classify?model=moves", content=endless(), headers=headers))
    for response in (declared, chunked):
        assert response.status_code == 413
        assert "0.01 MB" in error_of(response)["message"]
    assert service.backend.jobs == []
    assert service.spooled() == []


def test_an_upload_that_stalls_is_given_up(tmp_path):
    service = make_service(tmp_path, limits={"idle_s": 0.2})

    async def stalling():
        yield bytes(1000)
        await asyncio.sleep(30)

    headers = {"content-type": "video/mp4"}
    response = run(service, lambda c: c.post("/v1/classify?model=moves", content=stalling(), headers=headers))
    assert (response.status_code, error_of(response)["code"]) == (408, "upload_stalled")
    assert service.spooled() == []


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 422),
        (b"[" * 100_000, "application/json", 422),
        (b'{"a":' * 5000, "application/json", 422),
        (b"\xff\xfe", "application/json", 400),
        (b'{"x": "' + b"a" * 2_000_000 + b'"}', "application/json", 413),
        (b"hello", "text/plain", 415),
        (b"", "", 415),
        (b"", "video/mp4", 422),
        (b"--x\r\n", "multipart/form-data", 400),
        (b"nonsense", "multipart/form-data; boundary=x", 400),
        (b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nmoves', "multipart/form-data; boundary=x", 400),
        (b"--x\r\n" + b"A: b\r\n" * 100, "multipart/form-data; boundary=x", 400),
        (b"--x\r\n" + b"A" * 10_000, "multipart/form-data; boundary=x", 400),
    ],
)
def test_bodies_that_are_no_requests_are_refused(service, content, kind, status):
    headers = {"content-type": kind}
    response = run(service, lambda c: c.post("/v1/classify?model=moves", content=content, headers=headers))
    assert response.status_code == status, response.text
    error_of(response)
    assert service.spooled() == []


def test_a_form_of_ten_thousand_fields_is_refused(service):
    response = post(service, data={f"field{number}": "x" for number in range(10_000)})
    assert response.status_code == 422
    assert "64 fields" in error_of(response)["message"]


@pytest.mark.parametrize("name", ["../../etc/x", "C:\\x\\y.mp4", "a\0b.mp4", "n" * 2000, "‮gpj.mp4", ""])
def test_names_of_files_are_only_shown(service, name):
    response = post(service, files={"video": (name or "x", VIDEO, "video/mp4")})
    assert response.status_code == 200
    shown = service.backend.jobs[0].name
    assert "/" not in shown
    assert "\\" not in shown
    assert len(shown) <= 100
    assert service.backend.jobs[0].path.startswith(str(service.settings.spool))


def test_two_files_and_a_file_of_another_name_are_refused(service):
    two = [("video", ("a.mp4", VIDEO, "video/mp4")), ("video", ("b.mp4", VIDEO, "video/mp4"))]
    assert "two files" in error_of(post(service, files=two))["message"]
    other = error_of(post(service, files={"film": ("a.mp4", VIDEO, "video/mp4")}))
    assert other["field"] == "film"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer vm_0_x"},
        {"Authorization": "Basic abc"},
        {"Authorization": "x" * 9000},
    ],
)
def test_without_a_right_token_nothing_is_answered(service, headers):
    async def ask(client):
        return [await client.get(path, headers=headers) for path in ("/v1/models", "/v1/models/moves", "/metrics")]

    for response in run(service, ask, token=False):
        assert (response.status_code, error_of(response)["code"]) == (401, "unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"


def test_health_needs_no_token_and_readiness_waits_for_a_model(service):
    async def ask(client):
        return [(await client.get(path)).status_code for path in ("/healthz", "/readyz", "/", "/page/app.js", "/openapi.json")]

    assert run(service, ask, token=False) == [200, 200, 200, 200, 200]
    service.backend.state.ready = False
    assert run(service, ask, token=False)[:2] == [200, 503]


def test_a_token_has_a_rate_and_a_number_of_requests_at_once(service):
    service.token, _ = service.tokens.create("slow", per_minute=3, concurrent=100)

    async def ask(client):
        return [await client.get("/v1/models") for _ in range(4)]

    *fine, late = run(service, ask)
    assert [response.status_code for response in fine] == [200, 200, 200]
    assert (late.status_code, error_of(late)["code"]) == (429, "too_many_requests")
    assert 1 <= int(late.headers["retry-after"]) <= 20

    service.backend.slow = 0.3
    service.token, _ = service.tokens.create("single", concurrent=1)

    async def both(client):
        requests = (client.post("/v1/classify?model=moves", content=VIDEO, headers={"content-type": "video/mp4"}) for _ in "ab")
        return sorted([response.status_code for response in await asyncio.gather(*requests)])

    assert run(service, both) == [200, 429]


def test_a_deadline_ends_a_request_and_its_work(service):
    service.backend.slow = 30
    response = post(service, headers={"x-deadline-s": "0.3"})
    assert (response.status_code, error_of(response)["code"]) == (504, "deadline")
    assert service.backend.cancelled == 1
    assert service.spooled() == []


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan"])
def test_a_deadline_that_is_no_time_is_refused(service, value):
    assert error_of(post(service, headers={"x-deadline-s": value}))["field"] == "X-Deadline-S"


def test_problems_of_the_backend_arrive_typed(service):
    service.backend.problem = Problem("overloaded", "the model has as much work as it can hold", retry_after=1)
    response = post(service)
    assert (response.status_code, error_of(response)["code"]) == (503, "overloaded")
    assert response.headers["retry-after"] == "1"


def test_more_videos_than_it_holds_are_refused_before_their_body_is_read(tmp_path):
    service = make_service(tmp_path, max_media=2)
    service.backend.slow = 0.5
    read = []

    async def body():
        read.append(1)
        yield VIDEO

    async def ask(client):
        def one(content):
            return client.post("/v1/classify?model=moves", content=content, headers={"content-type": "video/mp4"})

        first = [asyncio.ensure_future(one(VIDEO)) for _ in range(2)]
        await asyncio.sleep(0.2)
        refused = await one(body())
        return refused, await asyncio.gather(*first)

    refused, first = run(service, ask)
    assert (refused.status_code, error_of(refused)["code"], refused.headers["retry-after"]) == (503, "overloaded", "1")
    assert read == []
    assert [response.status_code for response in first] == [200, 200]
    service.backend.slow = 0
    assert post(service).status_code == 200, "their places are free again"


def test_a_fault_of_ours_is_told_without_its_words(service):
    service.backend.problem = ValueError("a secret path")  # type: ignore[assignment]
    response = post(service)
    assert (response.status_code, error_of(response)["code"]) == (500, "internal")
    assert "secret" not in response.text


def test_unknown_paths_and_methods_are_problems_too(service):
    async def ask(client):
        return await client.get("/v1/nothing"), await client.get("/v1/classify"), await client.get("/page/../../tokens.json")

    nothing, method, outside = run(service, ask)
    assert (nothing.status_code, error_of(nothing)["code"]) == (404, "not_found")
    assert (method.status_code, error_of(method)["code"]) == (405, "method_not_allowed")
    assert method.headers["allow"] == "POST"
    assert outside.status_code == 404


def test_models_say_where_they_come_from(service):
    one = run(service, lambda c: c.get("/v1/models/moves")).json()
    assert one["version"] == "moves/3"
    assert one["labels"] == ["left", "right"]
    assert (one["data_digest"], one["recipe_hash"], one["licence"]) == ("d" * 64, "r" * 12, "Apache-2.0")
    assert one["input"] == {"num_frames": 16, "frame_stride": 1, "size": 32, "fps": None, "sound": False}
    names = [each["name"] for each in run(service, lambda c: c.get("/v1/models")).json()["models"]]
    assert names == ["moves", "who"]


def test_the_log_has_no_content(service, caplog):
    caplog.set_level("INFO", "services.requests")
    post(service, path="/v1/classify?stride=1", data={"model": "moves"})
    (record,) = [json.loads(r.message) for r in caplog.records if r.name == "services.requests"]
    assert set(record) == {"request_id", "method", "route", "status", "ms", "token"}
    assert record["route"] == "/v1/classify"
    assert service.token not in caplog.text
    assert "clip.mp4" not in caplog.text


def test_numbers_for_prometheus_count_requests_and_bytes(service):
    post(service)
    text = run(service, lambda c: c.get("/metrics")).text
    assert 'vidmodels_requests_total{route="/v1/classify",status="200"} 1.0' in text
    assert f"vidmodels_upload_bytes_total {float(len(VIDEO))}" in text


def test_a_full_spool_is_said_and_recovers(tmp_path):
    service = make_service(tmp_path, spool_free_mb=1e12)
    response = post(service)
    assert (response.status_code, error_of(response)["code"]) == (507, "spool_full")
    assert post(make_service(tmp_path)).status_code == 200


def test_other_sites_may_call_only_where_they_are_allowed(tmp_path):
    headers = {"origin": "https://a.example", "access-control-request-method": "POST"}
    service = make_service(tmp_path, cors_origins=["https://a.example"])
    allowed = run(service, lambda c: c.options("/v1/classify", headers=headers))
    assert allowed.headers["access-control-allow-origin"] == "https://a.example"
    other = run(make_service(tmp_path), lambda c: c.options("/v1/classify", headers=headers))
    assert "access-control-allow-origin" not in other.headers
