"""How much of a convolutional network's accuracy, and of its overfitting, is the seed?

Protocol: a student report's (`references.R5`). Six 3x3 convolutions of 64, 128, 256, 256, 512 and
512 channels, the first with stride 2, pools of 3x3 with stride 2 after the first two, the fourth
and the last; ReLU; one linear layer. Random crop with padding 4, flip; Adam at rate 1e-4, batches
of 32 (128 in its loader's default) in shuffled passes, 150 epochs. It claims batch normalisation
and residual connections, which its listing lacks: variants. Its 50,000 training images are 45,000
here; training accuracy is of the first 5,000 of them, not augmented.
By default handwritten digits (1,438 training images of 8x8, stride 1, a crop with padding 1, no
flip), a quarter of the channels and 15 epochs, He's initial weights, a triangular rate up to 2e-3.

Command: python -m experiments cifar_cnn
Time: 80 s on 2 CPU cores at the default 8 seeds, on digits; 2 minutes for --quick on CIFAR-10; an
epoch of CIFAR-10 as listed, batches of 128, 70 to 80 s for two seeds.
Expected: on digits means of 96 % as listed and 97 % with batch norm (n=8); on CIFAR-10 65.0 %
(n=2) after the 4 epochs of --quick, which runs the variant "fast"; as listed, batches of 128, 78.0
% after 50 epochs (n=2), where R5 prints 71.4 % after 150.
"""

from experiments.frame import Experiment
from experiments.image_figures import FIGURES
from experiments.images import (
    DEFAULTS,
    describe_images,
    image_columns,
    image_study,
    overfit,
)
from experiments.references import R5
from experiments.request import Request, Size
from jaxdl import Study, models

CHANNELS = (64, 128, 256, 256, 512, 512)
LARGE = 32  # side of a picture from which on the first convolution has stride 2, as in the report
POOLS = (True, True, False, True, False, True)
VARIANTS: dict[str, dict] = {
    "listed": {},
    "batch norm": {"norm": "batch"},
    "residual": {"residual": True},
    "no augmentation": {"augment": False},
    "warm-up": {"warmup": 0.05},
    "clipping": {"clip": 1.0},
    # Not the report's: for the most that four epochs give. So short a run does not overfit: it
    # learns more from pictures that are moved less.
    "fast": {
        "optimizer": "adamw",
        "schedule": "triangular",
        "learning_rate": 2e-3,
        "weight_decay": 1e-3,
        "smoothing": 0.1,
        "scale": 0.5,
        "padding": 2,
        "init": "he_normal",
    },
}


def network(chosen, inputs):
    """Makes the report's network over images of any size."""
    first = 2 if min(inputs[1:]) >= LARGE else 1
    return models.cnn(
        tuple(round(channels * chosen.scale) for channels in CHANNELS),
        outputs=10,
        inputs=inputs,
        strides=(first, 1, 1, 1, 1, 1),
        pools=POOLS,
        norm=chosen.norm,
        residual=chosen.residual,
        dropout_rate=chosen.dropout,
        init=chosen.init,
    )


def study(request: Request) -> Study:
    """Builds the study of variants and batch sizes."""
    return image_study(request, network, VARIANTS)


# The report's rate and initial weights would take hundreds of epochs of so few images.
ON_DIGITS = {
    "scale": 0.25,
    "init": "he_normal",
    "learning_rate": 2e-3,
    "schedule": "triangular",
    "epochs": 15,
}
EXPERIMENT = Experiment(
    doc=__doc__,
    reference=(R5,),
    sweep={
        "variant": ["listed", "batch norm", "residual", "no augmentation"],
        "batch_size": [32, 128],
    },
    # PyTorch's own initial weights, which the report's listing does not change.
    defaults={**DEFAULTS, "norm": None, "residual": False, "init": "torch"},
    full=Size(
        seeds=8,
        sweep={"variant": ["listed", "batch norm", "residual"], "batch_size": [32]},
        defaults=ON_DIGITS,
    ),
    quick=Size(
        seeds=2,
        sweep={"variant": ["listed"], "batch_size": [32]},
        defaults={**ON_DIGITS, "scale": 0.125, "epochs": 5},
    ),
    sizes={
        "cifar10": (
            Size(
                seeds=2,
                sweep={"variant": ["listed"], "batch_size": [32, 128]},
                defaults={"epochs": R5.cnn_epochs},
            ),
            Size(
                seeds=2,
                sweep={"variant": ["fast"], "batch_size": [128]},
                defaults={"epochs": 4},
            ),
        )
    },
    allowed={"variant": VARIANTS},
    studies={"": study},
    titles={"": "A convolutional network on images."},
    columns=image_columns(
        test_accuracy=R5.cnn_test_accuracy,
        train_accuracy=R5.cnn_train_accuracy,
        train_loss=R5.cnn_train_loss,
        test_loss=R5.cnn_test_loss,
    ),
    figures=FIGURES,
    measurements={"images": describe_images},
    conclusions={"gap": overfit},
)
