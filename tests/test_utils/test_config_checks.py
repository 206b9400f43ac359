# Copyright (c) mmmultissl contributors. All rights reserved.
"""Repeated keys in configs are found without running the configs."""
import pytest

from mmmultissl.utils.config_checks import check_duplicate_keys


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_two_tasks_of_one_name(tmp_path):
    path = write(
        tmp_path, 'c.py', "model = dict(\n    tasks={\n"
        "        'moco': dict(type='A'),\n"
        "        'densecl': dict(type='B'),\n"
        "        'moco': dict(type='C'),\n    })\n")
    with pytest.raises(
            ValueError,
            match=r"c\.py, line 5: the key 'moco' of model\.tasks stands "
            'already in line 3'):
        check_duplicate_keys(path)


def test_repeated_keyword(tmp_path):
    path = write(tmp_path, 'c.py', "a = dict(x=1,\n  y=[dict(z=1, z=2)])\n")
    with pytest.raises(ValueError, match='line 2.*z'):
        check_duplicate_keys(path)


@pytest.mark.parametrize('base', [
    "_base_ = ['sub/b.py', 'mmpretrain::a/b.py']\n",
    "_base_ = './sub/b.py'\n",
    'with read_base():\n    from .sub.b import *\n',
])
def test_bases_are_followed(tmp_path, base):
    write(tmp_path, 'sub/b.py', "_base_ = '../c.py'\nx = {'k': 1, 'k': 2}\n")
    path = write(tmp_path, 'c.py', base)
    with pytest.raises(ValueError, match=r"b\.py, line 2: the key 'k' of x"):
        check_duplicate_keys(path)


def test_good_config_passes(tmp_path):
    write(tmp_path, 'b.py', 'x = {}\n')
    path = write(
        tmp_path, 'c.py', "_base_ = 'b.py'\n"
        "y = {{_base_.x}}\nz = '{{ fileDirname }}/a'\n"
        "w = {'a': {'b': {}}, **y, **z, 'c': {'b': 1}}\n"
        "v = [dict(a=1), dict(a=2)]\n")
    check_duplicate_keys(path)


def test_missing_files(tmp_path):
    path = write(tmp_path, 'c.py', "_base_ = 'nowhere.py'\n")
    with pytest.raises(FileNotFoundError, match=r'nowhere\.py \(a _base_ of'):
        check_duplicate_keys(path)
    with pytest.raises(FileNotFoundError, match=r'other\.py does not exist'):
        check_duplicate_keys(str(tmp_path / 'other.py'))


def test_no_python(tmp_path):
    path = write(tmp_path, 'c.py', 'a = 1\nb = (\n')
    with pytest.raises(ValueError, match='line 2: this is no Python'):
        check_duplicate_keys(path)
