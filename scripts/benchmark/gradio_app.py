"""The same model and preparation behind Gradio, for load.py. It is set for speed: no queue, no rendering in Node."""

import sys
from pathlib import Path

import gradio
from PIL import Image

from digits_reader.pictures import prepare
from digits_reader.reader import Reader

reader = Reader(Path(sys.argv[1]))


def predict(picture: Image.Image) -> dict[str, float]:
    """The probability of each digit."""
    (answer,) = reader.answers(prepare(picture.convert("RGB"))[None])
    return {str(each.digit): each.probability for each in answer.probabilities}


with gradio.Blocks(analytics_enabled=False) as app:
    picture, answer = gradio.Image(type="pil"), gradio.Label()
    gradio.Button().click(predict, picture, answer, api_name="predict", queue=False)
print(app.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, server_name="127.0.0.1")[1], flush=True)
app.block_thread()
