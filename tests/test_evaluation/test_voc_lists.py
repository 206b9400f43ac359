# Copyright (c) mmmultissl contributors. All rights reserved.
import pytest

from mmmultissl.evaluation.svm import read_voc_lists

from .tiny_voc import CLASSES, make_tiny_voc


def test_labels(tmp_path):
    lists = read_voc_lists(str(make_tiny_voc(tmp_path)))
    train, test = lists['trainval'], lists['test']
    assert train.classes == CLASSES
    assert train.ids[0] == '000001' and train.ids == sorted(train.ids)
    assert train.labels.shape == (24, 3) and test.labels.shape == (16, 3)
    assert train.labels[:4].tolist() == [[-1, -1, 1], [1, -1, 1], [-1, 1, 1],
                                         [1, 1, 1]]
    assert test.labels[0].tolist() == [0, -1, -1]


def test_lines_in_any_order(tmp_path):
    voc = make_tiny_voc(tmp_path)
    before = read_voc_lists(str(voc))['trainval']
    path = voc / 'ImageSets/Main/bright_trainval.txt'
    path.write_text('\n'.join(reversed(path.read_text().splitlines())))
    after = read_voc_lists(str(voc))['trainval']
    assert before.ids == after.ids
    assert (before.labels == after.labels).all()


def test_wrong_root_is_one_sentence(tmp_path):
    voc = make_tiny_voc(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        read_voc_lists(str(tmp_path / 'nowhere'))
    message = str(caught.value)
    assert 'nowhere" has no folder "ImageSets/Main"' in message
    assert 'VOCdevkit/VOC2007' in message and '\n' not in message
    # A parent of the right folder is recognised.
    for parent in (voc.parent, tmp_path):
        with pytest.raises(FileNotFoundError, match='did you mean') as caught:
            read_voc_lists(str(parent))
        assert str(voc) in str(caught.value)


def test_broken_lists(tmp_path):
    voc = make_tiny_voc(tmp_path)
    main = voc / 'ImageSets/Main'
    path = main / 'striped_test.txt'
    text = path.read_text()

    path.write_text(text + '000099  1\n')
    with pytest.raises(ValueError, match='striped_test.txt lists other'):
        read_voc_lists(str(voc))
    path.write_text(text.replace(' 1', ' 7', 1))
    with pytest.raises(ValueError, match='Line 3 of .*striped_test.txt'):
        read_voc_lists(str(voc))
    path.unlink()
    with pytest.raises(FileNotFoundError, match='other classes.*striped'):
        read_voc_lists(str(voc))
    for path in main.glob('*_*.txt'):
        path.unlink()
    with pytest.raises(FileNotFoundError, match='has no list'):
        read_voc_lists(str(voc))
