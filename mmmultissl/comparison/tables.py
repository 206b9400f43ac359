# Copyright (c) mmmultissl contributors. All rights reserved.
"""The tables of a comparison, as text, Markdown, CSV and JSON."""
import csv
import io
import json
from typing import Dict, List, Optional, Sequence, Tuple

from mmmultissl.engine.atomic_save import write_text_atomically

from .budget import budget_table
from .comparison import Comparison
from .results import Summary
from .statistics import CONFIDENCE, Difference, Figures, Spread
from .test_record import read_record

NONE = '–'
Lines = List[Tuple[str, ...]]


def number(value: Optional[float],
           sign: bool = False,
           digits: Optional[int] = None) -> str:
    """Write a figure with as many digits as it deserves.

    Args:
        value (float, optional): The figure; None gives a dash.
        sign (bool): Whether to write a plus. Defaults to False.
        digits (int, optional): Behind the point. Defaults to None: by size.

    Returns:
        str: Such as ``'23.4'`` or ``'+0.123'``.
    """
    if value is None:
        return NONE
    if digits is None:
        digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f'{value:{"+" if sign else ""}.{digits}f}'


def with_spread(found: Optional[Spread],
                sign: bool = False,
                digits: Optional[int] = None) -> str:
    """Write mean and standard deviation, with the mean's digits.

    Args:
        found (Spread, optional): None gives a dash.
        sign (bool): Whether to write a plus. Defaults to False.
        digits (int, optional): Behind the point. Defaults to None: by size.

    Returns:
        str: Such as ``'23.4 ± 0.5'``.
    """
    if found is None:
        return NONE
    text = number(found.mean, sign, digits)
    if found.deviation is None:
        return text
    digits = len(text.partition('.')[2])
    return f'{text} ± {found.deviation:.{digits}f}'


def with_interval(found: Optional[Difference]) -> str:
    """Write a difference and its interval.

    Args:
        found (Difference, optional): None gives a dash.

    Returns:
        str: Such as ``'+1.2 [+0.3, +2.1]'``.
    """
    if found is None:
        return NONE
    text = number(found.mean, True)
    if found.low is None:
        return text
    digits = len(text.partition('.')[2])
    return f'{text} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]'


def heading(column) -> str:
    """Write a column's name and which way is better.

    Args:
        column (Column): The column.

    Returns:
        str: Such as ``'SVM mAP ↑'``.
    """
    return f'{column.name} {"↑" if column.higher_is_better else "↓"}'


def figure_lines(comparison: Comparison,
                 summaries: Sequence[Summary]) -> Lines:
    """Lay out means, gains and cost.

    Args:
        comparison (Comparison): The comparison.
        summaries (Sequence[Summary]): The rows.

    Returns:
        list[tuple[str]]: Headings, then a line per row.
    """
    gains = bool(comparison.baselines)
    head = ['row', *map(heading, comparison.columns)]
    head += ['gain, %', 'gain over best, %'] if gains else []
    lines: Lines = [(*head, 'seeds', 'updates', 'seconds')]
    for each in summaries:
        cells = [each.row, *map(with_spread, each.spreads.values())]
        if gains:
            cells += [
                with_spread(each.gain, True, 1),
                with_spread(each.gain_best, True, 1)
            ]
        counts = sorted({s.count for s in each.spreads.values() if s})
        lines.append((*cells, '–'.join(map(str, counts)) or '0',
                      str(each.updates), NONE if each.seconds is None else
                      f'{each.seconds.mean:.0f}'))
    return lines


def difference_lines(comparison: Comparison,
                     summaries: Sequence[Summary]) -> Lines:
    """Lay out the paired differences from the reference.

    Args:
        comparison (Comparison): The comparison.
        summaries (Sequence[Summary]): The rows.

    Returns:
        list[tuple[str]]: Headings, then a line per row but the reference;
        nothing where there is no reference.
    """
    if comparison.reference is None:
        return []
    lines: Lines = [(f'minus {comparison.reference}',
                     *map(heading, comparison.columns), 'pairs')]
    for each in summaries:
        if each.row == comparison.reference:
            continue
        found = [d for d in each.differences.values() if d]
        lines.append(
            (each.row, *map(with_interval, each.differences.values()),
             '–'.join(map(str, sorted({d.count for d in found}))) or '0'))
    return lines


def explanations(comparison: Comparison) -> List[str]:
    """Say what the tables show.

    Args:
        comparison (Comparison): The comparison.

    Returns:
        list[str]: Plain paragraphs.
    """
    lists = ('the test lists' if comparison.mode == 'test' else
             'the development lists, by which settings may be chosen; these '
             'are no test figures')
    texts = [
        f'Scored on {lists}. ↑: more is better, ↓: less is better. Mean ± '
        'standard deviation over seeds (of a sample).'
    ]
    if comparison.reference:
        texts.append(
            f'Differences from {comparison.reference} are taken seed by seed; '
            f'in brackets is Student\'s {CONFIDENCE:.0%} interval for their '
            'mean, which takes seeds as a sample and differences as normal. '
            'One that holds 0 leaves the sign open. It speaks of other seeds, '
            'not of other data; rows and columns are many, so some intervals '
            'leave 0 out by chance.')
    if comparison.baselines:
        texts.append(
            'Gain: mean over the columns of the relative difference from the '
            f'mean of {", ".join(comparison.baselines)}, positive where '
            'better (the mean relative gain of Vandenhende et al., TPAMI '
            '2021; that its base is the mean of the single-task rows is our '
            'choice). Over best: the base is for each column the one of them '
            'that is best there in the mean over seeds. It is chosen by these '
            'figures, so this gain is a little too low.')
    texts.append(
        'Updates are those of the optimiser for one seed, with those of the '
        'parts a row is made of. Seconds are the mean over seeds of the '
        'training steps alone, as long as they took beside whatever else '
        'ran.')
    return texts


