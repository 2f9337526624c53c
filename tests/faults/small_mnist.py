"""Run train.py with four small files in place of MNIST's: small_mnist.py FOLDER URL train.py argument…

FOLDER holds the right files, gzipped, and URL is the mirror to download them from.
"""

import gzip
import hashlib
import os
import runpy
import sys
import tempfile
from pathlib import Path

from torchvision import datasets

from digits.data import mnist
from digits.data.mnist_files import SHA256

if __name__ == "__main__":
    folder, url, *sys.argv = sys.argv[1:]
    packed = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    SHA256.update({name: hashlib.sha256(gzip.decompress(packed[f"{name}.gz"])).hexdigest() for name in SHA256})
    datasets.MNIST.resources = [(name, hashlib.md5(content).hexdigest()) for name, content in packed.items()]
    datasets.MNIST.mirrors = [url]
    mnist.PATIENCE = 1.0  # seconds
    os.environ["no_proxy"] = "127.0.0.1"
    tempfile.tempdir = None  # which another may have set before this process got its environment
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")
