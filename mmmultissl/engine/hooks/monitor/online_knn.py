# Copyright (c) mmmultissl contributors. All rights reserved.
"""Nearest neighbours on a labelled probe set while a model trains."""
from typing import Optional, Sequence

import torch

from mmmultissl.models.selfsup import MultiSSL

from .measurement import Measurement, Numbers
from .probe import Probe


class OnlineKNN(Measurement):
    """Scores the trunk by the nearest neighbours of labelled images.

    The labels are never used for training, and the training is not touched.
    The first process computes; the statistics of batch norm are its own, as
    in the checkpoint.

    Args:
        dataset (dict): Config of the dataset, see :class:`Probe`.
        test_dataset (dict, optional): Config of what is judged.
            Defaults to None: see :class:`Probe`.
        interval (int): Iterations between two measurements.
            Defaults to 1000.
        neighbours (int): Neighbours that vote. Defaults to 20.
        temperature (float): Temperature of their weights. Defaults to 0.07.
        max_images (int): Most images that vote, and most that are judged.
            Defaults to 500.
        batch_size (int): Images at once. Defaults to 64.
        num_workers (int): Processes that read the images, once at the start.
            Defaults to 2.
        view (str): What is encoded where samples have several views, as
            ``BinauralClips``' do. Defaults to 'clip'.
    """

    steps_seen = 0

    def __init__(self,
                 dataset: dict,
                 test_dataset: Optional[dict] = None,
                 interval: int = 1000,
                 neighbours: int = 20,
                 temperature: float = 0.07,
                 max_images: int = 500,
                 batch_size: int = 64,
                 num_workers: int = 2,
                 view: str = 'clip') -> None:
        from mmmultissl.evaluation.knn import KNNProtocol
        super().__init__(interval)
        self.protocol = KNNProtocol((neighbours, ), temperature)
        self._probe_args = (dataset, test_dataset, max_images, batch_size,
                            num_workers, view)
        self.probe: Optional[Probe] = None

    def before_train(self, runner, model: MultiSSL) -> None:
        """Read the images.

        Args:
            runner (Runner): Not used.
            model (MultiSSL): Not used.

        Raises:
            ValueError: If there are fewer images than neighbours.
        """
        self.probe = Probe(*self._probe_args)
        votes = len(self.probe.labels[0])
        if votes < self.protocol.neighbours[0]:
            raise ValueError(
                f'knn of MonitorHook asks for {self.protocol.neighbours[0]} '
                f'neighbours, but only {votes} images vote: set '
                'knn.neighbours lower or give more images.')

    def measure(self, model: MultiSSL, iteration: int) -> Numbers:
        """Encode the probe set and score it.

        Args:
            model (MultiSSL): The model.
            iteration (int): Not used.

        Returns:
            dict[str, float]: ``knn/accuracy`` (one class per image) or
            ``knn/mAP`` (several), 0 to 100.
        """
        bank, judged = self.probe.encode(model)
        if not (torch.isfinite(bank).all() and torch.isfinite(judged).all()):
            return {}
        return score(bank, self.probe.labels[0], judged, self.probe.labels[1],
                     self.protocol, self.probe.single)


def score(train_features, train_labels, test_features, test_labels, protocol,
          single: bool) -> Numbers:
    """Score features by their nearest neighbours.

    Args:
        train_features (Tensor): Of the images that vote, ``(N, C)``.
        train_labels (np.ndarray): 1, -1 or 0 (difficult), (N, classes).
        test_features (Tensor): Of the images to judge, ``(M, C)``.
        test_labels (np.ndarray): The same labels, (M, classes).
        protocol (KNNProtocol): Every choice.
        single (bool): Whether every image has just one class.

    Returns:
        dict[str, float]: ``knn/accuracy``, of the class with the largest
        share of the weight, or ``knn/mAP``; 0 to 100.
    """
    from mmmultissl.evaluation.knn import evaluate_knn, knn_scores
    if not single:
        names: Sequence[str] = [str(c) for c in range(train_labels.shape[1])]
        return {
            'knn/mAP':
            evaluate_knn(train_features, train_labels, test_features,
                         test_labels, names, protocol)['mAP']
        }
    shares = knn_scores(train_features, train_labels, test_features,
                        protocol)[protocol.neighbours[0]]
    right = torch.from_numpy(test_labels).to(shares.device).argmax(1)
    return {
        'knn/accuracy':
        100 * float((shares.argmax(1) == right).double().mean())
    }
