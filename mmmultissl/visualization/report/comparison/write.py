# Copyright (c) mmmultissl contributors. All rights reserved.
"""The whole report of a comparison: sections in order, one file."""
from typing import Dict, Sequence

from mmmultissl.comparison.comparison import Comparison
from mmmultissl.comparison.plan import Plan
from mmmultissl.comparison.results import Summary

from ..pictures import Thumbnails
from ..write import write_page
from .conflict import conflict_section
from .curves import curves_section, monitor_section
from .embedding import embedding_section
from .forgetting import forgetting_section
from .logs import read_logs
from .results import sections_of

# Names of rows may be longer than a card is wide.
_STYLE = '.key span { white-space: normal; overflow-wrap: anywhere; }\n'


def write_report(comparison: Comparison, plan: Plan,
                 summaries: Sequence[Summary], done: Sequence[str],
                 missing: Dict[str, str]) -> None:
    """Write ``report.html``.

    Args:
        comparison (Comparison): The comparison.
        plan (Plan): Its jobs.
        summaries (Sequence[Summary]): The rows of the table.
        done (Sequence[str]): Names of the jobs that are done.
        missing (dict[str, str]): Job to why it gave nothing.
    """
    logs = read_logs(comparison, done)
    thumbnails = Thumbnails()
    sections = [
        *sections_of(comparison, summaries, missing),
        curves_section(logs),
        monitor_section(logs),
        forgetting_section(logs),
        conflict_section(logs),
        embedding_section(comparison, plan, done, thumbnails)
    ]
    write_page(sections, _STYLE + thumbnails.style(),
               comparison.out / 'report.html', comparison.title,
               comparison.note)
