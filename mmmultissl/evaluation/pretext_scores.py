# Copyright (c) mmmultissl contributors. All rights reserved.
"""How well pretext tasks are solved on data that they are not trained on."""
from typing import Dict, List, Optional, Sequence

import numpy as np
from mmengine.dist import get_world_size
from mmengine.evaluator import BaseMetric

from mmmultissl.registry import METRICS

from .block_bootstrap import block_bootstrap


@METRICS.register_module()
class PretextScores(BaseMetric):
    """Averages what the tasks of ``MultiSSL`` log, over a split.

    Every sample counts alike, so a smaller last batch counts less. It comes
    out as ``{task}.accuracy``, ``{task}.loss`` and what else a task logs.

    Args:
        interval (dict, optional): Arguments of
            :func:`~mmmultissl.evaluation.block_bootstrap.block_bootstrap`,
            such as ``dict(block=4)``, for ``{task}.accuracy_low`` and
            ``{task}.accuracy_high`` and so on. The samples are taken in the
            order of the data set. Defaults to None: no intervals.
        collect_device (str): As in mmengine. Defaults to 'cpu'.

    Raises:
        ValueError: If intervals are asked for, and a batch has more than one
            sample, or there are too few samples.
    """

    default_prefix = ''

    def __init__(self,
                 interval: Optional[dict] = None,
                 collect_device: str = 'cpu') -> None:
        super().__init__(collect_device=collect_device)
        self.interval = interval

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the scores of a batch.

        Args:
            data_batch (dict): Not used.
            data_samples (Sequence[dict]): Of ``MultiSSL.val_step``.

        Raises:
            ValueError: If there are several processes and a batch has more
                than one sample.
        """
        if get_world_size() > 1 and any(
                scores['batch_size'] != 1 for scores in data_samples):
            raise ValueError(
                'PretextScores cannot tell the samples by which several '
                'processes fill up their share from others in a batch: test '
                'with one process, or set test_dataloader.batch_size=1.')
        self.results.extend(data_samples)

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Average them.

        Args:
            results (list[dict]): Of all batches and processes.

        Returns:
            dict[str, float]: Name to mean.
        """
        sizes = np.array([scores['batch_size'] for scores in results])
        series = {
            name: np.array([scores[name] for scores in results])
            for name in results[0] if name != 'batch_size'
        }
        means = {name: float(np.average(values, weights=sizes))
                 for name, values in series.items()}
        if self.interval is None:
            return means
        if (sizes != 1).any():
            raise ValueError(
                'PretextScores needs samples one by one for an interval: set '
                'test_dataloader.batch_size=1.')
        for name, values in series.items():
            ends = block_bootstrap(values, **self.interval)
            means.update(zip((f'{name}_low', f'{name}_high'), ends))
        return means
