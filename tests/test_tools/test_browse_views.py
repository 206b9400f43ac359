# Copyright (c) mmmultissl contributors. All rights reserved.
"""tools/browse_views.py shows what a run sees, and who reads it."""
import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.models import SelfSupDataPreprocessor
from mmpretrain.structures import DataSample

from mmmultissl.utils.command_line import build_runner
from mmmultissl.utils.seeding import permutation
from mmmultissl.visualization import ears, sound_views, view_sheet
from tests.test_datasets.binaural_toy import RATE, write_folder

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs' / 'multissl' / (
    'multissl_moco-densecl_resnet18_1xb64-coslr-100e_folder-96px.py')
SEED = 3


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """Write twelve smooth pictures with names in the order of the list."""
    folder = tmp_path_factory.mktemp('images')
    rng = np.random.default_rng(0)
    for i in range(12):
        picture = cv2.resize(
            rng.integers(0, 255, (6, 6, 3), dtype=np.uint8), (80, 60))
        cv2.imwrite(str(folder / f'{i:02}.png'), picture)
    return folder


@pytest.fixture
def cfg(images):
    """Read the small config, on the pictures, with small queues."""
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict({
        'train_dataloader.dataset.data_root': str(images),
        'train_dataloader.batch_size': 4,
        'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
        'model.tasks.moco.queue_len': 8,
        'model.tasks.densecl.queue_len': 8,
        'randomness.seed': SEED,
    })
    return cfg


def test_they_are_what_the_first_step_of_a_run_sees(cfg, tmp_path):
    views = view_sheet.make_views(cfg.copy(), 4)
    cfg.merge_from_dict({
        'work_dir': str(tmp_path),
        'train_cfg.max_epochs': None,
        'train_cfg.max_iters': 1,
    })
    runner = build_runner(cfg)
    seen = []
    runner.model.data_preprocessor.register_forward_hook(
        lambda module, args, output: seen.append(output['inputs']))
    runner.train()
    mean = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
    std = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
    assert list(views.pixels) == ['view0', 'view1']
    for shown, inputs in zip(views.pixels.values(), seen[0]):
        assert shown.shape == (4, 96, 96, 3)
        shown = torch.from_numpy(shown).permute(0, 3, 1, 2)
        torch.testing.assert_close((shown - mean) / std, inputs.cpu(),
                                   rtol=0, atol=1e-4)


def test_sources_are_the_files_in_rgb(cfg, images):
    views = view_sheet.make_views(cfg, 5)
    order = permutation(SEED, 0, 12)[:5]
    assert [Path(name).name for name in views.names] == [
        f'{index:02}.png' for index in order]
    for name, source in zip(views.names, views.sources):
        assert np.array_equal(source[..., ::-1], cv2.imread(name))


def test_the_seed_decides(cfg):
    first = view_sheet.make_views(cfg.copy(), 3)
    again = view_sheet.make_views(cfg.copy(), 3)
    cfg.randomness.seed = SEED + 1
    other = view_sheet.make_views(cfg, 3)
    for view in first.pixels:
        assert np.array_equal(first.pixels[view], again.pixels[view])
        assert not np.array_equal(first.pixels[view], other.pixels[view])


def test_readers_of_each_view_with_an_algorithm_of_mmpretrain(cfg):
    neck = dict(
        type='mmpretrain.NonLinearNeck',
        in_channels=512,
        hid_channels=16,
        out_channels=16,
        norm_cfg=dict(type='BN1d'))
    cfg.model.tasks.byol = dict(
        type='mmmultissl.MMPretrainTask',
        algorithm=dict(
            type='mmpretrain.BYOL',
            neck=neck,
            head=dict(
                type='mmpretrain.LatentPredictHead',
                loss=dict(type='mmpretrain.CosineSimilarityLoss'),
                predictor=dict(neck, in_channels=16, with_avg_pool=False))))
    cfg.model.tasks.densecl.query_view = 'view1'
    cfg.model.tasks.densecl.key_view = 'view0'
    views = view_sheet.make_views(cfg, 1)
    assert views.readers('view0') == ['query of moco, byol',
                                      'key of densecl, byol']
    assert views.readers('view1') == ['query of densecl, byol',
                                      'key of moco, byol']
    assert views.readers('view2') == ['read by no task']


