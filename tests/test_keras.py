"""The recipe of docs/keras.md against Keras itself."""

import pathlib
import re

import jax
import numpy as np
import optax
import pytest

from jaxdl import Study, tasks

ROOT = pathlib.Path(__file__).parent.parent
pytestmark = [pytest.mark.outside, pytest.mark.filterwarnings("default")]


@jax.numpy_rank_promotion("allow")  # as Keras adds a bias
def test_a_keras_model_trains_in_lanes(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    pytest.importorskip("keras", reason="pip install keras")
    text = (ROOT / "docs" / "keras.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {}
    exec(compile(code, "docs/keras.md", "exec"), names)
    model, net = names["model"], names["net"]
    params, state = model.init(jax.random.key(0))
    x = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    outputs, _ = model.apply(params, state, x)
    net.set_weights([np.asarray(leaf) for leaf in params])
    np.testing.assert_allclose(outputs, np.asarray(net(x.T)).T, rtol=1e-5)
    study = Study(tasks.moons(40), model, optax.adam(0.1), seeds=2, steps=60, batch_size=8)
    result = study.run()
    assert len(set(result.final("test_loss").tolist())) == 2
    assert (result.final("train_accuracy") > 0.75).all()
