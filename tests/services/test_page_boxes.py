"""The page's people: files of boxes, the request, boxes over the video at the right pixels, who does what when."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

ANN = [(0.25, 10, 12, 30, 52), (0.75, 20, 12, 40, 52), (1.25, 40, 12, 60, 52)]
BOB = [(0.25, 60, 8, 90, 60), (0.75, 60, 8, 90, 60)]
ROWS = [*((row, "Ann") for row in ANN), *((row, "Bob") for row in BOB)]
LINES = [f"{','.join(map(str, row))},{who}" for row, who in ROWS]
CSV = "\n".join(
    [
        "video,time,x1,y1,x2,y2,person,label",
        *(f"clip.mp4,{line},walk" for line in LINES),
        "clip.mp4,0.25,10,12,30,52,Ann,talk",
        "other.mp4,0.5,1,1,9,9,Eve,walk",
    ]
)
EXPECTED = [dict(zip(("time", "x1", "y1", "x2", "y2"), map(float, row))) | {"person": who} for row, who in ROWS]

PIXEL = """
([x, y]) => {  // of the canvas, at a place in pixels of the video
  const [player, canvas] = [document.querySelector("#player"), document.querySelector("#overlay")];
  const [inner, outer] = [player.getBoundingClientRect(), canvas.getBoundingClientRect()];
  const scale = Math.min(inner.width / 96, inner.height / 64);
  const left = inner.left + (inner.width - 96 * scale) / 2 + x * scale - outer.left;
  const top = inner.top + (inner.height - 64 * scale) / 2 + y * scale - outer.top;
  const ratio = canvas.width / outer.width;
  return [...canvas.getContext("2d").getImageData(Math.round(left * ratio), Math.round(top * ratio), 1, 1).data];
}
"""
ORANGE, BLUE, NOTHING = [255, 179, 71, 255], [110, 198, 255, 255], [0, 0, 0, 0]


@pytest.fixture
def people(open_page, video):
    """Opens a page with the video and the model of people."""

    def opened(**options):
        page = open_page(**options)
        page.select_option("#model", "who")
        page.set_input_files("#file", video)
        return page

    return opened


def give(page, content: str, name: str = "boxes.csv") -> None:
    page.set_input_files("#boxes", {"name": name, "mimeType": "text/plain", "buffer": content.encode()})


def asked(page) -> None:
    give(page, CSV)
    expect(page.locator("#boxes-note")).to_have_text("Boxes: 5, at 3 times.")
    page.click("#detect")
    page.wait_for_selector("#results:not([hidden])")


def pixel_is(page, at: tuple[float, float], colour: list[int]) -> None:
    """Wait until the canvas has this colour at a place in pixels of the video."""
    page.wait_for_function(f"([at, colour]) => ({PIXEL.strip()})(at).join() === colour.join()", arg=[list(at), colour])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("boxes.csv", CSV),
        ("boxes.json", json.dumps(EXPECTED)),
        ("boxes.jsonl", "\n".join(json.dumps({"video": "videos/clip.mp4", **row}) for row in EXPECTED)),
        ("quoted.csv", "\r\n".join(['"time", x1,y1,x2,y2,person', *LINES]).replace("Ann", '"Ann"')),
    ],
)
def test_boxes_are_read_and_sent(people, service, name, content):
    page = people()
    expect(page.locator("#classify")).to_be_hidden()
    assert page.locator("#detect").is_disabled()
    give(page, content, name)
    page.click("#detect")
    page.wait_for_selector("#results:not([hidden])")
    (job,) = service.backend.jobs
    assert (job.task, job.name, job.info.name) == ("detect-actions", "clip.mp4", "who")
    assert [box.model_dump() for box in job.options.boxes] == EXPECTED
    assert page.inner_text("#problem") == ""
    assert page.faults == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("time,x1,y1,x2\n1,2,3,4", "boxes.csv, row 1: the columns lack y2: name them in the first row."),
        ("1,2,3,4,5", "boxes.csv, row 1: the columns lack every one of time, x1, y1, x2, y2: name them in the first row."),
        ("time,x1,y1,x2,y2,who\n1,2,3,4,5,Ann", "boxes.csv, row 1: unknown column 'who': columns are video, time"),
        ("time,x1,y1,x2,y2\n1,2,3,40,50\n1,2,3,40", "boxes.csv, row 3: y2 is missing: every box needs time, x1, y1, x2, y2."),
        ("time,x1,y1,x2,y2\n1,2,3,40,50\n\n1,2,3,40,5O", "boxes.csv, row 4: y2 is no number: '5O'."),
        ("time,x1,y1,x2,y2\n1,40,3,2,50", "boxes.csv, row 2: the box (40, 3, 2, 50) is inverted or empty"),
        ("time,x1,y1,x2,y2\n-1,2,3,40,50", "boxes.csv, row 2: the time -1 s lies before the video begins."),
        ("time,x1,y1,x2,y2\n1,2,3,40,50,6", "boxes.csv, row 2: more cells than columns"),
        ("time,x1,y1,x2,y2", "boxes.csv holds no box: give a row for each."),
        ("video,time,x1,y1,x2,y2\nzoo.mp4,1,2,3,40,50", "boxes.csv has no boxes of clip.mp4; it names zoo.mp4: correct"),
        ('[{"time": 1, "x1": 2}', "boxes.csv, from line 1 on: this is not JSON"),
        ('[{"time": 1, "x1": 2, "y1": 3, "x2": 40}]', "boxes.csv, row 1: y2 is missing: every box needs"),
        ("[7]", "boxes.csv, row 1: this is no object with the keys time, x1, y1, x2, y2."),
    ],
)
def test_a_wrong_file_of_boxes_is_one_sentence(people, service, content, said):
    page = people()
    give(page, content)
    expect(page.locator("#problem")).to_contain_text(said)
    assert page.locator("#detect").is_disabled()
    assert service.backend.jobs == []


@pytest.mark.parametrize(
    ("width", "height", "ratio"), [(1280, 900, 1), (1280, 420, 2), (360, 740, 3)], ids=["desk", "bars", "phone"]
)
def test_boxes_lie_over_the_people_at_every_size(people, width, height, ratio):
    page = people(viewport={"width": width, "height": height}, device_scale_factor=ratio)
    asked(page)
    page.evaluate("document.querySelector('#player').currentTime = 0.251")
    pixel_is(page, (30, 40), ORANGE)  # the right side of Ann
    pixel_is(page, (60, 40), BLUE)
    pixel_is(page, (45, 40), NOTHING)
    page.evaluate("document.querySelector('#player').currentTime = 0.501")  # half way to the next key frame
    pixel_is(page, (35, 40), ORANGE)
    pixel_is(page, (60, 40), BLUE)
    page.evaluate("document.querySelector('#player').currentTime = 1.251")  # Bob has left
    pixel_is(page, (60, 40), ORANGE)
    pixel_is(page, (90, 40), NOTHING)
    page.set_viewport_size({"width": width - 40, "height": height - 60})
    pixel_is(page, (60, 40), ORANGE)
    assert page.evaluate("document.documentElement.scrollWidth") <= width - 40


def test_the_timeline_says_who_does_what_and_seeks(people):
    page = people()
    asked(page)
    assert "moves/3" in page.inner_text("#facts")
    assert "2" in page.locator("#facts div", has_text="People").inner_text()
    assert page.locator(".track .name").all_inner_texts()[:2] == ["1 Ann left", "2 Bob right"]
    bar = page.locator(".spans button").first
    assert bar.get_attribute("aria-label") == "1 Ann left: 80 %, 0.0 s to 1.5 s"
    assert bar.bounding_box()["height"] >= 40
    bob = page.locator(".spans button").nth(1)
    bob.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#now")).to_contain_text("1 Ann left 80 %")
    assert page.faults == []


def test_another_video_or_model_takes_the_boxes_away(people, tmp_path, video):
    page = people()
    asked(page)
    page.evaluate("document.querySelector('#player').currentTime = 0.251")
    pixel_is(page, (30, 40), ORANGE)
    other = tmp_path / "second.mp4"
    other.write_bytes(video.read_bytes())
    page.set_input_files("#file", other)
    pixel_is(page, (30, 40), NOTHING)
    expect(page.locator("#problem")).to_contain_text("has no boxes of second.mp4; it names clip.mp4, other.mp4")
    assert page.locator("#detect").is_disabled()
    page.select_option("#model", "moves")
    expect(page.locator("#boxes")).to_be_hidden()
    page.click("#classify")
    page.wait_for_selector(".cells")
    pixel_is(page, (30, 40), NOTHING)


def test_a_box_is_where_the_library_draws_it(people):
    """Interpolation, gaps and the ends of a person, at many times."""
    import numpy as np

    from vidmodels.tasks.action_results import PersonActions

    page = people()
    rng = np.random.default_rng(0)
    for times in ([2.0], [0.5, 1.5, 2.5], [0.5, 1.5, 6.0, 7.0], [0.0, 0.25, 0.5, 3.5]):
        xyxy = np.sort(rng.uniform(0, 60, (len(times), 4)), 1)
        person = PersonActions(1, None, np.array(times), xyxy, np.zeros(0), np.zeros((0, 2)))
        boxes = np.column_stack([times, xyxy]).tolist()
        asks = np.linspace(-1, 9, 101).round(3).tolist()
        found = page.evaluate(
            """async ([boxes, times]) => {
                 const { boxAt } = await import("/page/overlay.js");
                 return times.map((time) => boxAt({ boxes }, time, 1));
               }""",
            [boxes, asks],
        )
        for time, box in zip(asks, found):
            wanted = person.box_at(time, 1.0)
            assert (box is None) == (wanted is None), time
            assert box is None or box == pytest.approx(wanted.tolist())
