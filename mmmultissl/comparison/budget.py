# Copyright (c) mmmultissl contributors. All rights reserved.
"""Equal cost for every row: counted from the configs before anything runs."""
from typing import Dict, List, NamedTuple, Optional, Tuple

from mmengine.config import Config

from .rows import Row


class Budget(NamedTuple):
    """What a row costs.

    Attributes:
        own (int): Updates of the row itself.
        parts (dict[str, int]): Other rows whose updates it costs too.
        batch (int | None): Samples in a step of one process; None where its
            config does not say.
        note (str | None): Why it may cost another number than the others.
    """
    own: int
    parts: Dict[str, int]
    batch: Optional[int]
    note: Optional[str]

    @property
    def total(self) -> int:
        """int: Updates in sum."""
        return self.own + sum(self.parts.values())


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
                given[name] = total - sum(
                    share(part, (*above, name)) for part in row.parts)
        if row.train and given[name] <= 0:
            raise ValueError(
                f'The parts of the row {name} leave it {given[name]} of the '
                f'{total} updates: give them fewer.')
        return given[name]

    for name in rows:
        share(name)
    return given


def budgets_of(rows: Dict[str, Row], configs: Dict[str, Config],
               own: Dict[str, int]) -> Dict[str, Budget]:
    """Put the budgets of all rows together.

    Args:
        rows (dict[str, Row]): All rows.
        configs (dict[str, Config]): Their configs, whole.
        own (dict[str, int]): Updates of each by its config.

    Returns:
        dict[str, Budget]: Row to budget.
    """
    return {
        name: Budget(own[name], {part: own[part]
                                 for part in row.parts},
                     (configs[name].get('train_dataloader')
                      or {}).get('batch_size') if row.train else None,
                     row.beyond_budget)
        for name, row in rows.items()
    }


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
            raise ValueError(
                f'The row {name} costs {budget.total} updates ({budget.own}'
                f'{of}), but total_updates is {total}: make its updates and '
                'those of its parts sum up to that, or say by beyond_budget '
                'why it may differ.')


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
                      str(budget.total), str(budget.batch or '–'), note))
    return lines
