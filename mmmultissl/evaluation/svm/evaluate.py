# Copyright (c) mmmultissl contributors. All rights reserved.
"""The whole evaluation: choices, features, SVMs, table and json."""
import time
from typing import Callable, Dict, Optional

import torch
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.model import BaseModel
from torch import Tensor

from .features import POOLS, extract_features
from .protocol import (SVMProtocol, evaluate_svm, total_effort,
                       usable_classes)
from .report import (CAVEAT, Progress, format_choices, format_table, versions,
                     write_json)


def _pixels(model: Optional[BaseModel]) -> str:
    """Say how the model's preprocessor normalises pixels."""
    if model is None:
        return 'not read, the features were kept'
    preprocessor = model.data_preprocessor
    mean, std = (
        [round(float(x), 3) for x in getattr(preprocessor, name).flatten()]
        if hasattr(preprocessor, name) else 'none' for name in ('mean', 'std'))
    order = 'RGB' if getattr(preprocessor, 'to_rgb', False) else 'BGR'
    return f'{order}, mean {mean}, std {std}'


def evaluate_voc07(model: Optional[BaseModel],
                   dataloader,
                   protocol: SVMProtocol = SVMProtocol(),
                   pool: str = 'avg',
                   index: int = -1,
                   device: Optional[torch.device] = None,
                   about: Optional[Dict[str, str]] = None,
                   out: Optional[str] = None,
                   features: Optional[Tensor] = None,
                   keep: Callable[[Tensor], None] = lambda features: None,
                   say: Callable[[str], None] = print) -> dict:
    """Evaluate a backbone by the VOC07 SVM and report it.

    Args:
        model (BaseModel, optional): Has ``data_preprocessor`` and
            ``backbone``; None is only possible with ``features``.
        dataloader: Loader of a :class:`VOC07Images`.
        protocol (SVMProtocol): Choices of the SVM. Defaults to mmselfsup's.
        pool (str): ``'avg'`` or ``'2x2'``. Defaults to ``'avg'``.
        index (int): Which output of the backbone. Defaults to -1.
        device (torch.device, optional): Where the SVMs are solved. Defaults
            to None, the CPU.
        about (dict[str, str], optional): More to print and keep: model,
            checkpoint, ... Defaults to None.
        out (str, optional): File of the json. Defaults to None, no file.
        features (Tensor, optional): Features of an earlier run, in the
            dataset's order, (images, D). Defaults to None, computes them.
        keep (Callable): Called with the features, to save them. Defaults to
            nothing.
        say (Callable): Prints text. Defaults to ``print``.

    Returns:
        dict: What the json holds: ``mAP``, ``classes``, ``left_out``,
        ``choices``, ``protocol``, ``versions``, ``seconds``, ``caveat``.

    Raises:
        ValueError: If the features do not fit the data set, are not finite,
            or no class can be evaluated.
    """
    dataset = dataloader.dataset
    train, test = (dataset.lists[split] for split in dataset.splits)
    # Tells about unusable classes before the long part, not after it.
    usable, left_out = usable_classes(train.labels, test.labels, train.classes,
                                      protocol)
    steps = [str(step) for step in dataset.pipeline.transforms]
    choices = dict(
        about or {},
        **{
            'data root': str(dataset.data_root),
            'images': f'{len(train.ids)} to train ({dataset.splits[0]}), '
                      f'{len(test.ids)} to test ({dataset.splits[1]})',
            'labels': 'ImageSets/Main/<class>_<split>.txt, '
                      f'{len(train.classes)} classes',
            'image transforms': ', then '.join(steps),
            'pixels': _pixels(model),
            'backbone output': f'{index}, in evaluation mode',
            'pooling': f'{pool}: {POOLS.get(pool, "?")}',
        }, **protocol.describe())
    if is_main_process():
        say(format_choices(choices))
        for name, why in left_out.items():
            say(f'The class {name} is left out of the mean: {why}.')

    start = time.perf_counter()
    if features is None:
        features = extract_features(
            model, dataloader, pool, index,
            Progress('features', len(dataloader.sampler)))
    elif len(features) != len(dataset):
        raise ValueError(
            f'{len(features)} features were given for {len(dataset)} images; '
            'give the features of this very data set.')
    seconds = dict(features=time.perf_counter() - start)

    result = None
    if is_main_process():
        keep(features)
        features = features.to(device or 'cpu')
        result = evaluate_svm(
            features[:len(train.ids)], train.labels, features[len(train.ids):],
            test.labels, train.classes, protocol,
            Progress('SVMs    ', total_effort(protocol, len(usable))))
        seconds['svm'] = result.pop('seconds')
        say(format_table(result))
        say(CAVEAT)
        result.update(
            feature_dim=features.shape[1],
            choices=choices,
            protocol=dict(vars(protocol), costs=list(protocol.costs)),
            versions=versions(),
            seconds=seconds,
            caveat=CAVEAT)
        if out is not None:
            write_json(out, result)
            say(f'All of it is in {out}')
    shared = [result]
    broadcast_object_list(shared)
    return shared[0]
