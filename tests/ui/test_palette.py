"""The colours of runs can be told apart, also by those who see two kinds of cones, and stand out from the page."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.ui.mounting import Mount

pytestmark = pytest.mark.e2e

# Machado, Oliveira and Fernandes (2009), at full severity; linear sRGB to linear sRGB.
VISION = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = TO_XYZ.sum(1)
PAGES = {"light": "#ffffff", "dark": "#1e293b"}
SERIES = 6


def linear(colour: str) -> np.ndarray:
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of linear sRGB."""
    x, y, z = np.cbrt(np.maximum(TO_XYZ @ rgb.clip(0, 1) / WHITE, 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, other: str) -> float:
    dark, light = sorted(float(TO_XYZ[1] @ linear(colour)) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mode", PAGES)
def test_series_are_told_apart_with_any_kind_of_colour_vision(mount: Mount, mode: str) -> None:
    page = mount("runs", {})
    colours = page.evaluate(
        """async ([count, dark]) => {
          const { seriesColour } = await import('/assets/scale.js');
          return Array.from({ length: count }, (_, i) => seriesColour(i, dark));
        }""",
        [SERIES, mode == "dark"],
    )
    assert all(contrast(colour, PAGES[mode]) >= 3 for colour in colours)
    for vision, matrix in VISION.items():
        seen = [lab(np.array(matrix) @ linear(colour)) for colour in colours]
        differences = {
            pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]) for pair in itertools.combinations(range(SERIES), 2)
        }
        assert min(differences.values()) > 15, (vision, differences)
