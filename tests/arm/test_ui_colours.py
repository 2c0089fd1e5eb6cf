"""The console's colours, read from its own stylesheet, keep the contrast of WCAG 2.2 AA in light and in dark."""

import re
from pathlib import Path

import pytest

TOKENS = Path(__file__).parents[2] / "static/css/tokens.css"


def _tokens() -> dict[str, tuple[str, str]]:
    text = TOKENS.read_text()
    return {
        name: (light, dark)
        for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", text)
    }


def _luminance(colour: str) -> float:
    channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


TEXT = [
    (ink, ground)
    for ink in ("ink", "ink-2", "ink-3", "accent")
    for ground in ("bg", "surface", "sunken", "hover")
]
TEXT += [(tone, f"{tone}-soft") for tone in ("ok", "info", "move", "warn", "bad", "stop", "mute")]
TEXT += [
    (ink, f"{tone}-soft") for ink in ("ink", "accent") for tone in ("ok", "info", "warn", "bad", "accent")
]
TEXT += [
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("accent-strong", "accent-soft"),
    ("bad", "surface"),
]
EDGES = [("line-strong", ground) for ground in ("surface", "bg")]
EDGES += [(f"fill-{tone}", "surface") for tone in ("ok", "info", "move", "bad", "stop", "accent")]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground", "least"), [(*p, 4.5) for p in TEXT] + [(*p, 3.0) for p in EDGES])
def test_colours_keep_the_contrast_of_wcag_aa(ink: str, ground: str, least: float, scheme: int) -> None:
    tokens = _tokens()

    assert _contrast(tokens[ink][scheme], tokens[ground][scheme]) >= least
