"""Makes tables of R3's shape: a row a learning rate, a column a width."""

from collections.abc import Mapping

from experiments.columns import place, spoken
from experiments.frame import Run
from experiments.references import R3
from experiments.xor_networks import Cell, cell_of
from jaxdl import tables


def cell_table(title: str, texts: Mapping[Cell, str]) -> tables.Table:
    """Arranges the texts of one table's cells."""
    rates = dict.fromkeys(cell.learning_rate for cell in texts)
    widths = dict.fromkeys(cell.width for cell in texts)
    by_place = {(cell.learning_rate, cell.width): text for cell, text in texts.items()}
    body = []
    for rate in rates:
        # Every rate was run with every width, as the sweep is a product.
        row = [by_place[rate, width] for width in widths]
        body.append((rate, *row))
    return tables.Table(title, ("rate", *(f"h = {width}" for width in widths)), tuple(body))


def table_number(pair: tuple[str, str]) -> str:
    """Says which of R3's tables has an activation and optimizer; nothing where none has."""
    return f"table {R3.pairs.index(pair) + 1}, " if pair in R3.pairs else ""


def grid_tables(run: Run) -> list[tables.Table]:
    """Makes one table for each of R3's, on either data set, under the grid's protocol."""
    rows = run.rows_of("grid")
    groups = dict.fromkeys(cell_of(row).table for row in rows)
    # In the report's order; tables that it does not have come last.
    known = {pair: number for number, pair in enumerate(R3.pairs)}
    ordered = sorted(groups, key=lambda group: known.get(group[1:], len(known)))
    made = []
    for group in ordered:
        mine = [row for row in rows if cell_of(row).table == group]
        made.append(grid_table(mine))
    return made


def grid_table(rows: list[dict]) -> tables.Table:
    """Makes one of R3's tables with its numbers beside ours."""
    data, activation, optimizer = cell_of(rows[0]).table
    lanes = sum(row["n"] for row in rows)
    lost = lanes - sum(row["survived"] for row in rows)
    title = (
        f"{table_number((activation, optimizer))}{spoken(activation)}, {spoken(optimizer)} on "
        f"{spoken(data)}, n={rows[0]['n']} seeds, {lost} of {lanes} lanes diverged.\n"
        "A cell: median accuracy % | share of seeds at 100 % | R3's % (its percentile)"
    )
    return cell_table(title, {cell_of(row): cell_text(row) for row in rows})


def cell_text(row: dict) -> str:
    """Writes a cell of a table."""
    entry = dict(row["test_accuracy"])
    if entry["published"] is not None:
        entry["published"] = round(100 * entry["published"], 1)
    return f"{100 * entry['median']:.1f} | {row['solved']['share']:.0%} | {place(entry)}"
