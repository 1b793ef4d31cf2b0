# SPDX-License-Identifier: MIT
"""How things draw themselves in Jupyter: diagrams, timelines, tables, frames. Loaded when something is drawn.

Everything is HTML and SVG without scripts, escaped, and readable on light and dark pages. pandas, polars, matplotlib
and IPython are used where they are installed and never required. Nothing is imported here: a script that follows a run
needs no diagrams.
"""