def test_notes(comparison: Comparison) -> List[str]:
    """Say when the test lists were scored.

    Args:
        comparison (Comparison): The comparison.

    Returns:
        list[str]: A sentence for each time; nothing on the development
        lists.
    """
    if comparison.mode != 'test':
        return []
    return [
        f'Test lists scored on {each["begun"]} by the plan '
        f'{each["plan"][:12]}' +
        (f', AGAIN: {each["reason"]}' if each['reason'] else '') + '.'
        for each in read_record(comparison.folder)
    ]


def laid_out(lines: Lines) -> str:
    """Lay a table out for a terminal.

    Args:
        lines (list[tuple[str]]): Headings and rows.

    Returns:
        str: Lines.
    """
    widths = [max(len(cell) for cell in column) for column in zip(*lines)]
    return '\n'.join('  '.join(
        f'{cell:<{width}}' if i == 0 else f'{cell:>{width}}'
        for i, (cell, width) in enumerate(zip(line, widths))).rstrip()
                     for line in lines)


def _markdown(lines: Lines) -> str:
    head, *rest = [
        '| ' + ' | '.join(cell.replace('|', '\\|') for cell in line) + ' |'
        for line in lines
    ]
    return '\n'.join([head, '|---' + '|---:' * (len(lines[0]) - 1) + '|',
                      *rest])


def _as_dict(found) -> Optional[dict]:
    return None if found is None else found._asdict()


def write_tables(comparison: Comparison, figures: Figures,
                 summaries: Sequence[Summary],
                 failed: Dict[str, str]) -> None:
    """Write ``table.md``, ``table.csv`` and ``table.json``.

    They go into ``comparison.out``.

    Args:
        comparison (Comparison): The comparison.
        figures (dict): Row to column to seed to figure.
        summaries (Sequence[Summary]): The rows.
        failed (dict[str, str]): Job to why it gave nothing.
    """
    folder, parts = comparison.out, [f'# {comparison.title}']
    folder.mkdir(parents=True, exist_ok=True)
    parts += [comparison.note] if comparison.note else []
    parts.append(_markdown(figure_lines(comparison, summaries)))
    differences = difference_lines(comparison, summaries)
    parts += [_markdown(differences)] if differences else []
    parts += [*explanations(comparison), *test_notes(comparison)]
    if failed:
        parts.append('Missing: ' + '; '.join(f'{job}: {why}'
                                             for job, why in failed.items()))
    parts += ['## Budget',
              _markdown(budget_table(comparison.rows, comparison.budgets))]
    write_text_atomically('\n\n'.join(parts) + '\n', folder / 'table.md')

    columns = {column.name: column for column in comparison.columns}
    rows = [('row', 'evaluation', 'higher_is_better', 'seeds', 'mean',
             'deviation', 'difference', 'low', 'high', 'pairs', 'gain',
             'gain_over_best', 'updates', 'seconds')]
    for each in summaries:
        for name, spread in each.spreads.items():
            difference = each.differences[name] or Difference(
                0, None, None, None)
            spread = spread or Spread(0, None, None)
            rows.append(
                (each.row, name, columns[name].higher_is_better, *spread,
                 *difference[1:], difference.count,
                 each.gain and each.gain.mean, each.gain_best
                 and each.gain_best.mean, each.updates, each.seconds
                 and each.seconds.mean))
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows(rows)
    write_text_atomically(text.getvalue(), folder / 'table.csv')

    content = dict(
        title=comparison.title,
        mode=comparison.mode,
        reference=comparison.reference,
        baselines=comparison.baselines,
        confidence=CONFIDENCE,
        total_updates=comparison.total_updates,
        test_scored=read_record(comparison.folder),
        rows={
            each.row: dict(
                evaluations={
                    name: dict(
                        seeds={
                            str(seed): value
                            for seed, value in figures[each.row][name].items()
                        },
                        spread=_as_dict(each.spreads[name]),
                        difference=_as_dict(each.differences[name]))
                    for name in each.spreads
                },
                gain=_as_dict(each.gain),
                gain_over_best=_as_dict(each.gain_best),
                budget=dict(comparison.budgets[each.row]._asdict(),
                            total=each.updates),
                seconds=_as_dict(each.seconds))
            for each in summaries
        },
        missing=failed)
    write_text_atomically(
        json.dumps(content, indent=2) + '\n', folder / 'table.json')
