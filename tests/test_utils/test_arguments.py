# Copyright (c) mmmultissl contributors. All rights reserved.
"""Mistyped arguments end in a sentence that names the right ones."""
import pytest

from mmmultissl.utils.arguments import check_arguments


class Thing:

    def __init__(self, size, momentum=0.1):
        pass


class Open:

    def __init__(self, **kwargs):
        pass


def test_a_mistyped_argument_names_the_similar_one():
    with pytest.raises(
            ValueError,
            match=r'Task "a" \(Thing\) has no argument "momentun": did you '
            'mean momentum.*takes size, momentum'):
        check_arguments(Thing, dict(type='Thing', size=1, momentun=1),
                        'Task "a"')
    with pytest.raises(ValueError, match='has no argument "zzz": It takes'):
        check_arguments(Thing, dict(size=1, zzz=1), 'Task "a"')


def test_a_lacking_argument_is_named():
    with pytest.raises(ValueError, match='needs the argument size: add it'):
        check_arguments(Thing, dict(type='Thing'), 'Task "a"')


def test_what_is_right_passes():
    check_arguments(Thing, dict(type='T', size=1, _scope_='x'), 'a')
    check_arguments(Open, dict(anything=1), 'a')
