# SPDX-License-Identifier: MIT
"""What the benchmarks print: tables, and how the goals fared."""


def table(title, columns, rows):
    print(f"\n### {title}\n")
    print("| " + " | ".join(["", *columns]) + " |")
    print("|---" + "|---:" * len(columns) + "|")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")


def goals(rows):
    """(what, must, moonshot, measured, whether more is better)"""
    cells = []
    for what, must, moonshot, value, more in rows:
        reached = [name for name, bound in (("must", must), ("moonshot", moonshot)) if (value >= bound) == more]
        measured = f"{value:.0f}" if value >= 1000 else f"{value:.2f}"
        cells.append(
            [what, f"{'>=' if more else '<='} {must}", moonshot, measured, reached[-1] if reached else "missed"]
        )
    table("Goals", ["must", "moonshot", "measured", "reached"], cells)
