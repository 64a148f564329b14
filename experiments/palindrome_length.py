"""Up to which length does an RNN learn a palindrome's last digit: does memory or time end it?

Protocol: a student report's length study (`references.R5`). The first T - 1 digits of a palindrome
(as numbers, one feature), the last is asked for; a vanilla cell of 128 units, fresh batches of 128,
gradients clipped at norm 10, RMSprop (decay 0.99) at rate 0.001, 1400 steps; accuracy on 1024
sequences of each seed's own. T = 5..15. Initial weights as the report's two linear maps have them:
1 / sqrt(fan-in). The reach of the gradient, norms of d h_T / d h_t, is computed from weights
trained again.
Variants: --sweep cell=vanilla,gru,lstm, --sweep clip=10,None, --steps 10000, --sweep
encoding=number,one_hot, --sweep init=torch,torch_rnn.

Command: python -m experiments palindrome_length
Time: 5 minutes on 2 CPU cores at the default 10 seeds.
Expected: in 1400 steps every run learns lengths 5 to 8, 7 of 10 length 9, 2 of 10 length 10, and
none a longer one.
"""

import math

import numpy as np

from experiments.columns import listed, spoken
from experiments.drawing import protocols
from experiments.figures import finals_against
from experiments.frame import Experiment, Finding, Run
from experiments.palindromes import DEFAULTS, LEARNED, columns, palindrome_study, training
from experiments.reach import reach_figure, reaches
from experiments.references import R5
from experiments.request import Size


def reach(run: Run) -> Finding:
    """Follows the gradient back from the last digit, before and after training."""
    groups = list(protocols(run.result.configs, "length").values())
    found = reaches(run, groups)
    lines = []
    for each in found:
        before = float(np.median(each.before[:, 0]))
        after = float(np.median(each.after[:, 0]))
        cell = run.request.settings(each.config)["cell"]
        lines.append(
            f"{cell}, length {each.config['length']}: the norm of d h_T / d s_1 is {before:.2g} "
            f"before and {after:.2g} after training (median of {len(each.after)} seeds)."
        )
    additions = [(each.config, {"reach": each.medians()}) for each in found]
    return Finding(found, "\n".join(lines), additions=additions)


def limits(run: Run) -> Finding:
    """Says which lengths each cell learns, and how often its gradients are clipped."""
    lines = []
    for cell in dict.fromkeys(row["cell"] for row in run.rows):
        rows = [row for row in run.rows if row["cell"] == cell]
        learned = [row["length"] for row in rows if row["test_accuracy"]["median"] >= LEARNED]
        clipped = max(row["grad_norm"]["clipped"] for row in rows)
        largest = max(row["grad_norm"]["largest"] for row in rows)
        lines.append(
            f"{cell}: median accuracy of {LEARNED:g} at lengths {listed(dict.fromkeys(learned))}; "
            f"largest gradient norm {largest:.3g}, clipped in at most {clipped:.0%} of a length's "
            "lanes."
        )
    return Finding(text="\n".join(lines))


def learned_lengths(run: Run) -> str:
    """Says up to which length every run learns, and from which one none does; a line a cell."""
    result = run.result
    final = np.where(result.diverged, 0.0, result.final("test_accuracy"))
    lines = []
    for cell in dict.fromkeys(config["cell"] for config in result.configs):
        shares = {}
        for length in sorted({config["length"] for config in result.configs}):
            # Whatever else is swept: every run of the length counts.
            places = result.rows({"cell": cell, "length": length})
            shares[length] = float(np.mean(final[places] >= LEARNED))
        short = [length for length, share in shares.items() if share < 1]
        every = [length for length in shares if length < min(short, default=math.inf)]
        none = [length for length, share in shares.items() if share == 0]
        up_to = f"every run up to length {max(every)}" if every else "no length by every run"
        beyond = f", none at length {min(none)}" if none else ""
        words = f"accuracy of {LEARNED:.0%} at the end: {up_to}{beyond}"
        lines.append(f"{spoken(cell)}, {words} (n={len(places)})")
    return "\n".join(lines)


EXPERIMENT = Experiment(
    doc=__doc__,
    reference=(R5,),
    sweep={"length": list(R5.lengths), "cell": ["vanilla"]},
    defaults=DEFAULTS,
    full=Size(seeds=10, steps=1400, eval_every=50),
    quick=Size(seeds=3, steps=300, eval_every=50, sweep={"length": [5, 9]}),
    studies={"": palindrome_study},
    titles={"": "The last digit of a palindrome."},
    columns=columns(R5.length_accuracy),
    figures={
        "accuracy": finals_against(
            "test_accuracy",
            "length",
            published=R5.length_accuracy,
            mark=(0.1, "chance"),
            headline=learned_lengths,
        ),
        "training": training("length"),
        "reach": reach_figure,
    },
    measurements={"reach": reach},
    conclusions={"limits": limits},
)
