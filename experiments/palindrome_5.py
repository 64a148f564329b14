"""Does a vanilla RNN learn palindromes of length 5 to the last sequence, and under which optimizer?

Protocol: a student report's single run (`references.R5`): T = 5, rate 0.001, 10,000 steps, batch
128, gradients clipped at norm 10, an evaluation every 200 steps. The optimizer is not stated:
RMSprop (which the report's length study has), Adam and SGD are all run.

Command: python -m experiments palindrome_5
Time: 2 to 4 minutes on 2 CPU cores at the default 10 seeds.
Expected: every seed ends at an accuracy of 1 under RMSprop and Adam; under SGD at this rate none is
beyond 0.28.
"""

from experiments.columns import inside, listed, spoken
from experiments.frame import Experiment, Finding, Run
from experiments.palindromes import DEFAULTS, columns, palindrome_study, training
from experiments.references import R5
from experiments.request import Size


def likely_optimizers(run: Run) -> Finding:
    """Finds the optimizers under which the report's accuracy is an ordinary one."""
    likely = [spoken(row["optimizer"]) for row in run.rows if inside(row["test_accuracy"])]
    return Finding(
        likely,
        f"R5's accuracy lies in the middle 95 % of the seeds under: {listed(likely)}.",
    )


EXPERIMENT = Experiment(
    doc=__doc__,
    reference=(R5,),
    sweep={"optimizer": ["rmsprop", "adam", "sgd"]},
    defaults={
        # A name stands in the sweep or in the defaults, not in both.
        **{name: value for name, value in DEFAULTS.items() if name != "optimizer"},
        "cell": "vanilla",
        "length": 5,
    },
    full=Size(seeds=10, steps=10_000, eval_every=200),
    quick=Size(seeds=3, steps=400, eval_every=50),
    studies={"": palindrome_study},
    titles={"": "Palindromes of length 5."},
    columns=columns(R5.single_run),
    figures={"training": training("optimizer")},
    conclusions={"likely": likely_optimizers},
)
