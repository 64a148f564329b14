"""Figures of results: every config in sight, said which it is, nothing cut off."""

import itertools
import math

import numpy as np
import pytest

from jaxdl import Result, plots
from jaxdl.reporting import looks


def made(axes, seeds=2, evaluations=3, lost=(), steps=None, value=None):
    """A result by hand of a product of axes, or of a list of configs."""
    configs = axes
    if isinstance(axes, dict):
        configs = [dict(zip(axes, each, strict=True)) for each in itertools.product(*axes.values())]
    lanes, curves = [], []
    for number, config in enumerate(configs):
        for seed in range(seeds):
            at = 1 if number in lost else None
            status = "finished" if at is None else "diverged"
            lanes.append({**config, "seed": seed, "status": status, "diverged_at": at})
            curves.append(number + seed + np.arange(evaluations) + 0.5)
    values = np.array(curves, np.float32) if value is None else value
    at = np.arange(evaluations) * 10 if steps is None else np.array(steps)
    names = list(configs[0]) if configs else ["a"]
    return Result(lanes, {"test_loss": values}, at, names, metrics={"loss": False})


def drawn(figure):
    """(panel, colour, line style, label) of every curve."""
    looks_of = []
    for number, axes in enumerate(figure.axes):
        for line in axes.get_lines():
            colour = tuple(np.round(plots_rgba(line.get_color()), 4))
            style = (line.get_linestyle(), str(line._unscaled_dash_pattern))
            looks_of.append((number, colour, style, line.get_label()))
    return looks_of


def plots_rgba(colour):
    from matplotlib.colors import to_rgba

    return to_rgba(colour)


def words_of(figure):
    """All that a legend or a colour bar says."""
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    texts = [text.get_text() for legend in legends if legend for text in legend.get_texts()]
    bars = [axes.get_ylabel() for axes in figure.axes if axes.get_label() == "<colorbar>"]
    return texts, bars


SWEEPS = {
    "one axis": {"a": [1, 2, 3]},
    "two axes": {"a": [1, 2, 3], "b": [0.1, 0.2]},
    "two long axes": {"a": list(range(5)), "b": list(range(6))},
    "three axes": {"a": [1, 2], "b": ["x", "y"], "c": [0.1, 0.2, 0.3]},
    "four axes": {"a": list(range(5)), "b": list(range(5)), "c": list(range(5)), "d": [1, 2]},
    "many names": {"a": [f"name {number}" for number in range(40)]},
    "many numbers": {"a": [10.0**-number for number in range(20)], "b": [1, 2]},
    "two types": {"a": [1, 1.0, True]},
    "a list": [{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 3}, {"a": 3, "b": 3}],
    "nothing swept": [{}],
    "odd values": {"a": [None, math.inf, r"$\frac$ & <b>", -1.0]},
}


@pytest.mark.parametrize("name", SWEEPS)
def test_no_two_configs_look_the_same(name):
    result = made(SWEEPS[name])
    figure = result.plot("test_loss")
    curves = drawn(figure)
    assert len(curves) == len(result.configs)
    assert len({curve[:3] for curve in curves}) == len(curves)
    assert len({curve[3] for curve in curves}) == len(curves)
    texts, bars = words_of(figure)
    for axis in result.axes:
        titles = [axes.get_title() for axes in figure.axes]
        assert any(f"{axis}=" in word for word in [*texts, *titles]) or axis in ", ".join(bars)


@pytest.mark.parametrize("name", SWEEPS)
def test_nothing_is_cut_off(name):
    figure = made(SWEEPS[name], lost=(0,)).plot("test_loss")
    figure._repr_png_()  # laid out as it is saved and shown
    width, height = figure.bbox.size
    parts = [axes.get_tightbbox() for axes in figure.axes if axes.axison]
    parts += [legend.get_window_extent() for legend in figure.legends]
    boxes = [axes.title.get_window_extent() for axes in figure.axes if axes.get_title()]
    for box in parts + boxes:
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= width + 1
        assert box.y1 <= height + 1
    for legend in figure.legends:
        assert not any(legend.get_window_extent().overlaps(box) for box in boxes)


def test_roles_are_those_that_are_asked_for():
    result = made({"a": [1, 2], "b": [1, 2, 3]})
    figure = result.plot("test_loss", hue="a", col="b")
    assert [axes.get_title() for axes in figure.axes] == ["b=1", "b=2", "b=3"]
    by_panel = {panel: {c[1] for c in drawn(figure) if c[0] == panel} for panel in range(3)}
    assert all(len(colours) == 2 for colours in by_panel.values())
    styled = drawn(result.plot("test_loss", style="b"))
    assert len({curve[2] for curve in styled}) == 3
    assert len({curve[1] for curve in styled}) == 2
    both = drawn(result.plot("test_loss", hue=["a", "b"]))
    assert len({curve[1] for curve in both}) == 6


