"""Trains R5's MLP in NumPy, PyTorch and jaxdl side by side, and compares what comes out."""

import json
import pathlib
import textwrap
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import numpy_mlp, torch_mlp
from experiments.figures import title_of
from experiments.frame import Finding, Run
from experiments.numpy_mlp import Points, Weights
from experiments.references import R5
from jaxdl import plots, stats, tables
from jaxdl.layers import Dense
from jaxdl.running.files import write_atomically
from jaxdl.sampling import seed_key

COMPARED_STEPS = 200
TORCH_SECONDS = 120.0  # no further PyTorch run is begun after these
AT_ONCE = 50  # NumPy's networks trained together: their arrays fit a cache
CORES = {
    "NumPy": f"one thread, {AT_ONCE} networks at once",
    "PyTorch": "one thread, one network at a time",
    "jaxdl": "all cores, lanes vmapped",
}


class Runs(NamedTuple):
    """Runs of one framework: of seeds 0, 1, ... and the seconds that each took."""

    accuracies: np.ndarray
    seconds: np.ndarray


def settings_of(run: Run) -> dict:
    """Gives the settings of the protocol's runs, those of its steps included."""
    steps = int(run.result.steps.ravel()[-1])
    return {**run.request.defaults, "steps": steps}


def trajectories(run: Run) -> Finding:
    """Takes the same steps in every framework; gives the largest difference after each."""
    recipe = run.studies["jaxdl"].recipe(run.result.configs[0])
    settings = settings_of(run)
    dataset = recipe.task.data(seed_key(0))
    classes = np.eye(2, dtype=np.float32)[:, np.asarray(dataset.train_targets)]
    points = Points(np.asarray(dataset.train_x), classes)
    params, _ = recipe.model.init(jax.random.key(0))
    first, second = (jax.tree.map(np.asarray, layer) for layer in params)
    weights = Weights(first.weight, first.bias[:, None], second.weight, second.bias[:, None])
    # Every framework gets these weights and these batches: what then differs is arithmetic alone.
    generator = np.random.default_rng(0)
    batches = []
    for _ in range(COMPARED_STEPS):
        places = generator.permutation(points.x.shape[1])[: settings["batch_size"]]
        batches.append(Points(points.x[:, places], points.targets[:, places]))
    rate = settings["learning_rate"]
    paths = {"jaxdl": trajectory(recipe, weights, batches)}
    if torch_mlp.installed():
        paths["PyTorch"] = torch_mlp.trajectory(weights, batches, rate)
    reference = numpy_trajectory(weights, batches, rate)
    gaps = {name: np.abs(path - reference).max(axis=1) for name, path in paths.items()}
    lines = [
        f"{name} against NumPy from equal weights and batches: the weights differ by at most "
        f"{gap[0]:.1e} after 1 step, {gap.max():.1e} in {len(gap)} steps."
        for name, gap in gaps.items()
    ]
    rows = [{"study": "trajectories", "framework": name, "gaps": gap} for name, gap in gaps.items()]
    return Finding(gaps, "\n".join([*lines, *missing()]), rows=rows)


def missing() -> list[str]:
    """Names what is left out, if anything is."""
    if torch_mlp.installed():
        return []
    return ["PyTorch is not installed (pip install 'jaxdl[bench]'): its rows are left out."]


def numpy_trajectory(weights: Weights, batches: list[Points], rate: float) -> np.ndarray:
    """Takes a step a batch in NumPy; returns all weights after each, (steps, weights)."""
    states = []
    for batch in batches:
        weights = numpy_mlp.stepped(weights, batch, rate)
        states.append(flat(weights))
    return np.stack(states)


def flat(weights) -> np.ndarray:
    """Puts all weights into one row."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(weights)])


def trajectory(recipe, weights: Weights, batches: list[Points]) -> np.ndarray:
    """Takes a step a batch with a recipe's model, loss and optimizer, (steps, weights)."""
    params = (
        Dense(weights.first, weights.first_bias[:, 0]),
        Dense(weights.second, weights.second_bias[:, 0]),
    )

    def loss(params, x, targets):
        return recipe.task.loss(recipe.model.apply(params, (), x)[0], targets).mean()

    def step(carry, batch):
        params, opt_state = carry
        grads = jax.grad(loss)(params, *batch)
        updates, opt_state = recipe.optimizer.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
        return (params, opt_state), jnp.concatenate(
            [jnp.ravel(leaf) for leaf in jax.tree.leaves(params)]
        )

    x = np.stack([batch.x for batch in batches])
    targets = np.stack([batch.targets.argmax(axis=0) for batch in batches])
    start = jax.tree.map(jnp.asarray, params)
    # One compiled loop, as in a study: a call a step would be another program, with other rounding.
    _, states = jax.lax.scan(step, (start, recipe.optimizer.init(start)), (x, targets))
    return np.asarray(states)


