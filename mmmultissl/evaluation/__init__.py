# Copyright (c) mmmultissl contributors. All rights reserved.
from mmmultissl.evaluation import knn, svm, voc07

__all__ = ['knn', 'svm', 'voc07']