@pytest.mark.slow
@pytest.mark.parametrize(
    'path', [
        path for folder in ('multissl', 'demo')
        for path in sorted((ROOT / 'configs' / folder).glob('*.py'))
        if 'rcnn' not in path.name and 'binaural' not in path.name
    ],
    ids=lambda path: path.stem)
def test_every_pretraining_config_can_be_shown(path, images):
    cfg = Config.fromfile(path)
    # Other images, by the config's own pipeline; a queue is not read.
    cfg.train_dataloader.dataset = dict(
        type='mmmultissl.ImageFolder',
        data_root=str(images),
        pipeline=cfg.train_dataloader.dataset.pipeline)
    used = {name: task for name, task in cfg.model.tasks.items() if task}
    for task in used.values():
        task.queue_len = 8
    views = view_sheet.make_views(cfg, 2)
    assert set(views.queries) == set(used)
    for name in used:
        assert views.queries[name] and views.keys[name]
    for pixels in views.pixels.values():
        assert pixels.shape[0] == 2 and pixels.std() > 5


@pytest.fixture
def two_sizes(cfg):
    """Give the two views other sizes, 64 and 32 pixels."""
    small = [
        dict(type='mmpretrain.Resize', scale=(size, size))
        for size in (64, 32)
    ]
    cfg.train_dataloader.dataset.pipeline = [
        dict(type='mmmultissl.LoadImage'),
        dict(
            type='mmpretrain.MultiView',
            num_views=[1, 1],
            transforms=[[small[0]], [small[1]]]),
        dict(type='mmpretrain.PackInputs'),
    ]
    return cfg


def test_the_sheet_holds_each_view_at_its_place(two_sizes):
    views = view_sheet.make_views(two_sizes, 2)
    sheet = np.asarray(view_sheet.draw_sheet(views, 'A title'))
    # 64 pixels are shown as 192, the smaller view at the same scale.
    margin, cell = view_sheet._MARGIN, 192
    x = margin + cell + margin
    step = cell + view_sheet._LINE + margin
    top = sheet.shape[0] - 2 * step
    for row in range(2):
        y = top + row * step
        for column, view in enumerate(('view0', 'view1')):
            pixels = views.pixels[view][row].repeat(3, 0).repeat(3, 1)
            left = x + column * (cell + margin)
            part = sheet[y:y + pixels.shape[0], left:left + pixels.shape[1]]
            assert np.array_equal(part, pixels)
        # The source fills the first column: 80 x 60 becomes 192 x 144.
        source = sheet[y:y + cell, margin:margin + cell]
        assert (source[143] != 255).any() and (source[145] == 255).all()
    # Words stand above.
    assert (sheet[:top] < 128).any()


def test_pixels_without_normalisation_or_conversion():
    view = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5).float()
    raw = view_sheet.to_pixels(view, SelfSupDataPreprocessor())
    # OpenCV's order is blue first.
    assert np.array_equal(raw, view.flip(1).permute(0, 2, 3, 1).byte())
    rgb = view_sheet.to_pixels(view, SelfSupDataPreprocessor(to_rgb=True))
    assert np.array_equal(rgb, raw[..., ::-1])
    clipped = view_sheet.to_pixels(view * 100 - 50, SelfSupDataPreprocessor())
    assert clipped.min() == 0 and clipped.max() == 255


@pytest.mark.parametrize('change, sentence', [
    ({'model.tasks.moco.key_view': 'view7'},
     'Task "moco" reads the view "view7", but the batch has view0, view1'),
    ({'model.tasks': None}, 'has no model.tasks'),
    ({'train_dataloader.dataset.data_root': 'no/such/folder'},
     'The image folder no/such/folder does not exist'),
])
def test_errors_are_one_sentence(cfg, change, sentence):
    cfg.merge_from_dict(change)
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        view_sheet.make_views(cfg, 2)


def test_no_images_and_no_pictures_are_refused(cfg):
    with pytest.raises(ValueError, match='-n is 0'):
        view_sheet.make_views(cfg, 0)
    with pytest.raises(ValueError, match=r'only images \(N, 3, H, W\)'):
        view_sheet.to_pixels(torch.zeros(2, 1, 8, 8), torch.nn.Identity())


