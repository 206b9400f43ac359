# Copyright (c) mmmultissl contributors. All rights reserved.
from mmmultissl.evaluation import svm

__all__ = ['svm']
