"""The figures of the palindrome experiments: accuracy against length, training, and how far the gradient reaches back."""

import itertools

import numpy as np

from experiments.report import curves_of, written
from jaxdl import plots
from jaxdl.study import Result

CHANCE = 0.1
LEARNED = 0.9  # accuracy from which on a run counts as having learned


def protocols(configs: list[dict], axis: str) -> dict[tuple, list[dict]]:
    """The configs in groups that differ in `axis` alone, which they are sorted by."""
    groups: dict[tuple, list[dict]] = {}
    for config in sorted(configs, key=lambda config: config[axis]):
        groups.setdefault(tuple((name, value) for name, value in config.items() if name != axis), []).append(config)
    return groups


def named(protocol: tuple) -> str:
    """A protocol in words."""
    return ", ".join(
        written(value) if name in ("cell", "optimizer") else f"{name.replace('_', ' ')} {value}" for name, value in protocol
    )


def accuracy_figure(result: Result, published: dict[int, float]):
    """Final test accuracy against length, a band a protocol, with R5's points."""
    made, axes = plots.figure(width=8.5, height=5)
    panel, groups = axes[0, 0], protocols(result.configs, "length")
    for (protocol, configs), colour, line in zip(groups.items(), plots.colours(len(groups)), plots.LINES * 9, strict=False):
        lanes = [result.rows(config) for config in configs]
        final, lost = (
            np.stack([values[rows] for rows in lanes], axis=1) for values in (result.final("test_accuracy"), result.diverged)
        )
        lengths = [config["length"] for config in configs]
        plots.band(panel, lengths, final, f"{named(protocol)} (n={len(final)})", colour, line, True, lost)
        panel.plot(np.repeat([lengths], len(final), axis=0).ravel(), final.ravel(), ".", color=colour, markersize=3, alpha=0.6)
    shown = {length: value for length, value in published.items() if any(c["length"] == length for c in result.configs)}
    panel.plot(
        list(shown),
        list(shown.values()),
        "D",
        color="black",
        markerfacecolor="white",
        markersize=7,
        label="R5, one run (vanilla)",
    )
    panel.axhline(CHANCE, color="gray", linewidth=1, linestyle=":")
    panel.annotate("chance", (min(c["length"] for c in result.configs), CHANCE), (2, 3), textcoords="offset points", color="gray")
    title = f"{learned(result)}\nafter {int(result.steps.max())} steps; median, 50 and 90 % of seeds, every seed a dot"
    plots.style(panel, title, "length T of the palindrome", "test accuracy (1024 sequences)")
    panel.set_ylim(-0.02, 1.03)
    panel.legend(fontsize=plots.FONT - 2)
    return made


def learned(result: Result) -> str:
    """Up to which length every run ends at `LEARNED`, at all shorter ones too, and at which one no run does; a line a cell."""
    final, found = np.where(result.diverged, 0.0, result.final("test_accuracy")), []
    for cell in dict.fromkeys(config["cell"] for config in result.configs):
        lengths: dict[int, list] = {config["length"]: [] for config in result.configs if config["cell"] == cell}
        for config in result.configs:
            if config["cell"] == cell:
                lengths[config["length"]] += list(final[result.rows(config)] >= LEARNED)
        every = list(itertools.takewhile(lambda length, of=lengths: all(of[length]), sorted(lengths)))  # type: ignore[misc]
        none = [length for length, reached in lengths.items() if not any(reached)]
        to = f"every run up to length {max(every)}" if every else "not every run at the shortest length"
        rest = f", none at length {min(none)}" if none else ", some run at every length"
        found.append(f"{written(cell)}, accuracy of {LEARNED:.0%} at the end: {to}{rest * (len(every) < len(lengths))}")
    return "\n".join(found)


def training_figure(result: Result, axis: str, clip: float | None):
    """Test accuracy and the largest gradient norm by step, a curve a value of `axis`, a row a protocol (four at most)."""
    groups = list(protocols(result.configs, axis).items())[:4]
    made, axes = plots.figure(len(groups), 2, width=7, height=4.2, sharex=True)
    for row, (protocol, configs) in zip(axes, groups, strict=True):
        for config, colour, line in zip(configs, plots.colours(len(configs)), plots.LINES * 9, strict=False):
            lanes = result.rows(config)
            for panel, metric, better in ((row[0], "test_accuracy", True), (row[1], "grad_norm_max", False)):
                steps, curves, lost = curves_of(result, metric, lanes)
                seen = slice(None) if better else slice(1, None)
                plots.band(panel, steps[seen], curves[:, seen], written(config[axis]), colour, line, better, lost[:, seen])
        where = f" ({named(protocol)})" if protocol else ""
        plots.style(row[0], f"Test accuracy by {axis}{where}: median, 50 and 90 %", "step", "test accuracy")
        plots.style(row[1], f"Largest gradient norm since the last evaluation{where}", "step", "norm, before clipping")
        row[0].set_ylim(-0.02, 1.03)
        row[1].set_yscale("log")
        if clip is not None and np.isfinite(clip):
            row[1].axhline(clip, color="black", linewidth=1, linestyle=":")
            row[1].annotate("clip", (0.0, clip), (2, 3), textcoords="offset points")
        row[0].legend(title=axis, fontsize=plots.FONT - 3, ncols=2)
    reached = [c[axis] for c in result.configs if np.median(result.final("test_accuracy")[result.rows(c)]) >= LEARNED]
    values = ", ".join(map(written, dict.fromkeys(reached))) or "none"
    n = len(result.rows(result.configs[0]))
    made.suptitle(
        f"Median accuracy of {LEARNED:.0%} and more at the end: {axis} {values} (n={n} seeds a curve)", fontsize=plots.FONT + 1
    )
    return made


def reach_figure(found: list[dict]):
    """Norms of d h_T / d s_t against T - t, a line a seed, before and after training, a panel a config."""
    columns = min(3, len(found))
    made, axes = plots.figure(-(-len(found) // columns), columns, width=5, height=4, sharex=True, sharey=True)
    for panel in axes.flat[len(found) :]:
        panel.set_visible(False)
    for panel, entry in zip(axes.flat, found, strict=False):
        for when, colour, line in (("before", plots.PALETTE[1], "--"), ("after", plots.PALETTE[0], "-")):
            for number, norms in enumerate(entry[when]):
                label = f"{when} training (n={len(entry[when])} seeds)" if number == 0 else None
                panel.plot(np.arange(len(norms))[::-1], norms, color=colour, linestyle=line, linewidth=1.5, label=label)
        plots.style(panel, named(tuple(entry["config"].items())), "T - t, steps back in time", "spectral norm of d h_T / d s_t")
        panel.set_yscale("log")
    axes[0, 0].legend(fontsize=plots.FONT - 3)
    rate = float(np.median([norms[0] ** (1 / (len(norms) - 1)) for entry in found for norms in entry["before"]]))
    grown = [norms[0] >= 1 for entry in found for norms in entry["after"]]
    title = (
        f"Before training the gradient keeps {rate:.0%} of its norm a step back; "
        f"after it, {sum(grown)} of {len(grown)} runs lose nothing back to the first digit"
    )
    made.suptitle(f"{title}\n(lines: seeds, each the median of 8 test sequences)", fontsize=plots.FONT)
    return made
