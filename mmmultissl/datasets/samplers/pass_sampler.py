# Copyright (c) mmmultissl contributors. All rights reserved.
"""An endless stream of (index, pass) that can start anywhere."""
from typing import Iterator, Optional, Sized, Tuple

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmmultissl.registry import DATA_SAMPLERS
from mmmultissl.utils.seeding import permutation


@DATA_SAMPLERS.register_module()
class PassSampler(Sampler):
    """Pass after pass over a dataset, each in an order of its own.

    The passes are laid end to end in one global stream, and rank ``r`` of
    ``W`` takes every ``W``-th sample of it. Batches may straddle two passes,
    so no sample of a pass is dropped or doubled, whatever the batch size and
    the number of processes. The order of pass ``p`` is a function of
    ``(seed, p)``, so any position is reached by arithmetic and one
    permutation; nothing is iterated. Our choice, see docs/exact_resume.md.

    Args:
        dataset (Sized): The dataset.
        shuffle (bool): Whether to shuffle each pass. Defaults to True.
        seed (int, optional): The seed, the same on all ranks. None draws one
            that the ranks share. Defaults to None.

    Raises:
        ValueError: If the dataset is empty.
    """

    def __init__(self,
                 dataset: Sized,
                 shuffle: bool = True,
                 seed: Optional[int] = None) -> None:
        self.rank, self.world_size = get_dist_info()
        self.size = len(dataset)
        if self.size == 0:
            raise ValueError(
                f'The dataset {type(dataset).__name__} is empty; give it at '
                'least one sample.')
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.start = 0

    def _order(self, pass_index: int) -> np.ndarray:
        if self.shuffle:
            return permutation(self.seed, pass_index, self.size)
        return np.arange(self.size)

    def __iter__(self) -> Iterator[Tuple[int, int]]:
        """Iterate over the samples of this rank from the start position.

        Yields:
            tuple[int, int]: The index of the sample and its pass.
        """
        position = self.start * self.world_size + self.rank
        while True:
            pass_index, offset = divmod(position, self.size)
            order = self._order(pass_index)
            for index in order[offset::self.world_size]:
                yield int(index), pass_index
                position += self.world_size

    def skip(self, num_samples: int) -> None:
        """Let the next iteration start after this rank's first samples.

        Args:
            num_samples (int): How many samples of this rank's stream were
                used already, counted from its beginning.

        Raises:
            ValueError: If the number is negative.
        """
        if num_samples < 0:
            raise ValueError('The number of samples to skip must not be '
                             f'negative, but is {num_samples}.')
        self.start = num_samples

    def __len__(self) -> int:
        """Samples of one pass on one rank, rounded up."""
        return -(-self.size // self.world_size)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the stream counts its passes by itself.

        Args:
            epoch (int): Not used; mmengine hands it to every sampler.
        """
