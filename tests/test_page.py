"""The page in a browser, from the real server and as a static site."""

import base64
import hashlib
import json
import math
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import QUIET, ROOT, audit, dots, with_metadata
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Route, expect
from served import serving

from digits.pictures.ink import encoded
from digits.pictures.numbers import number_of
from digits.pictures.scenes import ALL, picture_of
from digits_reader import site
from digits_reader.decode import decode
from digits_reader.photo import NETWORK
from digits_reader.pictures import prepare_number, read_picture
from plain_errors import ConfigError, PlainError

NASTY = "<img src=x onerror=\"document.title='run'\">"
PREPARE = ROOT / "src" / "digits_reader" / "page" / "prepare.js"


def arc(x, y, width, height, start, end):
    """Points along an ellipse around (x, y), angles in degrees, clockwise from the right."""
    angles = [math.radians(start + (end - start) * at / 16) for at in range(17)]
    return [(x + width * math.cos(angle), y + height * math.sin(angle)) for angle in angles]


# Strokes in a square of side 1; (0, 0) is its upper left corner.
STROKES = {
    0: [arc(0.5, 0.5, 0.2, 0.3, -90, 270)],
    1: [[(0.52, 0.2), (0.48, 0.8)]],
    2: [[*arc(0.48, 0.34, 0.18, 0.15, 180, 400), (0.32, 0.76), (0.72, 0.76)]],
    3: [arc(0.46, 0.34, 0.17, 0.14, 200, 450) + arc(0.46, 0.64, 0.2, 0.16, -90, 150)],
    4: [[(0.38, 0.2), (0.3, 0.52), (0.7, 0.52)], [(0.62, 0.22), (0.6, 0.82)]],
    5: [[(0.68, 0.2), (0.38, 0.2), (0.35, 0.46), *arc(0.46, 0.62, 0.2, 0.18, -115, 140)]],
    6: [[(0.6, 0.17), (0.45, 0.3), (0.36, 0.5), *arc(0.5, 0.64, 0.155, 0.15, 180, 540)]],
    7: [[(0.3, 0.22), (0.7, 0.22), (0.46, 0.8)]],
    8: [arc(0.5, 0.34, 0.14, 0.14, 90, -270) + arc(0.5, 0.64, 0.17, 0.16, -90, 270)],
    9: [[*arc(0.5, 0.36, 0.15, 0.15, 0, -360), (0.65, 0.4), (0.62, 0.6), (0.54, 0.82)]],
}


def draw(page: Page, strokes) -> None:
    """Draw a digit of STROKES, or other strokes, on the pad with the mouse."""
    box = page.locator("#pad").bounding_box()
    assert box
    for stroke in STROKES.get(strokes, strokes) if isinstance(strokes, int) else strokes:
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point)
        page.mouse.up()


def photograph(scene: str, digit: int) -> bytes:
    return encoded(picture_of(scene, digit, 0))


def answer(page: Page, digit: int | str) -> None:
    """Wait for the default model's answer to the complete drawing, which may be saved from then on."""
    expect(page.locator("#first .digit")).to_have_text(str(digit))
    expect(page.locator(".digits button").first).to_be_enabled()


@contextmanager
def files(folder: Path, handler: type = SimpleHTTPRequestHandler) -> Iterator[str]:
    """Run a plain file server; yield its address."""
    quiet = type("Quiet", (handler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(folder))) as server:
        server.handle_error = lambda *_: None  # a browser that ends a request in its middle
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawings") / "drawings"


@pytest.fixture(scope="module")
def url(quickstart: Path, drawings: Path) -> Iterator[str]:
    with serving(quickstart, cwd=drawings.parent) as server:
        yield server.url


@pytest.fixture
def faults() -> list[str]:
    """The browser's error messages; the test fails if any are left at its end."""
    return []


def is_fault(message: ConsoleMessage) -> bool:
    """Whether something is wrong; a 422 is not: on a slow machine the page sends a stroke that has no ink yet."""
    return message.type != "log" and "status of 422" not in message.text


@pytest.fixture
def opened(browser: Browser, faults: list[str]):
    """`opened(url, locale="fr-FR")` opens the page and waits until it is ready, or shows what `wait` selects."""
    contexts = []

    def start(url: str, wait: str = ".card", **options) -> Page:
        contexts.append(
            browser.new_context(**{"locale": "en-GB", "viewport": {"width": 1200, "height": 900}} | options)
        )
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: faults.append(message.text) if is_fault(message) else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(url)
        page.wait_for_selector(wait)
        return page

    yield start
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def page(opened, url: str) -> Page:
    return opened(url)


