"""A user's script that is typed throughout: mypy reads it as strictly as users may (pyproject.toml),
so that the public names keep their signatures. It is never run."""

from pathlib import Path

import numpy as np
import optax

from jaxdl import (
    Metric,
    Narrow,
    Result,
    Seeds,
    SplitMetric,
    Study,
    augment,
    load,
    log_uniform,
    losses,
    make_train,
    metrics,
    models,
    schedules,
    stats,
    tasks,
    testing,
)


def study(seeds: int) -> Study:
    task = tasks.from_arrays(np.zeros((8, 2)), np.zeros(8, int))
    return Study(
        task=task,
        model=lambda hp: models.mlp(2, hidden=(hp.width,)),
        optimizer=lambda hp: optax.sgd(hp.learning_rate),
        defaults={"width": 4},
        sweep={"learning_rate": log_uniform(0.01, 1.0, n=3)},
        seeds=seeds,
        steps=10,
    )


def main(folder: Path) -> None:
    made = study(4)
    print(made.plan())
    result: Result = made.run(folder, until=Narrow("test_accuracy", width=0.5, most=40))
    print(result.table("test_accuracy"), len(result))
    value = result["test_accuracy"].mean()
    print(float(value))
    config = result.best("test_loss")[0]
    print(result.compare("test_accuracy", config, config))
    result.plot("test_accuracy").savefig(folder / "a.png")
    params, state, history = made.replay(config, seed=1)
    print(history["test_accuracy"], params, state)
    frame = result.to_pandas()
    print(frame)
    load(folder).to_csv(folder / "lanes.csv")
    result.report()
    Metric(losses.accuracy, higher_is_better=True)
    of_split: dict[str, SplitMetric] = {"f1": metrics.f1(), **metrics.confusion_matrix(2)}
    print(of_split, metrics.matrix(result.columns(), "test_confusion"))
    print(stats.seeds_needed(0.01, sd=0.02))
    schedules.warmup_cosine(100, warmup=10)
    train = make_train(tasks.moons(10), models.mlp(2), optax.sgd(0.1), steps=1)
    print(train)
    testing.check_model(models.mlp(2), np.zeros((2, 3), np.float32))
    print(Seeds(init=range(2)), augment.compose(augment.flip()))


if __name__ == "__main__":
    main(Path("runs"))
