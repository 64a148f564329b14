"""The report in a real browser: no message, nothing wider than a phone, nothing that axe finds."""

import shutil

import numpy as np
import pytest
from test_report import DRAWS, HOSTILE, result_of

from experiments import pages
from jaxdl import Result
from jaxdl.pages import report
from jaxdl.reporting.tables import Table

pytestmark = pytest.mark.outside
NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = [
    "--no-sandbox",  # a container's root may have no other way
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
OPEN = "document.querySelectorAll('details').forEach(part => part.open = true)"
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def browser():
    found = [path for path in map(shutil.which, NAMES) if path]
    if not found:
        pytest.skip(f"no browser is installed: none of {', '.join(NAMES)}")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install -e '.[outside]'")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found[0], args=QUIET)
        yield browser
        browser.close()


def run_of(count, diverged=(), **more):
    """Two swept axes, curves of one step each, two metrics."""
    configs = [{"batch_size": b, "rate": r} for b in range(count) for r in (0.1, 0.5)]
    values = np.random.default_rng(0).uniform(0.5, 1, (len(configs), 12))
    result = result_of(values, ("batch_size", "rate"), configs, diverged, **more)
    history = {**result.history, "train_loss": 1 - result.history["test_accuracy"]}
    return Result(result.lanes, history, result.steps, result.axes, metrics=result.metrics, **more)


def every_page(folder):
    """Pages that differ in what is on them."""
    long = "a_name_without_any_place_to_break_it_" * 4
    configs = [{long: HOSTILE[0]}, {long: HOSTILE[1]}, {long: long}]
    runs = {
        "plain": run_of(2),
        "many": run_of(12),
        "partial": run_of(3, diverged={(0, 0), (0, 1), (4, 3)}, planned=100),
        "hostile": result_of(DRAWS, (long,), configs, name=f"test_{HOSTILE[0]}"),
    }
    paths = {}
    for name, result in runs.items():
        paths[name] = result.report(folder / f"{name}.html")
    both = [report.reported(name, result) for name, result in list(runs.items())[:2]]
    paths["several"] = report.write(folder / "several.html", report.page(both))
    (folder / "figures").mkdir()
    runs["plain"].plot("test_accuracy").savefig(folder / "figures" / "curves.png")
    table = Table("Found\nlegend", ("batch size", *map(str, range(30))), ((1, *["0.5"] * 30),))
    texts = ["So it is.", long]
    found = pages.write(folder, long, long, {"": runs["plain"]}, [table], texts, True)
    paths["experiment"] = found.rename(folder / "experiment.html")
    return paths


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return every_page(tmp_path_factory.mktemp("pages"))


def opened(browser, path, width, scheme, messages, **more):
    """A tab that shows a page."""
    size = {"width": width, "height": 800}
    context = browser.new_context(viewport=size, color_scheme=scheme, **more)
    tab = context.new_page()
    tab.on("console", lambda message: messages.append(message.text))
    tab.on("pageerror", lambda error: messages.append(str(error)))
    tab.on("request", lambda request: messages.extend(outside(request.url)))
    tab.goto(path.as_uri())
    return tab


def outside(address):
    """The address, where a page that needs no network may not ask for it."""
    return [] if address.startswith(("file:", "data:")) else [address]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_say_nothing_and_pass_axe(browser, paths, width, scheme):
    axe_module = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install -e '.[outside]'"
    )
    axe = axe_module.Axe()
    for path in paths.values():
        messages = []
        # axe comes in as a script, which the page itself would not let run.
        tab = opened(browser, path, width, scheme, messages, bypass_csp=True)
        assert tab.evaluate(WIDER) <= 0, path
        tab.evaluate(OPEN)
        assert tab.evaluate(WIDER) <= 0, path
        rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
        found = axe.run(tab, options=rules).response
        wrong = [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]]
        assert not wrong, path
        assert len(found["passes"]) > 15
        assert not messages, path
        tab.context.close()


def test_the_checks_find_what_is_wrong(browser, tmp_path):
    axe_module = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install -e '.[outside]'"
    )
    path = tmp_path / "bad.html"
    text = "<p style='color: #999; width: 900px'>pale</p><img src='http://localhost:1/x.png'>"
    path.write_text(f"<!DOCTYPE html><html><body>{text}</body></html>")
    messages = []
    tab = opened(browser, path, 390, "light", messages)
    assert tab.evaluate(WIDER) > 0
    found = axe_module.Axe().run(tab).response["violations"]
    assert {"color-contrast", "image-alt", "html-has-lang"} <= {each["id"] for each in found}
    assert "http://localhost:1/x.png" in messages
    tab.context.close()


def test_nothing_on_a_page_runs_and_the_keyboard_reaches_what_scrolls(browser, paths, tmp_path):
    messages = []
    # Even a script that had slipped in: the page's own policy stops it.
    text = (
        paths["hostile"]
        .read_text()
        .replace("</body>", "<script>document.title = 1</script></body>")
    )
    (tmp_path / "script.html").write_text(text)
    tab = opened(browser, tmp_path / "script.html", 390, "light", messages)
    assert tab.title() != "1"
    assert any("Content Security Policy" in message for message in messages)
    tab.context.close()
    tab = opened(browser, paths["plain"], 390, "dark", [], java_script_enabled=True)
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "results"
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "scroll"
    before = tab.evaluate("document.activeElement.scrollLeft")
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function(f"document.activeElement.scrollLeft > {before}")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    tab.context.close()
