"""Writes `fixtures/opencv-*.npz` with OpenCV, which is no dependency: run it where `cv2` is installed."""

from pathlib import Path

import numpy as np

FIXTURES = Path(__file__).parent / "fixtures"
SIZES = [((37, 53), (24, 31)), ((20, 30), (40, 60)), ((100, 80), (50, 40)), ((7, 9), (33, 20)), ((90, 31), (7, 30))]


def main():
    import cv2  # the collection of doctests imports this module everywhere

    methods = {"bilinear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST}
    FIXTURES.mkdir(exist_ok=True)
    vectors = {}
    for place, (size, (height, width)) in enumerate(SIZES):
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        for name, method in methods.items():
            vectors[f"{name}-{place}"] = cv2.resize(image, (width, height), interpolation=method)
    colours = np.random.default_rng(0).integers(0, 256, (60, 50, 3), dtype=np.uint8)
    vectors["grey"] = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
    np.savez_compressed(FIXTURES / "opencv-resize.npz", **vectors)


if __name__ == "__main__":
    main()
