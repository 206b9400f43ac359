# Copyright (c) mmmultissl contributors. All rights reserved.
"""The report: its numbers, its geometry, and that it stands alone."""
import importlib.util
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

import mmmultissl  # noqa: F401
from mmmultissl.datasets.demo_images import write_demo_images
from mmmultissl.engine.checkpoint import save_checkpoint
from mmmultissl.registry import MODELS
from mmmultissl.utils.command_line import read_config
from mmmultissl.visualization.report import (correspondence, curves,
                                             detections, neighbours, runs, svg,
                                             table, tracked_view)

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / 'configs' / 'demo'
_spec = importlib.util.spec_from_file_location('report',
                                               ROOT / 'tools' / 'report.py')
report = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(report)

TABLE = {
    # SVM, kNN, AP50
    'random': (12.34, 9.87, .125),
    'moco': (23.45, 19.91, None),
    'both': (34.56, 29.93, .25),
}


def leave_training(folder, config, scope, step, lines):
    """Leave what a training run leaves, with weights as they were drawn."""
    init_default_scope(scope)
    folder.mkdir(parents=True)
    config.dump(str(folder / 'config.py'))
    torch.manual_seed(0)
    build = dict(config.model)
    for key in ('data_preprocessor', ):
        if key not in build and key in config:
            build[key] = config[key]
    model = MODELS.build(build)
    file = folder / f'iter_{step}.pth'
    save_checkpoint(
        dict(state_dict=model.state_dict(), meta=dict(iter=step)), file)
    (folder / 'last_checkpoint').write_text(str(file))
    log = folder / '20260101_000000' / 'vis_data'
    log.mkdir(parents=True)
    (log / 'scalars.json').write_text(''.join(
        json.dumps(line) + '\n' for line in lines))


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Make a data set and three runs by hand."""
    folder = tmp_path_factory.mktemp('report')
    data = folder / 'VOCdevkit' / 'VOC2007'
    data.parent.mkdir()
    write_demo_images(data, num_train=2, num_test=10, size=96)
    for name, (svm, knn, ap50) in TABLE.items():
        run = folder / 'runs' / name
        run.mkdir(parents=True)
        (run / 'voc07.json').write_text(
            json.dumps(dict(mAP=svm, knn=dict(mAP=knn))))
        if name != 'random':
            config = read_config(
                str(DEMO / ('moco_r18_demo.py' if name == 'moco' else
                            'multissl_densecl_r18_demo.py')))
            leave_training(run / 'pretrain', config, 'mmpretrain', 40, [
                dict(step=step, time=.5, loss=1., **{
                    'moco.loss': 5. - step / 10,
                    'densecl.loss_single': 4.,
                    'densecl.loss_dense': step / 100
                }) for step in (10, 20, 30)
            ])
        if ap50 is not None:
            config = read_config(str(DEMO / 'faster-rcnn_r18_fpn_demo.py'))
            config.model.backbone.init_cfg = None
            config.test_dataloader.dataset.data_root = f'{data.parent}/'
            config.test_dataloader.num_workers = 0
            config.test_dataloader.persistent_workers = False
            leave_training(run / 'detect', config, 'mmdet', 7, [
                dict(step=5, time=.1, loss=2.),
                {'step': 7, 'pascal_voc/mAP': ap50, 'pascal_voc/AP50': ap50}
            ])
    return folder


class Reader(HTMLParser):
    """Collects headings, tables and all addresses of a page."""

    def __init__(self):
        super().__init__()
        self.tags = ['']
        self.headings, self.cells, self.addresses = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == 'tr':
            self.cells.append([])
        self.addresses += [value for name, value in attributes
                           if name in ('src', 'href', 'xlink:href', 'data')]

    def handle_data(self, text):
        if self.tags[-1] == 'h2':
            self.headings.append(text)
        elif self.tags[-1] in ('td', 'th'):
            self.cells[-1].append(text)

    def handle_endtag(self, tag):
        self.tags.append(f'/{tag}')


def test_the_page_holds_every_section_and_the_numbers_of_the_runs(
        made, capsys):
    out, text = made / 'page.html', made / 'table.txt'
    report.main([
        str(made / 'runs'), '--data-root',
        str(made / 'VOCdevkit' / 'VOC2007'), '--size', '64', '--out',
        str(out), '--text', str(text), '--note', 'Made <by> hand.'
    ])
    page = out.read_text()
    reader = Reader()
    reader.feed(page)
    assert reader.headings == [
        'Results', 'Loss curves', 'Embedding', 'Nearest neighbours',
        "DenseCL's correspondences", 'Detections'
    ]
    assert reader.cells[:4] == [
        ['run', 'SVM mAP', 'kNN mAP', 'detection AP50', 'updates', 'seconds',
         'tasks'],
        ['random', '12.3', '9.9', '12.5', '–', '–', 'none'],
        ['moco', '23.4', '19.9', '–', '40', '20', 'moco'],
        ['both', '34.6', '29.9', '25.0', '40', '20', 'densecl, moco'],
    ]
    # Nothing from elsewhere.
    assert 'http' not in page and '@import' not in page
    assert all(address.startswith(('data:image/jpeg;base64,', '#s'))
               for address in reader.addresses)
    assert all(address.startswith('data:')
               for address in re.findall(r'url\(([^)]*)', page))
    assert 'Made &lt;by&gt; hand.' in page
    # A plot per run, a dot per test image; pictures of the run's pairs.
    assert page.count('data-image=') == 3 * 10
    assert len([a for a in reader.addresses if a.startswith('data:')]) == \
        3 * 2 * 2 + 3 * 4
    shown = capsys.readouterr().out
    assert text.read_text() in shown and str(out) in shown
    assert [line.split()[0] for line in text.read_text().splitlines()] == \
        ['run', 'random', 'moco', 'both']


# Runs


def test_a_step_that_was_run_again_counts_once(made, tmp_path):
    work = runs.WorkDir(made / 'runs' / 'both' / 'pretrain')
    later = work.path / '20260102_000000' / 'vis_data'
    later.mkdir(parents=True)
    (later / 'scalars.json').write_text(
        json.dumps(dict(step=30, time=2.5, loss=7.)) + '\n')
    try:
        assert [line['step'] for line in work.training()] == [10, 20, 30]
        assert work.training()[-1]['loss'] == 7.
        # 20 steps of 0.5 s, 10 of 2.5 s, and 10 more to the checkpoint.
        assert work.seconds() == pytest.approx(20 * .5 + 10 * 2.5 + 10 * 2.5)
        assert work.updates == 40
    finally:
        (later / 'scalars.json').unlink()


@pytest.mark.parametrize('names, sentence', [
    (['nobody'], 'nobody/voc07.json is missing: write it with'),
    (['half'], 'half/pretrain is missing: a run without pretraining is '
     'called random.'),
    (['empty'], 'empty/pretrain holds no config of a training run'),
    (None, 'holds no run: a run is a folder in it'),
])
def test_a_missing_piece_is_said_in_one_sentence(tmp_path, names, sentence):
    for name in ('half', 'empty'):
        (tmp_path / name).mkdir()
        if names:
            (tmp_path / name / 'voc07.json').write_text('{"mAP": 1}')
    (tmp_path / 'empty' / 'pretrain').mkdir()
    with pytest.raises(FileNotFoundError, match=re.escape(sentence)) as error:
        runs.find_runs(tmp_path, names)
    assert str(error.value).count('. ') == 0


@pytest.mark.parametrize('lines, percent', [
    ([{'pascal_voc/AP50': .25}, {'loss': 1}], 25.),
    ([{'coco/bbox_mAP_50': .1}, {'coco/bbox_mAP_50': .5}], 50.),
    ([{'loss': 1}], None),
])
def test_the_last_ap50_is_taken(lines, percent):
    assert table.detection_ap50(lines) == percent


# Curves


def test_the_losses_of_a_task_are_added_up():
    line = {'loss': 9., 'time': 1., 'a.loss_x': 1., 'a.loss_y': 2.,
            'b.loss': 4., 'b.weight': 8.}
    assert curves.task_losses(line) == dict(a=3., b=4.)


@pytest.mark.parametrize('low, high, expected', [
    (0, 10, [0, 2, 4, 6, 8, 10]),
    (.31, .52, [.35, .4, .45, .5]),
    (-3, 400, [0, 100, 200, 300, 400]),
])
def test_ticks_are_round(low, high, expected):
    assert svg.ticks(low, high) == pytest.approx(expected)


# Neighbours


def test_neighbours_are_those_of_a_search_one_by_one():
    features = torch.nn.functional.normalize(torch.randn(12, 5), dim=1)
    found = neighbours.nearest(features, 3)
    for row in range(12):
        angles = [math.inf if other == row else
                  math.acos(float(features[row] @ features[other]) * .999999)
                  for other in range(12)]
        assert found[row].tolist() == np.argsort(angles)[:3].tolist()


def test_the_share_of_right_neighbours():
    image = neighbours.ShownImage
    images = [image('', frozenset(names), '')
              for names in ('a', 'ab', 'b', 'c')]
    right = neighbours.classes_shared(images)
    assert right.tolist() == [[True, True, False, False],
                              [True, True, True, False],
                              [False, True, True, False],
                              [False, False, False, True]]
    found = np.array([[1, 2], [0, 2], [0, 3], [0, 1]])
    # Right: 1 + 2 + 0 + 0 of 8.
    assert neighbours.share_right(found, right) == pytest.approx(37.5)


# Correspondences


def test_matches_are_checked_against_a_case_made_by_hand():
    # Both views show the left half of a 40 x 20 picture on a grid of 2 x 2;
    # the second one is mirrored and cut out 10 pixels further right.
    first = tracked_view.Crop(0, 0, 20, 20, False)
    second = tracked_view.Crop(10, 0, 20, 20, True)
    assert first.centres(2, 2).tolist() == [[5, 5], [15, 5], [5, 15], [15, 15]]
    assert second.centres(2, 2).tolist() == [[25, 5], [15, 5], [25, 15],
                                             [15, 15]]
    found = correspondence.check_matches(
        np.array([1, 1, 0, 0]), first, second, (2, 2))
    assert found.possible.tolist() == [False, True, False, True]
    # Cell 1 is hit exactly; cell 3 is matched one up and one to the right,
    # which is one cell off in both directions and still right; cell 2 is two
    # cells away from its match, cell 0 one.
    assert found.right.tolist() == [True, True, False, True]
    assert found.same_place.tolist() == [False, True, False, True]
    assert found.chance.tolist() == [.5, 1., .5, 1.]


def test_a_match_two_cells_away_is_wrong():
    whole = tracked_view.Crop(0, 0, 70, 70, False)
    key = np.arange(49)
    key[24] = 26  # two to the right
    key[0] = 1
    found = correspondence.check_matches(key, whole, whole, (7, 7))
    assert found.possible.all()
    assert np.flatnonzero(~found.right).tolist() == [24]
    # In the middle 9 of 49 cells count, in a corner 4.
    assert found.chance[24] == pytest.approx(9 / 49)
    assert found.chance[0] == pytest.approx(4 / 49)


def test_the_true_places_are_all_right_whatever_the_crops():
    rng = np.random.RandomState(0)
    for _ in range(50):
        crops = [tracked_view.Crop(*rng.uniform(0, 40, 2),
                                   *rng.uniform(30, 60, 2),
                                   bool(rng.randint(2))) for _ in range(2)]
        here, there = (crop.centres(7, 7) for crop in crops)
        nearest = ((here[:, None] - there[None]) ** 2).sum(2).argmin(1)
        found = correspondence.check_matches(nearest, *crops, (7, 7))
        assert found.right[found.possible].all()


@pytest.mark.parametrize('key', range(6))
def test_a_view_comes_from_where_its_crop_says(key):
    # A picture whose colours are its coordinates.
    x, y = np.meshgrid(np.arange(240), np.arange(180))
    picture = np.stack([x, y, np.zeros_like(x)], 2).astype(np.uint8)
    steps = [
        dict(type='mmpretrain.RandomResizedCrop', scale=64,
             crop_ratio_range=(.2, 1.), backend='pillow'),
        dict(type='mmpretrain.GaussianBlur', magnitude_range=(.1, .2),
             magnitude_std='inf', prob=.5),
        # What is not known to leave positions alone is left out.
        dict(type='mmpretrain.Rotate', angle=90., prob=1.),
        dict(type='mmcv.RandomFlip', prob=.5),
    ]
    view, crop = tracked_view.make_view(picture, steps, 112, key)
    assert view.shape == (112, 112, 3)
    seen = cv2.resize(view, (7, 7), interpolation=cv2.INTER_AREA)
    # Pixel k covers k to k + 1, so its centre lies half a pixel further.
    assert np.abs(seen[..., :2].reshape(49, 2) + .5
                  - crop.centres(7, 7)).max() < 1.5
    again = tracked_view.make_view(picture, steps, 112, key)
    assert (again[0] == view).all() and again[1] == crop


def test_both_flips_occur():
    steps = [dict(type='mmpretrain.RandomResizedCrop', scale=32),
             dict(type='mmcv.RandomFlip', prob=.5)]
    picture = np.zeros((40, 40, 3), np.uint8)
    flips = {tracked_view.make_view(picture, steps, 32, key)[1].flipped
             for key in range(12)}
    assert flips == {False, True}


def test_a_config_without_views_is_refused():
    config = Config(dict(train_dataloader=dict(dataset=dict(
        pipeline=[dict(type='LoadImageFromFile')]))))
    with pytest.raises(ValueError, match='has no MultiView'):
        tracked_view.view_steps(config)


# Detections


def test_overlap_and_hits():
    box = detections.Box
    assert detections.overlap((0, 0, 10, 10), (5, 0, 15, 10)) == \
        pytest.approx(50 / 150)
    assert detections.overlap((0, 0, 10, 10), (10, 0, 20, 10)) == 0
    truth = [box((0, 0, 10, 10), 'cat'), box((20, 0, 30, 10), 'dog')]
    found = [
        box((0, 0, 10, 9), 'cat', .9),
        box((0, 0, 10, 10), 'cat', .8),  # the cat was found already
        box((20, 0, 30, 10), 'cat', .7),  # another class
        box((20, 6, 30, 16), 'dog', .6),  # too far off
        box((20, 1, 30, 11), 'dog', .5),
    ]
    assert [b.right for b in detections.mark_right(found, truth)] == [
        True, False, False, False, True
    ]
