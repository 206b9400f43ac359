# Copyright (c) mmmultissl contributors. All rights reserved.
"""Rows that begin with the same stages, told apart by what those depend on."""
import copy

from mmmultissl.comparison.shared_stages import (in_common, row_to_follow,
                                                 stage_digests)

CONFIG = dict(
    model=dict(
        backbone=dict(type='X'), tasks=dict(a=dict(), b=dict(), c=dict())),
    train_cfg=dict(type='mmmultissl.PretrainLoop'),
    optim_wrapper=dict(optimizer=dict(lr=.1)),
    randomness=dict(seed=0),
    stages=dict(
        a=dict(distill=dict(weight=1.)),
        b=dict(distill=dict(weight=1.)),
        c=dict(distill=dict(weight=1.))),
    stage_order=['a', 'b', 'c'],
    total_updates=6)


def digests(folder='here', **changes):
    content = copy.deepcopy(CONFIG)
    content.update(changes)
    return stage_digests(content, f'/{folder}')


def same(left, right):
    return [a == b for a, b in zip(left, right)]


def test_stages_are_the_same_up_to_where_rows_differ():
    one = digests()
    assert len(set(one)) == 3
    assert [stage.updates for stage in one] == [2, 2, 2]
    assert same(one, digests('elsewhere')) == [True] * 3
    other = copy.deepcopy(CONFIG['stages'])
    other['b']['distill']['weight'] = 2.
    # The third starts from another second one.
    assert same(one, digests(stages=other)) == [True, False, False]
    assert same(one, digests(stage_order=['a', 'c', 'b'])) == [
        True, False, False
    ]
    assert same(one, digests(randomness=dict(seed=1))) == [False] * 3
    # Stages of another length.
    assert same(one, digests(total_updates=9)) == [False] * 3
    # One stage with its share of the budget is the first of all.
    alone = digests(stage_order=['a'], total_updates=2)
    assert len(alone) == 1 and alone[0] == one[0]
    # What it would remember, the first stage does not.
    other = copy.deepcopy(CONFIG['stages'])
    other['a']['distill'] = None
    assert same(one, digests(stages=other)) == [True] * 3


def test_a_row_without_stages_has_none():
    plain = {key: value for key, value in CONFIG.items() if key != 'stages'}
    assert stage_digests(plain, '/here') == ()


def test_the_first_row_with_most_in_common_is_followed():
    others = dict(plain=(), x=('p', ), y=('p', 'q'), z=('p', 'q'))
    assert row_to_follow(('p', 'q', 'r'), others) == 'y'
    assert in_common(('p', 'q', 'r'), others['y']) == ('p', 'q')
    assert in_common(('q', 'q'), others['y']) == ()
    assert row_to_follow(('p', 'r'), others) == 'x'
    assert row_to_follow(('q', 'q'), others) is None
    assert row_to_follow((), others) is None
    assert row_to_follow(('p', ), {}) is None
