# Copyright (c) mmmultissl contributors. All rights reserved.
"""The reference: one fit by scikit-learn's liblinear after another."""
import warnings

import numpy as np

from .protocol import SVMProtocol


class Liblinear:
    """Fit and count the fits that did not converge.

    Args:
        protocol (SVMProtocol): Loss, class weights, tolerance, iterations.
    """

    def __init__(self, protocol: SVMProtocol) -> None:
        self.protocol = protocol
        self.unconverged = 0

    def __call__(self, features: np.ndarray, sign: np.ndarray,
                 cost: float) -> np.ndarray:
        """Fit one classifier.

        Args:
            features (np.ndarray): Without the column of ones, which liblinear
                adds itself, (N, D).
            sign (np.ndarray): +1 or -1, (N, ).
            cost (float): The cost.

        Returns:
            np.ndarray: Weights and the intercept, (D + 1, ).
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.svm import LinearSVC
        protocol = self.protocol
        common = dict(
            C=cost,
            class_weight={
                1: protocol.positive_weight,
                -1: protocol.negative_weight
            },
            intercept_scaling=1.,
            tol=protocol.tol,
            max_iter=protocol.max_iter,
            random_state=0)
        if protocol.loss == 'logistic':
            peer = LogisticRegression(solver='liblinear', **common)
        else:
            peer = LinearSVC(dual=True, **common)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            peer.fit(features, sign)
        self.unconverged += any(
            issubclass(w.category, ConvergenceWarning) for w in caught)
        return np.append(peer.coef_[0], peer.intercept_[0])