def test_lines_differ_beside_colours():
    curves = drawn(made({"a": [1, 2, 3, 4]}).plot("test_loss"))
    assert len({curve[1] for curve in curves}) == len({curve[2] for curve in curves}) == 4


def test_axes_of_the_users_own_are_drawn_in():
    figure, grid = plots.figure(1, 2)
    result = made({"a": [1, 2], "b": [1, 2]})
    assert result.plot("test_loss", ax=grid[0, 1]) is figure
    assert not grid[0, 0].lines
    assert len(grid[0, 1].lines) == 4
    assert [text.get_text() for text in grid[0, 1].get_legend().get_texts()] == [
        "a=1",
        "a=2",
        "b=1",
        "b=2",
    ]


REFUSED = {
    "an unknown axis": ({"hue": "widht"}, "unknown axis 'widht'"),
    "a number": ({"style": 3}, "unknown axis 3"),
    "too many styles": ({"style": "b"}, "style must be of at most 8 values, got b with 30: colour"),
    "too many panels": ({"col": "b"}, "col must be of at most 24 values, got b with 30"),
    "panels in one": ({"col": "a", "ax": 3}, "col must not be given beside ax, got 'a'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_roles_that_cannot_be_seen_are_refused(name):
    roles, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        made({"a": [1, 2], "b": list(range(30))}, seeds=1).plot("test_loss", **roles)


def test_steps_are_whole_numbers():
    figure = made({"a": [1, 2]}, steps=[0, 1, 2]).plot("test_loss", col="a", hue="a")
    for axes in figure.axes:
        assert all(tick == int(tick) for tick in axes.get_xticks())


def test_limits_are_those_of_the_data():
    (axes,) = made({"a": [1, 2]}, evaluations=5).plot("test_loss").axes
    low, high = axes.get_xlim()
    assert -1 < low < 0 < 40 < high < 41
    low, high = axes.get_ylim()
    assert (axes.get_yscale(), low < 0.6, high > 6.4, high < 7.5) == ("linear", True, True, True)


def test_three_decades_are_logarithmic_and_zero_is_not():
    def scale(*values):
        curves = np.array([values, values], np.float32)
        result = made([{}], evaluations=len(values), value=curves)
        return result.plot("test_loss").axes[0].get_yscale()

    assert scale(1.0, 0.1, 0.0005) == "log"
    assert scale(1.0, 0.1, 0.005) == "linear"
    assert scale(1.0, 0.1, 0.0) == "linear"
    assert scale(1000.0, -1.0, 0.5) == "linear"
    assert scale(math.nan, math.nan) == "linear"


def test_lanes_that_diverged_are_counted_and_single_points_are_seen():
    figure = made({"a": [1, 2]}, lost=(1,)).plot("test_loss")
    (axes,) = figure.axes
    assert "n=2, 2 of 4 lanes diverged" in axes.get_title()
    assert words_of(figure)[0] == ["a=1 (n=2)", "a=2 (n=2, 2 diverged)"]
    lost = axes.get_lines()[1]
    assert np.isfinite(lost.get_ydata()).tolist() == [True, False, False]
    assert lost.get_marker() == "o"
    uneven = made({"a": [1, 2]}).where(seed=0)
    assert "n=1" in uneven.plot("test_loss").axes[0].get_title()


def test_own_schedules_are_drawn_to_their_own_ends():
    steps = [[0, 5, -1], [0, 5, -1], [0, 10, 20], [0, 10, 20]]
    (axes,) = made({"a": [1, 2]}, steps=steps).plot("test_loss").axes
    assert [line.get_xdata().tolist() for line in axes.get_lines()] == [[0, 5], [0, 10, 20]]


def test_a_crowd_has_no_bands_and_says_so():
    crowd = made({"a": list(range(13))}).plot("test_loss").axes[0]
    few = made({"a": list(range(12))}).plot("test_loss").axes[0]
    assert (len(crowd.collections), len(few.collections)) == (0, 24)
    assert "median of seeds" in crowd.get_title()
    assert "middle 50 % and 90 % of seeds" in few.get_title()


def test_numbers_are_coloured_by_their_size():
    values = [10.0**-number for number in range(20)]
    scale = looks.scale([{"a": value} for value in values], ("a",))
    dark, light = (
        scale.colours[looks.level({"a": values[-1]}, "a")],
        scale.colours[looks.level({"a": 1.0}, "a")],
    )
    assert sum(dark[:3]) < sum(light[:3])
    middle = scale.bar.norm(10.0**-9.5)
    assert middle == pytest.approx(0.5)


def test_a_figure_is_a_picture():
    figure = made({"a": [1, 2]}).plot("test_loss")
    assert figure._repr_png_()[:8] == b"\x89PNG\r\n\x1a\n"