def saved(drawings: Path) -> list[tuple[str, int]]:
    return [(path.stem, int(path.parent.name)) for path in drawings.glob("[0-9]/*.png")]


def ink(page: Page) -> int:
    """How many pixels of the pad are not white."""
    return page.evaluate(
        """() => document.getElementById("pad").getContext("2d").getImageData(0, 0, 392, 392)
             .data.filter((value, at) => at % 4 === 0 && value < 255).length"""
    )


def test_each_digit_is_read_without_a_button(page):
    for digit in range(10):
        page.click("#clear")
        draw(page, digit)
        answer(page, digit)
    assert page.locator("#first [role=meter]").count() == 10
    shares = [float(meter.get_attribute("aria-valuenow")) for meter in page.locator("#first [role=meter]").all()]
    assert shares.index(max(shares)) == 9 and sum(shares) == pytest.approx(100, abs=1)
    expect(page.locator("#announcement")).to_contain_text("a 9")
    inked = (
        "() => document.querySelector('figure canvas').getContext('2d').getImageData(0, 0, 28, 28).data.some(v => v)"
    )
    assert page.evaluate(inked)


@pytest.mark.parametrize(
    ("locale", "said", "guess"),
    [("en-GB", "no digit I know", "most like a 4"), ("de-DE", "keine Ziffer, die ich kenne", "allenfalls eine 4")],
)
def test_what_looks_like_no_digit_is_said_and_the_guess_stays(opened, quickstart, tmp_path, locale, said, guess):
    doubtful = with_metadata(quickstart, tmp_path / "doubtful", least_energy="1000")
    with serving(doubtful, quickstart, cwd=tmp_path) as server:
        page = opened(server.url, locale=locale)
        draw(page, 4)
        answer(page, "")
        expect(page.locator("#first .text")).to_have_text(said + guess)
        expect(page.locator("#first .digit")).to_be_hidden()
        expect(page.locator("#announcement")).to_contain_text(f"{said}, {guess}; ")
        expect(page.locator("#others")).not_to_contain_text(said)
        expect(page.locator("#others .text")).to_contain_text(re.compile("if it is a digit|falls es eine Ziffer ist"))
        audit(page)


@pytest.mark.parametrize(
    ("confidence", "certain", "text"),
    [
        (0.988, True, "98.8% sure"),
        (0.988, None, "98.8% sure, if it is a digit"),
        (0.517, True, "only 51.7% sure"),
        (0.517, None, "only 51.7% sure, if it is a digit"),
        (0.517, False, "most like a 4"),
    ],
)
def test_a_low_probability_is_worded_as_doubt(opened, url, confidence, certain, text):
    given = {"digit": 4, "confidence": confidence, "certain": certain}
    assert opened(url).evaluate("async (given) => (await import('./cards.js')).sureText(given)", given) == text


def placed(digit, left, scale=0.75):
    """The strokes of a digit, smaller, with its left side at a share of the pad's width."""
    return [[(left + scale * (x - 0.25), 0.5 + scale * (y - 0.5)) for x, y in stroke] for stroke in STROKES[digit]]


def shows_42(page: Page) -> None:
    """Draw 42; wait until the first card shows it, and how each of its digits was read."""
    draw(page, placed(4, 0.1))
    draw(page, placed(2, 0.52))
    expect(page.locator("#first .digit")).to_have_text("42")
    parts = page.locator("#first .parts li")
    expect(parts).to_have_text([re.compile(rf"^{digit} \d+(\.\d)?%$") for digit in (4, 2)])
    sizes = parts.locator("canvas").evaluate_all("list => list.map(({ width, height }) => [width, height])")
    assert np.abs(np.array(sizes) - [[127, 201], [142, 186]]).max() < 4, "boxes round the strokes, in pixels of the pad"


def test_a_number_is_read_by_itself_and_touching_digits_are_named(opened, url, faults):
    page = opened(url)
    shows_42(page)
    expect(page.locator("#first .text")).to_contain_text("a number")
    expect(page.locator(".digits button").first).to_be_disabled()
    page.click("#clear")
    draw(page, [[(0.22, 0.2), (0.2, 0.8)], [(0.4, 0.5), (0.6, 0.5)], [(0.8, 0.2), (0.78, 0.8)]])
    expect(page.locator("#first .text")).to_contain_text("Digits touch, or one is unclear or a sign.")
    page.click("#clear")
    draw(page, 7)
    answer(page, 7)
    assert all("status of 409" in fault for fault in faults)
    faults.clear()  # the server's word that these are several digits


