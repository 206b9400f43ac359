# Copyright (c) mmmultissl contributors. All rights reserved.
"""The tables, the differences as a picture, and the budget."""
from typing import Dict, List, Sequence

from mmmultissl.comparison.budget import budget_table
from mmmultissl.comparison.comparison import Comparison
from mmmultissl.comparison.results import Summary
from mmmultissl.comparison.tables import (difference_lines, explanations,
                                          figure_lines, heading, test_notes)

from ..page import Section, paragraphs, table
from .interval_plot import interval_plot


def results_section(comparison: Comparison, summaries: Sequence[Summary],
                    missing: Dict[str, str]) -> Section:
    """Write the table of means.

    Args:
        comparison (Comparison): The comparison.
        summaries (Sequence[Summary]): The rows.
        missing (dict[str, str]): Job to why it gave nothing.

    Returns:
        Section: The section.
    """
    head, *rows = figure_lines(comparison, summaries)
    texts = [*test_notes(comparison)]
    if missing:
        texts.append(f'{len(missing)} jobs gave nothing: ' +
                     '; '.join(f'{job} ({why})'
                               for job, why in missing.items()) + '.')
    return Section('Results', paragraphs(*texts),
                   table(head, rows) + paragraphs(*explanations(comparison)))


def differences_section(comparison: Comparison,
                        summaries: Sequence[Summary]) -> Section:
    """Draw the paired differences from the reference.

    Args:
        comparison (Comparison): The comparison, with a reference.
        summaries (Sequence[Summary]): The rows.

    Returns:
        Section: The section.
    """
    head, *rows = difference_lines(comparison, summaries)
    body = ''
    for column in comparison.columns:
        found = [(each.row, each.differences[column.name])
                 for each in summaries if each.differences[column.name]]
        if found:
            body += (f'<figure class=card><h3>{heading(column)}</h3>'
                     f'{interval_plot(found, column.sign)}</figure>')
    caption = paragraphs(
        f'Each row minus {comparison.reference}, seed by seed: the mean and '
        'its interval. Blue lies wholly on the better side of 0, orange on '
        'the worse one; grey leaves it open. A dot without a bar is one '
        'seed.')
    return Section(f'Differences from {comparison.reference}', caption,
                   f'<div class="grid pairs">{body}</div>'
                   + table(head, rows))


def budget_section(comparison: Comparison) -> Section:
    """Write what every row costs.

    Args:
        comparison (Comparison): The comparison.

    Returns:
        Section: The section.
    """
    head, *rows = budget_table(comparison.rows, comparison.budgets)
    return Section(
        'Budget',
        paragraphs(
            f'Every row of the table has {comparison.total_updates} updates '
            'of the optimiser for one seed, counted from its config before '
            'it ran. A row that is made of several trained encoders counts '
            'the updates of all of them.'), table(head, rows))


def sections_of(comparison: Comparison, summaries: Sequence[Summary],
                missing: Dict[str, str]) -> List[Section]:
    """Make all of these sections.

    Args:
        comparison (Comparison): The comparison.
        summaries (Sequence[Summary]): The rows.
        missing (dict[str, str]): Job to why it gave nothing.

    Returns:
        list[Section]: The sections.
    """
    made = [results_section(comparison, summaries, missing)]
    if comparison.reference is not None:
        made.append(differences_section(comparison, summaries))
    return [*made, budget_section(comparison)]
