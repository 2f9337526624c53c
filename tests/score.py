"""Count how many pictures of a folder a model reads, where each file's name begins with its digit: 7_ann.png."""

import argparse
import re
from collections import defaultdict
from itertools import chain
from pathlib import Path

from plain_errors import ConfigError, DataError, plain_errors


def main() -> None:
    """Parse the command line, read the pictures, print the shares that are right and refused, and what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, help="a run or its model.onnx (default: the newest run)")
    parser.add_argument("folder", type=Path, help="the pictures; letters after the digit name the set: ann")
    arguments = parser.parse_args()

    from digits.run_folder import RunFolder
    from digits_reader.reader import Reader
    from digits_reader.terminal import read_pictures

    model = arguments.model or RunFolder.newest().path
    if model is None:
        raise ConfigError("no finished run in outputs; wanted RUN FOLDER, or train one first")
    right: dict[str, list[bool]] = defaultdict(list)  # of each picture, by set
    refused: list[bool] = []
    mistakes = []
    for reading in read_pictures(Reader(model), [str(arguments.folder)]):
        name = re.match(r"(\d)[\W_]*([^\W\d_]*)", Path(reading.picture).stem)
        if name is None:
            raise DataError(f"{reading.picture}: wanted pictures whose names begin with their digit, like 7_ann.png")
        is_right = reading.answer is not None and reading.answer.digit == int(name[1])
        refused.append(reading.answer is not None and not reading.answer.certain)
        right[name[2]].append(is_right)
        if not is_right:
            answer = reading.answer
            said = f"{answer.digit}, {answer.confidence:.1%} sure" if answer else reading.error
            mistakes.append(f"{reading.picture}: {said}")
    if len(right) > 1:
        right = {**dict(sorted(right.items())), "all": list(chain(*right.values()))}
    if any(refused):
        right["refused"] = refused
    for of_set, answers in right.items():
        share = 100 * sum(answers) / len(answers)
        print(f"{of_set or 'all':12} {sum(answers):5} of {len(answers):5}  {share:6.2f} %")
    print(*mistakes, sep="\n")


if __name__ == "__main__":
    with plain_errors():
        main()
