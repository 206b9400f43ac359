# Copyright (c) mmmultissl contributors. All rights reserved.
"""One self-contained HTML page on a few runs: what they learnt, in pictures.

``tools/report.py`` is its command. A section is one file here; it reads what
the runs have left and computes its picture from that.
"""
