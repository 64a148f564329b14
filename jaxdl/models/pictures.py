"""What models of pictures share: norms by name, and checks of sizes and inputs."""

from jaxdl import layers
from jaxdl.checks import brief, positive_int
from jaxdl.types import Padded, Size, check_padded

NORMS = (None, "batch", "layer", "group")


def init_norm_of(norm: str | None, channels: Size):
    """Makes (parameters, running statistics) of a norm; None for what it lacks."""
    if norm == "batch":
        return layers.init_batch_norm(channels)
    if norm is None:
        return None, None
    return layers.init_norm(channels), None


def apply_norm(
    norm: str,
    params,
    running,
    x,
    channels: Size,
    groups: int,
    train: bool,
):
    """Normalises by the norm that is called so: (outputs, running statistics)."""
    # Channels of a batch norm do not see each other, so that dead ones do no harm and need no size.
    if norm == "batch":
        return layers.batch_norm(params, running, x, train=train)
    if norm == "layer":
        return layers.layer_norm(params, x, size=channels), running
    return layers.group_norm(params, x, groups, size=channels), running


def check_groups(norm: str | None, groups: int, channels: Size):
    """Refuses channels that are not a multiple of a group norm's groups; padded ones are not known
    yet."""
    if norm != "group" or not isinstance(channels, int):
        return
    if channels % groups:
        raise ValueError(f"groups must divide the {channels} channels, got {groups}")


def check_size(name: str, size: Size):
    """Refuses a size that is neither a positive int nor a padded one."""
    if isinstance(size, Padded):
        check_padded(name, size)
    else:
        positive_int(name, size)


def picture_of(inputs) -> tuple[int, int, int]:
    """Returns the shape of a picture, (channels, height, width), if it is one."""
    if not isinstance(inputs, (tuple, list)) or len(inputs) != 3:
        raise ValueError(f"inputs must be (channels, height, width), got {brief(inputs)}")
    channels, height, width = (positive_int("inputs", side) for side in inputs)
    return channels, height, width


def check_picture(x, inputs: tuple[int, int, int], any_side: bool):
    """Refuses pictures of another shape; of other channels alone where any side will do."""
    layout = "(channels, height, width, batch)"
    if getattr(x, "ndim", 0) != 4:
        raise ValueError(f"x must be {layout} for this model, got {brief(x)}")
    if x.shape[0] != inputs[0]:
        given = f"data with {x.shape[0]} (x of shape {x.shape}, {layout})"
        raise ValueError(f"model takes {inputs[0]} channels, got {given}")
    _, height, width = inputs
    if not any_side and x.shape[1:3] != (height, width):
        given = f"x of shape {x.shape}, {layout}"
        raise ValueError(f"model takes pictures of {height} x {width}, got {given}")