@pytest.fixture(scope='module')
def clips(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp('clips'))


def test_clips_are_shown_with_their_labels(clips):
    cfg = Config.fromfile(ROOT / 'configs' / 'binaural' / (
        'multissl_binaural_omniaudio-w16_1xb32-coslr-50e_16khz.py'))
    cfg.merge_from_dict({
        'train_dataloader.dataset.data_root': str(clips),
        'train_dataloader.dataset.sample_rate': RATE,
        'data_preprocessor.spectrogram.sample_rate': RATE,
        'data_preprocessor.spectrogram.n_mels': 8,
        'randomness.seed': SEED,
    })
    views = view_sheet.make_views(cfg, 4)
    # Three pictures of 8 bands, two lines between, 1 + 2000 / 160 frames.
    for view in ('clip', 'rotated', 'shifted'):
        assert views.pixels[view].shape == (4, 3 * 8 + 2 * 2, 13, 3)
    frames = views.pixels['frame']
    assert frames.shape == (4, 64, 128, 3)
    assert (frames[..., 1] == 200).all() and (frames[..., 2] == 0).all()
    assert views.companions == dict(
        spatial=('frame', ), foreground=('foreground', ), gap=())
    assert views.readers('frame') == ['companion of spatial']
    assert views.sources == [None] * 4
    for name, lines in zip(views.names, views.notes):
        assert Path(name).name == '{}.npy at {} s'.format(
            *lines[0].split()[::2])
        assert lines[1].startswith('head turned to ')
        assert lines[4].startswith('shifted by ')
    mirrored = [lines[-1] == 'mirrored' for lines in views.notes]
    assert any(mirrored) and not all(mirrored)
    sheet = view_sheet.draw_sheet(views, 'title')
    assert sheet.width == 10 + 6 * (256 + 10)


def test_words_for_labels():
    sample = DataSample()
    for name, value in dict(
            recording='r1', start=1500, heading=-90., azimuth=float('nan'),
            rotation_angle=180., gap=-2, swap=True).items():
        sample.set_field(value, name, field_type='metainfo')
    assert sound_views.label_words(sample, 1000) == [
        'r1 at 1.5 s', 'head turned to -90°', 'rotated by 180°',
        'shifted by -2 clips', 'mirrored']


def test_ears_of_all_pairs_stand_below_each_other():
    power = np.full((4, 3, 5), 1e-3, np.float32)
    power[0, 0] = 1.  # first pair, left, lowest band
    log = sound_views.sound_pixels(torch.from_numpy(power[None]).log(), 'mel')
    assert log.shape == (1, 6 * 3 + 5 * 2, 5, 3)
    difference = log[0, 10:13]
    assert (difference[2] == ears._LEFT[::-1]).all()
    assert (difference[:2] == ears._ALIKE).all()
    assert (log[0, 3:5] == 255).all()
    parts = torch.from_numpy(power[None]).sqrt().repeat_interleave(2, 1)
    parts[:, 1::2] = 0
    assert np.array_equal(sound_views.sound_pixels(parts, 'complex'), log)


def test_shades_of_labels():
    maps = torch.tensor([[[0, 1, 2, 255]]], dtype=torch.uint8)
    shown = sound_views.map_pixels(maps)
    assert shown[0, 0, :, 0].tolist() == [0, 100, 200, 255]


def test_the_command_writes_a_png(images, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location(
        'browse_views', ROOT / 'tools' / 'browse_views.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    out = tmp_path / 'new' / 'views.png'
    options = ['--cfg-options',
               f'train_dataloader.dataset.data_root={images}',
               'model.tasks.densecl=None']
    tool.main([str(CONFIG), '-n', '2', '--out', str(out), *options])
    said = capsys.readouterr().out
    assert ('moco reads view0 from the trained trunk and view1 from its EMA '
            f'trunk\n2 samples with their views are in {out}\n') in said
    assert 'densecl reads' not in said
    # Margins, three cells of 96 pixels shown as 192, and two rows.
    assert cv2.imread(str(out)).shape[1] == 10 + 3 * (192 + 10)
    assert [file.name for file in out.parent.iterdir()] == ['views.png']
    with pytest.raises(ValueError, match='ends in .png'):
        tool.main([str(CONFIG), '--out', 'views.jpg', *options])
