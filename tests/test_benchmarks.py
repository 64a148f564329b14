"""Benchmarks compare like with like."""

import numpy as np
import pytest

from benchmarks import lane_rate, timing


@pytest.mark.parametrize("batch_size", [1, 32, 800])
def test_the_usual_layout_trains_the_same_network_on_the_same_batches(batch_size):
    found = lane_rate.study(batch_size, 2, *lane_rate.batch_first(), steps=5).run().history
    expected = lane_rate.study(batch_size, 2, steps=5).run().history
    for name in ("train_loss", "test_loss", "batch_loss_mean"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)


def test_a_burst_counts_its_lane_steps_and_goes_on_from_the_last():
    burst = timing.engine_burst(lane_rate.study(32, 4))
    first, second = burst(), burst()
    assert first == second
    assert first % 4 == 0
