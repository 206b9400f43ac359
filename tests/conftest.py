# Copyright (c) mmmultissl contributors. All rights reserved.
"""Common set-up: every test starts from one seed and one thread count."""
import random

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    """Seed what a test may draw from."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
