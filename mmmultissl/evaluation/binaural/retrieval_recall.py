# Copyright (c) mmmultissl contributors. All rights reserved.
"""How often a sound finds its frame, and a frame its sound."""
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmmultissl.registry import METRICS

GALLERIES = ('all', 'recordings', 'recording')
# Queries that are compared at once.
_CHUNK = 1024
# Decimals of a cosine: rounding errors of equal vectors decide nothing.
_DECIMALS = 6


@METRICS.register_module()
class RetrievalRecall(BaseMetric):
    """Recall at k and median rank of cross-modal retrieval.

    Every clip is a query, by its sound (``sound-to-frame``) and by its frame
    (``frame-to-sound``). What is looked for is its own partner; the rest of
    the gallery, the distractors, is

    - ``all``: every other clip;
    - ``recordings``: one clip of each other recording, the one in the middle
      of its clips: which recording is it?
    - ``recording``: the other clips of the same recording, the hard setting:
      where and when within it? Clips without any are no queries.

    Recall at k is the share of queries, in percent, whose partner is among
    the k most similar. Ties count as if they were drawn, so that vectors that
    are all equal give exactly chance. ``chance`` stands beside every figure:
    k / gallery, and the median of ranks that are drawn. All of this is our
    choice; the paper's metric is not known.

    Args:
        galleries (Sequence[str]): Of these. Defaults to ('all', 'recordings',
            'recording').
        topk (Sequence[int]): The k. Defaults to (1, 5, 10).
        min_gap (int): Clips of a query's own recording that start nearer to
            it than this, in samples, are no distractors. With the length of a
            clip no distractor shares sound with the query. Defaults to 0.
        max_clips (int, optional): Clips that take part, evenly spaced over
            the split. Defaults to None: all.
        **kwargs: As in :class:`mmengine.evaluator.BaseMetric`.

    Raises:
        ValueError: If a setting cannot be used.
    """
    default_prefix = 'retrieval'

    def __init__(self,
                 galleries: Sequence[str] = GALLERIES,
                 topk: Sequence[int] = (1, 5, 10),
                 min_gap: int = 0,
                 max_clips: Optional[int] = None,
                 **kwargs) -> None:
        super().__init__(**kwargs)
        if not galleries or not set(galleries) <= set(GALLERIES):
            raise ValueError(
                f'RetrievalRecall got galleries={tuple(galleries)}; give some '
                f'of {", ".join(GALLERIES)}.')
        if not topk or min(topk) < 1 or (max_clips is not None
                                         and max_clips < 2):
            raise ValueError(
                f'RetrievalRecall got topk={tuple(topk)} and max_clips='
                f'{max_clips}; give k of at least 1 and at least 2 clips.')
        self.galleries, self.topk = tuple(galleries), tuple(topk)
        self.min_gap, self.max_clips = min_gap, max_clips

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the vectors of a batch.

        Args:
            data_batch (Any): Not read.
            data_samples (Sequence[dict]): With ``sound_embedding``,
                ``frame_embedding``, ``recording_id`` and ``start``.
        """
        self.results += [(sample['sound_embedding'].detach().cpu(),
                          sample['frame_embedding'].detach().cpu(),
                          sample['recording_id'], sample['start'])
                         for sample in data_samples]

    def compute_metrics(self, results: List[tuple]) -> Dict[str, float]:
        """Rank the partners.

        Args:
            results (list[tuple]): What :meth:`process` kept, of all clips.

        Returns:
            dict[str, float]: ``{gallery}/{direction}_R@{k}`` in percent,
            ``..._median_rank``, the same of ``{gallery}/chance``, and
            ``{gallery}/queries``.

        Raises:
            ValueError: If no clip has a distractor, or a vector is not
                finite.
        """
        if self.max_clips is not None and len(results) > self.max_clips:
            kept = torch.linspace(0, len(results) - 1, self.max_clips)
            results = [results[i] for i in kept.round().long().tolist()]
        sounds, frames, recordings, starts = zip(*results)
        # In double precision similarities are good to more than _DECIMALS.
        sounds = torch.stack(sounds).double()
        frames = torch.stack(frames).double()
        for vectors, name in ((sounds, 'sounds'), (frames, 'frames')):
            broken = int((~vectors.isfinite()).any(1).sum())
            if broken:
                raise ValueError(
                    f'The vectors of {broken} of {len(vectors)} {name} are '
                    'not finite, so they cannot be ranked: check the '
                    'checkpoint, or evaluate in float32.')
        recordings, starts = torch.tensor(recordings), torch.tensor(starts)
        metrics = {}
        for gallery in self.galleries:
            ways = {}
            for way, pair in (('sound-to-frame', (sounds, frames)),
                              ('frame-to-sound', (frames, sounds))):
                better, equal, size = self._compare(gallery, *pair, recordings,
                                                    starts)
                ways[way] = self._figures(better, equal)
            chance = self._figures(torch.zeros_like(size), size - 1)
            for way, figures in dict(ways, chance=chance).items():
                for name, value in figures.items():
                    metrics[f'{gallery}/{way}_{name}'] = value
            metrics[f'{gallery}/queries'] = len(size)
        return metrics

    def _compare(self, gallery: str, queries: Tensor, targets: Tensor,
                 recordings: Tensor,
                 starts: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Count, per query, the better and the equal distractors.

        Returns:
            tuple[Tensor]: Those, and the size of the gallery with the
            partner in it; of the queries that have a distractor.
        """
        middle = _middle_clips(recordings, starts)
        counts = []
        for rows in torch.arange(len(queries)).split(_CHUNK):
            same = recordings[rows, None] == recordings
            near = (starts[rows, None] - starts).abs() < self.min_gap
            allowed = ~(same & near)
            if gallery == 'recordings':
                allowed = middle & ~same
            elif gallery == 'recording':
                allowed &= same
            allowed[torch.arange(len(rows)), rows] = False
            scores = (queries[rows] @ targets.t()).round(decimals=_DECIMALS)
            own = scores[torch.arange(len(rows)), rows, None]
            counts.append(
                torch.stack([((scores > own) & allowed).sum(1),
                             ((scores == own) & allowed).sum(1),
                             allowed.sum(1) + 1]))
        better, equal, size = torch.cat(counts, 1)
        asked = size > 1
        if not asked.any():
            raise ValueError(
                f'The gallery "{gallery}" of RetrievalRecall has no clip '
                'besides the one looked for; leave it out of galleries, '
                'lower min_gap, or give more clips.')
        return better[asked], equal[asked], size[asked]

    def _figures(self, better: Tensor, equal: Tensor) -> Dict[str, float]:
        """Recalls and median rank, ties drawn."""
        figures = {}
        for k in self.topk:
            # Of equal + 1 places, those up to the k-th count.
            hit = ((k - better).double() / (equal + 1)).clamp(0, 1)
            figures[f'R@{k}'] = 100 * hit.mean().item()
        figures['median_rank'] = _median_of_drawn(better, equal)
        return figures


def _middle_clips(recordings: Tensor, starts: Tensor) -> Tensor:
    """Mark one clip per recording, the one in the middle: (N,) bool."""
    middle = torch.zeros(len(starts), dtype=torch.bool)
    for recording in recordings.unique():
        rows = (recordings == recording).nonzero()[:, 0]
        order = starts[rows].argsort(stable=True)
        middle[rows[order[len(rows) // 2]]] = True
    return middle


def _median_of_drawn(better: Tensor, equal: Tensor) -> float:
    """Median of ranks drawn from those behind the better, one per query."""
    # Chances of each rank, as steps up at the first and down after the last.
    steps = torch.zeros(int((better + equal).max()) + 2, dtype=torch.double)
    share = 1 / (equal + 1).double() / len(better)
    steps.index_add_(0, better, share)
    steps.index_add_(0, better + equal + 1, -share)
    below = steps.cumsum(0).cumsum(0)
    low = int((below >= 0.5 - 1e-9).nonzero()[0]) + 1
    high = int((below > 0.5 + 1e-9).nonzero()[0]) + 1
    return (low + high) / 2
