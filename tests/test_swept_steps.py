"""A study whose number of steps is swept, as an experiment: what it says and draws does not hang on
how its programs are compiled, so it stands apart from the other commands that people run."""

from commands import report_of


def test_a_swept_number_of_steps_is_drawn_as_far_as_it_goes(tmp_path):
    swept = (
        "--sweep",
        "steps=4,8",
        "--sweep",
        "batch_size=8",
        "--sweep",
        "learning_rate=0.1",
        "--sweep",
        "reduction=mean",
    )
    arguments = ("--quick", "--seeds", "2", "--eval-every", "4", *swept)
    report = report_of("batch_size", *arguments, "--out", str(tmp_path / "run"))
    assert [(row["steps"], row["n"]) for row in report["rows"]] == [(4, 2), (8, 2)]
    assert {"accuracy.png", "loss.png"} <= {
        path.name for path in (tmp_path / "run" / "figures").iterdir()
    }
