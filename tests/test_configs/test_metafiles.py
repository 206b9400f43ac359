# Copyright (c) mmmultissl contributors. All rights reserved.
"""The index for mim names every shipped config, and only what there is."""
from pathlib import Path

import pytest
from mmengine import load

ROOT = Path(__file__).parents[2]
METAFILES = load(ROOT / 'model-index.yml')['Import']


def test_every_family_has_a_metafile():
    families = {
        path.parent for path in (ROOT / 'configs').glob('*/*.py')
        if path.parent.name not in ('_base_', 'compare', 'demo')}
    assert {ROOT / name for name in METAFILES} == {
        family / 'metafile.yml' for family in families}


@pytest.mark.parametrize('name', METAFILES)
def test_metafile(name):
    meta = load(ROOT / name)
    collections = {each['Name']: each for each in meta['Collections']}
    for each in collections.values():
        assert (ROOT / each['README']).is_file()
    configs = {str(path.relative_to(ROOT))
               for path in (ROOT / name).parent.glob('*.py')}
    assert sorted(model['Config'] for model in meta['Models']) == sorted(
        configs)
    for model in meta['Models']:
        assert Path(model['Config']).stem == model['Name']
        assert model['In Collection'] in collections


@pytest.mark.parametrize('name', METAFILES)
def test_the_page_of_a_family_links_what_there_is(name):
    page = (ROOT / name).parent / 'README.md'
    text = page.read_text()
    links = [part.split(')')[0] for part in text.split('](')[1:]]
    assert links
    for link in links:
        assert (page.parent / link).is_file(), link
