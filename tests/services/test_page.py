"""The page in a real browser: choose a video and a model, read the answer, at the width of a desk and of a phone."""

from __future__ import annotations

from playwright.sync_api import expect

from services.problems import Problem

PHONE = {"width": 360, "height": 740}


def test_a_video_is_classified_and_explained(open_page, service, video):
    page = open_page()
    assert service.token not in page.url, "the token does not stay in the address"
    assert page.locator("#classify").is_disabled()
    page.set_input_files("#file", video)
    page.select_option("#model", "moves")
    page.click("#classify")
    page.wait_for_selector("#results:not([hidden])")
    assert "moves/3" in page.inner_text("#facts")
    assert "96 × 64" in page.inner_text("#facts")
    assert page.locator("#top li").all_inner_texts()[0].split() == ["left", "75", "%"]
    cells = page.locator(".cells").first.locator("button")
    assert cells.count() == 3
    assert cells.first.get_attribute("aria-label") == "left: 95 %, 0.0 s to 0.5 s"
    cells.nth(2).click()
    expect(page.locator("#now")).to_contain_text("right")
    assert page.evaluate("document.querySelector('#player').currentTime") > 0.9
    page.click("#explain")
    page.wait_for_selector("#heat img")
    assert page.locator("#heat img").count() == 4
    assert page.locator("#heat img").first.get_attribute("alt") == "Evidence for left at 0.0 s"
    assert page.faults == []


def test_a_phone_shows_it_all_without_scrolling_sideways(open_page, video):
    page = open_page(viewport=PHONE)
    page.set_input_files("#file", video)
    page.click("#classify")
    page.wait_for_selector("#results:not([hidden])")
    page.click("#explain")
    page.wait_for_selector("#heat img")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    touched = ("#classify", "#explain", "#camera", "#model", ".cells button")
    assert all(page.locator(each).first.bounding_box()["height"] >= 40 for each in touched)


def test_everything_has_a_name_and_the_keyboard_reaches_it(open_page, video):
    page = open_page()
    nameless = page.evaluate(
        """[...document.querySelectorAll("input, select, button, video")]
             .filter((each) => !(each.labels?.length || each.textContent.trim() || each.getAttribute("aria-label")))
             .map((each) => each.outerHTML)"""
    )
    assert nameless == []
    page.set_input_files("#file", video)
    page.focus("#model")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "classify"
    page.keyboard.press("Enter")
    page.wait_for_selector("#results:not([hidden])")
    assert page.get_attribute("html", "lang") == "en"


def test_problems_are_read_out_in_the_service_s_words(open_page, service, video):
    page = open_page(token=False)
    assert "token" in page.inner_text("#status")
    page.fill("#token", "vm_x_y")
    page.click("#access button")
    expect(page.locator("#problem")).to_contain_text("unknown or has expired")
    page.fill("#token", service.token)
    page.click("#access button")
    page.wait_for_selector("#model option:nth-child(2)", state="attached")
    assert page.inner_text("#problem") == ""
    service.backend.problem = Problem("media_unreadable", "clip.mp4 is damaged at 0.50 s: replace the file")
    page.set_input_files("#file", video)
    page.click("#classify")
    expect(page.locator("#problem")).to_contain_text("is damaged at 0.50 s")
    assert page.get_attribute("#problem", "role") == "alert"
    assert page.locator("#classify").is_enabled(), "it can be tried again"
