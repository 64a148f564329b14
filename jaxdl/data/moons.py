"""Two interleaving half circles."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, Real

from jaxdl.sampling import permute, rows


def moons(
    key: PRNGKeyArray, samples: int, noise: Real[ArrayLike, ""]
) -> tuple[Float[Array, "2 samples"], Int[Array, "samples"]]:
    """Draws two interleaving half circles with normal noise, in random order.

    Without noise the points are those of scikit-learn's `make_moons`: class 0 on the upper half of
    the unit circle, class 1 on the lower half about (1, 0.5).

    Args:
      key: consumed.
      samples: number of points; class 0 has ``samples // 2`` of them.
      noise: standard deviation, >= 0; may be traced.

    Returns:
      (x, targets): float32 (2, samples) and int32 (samples,).
    """
    order_key, noise_key = jax.random.split(key)
    of_upper = samples // 2
    upper = jnp.linspace(0.0, jnp.pi, of_upper)
    lower = jnp.linspace(0.0, jnp.pi, samples - of_upper)
    first = jnp.concatenate([jnp.cos(upper), 1.0 - jnp.cos(lower)])
    second = jnp.concatenate([jnp.sin(upper), 0.5 - jnp.sin(lower)])
    is_lower = jnp.arange(samples) >= of_upper
    targets = is_lower.astype(jnp.int32)
    # A split cuts columns off in order, so the points must come in a random one. The noise is drawn
    # for the places, not for the points: it is the same whatever the order.
    order = permute(order_key, samples, jnp.arange(samples))
    x = jnp.stack([first, second])[:, order]
    noises = rows(noise_key, jax.random.normal, (2, samples))
    return x + noise * noises, targets[order]
