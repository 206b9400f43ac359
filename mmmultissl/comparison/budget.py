# Copyright (c) mmmultissl contributors. All rights reserved.
"""Equal cost for every row: counted from the configs before anything runs."""
from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple

from mmengine.config import Config

from .placeholders import rows_in
from .rows import Row


class Budget(NamedTuple):
    """What a row costs.

    Attributes:
        own (int): Updates of the row itself.
        parts (dict[str, int]): Other rows whose updates it costs too: all
            that it uses, and those that these use.
        batch (tuple[int | None]): Samples in a step of one process, of each
            stage; None where its config does not say. Empty where it is not
            trained.
        note (str | None): Why it may cost another number than the others.
    """
    own: int
    parts: Dict[str, int]
    batch: Tuple[Optional[int], ...]
    note: Optional[str]

    @property
    def total(self) -> int:
        """int: Updates in sum."""
        return self.own + sum(self.parts.values())


def reached(name: str, uses: Mapping[str, Tuple[str, ...]]) -> Tuple[str, ...]:
    """List all rows that a row uses, directly or by way of others.

    Args:
        name (str): The row.
        uses (dict[str, tuple[str]]): Row to those that it uses directly.

    Returns:
        tuple[str]: Each once, without the row itself.

    Raises:
        ValueError: If a row uses itself.
    """
    found: Dict[str, None] = {}

    def follow(row: str, above: Tuple[str, ...]) -> None:
        for other in uses[row]:
            if other in (*above, row):
                way = (*above, row)
                way = way[way.index(other) + 1:]
                raise ValueError(
                    f'The row {other} needs itself'
                    f'{", by way of " if way else ""}{" and ".join(way)}: '
                    'correct its parts and the placeholders.')
            found.setdefault(other)
            follow(other, (*above, row))

    follow(name, ())
    return tuple(found)


def share_out(rows: Dict[str, Row], total: int) -> Dict[str, int]:
    """Say how many updates each row is given.

    Args:
        rows (dict[str, Row]): All rows.
        total (int): Updates of a row of the table.

    Returns:
        dict[str, int]: Row to its own updates, 0 where it is not trained.

    Raises:
        ValueError: If a part does not say how many it takes, or parts leave
            nothing to a row.
    """
    given: Dict[str, int] = {}
    parts = {name: row.parts for name, row in rows.items()}

    def share(name: str, above: Tuple[str, ...] = ()) -> int:
        row = rows[name]
        if name in above:
            raise ValueError(f'The row {name} counts its own updates as those '
                             'of its parts: correct parts.')
        if name not in given:
            if not row.train:
                given[name] = 0
            elif row.updates is not None:
                given[name] = row.updates
            elif row.share is not None:
                given[name] = round(row.share * total)
            elif row.part:
                raise ValueError(
                    f'The row {name} is a part of others, but does not say '
                    'how much of the budget it takes: set its updates or its '
                    'share.')
            elif row.beyond_budget:
                given[name] = total
            else:
                for part in row.parts:
                    share(part, (*above, name))
                given[name] = total - sum(
                    share(part) for part in reached(name, parts))
        if row.train and given[name] <= 0:
            raise ValueError(
                f'The parts of the row {name} leave it {given[name]} of the '
                f'{total} updates: give them fewer.')
        return given[name]

    for name in rows:
        share(name)
    return given


def budgets_of(
    rows: Dict[str, Row], configs: Dict[str, Config],
    costs: Dict[str, Tuple[int, Tuple[Optional[int], ...]]]
) -> Dict[str, Budget]:
    """Put the budgets of all rows together.

    A row costs its parts, the rows whose checkpoints its config or its
    ``checkpoint`` names, and what those cost.

    Args:
        rows (dict[str, Row]): All rows.
        configs (dict[str, Config]): Their configs, whole.
        costs (dict[str, tuple]): Of each by its config, see
            :func:`~mmmultissl.comparison.configs.cost_of`.

    Returns:
        dict[str, Budget]: Row to budget.

    Raises:
        ValueError: If a row uses itself.
    """
    uses = {
        name: tuple(
            dict.fromkeys(other for other in (
                *row.parts, *rows_in(configs[name].to_dict()),
                *(() if row.train else rows_in(row.checkpoint)))
                          # Unknown ones are told of with the jobs.
                          if other in rows))
        for name, row in rows.items()
    }
    made = {}
    for name, row in rows.items():
        own, batches = costs[name]
        parts = {part: costs[part][0] for part in reached(name, uses)}
        made[name] = Budget(own, parts, batches, row.beyond_budget)
    return made


def check_budgets(rows: Dict[str, Row], budgets: Dict[str, Budget],
                  total: int) -> None:
    """Check that every row of the table costs the same.

    Rows that are not trained and cost nothing, such as random weights, are
    left out, and so are those that state why they cost something else.

    Args:
        rows (dict[str, Row]): All rows.
        budgets (dict[str, Budget]): Their budgets.
        total (int): Updates that each must cost.

    Raises:
        ValueError: If one costs something else.
    """
    for name, budget in budgets.items():
        if (rows[name].part or budget.note
                or not (budget.total or rows[name].train)):
            continue
        if budget.total != total:
            of = ''.join(f' + {updates} of {part}'
                         for part, updates in budget.parts.items())
            parts = reached(name, {key: row.parts
                                   for key, row in rows.items()})
            more = [part for part in budget.parts if part not in parts]
            raise ValueError(
                f'The row {name} costs {budget.total} updates ({budget.own}'
                f'{of}), but total_updates is {total}: make its updates and '
                'those of its parts sum up to that' +
                (f' (it uses {" and ".join(more)}: name {" and ".join(more)} '
                 'in its parts)' if more else '') +
                ', or say by beyond_budget why it may differ.')


def budget_table(rows: Dict[str, Row],
                 budgets: Dict[str, Budget]) -> List[Tuple[str, ...]]:
    """Lay the budgets out.

    Args:
        rows (dict[str, Row]): All rows.
        budgets (dict[str, Budget]): Their budgets.

    Returns:
        list[tuple[str]]: Headings, then a line per row.
    """
    lines = [('row', 'own updates', 'of parts', 'in sum', 'batch', 'note')]
    for name, budget in budgets.items():
        note = budget.note or ''
        if rows[name].part:
            note = 'part of other rows'
        elif not budget.total:
            note = note or 'not trained'
        lines.append((name, str(budget.own), ' + '.join(
            f'{updates} {part}'
            for part, updates in budget.parts.items()) or '–',
                      str(budget.total), _batches(budget.batch), note))
    return lines


def _batches(batches: Tuple[Optional[int], ...]) -> str:
    """Tell the batch of each stage, or of all where they are equal."""
    if len(set(batches)) == 1:
        batches = batches[:1]
    return ', '.join(str(batch or '–') for batch in batches) or '–'
