"""Rewritten convolutions: the values and derivatives of XLA's own, in every nest, in whole studies."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from jaxdl import Study, make_train, models, tasks
from jaxdl.lowering.looped import looped
from jaxdl.lowering.rewriting import rewritten, with_looped_convolutions
from jaxdl.parts import apply
from jaxdl.types import Model


def equations(jaxpr):
    """All equations of a jaxpr, those inside others too."""
    for equation in jaxpr.eqns:
        yield equation
        for part in jax.tree.leaves(list(equation.params.values()), is_leaf=has_equations):
            if has_equations(part):
                yield from equations(part)


def has_equations(part):
    return hasattr(part, "eqns")


def counts(function, *args):
    """The convolutions of a function: (plain, rewritten)."""
    names = [each.primitive.name for each in equations(jax.make_jaxpr(function)(*args).jaxpr)]
    return names.count("conv_general_dilated"), names.count("looped_convolution")


def near(ours, theirs, tolerance=2e-5):
    """Compares trees relative to the largest value of each array."""
    for ours_leaf, leaf in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert (ours_leaf.shape, ours_leaf.dtype) == (leaf.shape, leaf.dtype)
        mine, plain = np.asarray(ours_leaf).astype(float), np.asarray(leaf).astype(float)
        size = max(1.0, np.abs(plain).max(initial=0.0))
        np.testing.assert_allclose(mine / size, plain / size, atol=tolerance, rtol=0)


@st.composite
def convolutions(draw):
    """(shapes of both operands, parameters): 1-D to 3-D, any layout, groups, steps and padding."""
    dimensions = draw(st.integers(1, 3))

    def each(low, high):
        return draw(st.tuples(*[st.integers(low, high)] * dimensions))

    groups, kind = draw(st.integers(1, 3)), draw(st.sampled_from(["feature", "batch"]))
    batch, inputs, outputs = (draw(st.integers(1, 2)) for _ in range(3))
    taps, lhs_dilation, rhs_dilation = each(1, 3), each(1, 2), each(1, 2)
    low, high, length = each(-1, 2), each(-1, 2), each(1, 5)
    pads, sizes = [], []
    for axis in range(dimensions):  # a window fits at least once
        reach = (taps[axis] - 1) * rhs_dilation[axis] + 1
        size = (length[axis] - 1) * lhs_dilation[axis] + 1 + low[axis] + high[axis]
        pads.append((low[axis], high[axis] + max(0, reach - size)))
        sizes.append(length[axis])
    feature, batches = (groups, 1) if kind == "feature" else (1, groups)
    orders = [draw(st.permutations(range(dimensions + 2))) for _ in range(3)]
    lhs, rhs = [batch * batches, inputs * feature, *sizes], [outputs * groups, inputs, *taps]
    params = dict(
        window_strides=each(1, 3),
        padding=pads,
        lhs_dilation=lhs_dilation,
        rhs_dilation=rhs_dilation,
        dimension_numbers=lax.ConvDimensionNumbers(*map(tuple, orders)),
        feature_group_count=feature,
        batch_group_count=batches,
    )
    return ordered(lhs, orders[0]), ordered(rhs, orders[1]), params


def ordered(sizes, order):
    """Sizes (first, second, space...) at the axes that an order names."""
    shape = [0] * len(sizes)
    for size, axis in zip(sizes, order, strict=True):
        shape[axis] = size
    return tuple(shape)


def operands(*shapes, dtype=np.float32):
    generator = np.random.default_rng(0)
    return [jnp.asarray(generator.normal(size=shape), dtype) for shape in shapes]


def gradients(function, lhs, rhs, cotangent):
    """The value of a function of two operands, and its gradients along a cotangent."""
    value, back = jax.vjp(function, lhs, rhs)
    return value, back(cotangent.astype(value.dtype))


def both(compute, params, *args):
    """What is computed with rewritten convolutions and with plain ones, in one program."""
    plain = functools.partial(lax.conv_general_dilated, **params)
    ours = rewritten(plain)
    return jax.jit(lambda *args: (compute(ours, *args), compute(plain, *args)))(*args)


@given(convolutions())
@settings(max_examples=8)
def test_values_and_gradients_are_those_of_xla(case):
    shape, kernel, params = case
    plain = functools.partial(lax.conv_general_dilated, **params)
    lhs, rhs = operands(shape, kernel)
    (cotangent,) = operands(jax.eval_shape(plain, lhs, rhs).shape)
    ours = functools.partial(gradients, rewritten(plain))
    assert counts(ours, lhs, rhs, cotangent) == (0, 3)
    near(*both(gradients, params, lhs, rhs, cotangent))


LAYOUT = ("NHWC", "HWIO", "NHWC")
X, KERNEL = operands((2, 6, 5, 4), (3, 3, 2, 4))


def grouped(x, kernel):
    """A convolution with steps and two groups of channels, as XLA has it."""
    settings = dict(dimension_numbers=LAYOUT, feature_group_count=2)
    return lax.conv_general_dilated(x, kernel, (2, 1), "SAME", **settings)


def curved(function):
    """A scalar of a convolution that is linear in neither operand."""
    return lambda x, kernel: jnp.sum(jnp.sin(function(x, kernel)))


def test_forward_mode_and_second_derivatives_are_those_of_xla():
    tangents = (X[::-1], KERNEL[::-1])

    @jax.jit
    def derivatives(x, kernel):
        results = []
        for function in (rewritten(grouped), grouped):
            gradient = jax.grad(curved(function), (0, 1))
            _, forward = jax.jvp(function, (x, kernel), tangents)
            _, over_reverse = jax.jvp(gradient, (x, kernel), tangents)
            _, back = jax.vjp(gradient, x, kernel)
            results.append((forward, over_reverse, back(tangents)))
        return results

    near(*derivatives(X, KERNEL))


@pytest.mark.parametrize(
    ("dtype", "preferred", "tolerance"),
    [("bfloat16", None, 2e-2), ("float16", None, 4e-3), ("bfloat16", "float32", 2e-2)],
)
def test_short_floats_keep_their_types(dtype, preferred, tolerance):
    x, kernel = operands((2, 6, 4), (3, 1, 4), dtype=dtype)
    settings = dict(
        window_strides=(1,),
        padding="SAME",
        dimension_numbers=("NWC", "WIO", "NWC"),
        feature_group_count=4,
        preferred_element_type=preferred,
    )
    (cotangent,) = operands((2, 6, 4), dtype=dtype)
    near(*both(gradients, settings, x, kernel, cotangent), tolerance)


def test_double_precision_stays_double():
    settings = dict(window_strides=(2, 1, 2), padding=[(0, 1)] * 3, lhs_dilation=(1, 2, 1))
    with jax.enable_x64(True):
        x, kernel = operands((1, 2, 3, 4, 3), (2, 2, 2, 2, 3), dtype=np.float64)
        ours, theirs = both(lambda f, *args: f(*args), settings, x, kernel)
        assert ours.dtype == np.float64
        near(ours, theirs, 1e-14)


def test_whole_numbers_and_empty_arrays_stay_as_they_are():
    for x, kernel in (
        (jnp.ones((1, 2, 5), int), jnp.ones((3, 2, 2), int)),
        (jnp.ones((0, 2, 5)), jnp.ones((3, 2, 2))),
    ):
        function = rewritten(lambda x, kernel: lax.conv(x, kernel, (1,), "SAME"))
        assert counts(function, x, kernel) == (1, 0)
        assert function(x, kernel).shape == (x.shape[0], 3, 5)


def same_shape(x, kernel):
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=LAYOUT, feature_group_count=2
    )


@jax.custom_jvp
def doubled_tangent(x, kernel):
    return same_shape(x, kernel)


@doubled_tangent.defjvp
def _(primals, tangents):
    return doubled_tangent(*primals), 2 * same_shape(tangents[0], primals[1])


@jax.custom_vjp
def doubled_cotangent(x, kernel):
    return same_shape(x, kernel)


doubled_cotangent.defvjp(
    lambda x, kernel: (doubled_cotangent(x, kernel), (x, kernel)),
    lambda saved, cotangent: (2 * cotangent, -saved[1]),
)


def scanned(x, kernel):
    return lax.scan(lambda x, _: (same_shape(x, kernel), None), x, length=2)[0]


def branched(x, kernel):
    return lax.cond(x[0, 0, 0, 0] > -9, same_shape, lambda x, kernel: x, x, kernel)


def remembered(x, kernel):
    policy = jax.checkpoint_policies.dots_saveable
    return jax.checkpoint(lambda x, kernel: jnp.sin(same_shape(x, kernel)), policy=policy)(
        x, kernel
    )


NESTS = {
    "jit": jax.jit(same_shape),
    "scan of jit": jax.jit(scanned),
    "cond": branched,
    "checkpoint": remembered,
    "custom_jvp": doubled_tangent,
    "custom_vjp": doubled_cotangent,
}


@pytest.mark.parametrize("name", NESTS)
def test_convolutions_inside_are_rewritten_and_derivatives_kept(name):
    ours, plain = rewritten(NESTS[name]), NESTS[name]
    assert counts(ours, X, KERNEL) == (0, 1)
    of_both = [jax.grad(curved(function), (0, 1)) for function in (ours, plain)]
    near(*jax.jit(lambda *args: [gradient(*args) for gradient in of_both])(X, KERNEL))


def test_a_while_loop_and_a_callback_inside_keep_their_meaning():
    told = []

    def repeated(x, kernel):
        def body(carry):
            step, x = carry
            jax.debug.callback(lambda step: told.append(int(step)), step)
            return step + 1, same_shape(x, kernel)

        return lax.while_loop(lambda carry: carry[0] < 3, body, (0, x))[1]

    ours = rewritten(repeated)
    assert counts(ours, X, KERNEL) == (0, 1)
    value = jax.jit(ours)(X, KERNEL)
    jax.effects_barrier()
    assert sorted(told) == [0, 1, 2]
    near(value, repeated(X, KERNEL))


def test_a_checkpoint_saves_what_its_policy_saves():
    def loss(function):
        return jax.grad(lambda x, kernel: function(x, kernel).sum(), 1)

    # a convolution that is saved is not computed once more: forward, and the kernel's gradient
    assert counts(loss(rewritten(remembered)), X, KERNEL) == (0, 2)
    assert counts(loss(remembered), X, KERNEL) == (2, 0)


@pytest.mark.parametrize(
    ("axes", "groups"), [((1, 3), 1), ((1, None), 2), ((None, 2), 1), ((None, 2), 2)], ids=str
)
def test_lanes_are_those_of_vmap(axes, groups):
    x, kernel = X, KERNEL if groups == 2 else jnp.concatenate([KERNEL, KERNEL], 2)
    sizes = dict(dimension_numbers=LAYOUT, feature_group_count=groups)
    lanes = [
        operand if axis is None else jnp.stack([operand, -operand, 2 * operand], axis)
        for operand, axis in zip((x, kernel), axes, strict=True)
    ]

    def plain(x, kernel):
        return lax.conv_general_dilated(x, kernel, (1, 2), "SAME", **sizes)

    def gradient(function):
        return jax.vmap(jax.grad(curved(function), (0, 1)), axes)

    near(*jax.jit(lambda *args: [gradient(f)(*args) for f in (rewritten(plain), plain)])(*lanes))


def test_a_function_without_convolutions_is_called_itself():
    hidden = object()
    assert rewritten(lambda x: (x + 1, hidden))(X)[1] is hidden

    class Box:
        def __init__(self, value):
            self.value = value

    boxed = rewritten(lambda x, kernel: Box(grouped(x, kernel)))(X, KERNEL)
    near(boxed.value, grouped(X, KERNEL))  # what it holds is no tracer
    outputs, note, nothing = rewritten(lambda *args: (grouped(*args), "note", None))(X, KERNEL)
    near(outputs, grouped(X, KERNEL))
    assert (note, nothing) == ("note", None)


class Block(linen.Module):
    """A small residual net with batch norm, a depthwise and a transposed convolution."""

    @linen.compact
    def __call__(self, x, train):
        x = x.reshape(-1, 4, 4, 1)
        x = linen.Conv(4, (3, 3), strides=2)(x)
        y = linen.Conv(4, (3, 3), feature_group_count=4)(x)
        y = linen.BatchNorm(use_running_average=not train)(y)
        x = linen.relu(x + y)
        x = linen.ConvTranspose(2, (2, 2), strides=(2, 2))(x)
        return linen.Dense(2)(x.reshape(x.shape[0], -1))


class NNXBlock(nnx.Module):
    def __init__(self, *, rngs):
        self.conv = nnx.Conv(1, 3, (3,), rngs=rngs)
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.dense = nnx.Linear(48, 2, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norm(self.conv(x[..., None])))
        return self.dense(x.reshape(x.shape[0], -1))


def tiny_conv():
    """A model in the manner of Equinox: a tree of arrays, and a function of one example."""

    def init(key):
        return {"weight": jax.random.normal(key, (2, 1, 3, 3))}, ()

    def of_one(params, x):
        picture = x.reshape(1, 1, 4, 4)
        return lax.conv(picture, params["weight"], (1, 1), "VALID").mean((0, 2, 3))

    def apply(params, state, x, *, key=None, train=False):
        return jax.vmap(of_one, (None, -1), -1)(params, x), state

    return Model(init, apply)


IMAGES = np.random.default_rng(0).normal(size=(24, 16)).astype(np.float32)
LABELS = np.arange(24) % 2
MODELS = {
    "linen": lambda: models.from_flax(Block(), IMAGES[:1]),
    "nnx": lambda: models.from_flax(NNXBlock, IMAGES[:1]),
    "equinox-like": tiny_conv,
}


@pytest.mark.parametrize("name", MODELS)
def test_models_of_any_library_give_their_outputs_state_and_gradients(name):
    plain = MODELS[name]()
    params, state = plain.init(jax.random.key(0))
    x = jnp.asarray(IMAGES.T)

    def training(model, params):
        outputs, after = apply(model, params, state, x, jax.random.key(1), train=True)
        return jnp.sum(outputs**2), (outputs, after)

    fast = with_looped_convolutions(plain)
    step = jax.value_and_grad(training, argnums=1, has_aux=True)
    names = counts(functools.partial(step, fast), params)
    assert names[0] == 0 < names[1]
    near(*jax.jit(lambda params: (step(fast, params), step(plain, params)))(params))


def study(**settings):
    return Study(
        tasks.from_arrays(IMAGES, LABELS),
        settings.pop("model", None) or tiny_conv(),
        optax.sgd(0.1),
        seeds=2,
        steps=4,
        batch_size=8,
        lane_size=2,
        **settings,
    )


def test_lanes_of_a_study_are_the_same_with_and_without():
    fast, plain = study(), study(rewrite_convolutions=False)
    with_it, without = fast.run(), plain.run()
    for name, values in with_it.history.items():
        np.testing.assert_allclose(values, without.history[name], atol=1e-5, err_msg=name)
    assert "not rewritten" not in str(fast.plan())
    (note,) = [note for note in plain.plan().notes if "convolution" in note]
    assert note.startswith("2 convolutions are not rewritten with rewrite_convolutions=False: ")
    flops = [plan.works[0].step_flops for plan in (fast.plan(), plain.plan())]
    assert flops[0] == flops[1] > 2 * 8 * 2 * 9 * 4  # of a batch's forward pass alone


def test_the_plan_names_what_stays():
    inner = tiny_conv()

    def apply(params, state, x, *, key=None, train=False):
        outputs, state = inner.apply(params, state, x)

        def twice(v):
            return lax.conv(v, jnp.ones((1, 1, 1)), (1,), "SAME") * 2

        def half(_, v):
            return v / 2

        solved = lax.custom_linear_solve(twice, outputs.T[:, None], half, half)
        return solved[:, 0].T, state

    plan = study(model=Model(inner.init, apply)).plan()
    (note,) = [note for note in plan.notes if "convolution" in note]
    assert "not rewritten inside custom_linear_solve: a gradient of one takes" in note


def test_the_switch_is_an_argument_of_make_train_too():
    train = functools.partial(make_train, tasks.from_arrays(IMAGES, LABELS), tiny_conv())
    names = {}
    for on in (True, False):
        run = train(optax.sgd(0.1), steps=1, rewrite_convolutions=on)
        names[on] = counts(run, jax.random.key(0))
    assert names[True][0] == names[False][1] == 0 < names[True][1] == names[False][0]
    with pytest.raises(ValueError, match=r"^rewrite_convolutions must be True or False, got 'no'$"):
        train(optax.sgd(0.1), steps=1, rewrite_convolutions="no")
    with pytest.raises(ValueError, match=r"^rewrite_convolutions must be True or False, got None$"):
        study(rewrite_convolutions=None)


def test_our_own_models_are_not_traced_twice():
    model = models.mlp(2)
    assert with_looped_convolutions(model) is model


def test_the_primitive_works_outside_any_trace():
    parameters = jax.make_jaxpr(same_shape)(X, KERNEL).jaxpr.eqns[0].params
    near(looped.bind(X, KERNEL, **parameters), same_shape(X, KERNEL))
