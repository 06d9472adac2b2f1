"""The page's live camera in a real browser, whose camera shows a moving pattern."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from playwright.sync_api import expect

from services.problems import Problem
from tests.pipelines.stores import wait_for
from tests.services.fake import INFO, WINDOW

PHONE = {"width": 360, "height": 740}
TRACKS = "window.tracks = document.querySelector('#live').srcObject.getTracks()"

REFUSE = "() => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'ERROR'); }; }"


@pytest.fixture
def live(open_page):
    """Opens a page whose camera is on and whose first window is answered."""

    def opened(**options):
        page = open_page(permissions=["camera"], **options)
        page.click("#camera")
        page.wait_for_selector("#results:not([hidden])")
        page.evaluate(TRACKS)
        return page

    return opened


def stream_of(service):
    (stream,) = service.backend.streams.values()
    return stream


def is_off(page) -> bool:
    """Whether the camera was given back and the page is as before."""
    expect(page.locator("#camera")).to_have_text("Live camera")
    return page.evaluate("tracks.every((each) => each.readyState === 'ended') && !document.querySelector('#live').srcObject")


def test_the_camera_is_classified_window_by_window_until_it_is_stopped(live, service):
    page = live()
    wait_for(lambda: len(stream_of(service).frames) >= 3 * WINDOW, 60)
    expect(page.locator("#facts")).to_contain_text("a second")
    assert "moves/3" in page.inner_text("#facts")
    assert page.locator("#top li").count() == 2
    page.wait_for_selector(".cells span:nth-child(2)")
    assert page.evaluate("document.querySelector('#live').videoWidth") > 0
    page.click("#camera")
    wait_for(lambda: stream_of(service).closed, 30)
    assert is_off(page)
    stream = stream_of(service)
    times = [time for time, _ in stream.frames]
    assert times[0] == 0
    assert all(before < after for before, after in itertools.pairwise(times))
    assert all(picture[:2] == b"\xff\xd8" and picture[-2:] == b"\xff\xd9" for _, picture in stream.frames)
    assert len({picture for _, picture in stream.frames}) > 1
    assert stream.settings == {"model": "moves", "fps": 30, "stride": None, "top": 5}
    assert page.inner_text("#problem") == ""
    assert page.faults == []


def test_pictures_are_small_and_keep_their_shape(live, service):
    import cv2
    import numpy as np

    page = live()
    sizes = page.evaluate("[document.querySelector('#live').videoWidth, document.querySelector('#live').videoHeight]")
    height, width = cv2.imdecode(np.frombuffer(stream_of(service).frames[0][1], np.uint8), cv2.IMREAD_COLOR).shape[:2]
    assert max(width, height) == 320
    assert width / height == pytest.approx(sizes[0] / sizes[1], rel=0.02)


def test_a_slow_service_gets_fewer_pictures_and_no_queue(open_page, service):
    """At most two pictures are without an answer."""
    page = open_page(permissions=["camera"])
    page.evaluate(
        """() => {
             const [send, open] = [WebSocket.prototype.send, []];
             window.most = 0;
             WebSocket.prototype.send = function (data) {
               if (!open.length) this.addEventListener("message", () => open.pop());
               window.most = Math.max(window.most, open.push(data));
               send.call(this, data);
             };
           }"""
    )
    service.backend.slow = 0.2
    page.click("#camera")
    wait_for(lambda: service.backend.streams and len(stream_of(service).frames) >= 4 * WINDOW, 60)
    assert 1 <= page.evaluate("most") <= 2
    service.backend.slow = 0


def test_the_plan_of_a_stream_follows_the_model_s_input(open_page):
    plan = "async (input) => (await import('/page/camera.js')).planOf(input)"
    page = open_page()
    own = page.evaluate(plan, {"fps": 30, "num_frames": 8, "frame_stride": 8})
    assert (own["fps"], own["stride"]) == (30, 1)
    assert own["gap"] == pytest.approx(4 / 30)
    dense = page.evaluate(plan, {"fps": None, "num_frames": 16, "frame_stride": 1})
    assert (dense["fps"], dense["stride"]) == (30, None)
    assert dense["gap"] == pytest.approx(1 / 30)


def test_a_lost_socket_is_opened_again_once(live, service):
    page = live()
    count = len(stream_of(service).frames)
    service.backend.broken = [RuntimeError("the gateway goes")]
    wait_for(lambda: len(stream_of(service).frames) > count + WINDOW, 60)
    assert page.inner_text("#problem") == ""
    stream_of(service).closed = True  # from now on the socket is refused
    expect(page.locator("#problem")).to_contain_text("no such stream", timeout=30_000)
    assert is_off(page)


def test_a_socket_that_stays_away_is_told(live, service):
    page = live()
    page.evaluate(
        """() => {
             const [Real, nowhere] = [WebSocket, location.origin.replace("http", "ws") + "/nowhere"];
             window.WebSocket = Object.assign(function () { return new Real(nowhere); }, { OPEN: Real.OPEN });
           }"""
    )
    service.backend.broken = [RuntimeError("the gateway goes")]
    expect(page.locator("#problem")).to_contain_text("connection to the service was lost", timeout=30_000)
    assert is_off(page)
    wait_for(lambda: stream_of(service).closed, 30)


def test_a_lost_stream_is_told_and_a_busy_service_is_waited_for(live, service):
    page = live()
    count = len(stream_of(service).frames)
    service.backend.broken = [Problem("overloaded", "the model has as much work as it can hold", None, 1)]
    wait_for(lambda: len(stream_of(service).frames) > count + WINDOW, 60)
    assert page.inner_text("#problem") == ""
    service.backend.broken = [Problem("stream_lost", "the model has gone: create a new stream")]
    expect(page.locator("#problem")).to_have_text("the model has gone: create a new stream")
    assert is_off(page)
    wait_for(lambda: stream_of(service).closed, 30)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("0", "was refused: allow it"),  # the browser's own refusal
        (REFUSE.replace("ERROR", "NotFoundError"), "No camera was found"),
        (REFUSE.replace("ERROR", "NotReadableError"), "close other programs"),
        ("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })", "only to pages over https or on localhost"),
    ],
)
def test_a_camera_that_cannot_be_had_is_told_in_one_sentence(open_page, service, change, said):
    page = open_page()
    page.evaluate(change)
    page.click("#camera")
    expect(page.locator("#problem")).to_contain_text(said)
    expect(page.locator("#camera")).to_have_text("Live camera")
    assert page.locator("#camera").is_enabled()
    assert service.backend.streams == {}


def test_a_camera_that_is_unplugged_is_told(live, service):
    page = live()
    page.evaluate("tracks[0].dispatchEvent(new Event('ended'))")
    expect(page.locator("#problem")).to_contain_text("was disconnected")
    assert is_off(page)
    wait_for(lambda: stream_of(service).closed, 30)


def test_a_page_that_goes_closes_its_stream(live, service):
    live().goto("about:blank")
    wait_for(lambda: stream_of(service).closed, 30)


def test_only_models_of_pictures_over_time_offer_the_camera(open_page, service):
    for name, changes in (("ears", {"audio": {"rows": 128}}), ("still", {"num_frames": 1})):
        service.backend.state.infos[name] = dataclasses.replace(INFO, name=name, spec={**INFO.spec, **changes})
    page = open_page()
    page.select_option("#model", "moves")
    assert page.locator("#camera").is_enabled()
    for name in ("ears", "still"):
        page.select_option("#model", name)
        assert page.locator("#camera").is_disabled()
    page.select_option("#model", "who")
    assert page.locator("#camera").is_hidden()


def test_a_phone_shows_the_camera_without_scrolling_sideways(live):
    page = live(viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.locator("#camera").bounding_box()["height"] >= 40
    assert page.locator("#live").bounding_box()["width"] <= PHONE["width"]