def frameworks(run: Run) -> Finding:
    """Trains the seeds of NumPy and of PyTorch, as many as there is time for."""
    settings, folder = settings_of(run), pathlib.Path(str(run.result.path))
    steps, seeds = settings["steps"], run.seeds

    def in_numpy(start: int) -> np.ndarray:
        chunk = range(start, min(start + AT_ONCE, seeds))
        return numpy_mlp.train(chunk, steps, settings)

    def in_torch(start: int) -> np.ndarray:
        return np.array([torch_mlp.train(start, steps, settings)])

    each = {"NumPy": resumed(folder / "numpy.json", settings, seeds, in_numpy)}
    if torch_mlp.installed():
        path = folder / "pytorch.json"
        each["PyTorch"] = resumed(path, settings, seeds, in_torch, TORCH_SECONDS)
    accuracies = run.result.final("test_accuracy")
    each["jaxdl"] = Runs(accuracies, np.full(len(accuracies), jaxdl_seconds(folder, seeds)))
    return Finding(each, str(table(each)), rows=[row_of(*named) for named in each.items()])


def resumed(
    path: pathlib.Path,
    settings: dict,
    seeds: int,
    train: Callable[[int], np.ndarray],
    budget: float = np.inf,
) -> Runs:
    """Trains the seeds that a file does not have yet, and stores them after every call.

    Args:
      train: (first seed) -> accuracies of it and those that follow.
      budget: seconds, all calls together, after which none is begun.
    """
    stored: dict[str, Any] = {"settings": settings, "accuracies": [], "seconds": []}
    if path.exists():
        earlier = json.loads(path.read_text())
        stored = earlier if earlier["settings"] == settings else stored
    # Stored after every call, so that a kill costs one; the budget is of all calls ever made.
    while len(stored["accuracies"]) < seeds and sum(stored["seconds"]) < budget:
        start = time.perf_counter()
        accuracies = train(len(stored["accuracies"]))
        each = (time.perf_counter() - start) / len(accuracies)
        stored["accuracies"] += accuracies.tolist()
        stored["seconds"] += [each] * len(accuracies)
        write_atomically(path, json.dumps(stored).encode())
    return Runs(np.array(stored["accuracies"][:seeds]), np.array(stored["seconds"][:seeds]))


def jaxdl_seconds(folder: pathlib.Path, seeds: int) -> float:
    """Gives the wall time of a lane of the stored blocks, compiling left out."""
    lines = (folder / "events.jsonl").read_text().splitlines()
    return sum(json.loads(line).get("seconds", 0.0) for line in lines) / seeds


def row_of(name: str, runs: Runs) -> dict:
    """Makes the JSON row of a framework."""
    summary = stats.summarise(runs.accuracies, np.zeros(len(runs.accuracies), bool))
    return {
        "study": "frameworks",
        "framework": name,
        "n": summary.n,
        "mean": summary.mean,
        "mean_interval": summary.mean_interval,
        "sd": summary.sd,
        "median": summary.median,
        "published_percentiles": percentiles(runs),
        "seconds": float(np.median(runs.seconds)),
        "cores": CORES[name],
    }


def percentiles(runs: Runs) -> list[float]:
    """Gives the places of both published numbers, NumPy's first."""
    published = (R5.moons_numpy({}), R5.moons_pytorch({}))
    return [stats.percentile(runs.accuracies, number) for number in published if number]


def table(each: dict[str, Runs]) -> tables.Table:
    """Tabulates the frameworks."""
    summary = ("framework", "n", "mean", "95 % interval", "sd", "median")
    columns = (*summary, "97.0 (pct)", "91.5 (pct)", "s a run", "on")
    rows = []
    for name, runs in each.items():
        row = row_of(name, runs)
        cells = [row[key] for key in ("framework", "n", "mean", "mean_interval", "sd", "median")]
        rows.append((*cells, *row["published_percentiles"], row["seconds"], row["cores"]))
    return tables.Table("Each framework's own seeds: test accuracy, time.", columns, tuple(rows))