def test_five_digits_fit_on_the_pad_and_examples_are_read(opened, url, faults):
    page = opened(url)
    for place, digit in enumerate((1, 2, 3, 4, 5)):
        draw(page, placed(digit, 0.03 + 0.195 * place, 0.33))
    expect(page.locator("#first .digit")).to_have_text("12345")
    expect(page.locator("#several")).to_contain_text("Several digits work too")
    for example in ("5", "42", "12345"):
        page.get_by_role("button", name=example, exact=True).click()
        expect(page.locator("#first .digit")).to_have_text(example)
    page.click("#api")
    expect(page).to_have_title("digits API")
    faults.clear()  # the server's word that these are several digits


def test_answer_follows_the_pen_before_it_is_lifted(page):
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + 195, box["y"] + 320, steps=10)
    expect(page.locator("#first .digit")).to_have_text("1")
    expect(page.locator(".digits button").first).to_be_disabled()
    page.mouse.up()
    answer(page, 1)


def test_finger_draws_and_does_not_scroll(opened, url):
    page = opened(url, has_touch=True, viewport={"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    box = page.locator("#pad").bounding_box()
    session = page.context.new_cdp_session(page)
    for kind, y in [("touchStart", 0.2), *(("touchMove", 0.2 + 0.06 * at) for at in range(1, 11)), ("touchEnd", None)]:
        points = [] if y is None else [{"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] * y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    answer(page, 1)
    assert page.evaluate("scrollY") == 0


def test_picture_is_chosen_dropped_and_pasted(page, tmp_path):
    (tmp_path / "seven.png").write_bytes(photograph("ballpoint", 7))
    page.set_input_files("#file", tmp_path / "seven.png")
    answer(page, 7)
    hand_over = """([name, content]) => {
      const data = new DataTransfer();
      const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
      data.items.add(new File([bytes], "picture.png", { type: "image/png" }));
      const event = name === "drop" ? new DragEvent(name, { dataTransfer: data, bubbles: true, cancelable: true })
        : new ClipboardEvent(name, { clipboardData: data, bubbles: true });
      document.body.dispatchEvent(event);
    }"""
    page.evaluate(hand_over, ["drop", base64.b64encode(photograph("shadow", 3)).decode()])
    answer(page, 3)
    page.evaluate(hand_over, ["paste", base64.b64encode(photograph("chalk", 5)).decode()])
    answer(page, 5)
    page.click("#undo")
    answer(page, 3)


def test_a_file_that_is_no_picture_is_refused(page, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    page.set_input_files("#file", tmp_path / "text.png")
    expect(page.locator("#first .text")).to_have_text("This file cannot be opened as a picture.")


def test_labelled_drawing_is_saved_and_deleted(page, drawings):
    draw(page, 1)
    answer(page, 1)
    expect(page.locator("#labels")).to_contain_text("kept on the server to train on")
    expect(page.locator("#labels")).to_contain_text("digits drawings list")
    page.click(".digits button:text('7')")
    expect(page.locator(".saved")).to_contain_text("saved as 7")
    expect(page.locator("#delete")).to_be_focused()
    assert [label for _, label in saved(drawings)] == [7]
    assert ink(page) == 0, "the pad is clear for the next drawing"
    page.click("#delete")
    expect(page.locator("#saving")).to_have_text("Deleted. Undo brings the drawing back.")
    expect(page.locator("#undo")).to_be_focused()
    assert saved(drawings) == []
    page.keyboard.press("Enter")
    answer(page, 1)


def test_drawing_sent_twice_is_saved_once(opened, url, drawings, faults):
    page = opened(url)
    sent = []

    def lose_the_first_answer(route: Route) -> None:
        sent.append(route.request.post_data_json["id"])
        if len(sent) > 1:
            return route.continue_()
        route.fetch()
        route.abort()

    page.route("**/api/drawings", lose_the_first_answer)
    draw(page, 4)
    answer(page, 4)
    page.click(".digits button:text('4')")
    expect(page.locator(".saved")).to_contain_text("saved as 4")
    assert len(sent) == 2 and len(set(sent)) == 1
    assert saved(drawings) == [(sent[0], 4)]
    page.click("#delete")
    expect(page.locator(".saved")).to_be_hidden()
    assert saved(drawings) == []
    faults.clear()  # the lost answer


@pytest.mark.parametrize("second", [4, 9])
def test_drawing_pressed_again_after_a_failure_is_saved_once(opened, url, drawings, faults, second):
    page = opened(url)

    def save_and_deny(route: Route) -> None:
        route.fetch()
        route.fulfill(status=400, json={"error": "no"})

    page.route("**/api/drawings", save_and_deny, times=1)
    draw(page, 4)
    answer(page, 4)
    page.click(".digits button:text('4')")
    expect(page.locator("#saving")).to_have_text("The drawing was not saved; please press again.")
    page.click(f".digits button:text('{second}')")
    expect(page.locator(".saved")).to_contain_text(f"saved as {second}")
    assert [label for _, label in saved(drawings)] == [second]
    page.click("#delete")
    expect(page.locator(".saved")).to_be_hidden()
    assert saved(drawings) == []
    faults.clear()  # the failure


def test_drawing_is_saved_from_an_insecure_origin_too(opened, url, drawings):
    page = opened(url)
    page.evaluate("crypto.randomUUID = undefined")
    draw(page, 0)
    answer(page, 0)
    page.click(".digits button:text('0')")
    expect(page.locator(".saved")).to_contain_text("saved as 0")
    ((found, _),) = saved(drawings)
    assert re.fullmatch(r"[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}", found)
    page.click("#delete")
    expect(page.locator(".saved")).to_be_hidden()


def test_undo_clear_and_eraser_change_the_drawing(page, faults):
    assert ink(page) == 0
    draw(page, [[(0.3, 0.3), (0.7, 0.3)]])
    one = ink(page)
    draw(page, [[(0.3, 0.6), (0.7, 0.6)]])
    assert ink(page) > 1.9 * one > 0
    page.click("#undo")
    assert ink(page) == one
    page.click("#eraser")
    expect(page.locator("#eraser")).to_have_attribute("aria-pressed", "true")
    draw(page, [[(0.2, 0.3), (0.8, 0.3)]])
    assert ink(page) == 0
    expect(page.locator("#first .text")).to_have_text("No ink found yet.")
    faults.clear()  # the refusal of an empty picture
    page.click("#undo")
    assert ink(page) == one
    page.click("#clear")
    assert ink(page) == 0
    expect(page.locator("#first .digit")).to_have_text("?")
    page.click("#undo")
    assert ink(page) == one


def test_whoever_draws_on_an_empty_pad_gets_ink_even_with_the_eraser_on(page):
    draw(page, 1)
    for empty in ("#clear", "#undo"):
        page.click("#eraser")
        page.click(empty)
        draw(page, 7)
        answer(page, 7)
        expect(page.locator("#eraser")).to_have_attribute("aria-pressed", "false")
    page.click("#clear")
    page.click("#clear")
    page.click("#eraser")
    draw(page, 1)
    answer(page, 1)


def test_a_tap_leaves_a_dot_and_is_no_error(opened, url):
    page = opened(url, has_touch=True, viewport={"width": 390, "height": 800})
    page.on("response", lambda response: statuses.append(response.status))
    statuses: list[int] = []
    page.tap("#pad")
    expect(page.locator(".digits button").first).to_be_enabled()
    assert 18**2 / 2 < ink(page) < 18**2 and set(statuses) == {200}


def test_high_contrast_shows_the_bars(opened, url):
    page = opened(url, forced_colors="active", reduced_motion="reduce")  # no colours in between
    draw(page, 1)
    answer(page, 1)
    ask = "(selector) => getComputedStyle(document.querySelector(selector), '::before').backgroundColor"
    bar, highest = (page.evaluate(ask, f"#first .bar{which} i") for which in (":not(.highest)", ".highest"))
    card = page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
    assert len({bar, highest, card}) == 3


def test_keyboard_reaches_and_does_everything(page, drawings):
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert reached == ["pad", "undo", "clear", "eraser", "open"]
    draw(page, 8)
    answer(page, 8)
    page.keyboard.press("6")
    expect(page.locator(".saved")).to_contain_text("saved as 6")
    page.keyboard.press("Enter")
    expect(page.locator(".saved")).to_be_hidden()
    assert saved(drawings) == []
    page.locator("#pad").focus()
    page.keyboard.press("Control+z")
    answer(page, 8)
    page.keyboard.press("Control+z")
    assert ink(page) == 0
    draw(page, 8)
    page.keyboard.press("Delete")
    assert ink(page) == 0


@pytest.mark.parametrize(
    "locale, language, title, text",
    [
        ("en-US", "en", "Draw a digit", "an 8"),
        ("es-MX", "es", "Dibuja una cifra", "un 8"),
        ("fr-CH", "fr", "Dessinez un chiffre", "un 8"),
        ("de-AT", "de", "Zeichne eine Ziffer", "eine 8"),
        ("it-IT", "en", "Draw a digit", "an 8"),
    ],
)
def test_page_uses_the_browsers_language(opened, url, locale, language, title, text):
    page = opened(url, locale=locale)
    assert page.evaluate("document.documentElement.lang") == language
    expect(page.locator("h1")).to_have_text(title)
    draw(page, 8)
    expect(page.locator("#first .text b")).to_have_text(re.compile(f"^{text}"))


def test_page_says_why_it_is_dead(opened, faults, tmp_path):
    shutil.copytree(PREPARE.parent, tmp_path / "page")
    other = type("Other", (SimpleHTTPRequestHandler,), {"extensions_map": {".js": "application/octet-stream"}})
    with files(tmp_path / "page", other) as url:
        page = opened(url, wait="#first[role=alert]")
        expect(page.locator("#first")).to_contain_text("does not send .js files as text/javascript")
    page = opened(f"file://{tmp_path}/page/index.html", wait="#first[role=alert]", locale="de-DE")
    expect(page.locator("#first")).to_contain_text("Diese Seite läuft nicht aus einer Datei.")
    (tmp_path / "page" / "words.js").write_text("not javascript")
    with files(tmp_path / "page") as url:
        page = opened(url, wait="#first[role=alert]")
        expect(page.locator("#first")).to_contain_text("this browser is too old")
    faults.clear()  # what the browser says of each


def test_models_stand_side_by_side_and_their_names_are_text(opened, quickstart, tmp_path, faults):
    other = with_metadata(quickstart, tmp_path / "other", model=NASTY)
    with serving(quickstart, other, cwd=tmp_path) as server:
        page = opened(server.url, viewport={"width": 390, "height": 844})
        draw(page, 2)
        expect(page.locator(".digit")).to_have_text(["2", "2"])
        expect(page.locator(".card h2").nth(1)).to_have_text(NASTY)
        assert page.locator(".card img").count() == 0 and page.title() == "digits"
        page.click("#clear")
        shows_42(page)
        expect(page.locator("#others .digit")).to_have_text("42")
        lines = "list => list.map((each) => each.offsetHeight / parseFloat(getComputedStyle(each).lineHeight))"
        assert page.locator(".digit").evaluate_all(lines) == pytest.approx([1, 1], abs=0.1), "in one line, not stacked"
        expect(page.locator("#others .parts li")).to_have_count(2)
        audit(page)
    faults.clear()  # the server's word that these are several digits


def test_no_answer_is_shown_for_an_older_drawing(page):
    asked, shown = [], []
    page.expose_function("shown", lambda text: shown.append(text))
    page.evaluate(
        "() => new MutationObserver(([change]) => shown(change.target.textContent))"
        ".observe(document.querySelector('#first .digit'), { childList: true })"
    )

    def slow(route: Route) -> None:
        asked.append(route)
        page.wait_for_timeout(400)
        route.continue_()

    page.route("**/api/predict*", slow)
    draw(page, 1)
    page.click("#clear")
    page.wait_for_timeout(600)
    assert asked and set(shown) <= {"?"}, "the drawing was cleared before its answer came"
    draw(page, 3)
    answer(page, 3)
    assert len(asked) < 8, "one request at a time, not one for each move of the pen"


def test_busy_or_absent_server_is_reported_and_asked_again(page, faults):
    faulty = [lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}, json={"error": "busy"})]
    faulty.append(lambda route: route.abort())
    page.route("**/api/predict*", lambda route: faulty[0](route) if faulty else route.continue_())
    draw(page, 7)
    expect(page.locator("#first .text")).to_have_text("The server is busy; trying again…")
    del faulty[0]
    expect(page.locator("#first .text")).to_have_text("The server does not answer; trying again…")
    del faulty[0]
    answer(page, 7)
    faults.clear()  # the two failures


def test_motion_and_colours_follow_the_browsers_settings(opened, url):
    page = opened(url, reduced_motion="reduce", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.querySelector('.bar i'), '::before').transitionDuration") == "0s"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    assert ink(page) == 0, "the pad is white in the dark too"


RUNTIME_IN_PYTHON = """
export class Tensor { constructor(type, data, dims) { Object.assign(this, { data, dims }); } }
const run = async ({ pictures }) => {
  const found = await window.findsInk([...pictures.data], pictures.dims);
  return { logits: { data: Float32Array.from(found) } };
};
export const InferenceSession = { create: async () => ({ run }) };
"""  # in place of ONNX Runtime Web, which not every machine has


def finds_ink(pixels: list[float], shape: list[int]) -> list[float]:
    """Run the network that finds ink."""
    session = onnxruntime.InferenceSession(NETWORK, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"pictures": np.array(pixels, np.float32).reshape(shape)})
    return logits.ravel().tolist()


def prepared(page: Page, content: bytes) -> np.ndarray:
    """What prepare.js makes of a picture file: float [1, 28, 28]."""
    run = """async (content) => {
      const { prepare } = await import("./prepare.js");
      const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
      return [...await prepare(new Blob([bytes], { type: "image/png" }))];
    }"""
    page.route("**/prepare.js", lambda route: route.fulfill(path=PREPARE, content_type="text/javascript"))
    page.route("**/ort.wasm*.js", lambda route: route.fulfill(body=RUNTIME_IN_PYTHON, content_type="text/javascript"))
    if not page.evaluate("'findsInk' in window"):
        page.expose_function("findsInk", finds_ink)
    return np.array(page.evaluate(run, base64.b64encode(content).decode())).reshape(1, 28, 28)


def test_browser_prepares_drawings_as_python_does(page):
    for digit in range(10):
        page.click("#clear")
        draw(page, digit)
        drawn = page.evaluate("document.getElementById('pad').toDataURL().split(',')[1]")
        content = base64.b64decode(drawn)
        assert np.abs(prepared(page, content) - read_picture(content)).max() <= 2 / 255, digit


def test_browser_prepares_photographs_as_python_does(page):
    for digit, scene in enumerate(ALL):
        content = photograph(scene, digit % 10)
        assert np.abs(prepared(page, content) - read_picture(content)).max() <= 2 / 255, scene


def test_browser_fills_transparent_parts_as_python_does(page):
    """Strokes, white and dark, and a sheet, all on nothing."""
    five = picture_of("canvas", 5, 0)
    sheet = Image.new("RGBA", (400, 360))
    sheet.paste(Image.eval(five, lambda level: level * 200 // 255), (60, 40))
    strokes = [np.full((280, 280, 4), level, np.uint8) for level in (0, 255)]
    for each in strokes:
        each[..., 3] = 255 - np.asarray(five.convert("L"))
    for picture in (sheet, *map(Image.fromarray, strokes)):
        content = encoded(picture)
        assert np.abs(prepared(page, content) - read_picture(content)).max() <= 2 / 255


def test_large_white_strokes_on_nothing_are_sent_as_they_are(page, tmp_path):
    strokes = np.full((280, 280, 4), 255, np.uint8)
    strokes[..., 3] = 255 - np.asarray(picture_of("canvas", 5, 0).convert("L"))
    Image.fromarray(strokes).resize((1700, 1700)).save(tmp_path / "white.png")
    page.set_input_files("#file", tmp_path / "white.png")
    answer(page, 5)


def test_browser_finds_the_digits_of_numbers_as_python_does(page):
    run = """async (content) => {
      const { prepareNumber } = await import("./prepare.js");
      const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
      const rows = await prepareNumber(new Blob([bytes], { type: "image/png" }));
      const listed = ({ image, width, height, crowding, box }) => [[...image], width, height, crowding, box];
      return rows.map((row) => row.map(listed));
    }"""
    for number in (*range(8), 97, 927):  # the last two are wide; of 927, the first look misses a digit
        content = encoded(number_of(number)[0])
        prepared(page, photograph("canvas", 1))  # has the page's modules come from the source
        rows = page.evaluate(run, base64.b64encode(content).decode())
        picture = decode(content)
        wanted, scale = prepare_number(picture), picture.info["scale"]
        assert [len(row) for row in rows] == [len(row) for row in wanted]
        tallest = [max(cluster.height for cluster, _, _ in row) for row in wanted for _ in row]
        for found, (cluster, expected, crowding), high in zip(chain(*rows), chain(*wanted), tallest, strict=True):
            assert np.abs(np.reshape(found[0], (1, 28, 28)) - expected).max() <= 2 / 255, number
            sizes = [cluster.width / high, cluster.height / high, crowding]
            assert found[1:4] == pytest.approx(sizes, abs=0.05), number
            assert np.abs(np.array(found[4]) / scale - cluster[1:]).max() <= 2, number


def test_browser_refuses_very_many_marks_as_python_does(page):
    with pytest.raises(Error, match="too many marks"):
        prepared(page, encoded(dots()))


# What a page of another site may do.
ASK = """async (url) => {
  const canvas = document.querySelector("canvas"), pen = canvas.getContext("2d");
  pen.fillRect(140, 40, 20, 220);
  const ask = async (path, given) => {
    const request = {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(given)};
    return await (await fetch(url + path, request)).json();
  };
  const saved = await ask("/api/drawings", {}).catch(String);
  return [await ask("/api/predict", {picture: canvas.toDataURL()}), await ask("/api/number", {picture: "7"}), saved];
}"""


class Isolated(SimpleHTTPRequestHandler):
    """A host whose pages can load from other sites only what those allow."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


def test_an_allowed_sites_page_reads_its_canvas_and_saves_nothing(opened, quickstart, tmp_path, faults):
    (tmp_path / "index.html").write_text('<canvas width="300" height="300"></canvas>')
    with files(tmp_path, Isolated) as site, serving(quickstart, "--allow-origin", site, cwd=tmp_path) as server:
        answer, refused, saved = opened(site, wait="canvas").evaluate(ASK, server.url)
    assert answer["digit"] == 1 and refused["error"].startswith("the JSON: wanted") and "Failed to fetch" in saved
    faults.clear()  # the browser reports what it refused


class Packing(SimpleHTTPRequestHandler):
    """A host that heeds the site's _headers."""

    def end_headers(self) -> None:
        if ".br" in self.path:
            self.send_header("Content-Encoding", "br")
        super().end_headers()


@pytest.fixture(scope="module")
def exported(quickstart: Path, onnxruntime_web: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static site with two models."""
    folder = tmp_path_factory.mktemp("exported")
    other = with_metadata(quickstart, folder / "other", model=NASTY, least_energy="1000")
    models = [each / "model.onnx" for each in (quickstart, other)]
    site.export_site(folder / "site", models, onnxruntime_web)
    return folder / "site"


@pytest.mark.parametrize("host", [SimpleHTTPRequestHandler, Packing])
def test_static_site_works_without_the_network(opened, exported, host):
    with files(exported, host) as url:
        page = opened(url)
        asked = page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name.split('?')[0])")
        last = [name for name in asked if ".wasm" in name and not name.endswith(".js")][-1]
        assert last.endswith(".wasm.br" if host is Packing else ".wasm.gz")
        expect(page.locator(".card")).to_have_count(2)
        page.context.set_offline(True)
        assert page.locator("#labels").is_hidden() and page.locator("#api").is_hidden()
        for digit in range(10):
            page.click("#clear")
            draw(page, digit)
            expect(page.locator(".digit")).to_have_text([str(digit), ""])
            expect(page.locator(".card").nth(1)).to_contain_text("no digit I know")
            expect(page.locator("#first")).not_to_contain_text("no digit I know")
            expect(page.locator("#first .text")).to_contain_text(" sure, if it is a digit")
        page.click("#clear")
        page.set_input_files("#file", {"name": "6.png", "mimeType": "image/png", "buffer": photograph("desk", 6)})
        answer(page, 6)
        expect(page.locator(".card h2").nth(1)).to_have_text(NASTY)
        assert page.locator(".card img").count() == 0


def test_static_site_reads_numbers_and_names_touching_digits(opened, quickstart, onnxruntime_web, tmp_path):
    site.export_site(tmp_path / "site", [quickstart], onnxruntime_web)
    with files(tmp_path / "site") as url:
        page = opened(url)
        shows_42(page)
        page.click("#clear")
        draw(page, [[(0.22, 0.2), (0.2, 0.8)], [(0.4, 0.5), (0.6, 0.5)], [(0.8, 0.2), (0.78, 0.8)]])
        expect(page.locator("#first .text")).to_contain_text("Digits touch, or one is unclear or a sign.")


def test_static_site_works_without_its_host_after_one_visit(opened, exported, faults):
    all_kept = """async (names) => {
        const missing = async (name) => !(await caches.match(name, { ignoreSearch: true }));
        for (const name of names) while (await missing(name)) await new Promise((done) => setTimeout(done, 50));
    }"""  # evaluate() waits for a promise, wait_for_function() takes it for true
    with files(exported) as url:
        page = opened(url)
        expect(page.locator(".card")).to_have_count(2)
        page.evaluate(all_kept, ["main.js", "ort-wasm-simd-threaded.wasm", "models/0.onnx", "models/1.onnx"])
    for _ in range(2):
        page.goto(f"{url}/?again")
        expect(page.locator(".card")).to_have_count(2)
        draw(page, 3)
        expect(page.locator(".digit")).to_have_text(["3", ""])
    assert faults == [fault for fault in faults if "ERR_CONNECTION_REFUSED" in fault], "the host is away"
    faults.clear()


def test_static_site_answers_with_the_first_model_while_others_load(opened, exported, faults):
    with files(exported) as url:
        page = opened(f"{url}/favicon.svg", wait="svg", service_workers="block")
        held: list[Route] = []
        page.route("**/models/1.onnx*", lambda route: held.append(route))
        page.goto(url)
        draw(page, 5)
        expect(page.locator(".digit")).to_have_text(["5"])
        expect(page.locator("#announcement")).to_contain_text("a 5")
        held[0].abort()
        expect(page.locator("#failures")).to_contain_text("Failed to fetch")
        page.goto(url)
        draw(page, 5)
        expect(page.locator(".digit")).to_have_text(["5"])
        held[1].continue_()
        expect(page.locator(".digit")).to_have_text(["5", ""])
        expect(page.locator("#loading")).to_be_empty()
    faults.clear()  # the model that did not come, the blocked service worker


def test_static_site_opened_as_a_file_says_what_to_do(opened, exported, faults):
    page = opened(f"file://{exported}/index.html", wait="#first[role=alert]")
    expect(page.locator("#first")).to_contain_text("start “python -m http.server”")
    faults.clear()


@pytest.mark.long
@pytest.mark.parametrize("host", [SimpleHTTPRequestHandler, Packing], ids=["plain", "packing"])
@pytest.mark.parametrize("megabits, latency, limit", [(12, 40, 8), (1.6, 40, 25)])
def test_static_site_is_soon_usable(browser, exported, capsys, host, megabits, latency, limit):
    with files(exported, host) as url, browser.new_context() as context:
        page = context.new_page()
        bytes_a_second = megabits * 1e6 / 8
        line = {"offline": False, "latency": latency, "downloadThroughput": bytes_a_second, "uploadThroughput": 1e6}
        context.new_cdp_session(page).send("Network.emulateNetworkConditions", line)
        started = time.monotonic()
        page.goto(url, wait_until="domcontentloaded")
        loading = page.locator("#first", has_text="MB").text_content()
        draw(page, 7)
        expect(page.locator("#first .digit")).to_have_text("7", timeout=60_000)
        seconds = time.monotonic() - started
    with capsys.disabled():
        print(f"\n{host.__name__}, {megabits} Mbit/s: the drawing is read after {seconds:.1f} s ({loading})")
    assert seconds < limit


@pytest.fixture
def runtime(tmp_path, monkeypatch) -> Path:
    """A folder with files that export_site takes for those of ONNX Runtime Web."""
    folder = tmp_path / "dist"
    folder.mkdir()
    for name in site.SHA256:
        (folder / name).write_text(name)
    sha256 = {name: hashlib.sha256(name.encode()).hexdigest() for name in site.SHA256}
    monkeypatch.setattr(site, "SHA256", sha256)
    return folder


def test_pictures_of_the_docs_are_made_by_one_command(command, chromium, tmp_path):
    (tmp_path / "docs").mkdir()
    small = ("data=mnist_5k", "data.train_size=500", "data.hands=0", "data.non_digits=0", "trainer.max_epochs=1")
    done = command("scripts/pictures.py", *small, *QUIET)
    assert done.returncode == 0, done.stderr
    sizes = {}
    for path in (tmp_path / "docs").iterdir():
        with Image.open(path) as picture:
            sizes[path.name] = picture.size
    assert sizes.pop("photo.jpg") == (800, 600)
    assert sizes.keys() == {f"{what}{dark}.png" for what in ("report", "page") for dark in ("", "-dark")}
    assert all(width == 1000 and height > 700 for width, height in sizes.values())


def test_site_is_replaced_as_a_whole_and_other_folders_are_not(quickstart, runtime, tmp_path):
    model = quickstart / "model.onnx"
    site.export_site(tmp_path / "site", [model], runtime)
    before = sorted(path.name for path in (tmp_path / "site").iterdir())
    assert "reader.wasm.js" not in before and "Content-Security-Policy" in (tmp_path / "site/index.html").read_text()
    site.export_site(tmp_path / "site", [model, model], runtime)
    assert sorted(path.name for path in (tmp_path / "site").iterdir()) == before
    listed = json.loads((tmp_path / "site" / "models.json").read_text())["models"]
    assert len({one["name"] for one in listed}) == len({one["file"] for one in listed}) == 2
    assert all((tmp_path / "site" / one["file"]).read_bytes() == model.read_bytes() for one in listed)
    (tmp_path / "site" / "CNAME").write_text("mine")
    with pytest.raises(ConfigError, match="holds CNAME"):
        site.export_site(tmp_path / "site", [model], runtime)
    assert (tmp_path / "site" / "CNAME").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dist", "site"], "temporary folders are gone"


def test_site_is_not_written_without_the_right_runtime(quickstart, runtime, tmp_path, monkeypatch):
    model = quickstart / "model.onnx"
    wasm = runtime / "ort-wasm-simd-threaded.wasm"
    wasm.write_text("another version")
    with pytest.raises(ConfigError, match=r"simd-threaded\.wasm has SHA-256"):
        site.export_site(tmp_path / "site", [model], runtime)
    wasm.unlink()
    with pytest.raises(ConfigError, match=r"simd-threaded\.wasm: No such file"):
        site.export_site(tmp_path / "site", [model], runtime)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="npm is not installed"):
        site.export_site(tmp_path / "site", [model])
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho no network >&2; exit 1\n")
    npm.chmod(0o755)
    with pytest.raises(PlainError, match=r"npm could not fetch onnxruntime-web@\S+ \(no network\)"):
        site.export_site(tmp_path / "site", [model])
    assert not (tmp_path / "site").exists()
