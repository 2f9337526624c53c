"""Make docs/photo.jpg, report*.png and page*.png again: train what they show in outputs/pictures, look in Chromium."""

import argparse
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import FloatRect, sync_playwright

from digits.pictures.scenes import picture_of

ROOT = Path(__file__).parents[1]
CHOICES = ("experiment=reader", "model=svm", "experiment=pixel_similarity")
RUNS = {choice: f"outputs/pictures/{choice.partition('=')[2]}" for choice in CHOICES}
TOP: FloatRect = {"x": 0, "y": 0, "width": 1000, "height": 1180}  # what is shown of the report, in pixels
FOUR = [[(0.64, 0.2), (0.3, 0.58), (0.48, 0.57), (0.66, 0.63)], [(0.64, 0.2), (0.48, 0.8)]]  # in a square of side 1


def main() -> None:
    """Train the models that no earlier call trained, then take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides", nargs="*", help="for the trainings, for instance data=mnist_5k")
    overrides = parser.parse_args().overrides
    for choice, run in RUNS.items():
        train = [sys.executable, str(ROOT / "train.py"), choice, f"run_folder={run}", *overrides]
        if not Path(run, "model.onnx").exists() and (code := subprocess.run(train, check=False).returncode):
            sys.exit(code)
    serve = [
        sys.executable,
        f"{ROOT}/scripts/serve.py",
        *RUNS.values(),
        "--port=0",
        "--drawings=outputs/pictures/drawings",
    ]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server, ExitStack() as stack:
        stack.callback(server.kill)
        assert server.stdout
        url = server.stdout.readline().split()[1]
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for suffix in ("", "-dark"):
            page = browser.new_page(viewport={"width": 1000, "height": 600}, locale="en-GB")
            page.emulate_media(color_scheme="dark" if suffix else "light", reduced_motion="reduce")
            page.goto(Path(RUNS[CHOICES[0]], "report/index.html").absolute().as_uri())
            page.screenshot(path=f"docs/report{suffix}.png", full_page=True, clip=TOP)
            page.goto(url)
            box = page.locator("#pad").bounding_box()
            assert box
            for stroke in FOUR:
                for x, y in stroke:
                    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
                    page.mouse.down()
                page.mouse.up()
            page.locator(".digits button:enabled").first.wait_for()
            page.screenshot(path=f"docs/page{suffix}.png", full_page=True)
    picture_of("table", 2, 1002).save("docs/photo.jpg")


if __name__ == "__main__":
    main()