def verdict(run: Run) -> Finding:
    """Says how surely NumPy beats the others, and how often two seeds are as far apart as R5's."""
    each = run.findings["frameworks"]
    lines = [against(each, name) for name in each if name != "NumPy"]
    return Finding(lines, "\n".join(lines))


def against(each: dict[str, Runs], name: str) -> str:
    """Compares NumPy's seeds with as many of another framework."""
    n = min(len(each["NumPy"].accuracies), len(each[name].accuracies))
    ours, theirs = each["NumPy"].accuracies, each[name].accuracies
    # 0.955 in float32 is not the 0.955 of float64: unrounded, every tie would have a winner.
    ours, theirs = ours.astype(float).round(6), theirs.astype(float).round(6)
    none = np.zeros(n, bool)
    pairs = stats.compare(ours[:n], theirs[:n], none, none)
    low, high = pairs.improvement_interval
    least, most = pairs.difference_interval
    gap = R5.moons_numpy({}) - R5.moons_pytorch({})  # type: ignore[operator]
    # Of all pairs, not of those with the same number: each framework has a generator of its own.
    far = np.mean(ours[:, None] - theirs[None] >= gap - 1e-6)
    return (
        f"P(NumPy > {name}) {pairs.improvement:.2f} [{low:.2f}, {high:.2f}], difference "
        f"{pairs.difference:+.4f} [{least:+.4f}, {most:+.4f}] (n={n}); a gap as large as R5's "
        f"{100 * gap:.1f} points in {far:.2%} of all pairs of a NumPy and a {name} seed."
    )


def draw_trajectories(run: Run):
    """Draws the largest difference of any weight after each step."""
    figure, axes = plots.figure(width=7, height=4)
    gaps = run.findings["trajectories"]
    looks = zip(gaps.items(), plots.colours(len(gaps)), ("-", "--"), strict=False)
    for (name, gap), colour, line in looks:
        # Zero has no place on a logarithmic axis: nothing differs there in a single bit.
        shown, label = np.maximum(gap, 1e-11), f"{name} against NumPy"
        axes[0, 0].plot(range(1, len(gap) + 1), shown, line, color=colour, label=label)
    axes[0, 0].set_yscale("log")
    axes[0, 0].legend(fontsize=plots.FONT - 2)
    largest = max(gap.max() for gap in gaps.values())
    title = f"From equal weights and batches weights come to differ by {largest:.1e}"
    plots.style(axes[0, 0], title, "step", "largest difference of a weight (no unit)")
    return figure


def draw_accuracies(run: Run):
    """Draws the accuracies of every framework and variant as boxes, R5's numbers as lines."""
    own = {name: runs.accuracies for name, runs in run.findings["frameworks"].items()}
    groups = dict(own)
    if "variants" in run.results:
        result = run.results["variants"]
        for config in result.configs:
            groups[config["variant"]] = result.final("test_accuracy")[result.rows(config)]
    figure, axes = plots.figure(width=12, height=5)
    axis = axes[0, 0]
    labels = [f"{narrow(name)}\nn={len(values)}" for name, values in groups.items()]
    plots.distributions(axis, list(groups.values()), labels, plots.colours(len(groups)))
    # Beside the boxes, as over them no place is free in every run; apart, however near they are.
    for name, number, side in (
        ("NumPy", R5.moons_numpy({}), "bottom"),
        ("PyTorch", R5.moons_pytorch({}), "top"),
    ):
        axis.axhline(number, color="black", linewidth=1, linestyle=":")
        axis.annotate(
            f"R5, {name}: {number:.1%}",
            (1.0, number),
            (4, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va=side,
        )
    plots.style(axis, "", "", "test accuracy, fraction")
    spread = "three frameworks, then variants in jaxdl; boxes: middle 50 %, whiskers: 90 %"
    figure.suptitle(title_of(run, lambda run: medians(own), spread), fontsize=plots.FONT + 1)
    return figure


def narrow(words: str) -> str:
    """Breaks a label into lines that stand beside others.

    >>> narrow("softmax before the loss")
    'softmax\\nbefore the\\nloss'
    """
    return "\n".join(textwrap.wrap(words, width=12))


def medians(accuracies: dict[str, np.ndarray]) -> str:
    """Says where the middle of every framework's seeds is."""
    each = [f"{name} {np.median(values):.1%}" for name, values in accuracies.items()]
    return f"Median test accuracy: {', '.join(each)}"
