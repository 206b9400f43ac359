# Copyright (c) mmmultissl contributors. All rights reserved.
"""What the fine-tuned detectors find, beside what is there."""
from html import escape
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
import torch
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.model import BaseModel

from mmmultissl.engine.runner import StrictRunner

from .page import Section, paragraphs
from .pictures import data_uri, read_image
from .runs import Run, WorkDir
from .trained import load_trained

_IMAGES = 4
_OVERLAP = .5
_WIDTH = 320


class Box(NamedTuple):
    """A rectangle with a class.

    Attributes:
        edges (tuple[float]): Left, top, right and bottom, in pixels.
        name (str): The class.
        score (float | None): The detector's confidence; None for the truth.
        right (bool): Whether it is the truth, or hits it.
    """
    edges: Tuple[float, ...]
    name: str
    score: Optional[float] = None
    right: bool = True


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Compute intersection over union.

    Args:
        one (Sequence[float]): Left, top, right and bottom.
        other (Sequence[float]): The same of the other rectangle.

    Returns:
        float: In [0, 1].
    """
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(width, 0) * max(height, 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return both / (areas - both) if both else 0.


def mark_right(found: List[Box], truth: List[Box]) -> List[Box]:
    """Say which detections hit, each object at most once, best score first.

    Args:
        found (list[Box]): Detections, best score first.
        truth (list[Box]): The objects.

    Returns:
        list[Box]: The detections with ``right`` set.
    """
    left, marked = list(truth), []
    for box in found:
        hits = [
            thing for thing in left if thing.name == box.name
            and overlap(thing.edges, box.edges) >= _OVERLAP
        ]
        if hits:
            left.remove(max(hits, key=lambda t: overlap(t.edges, box.edges)))
        marked.append(box._replace(right=bool(hits)))
    return marked


def load_detector(work: WorkDir) -> Tuple[BaseModel, BaseDataset]:
    """Build a fine-tuned detector and its test images.

    Args:
        work (WorkDir): Of the fine-tuning.

    Returns:
        tuple: The detector in evaluation mode, on the CPU, and the data set.

    Raises:
        RuntimeError: If the checkpoint does not fit.
    """
    model = load_trained(work)
    loader = StrictRunner.build_dataloader(work.config.test_dataloader)
    return model, loader.dataset


def true_boxes(dataset: BaseDataset, index: int) -> List[Box]:
    """Read the objects of an image.

    Args:
        dataset (BaseDataset): One of mmdet's.
        index (int): Of the image.

    Returns:
        list[Box]: The objects.
    """
    names = dataset.metainfo['classes']
    return [
        Box(tuple(thing['bbox']), names[thing['bbox_label']])
        for thing in dataset.get_data_info(index)['instances']
        if not thing.get('ignore_flag')
    ]


@torch.no_grad()
def found_boxes(model: BaseModel, dataset: BaseDataset, index: int,
                count: int) -> List[Box]:
    """Detect objects in an image.

    Args:
        model (BaseModel): The detector.
        dataset (BaseDataset): The images.
        index (int): Of the image.
        count (int): How many of the surest to take.

    Returns:
        list[Box]: The surest detections, best score first.
    """
    result, = model.test_step(pseudo_collate([dataset[index]]))
    found = result.pred_instances
    names = dataset.metainfo['classes']
    order = found.scores.argsort(descending=True)[:count]
    return [
        Box(
            tuple(found.bboxes[i].tolist()), names[int(found.labels[i])],
            float(found.scores[i])) for i in order
    ]


def detections_section(runs: Sequence[Run]) -> Section:
    """Show test images with the objects and each detector's boxes.

    Args:
        runs (Sequence[Run]): The runs; those without detection are left out.

    Returns:
        Section: The section.
    """
    pictures: Dict[int, List[str]] = {}
    hits, objects = {}, 0
    for run in runs:
        if run.detection is None:
            continue
        model, dataset = load_detector(run.detection)
        hits[run.name] = 0
        for index in range(min(_IMAGES, len(dataset))):
            image = read_image(dataset.get_data_info(index)['img_path'])
            truth = true_boxes(dataset, index)
            if index not in pictures:
                pictures[index] = [_card('there is', image, truth)]
                objects += len(truth)
            found = mark_right(
                found_boxes(model, dataset, index, len(truth)), truth)
            hits[run.name] += sum(box.right for box in found)
            pictures[index].append(_card(run.name, image, found))
    if not pictures:
        none = 'No detector was fine-tuned from any of these runs.'
        return Section('Detections', paragraphs(none), '')
    body = ''.join('<div class="grid boxes">' + ''.join(row) + '</div>'
                   for row in pictures.values())
    counted = ', '.join(f'{name} {number}' for name, number in hits.items())
    caption = paragraphs(
        f'The first {len(pictures)} test images: the objects that are there, '
        'then what the detector fine-tuned from each backbone finds. As many '
        'boxes are drawn as there are objects, the surest ones; the number '
        'is the detector\'s confidence. Full and blue: the right class at an '
        'overlap of at least one half. Dashed and orange: not.',
        f'Right in these pictures, of {objects} objects: {counted}. A few '
        'pictures are an illustration; the AP in the results counts all test '
        'images and all boxes.')
    return Section('Detections', caption, body)


def _card(title: str, image: np.ndarray, boxes: List[Box]) -> str:
    height, width = image.shape[:2]
    # All pictures are drawn equally wide, so that labels are equally large.
    scale = _WIDTH / width
    size = _WIDTH, round(height * scale)
    if scale < 1:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    parts = [
        f'<svg viewBox="0 0 {size[0]} {size[1]}" role=img>'
        f'<image href="{data_uri(image)}" width="{size[0]}" '
        f'height="{size[1]}"/>'
    ]
    for box in boxes:
        left, top, right, bottom = (edge * scale for edge in box.edges)
        paint = 'var(--right)' if box.right else 'var(--wrong)'
        dashes = '' if box.right else ' stroke-dasharray="6 4"'
        label = escape(
            box.name) + ('' if box.score is None else f' {box.score:.2f}')
        parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
            f'height="{bottom - top:.1f}" fill=none stroke-width="2.5" '
            f'style="stroke:{paint}"{dashes}/>'
            f'<text class=label x="{left + 3:.1f}" y="{top + 14:.1f}">'
            f'{label}</text>')
    return (f'<figure class=card><h3>{escape(title)}</h3>{"".join(parts)}'
            '</svg></figure>')
