# Copyright (c) mmmultissl contributors. All rights reserved.
"""Shares of COCO's labels: right size, nested, reproducible, complete."""
import json

import pytest

from tools.coco_subset import draw_images, main


def annotations(images=1000):
    return dict(
        info=dict(year=2017),
        images=[dict(id=7 * number, file_name=f'{number}.jpg')
                for number in range(images)],
        annotations=[
            dict(id=number, image_id=7 * (number % images), category_id=1)
            for number in range(3 * images - 1)
        ],
        categories=[dict(id=1, name='person')])


def write(folder, content):
    (folder / 'annotations').mkdir()
    path = folder / 'annotations/instances_train2017.json'
    path.write_text(json.dumps(content))
    return folder


def test_shares_are_exact_nested_and_without_repetition():
    whole = annotations(1183)
    shares = [draw_images(whole, percent, 1) for percent in (1, 2, 5, 10)]
    assert [len(share) for share in shares] == [11, 23, 59, 118]
    assert all(small < large for small, large in zip(shares, shares[1:]))
    assert draw_images(whole, 100, 1) == {row['id']
                                          for row in whole['images']}
    # In floating point 10000 * 0.57 falls short of 5700.
    assert len(draw_images(annotations(10000), 0.57, 1)) == 57


def test_folds_are_independent_draws_and_each_is_reproducible():
    whole = annotations(2000)
    first, second = (draw_images(whole, 10, fold) for fold in (1, 2))
    assert first == draw_images(whole, 10, 1)
    # 200 * 200 / 2000 = 20 in common by chance, with a deviation of 4.
    assert 5 <= len(first & second) <= 35
    # The order of the file plays no part.
    whole['images'].reverse()
    assert draw_images(whole, 10, 1) == first
    # Each image has the same chance: 20 folds, 200 of 2,000 each.
    drawn = sum((sorted(draw_images(whole, 10, fold)) for fold in range(20)),
                [])
    half = sum(number < 7 * 1000 for number in drawn)
    assert abs(half - 2000) < 5 * 1000**0.5


def test_files_hold_all_of_their_images_and_nothing_else(tmp_path, capsys):
    whole = annotations(300)
    folder = write(tmp_path, whole)
    assert main([str(folder), '--percent', '1', '10', '--folds', '1', '2'
                 ]) == 0
    shares = {path.name: json.loads(path.read_text())
              for path in (folder / 'semi_anns').iterdir()}
    assert sorted(shares) == [
        f'instances_train2017.{fold}@{percent}.json'
        for fold in (1, 2) for percent in (1, 10)]
    share = shares['instances_train2017.2@10.json']
    kept = {row['id'] for row in share['images']}
    assert kept == draw_images(whole, 10, 2) and len(kept) == 30
    assert share['images'] == [
        row for row in whole['images'] if row['id'] in kept]
    assert share['annotations'] == [
        row for row in whole['annotations'] if row['image_id'] in kept]
    assert share['categories'] == whole['categories']
    assert '[4/4]' in capsys.readouterr().out


@pytest.mark.parametrize('options, message', [
    (['--percent', '0'], '--percent 0 is no share'),
    (['--percent', '101'], 'above 0 and up to 100'),
    (['--percent', '0.1'], '0.1 % of 300 images is not one image'),
])
def test_shares_that_cannot_be(options, message, tmp_path, capsys):
    folder = write(tmp_path, annotations(300))
    assert main([str(folder), *options]) == 1
    assert message in capsys.readouterr().err
    assert not (folder / 'semi_anns').exists()


def test_files_that_are_no_coco(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert 'There is no' in capsys.readouterr().err
    write(tmp_path, dict(images=[]))
    assert main([str(tmp_path)]) == 1
    assert 'has no images, annotations and categories' in (
        capsys.readouterr().err)
    (tmp_path / 'annotations/instances_train2017.json').write_text('{')
    assert main([str(tmp_path)]) == 1
    assert 'is no json' in capsys.readouterr().err
