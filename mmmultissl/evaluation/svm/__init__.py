# Copyright (c) mmmultissl contributors. All rights reserved.
from mmmultissl.evaluation.svm.average_precision import average_precision
from mmmultissl.evaluation.svm.evaluate import evaluate_voc07
from mmmultissl.evaluation.svm.features import extract_features, pool_features
from mmmultissl.evaluation.svm.protocol import (MMSELFSUP_COSTS, SVMProtocol,
                                                evaluate_svm, normalize,
                                                stratified_folds)
from mmmultissl.evaluation.svm.solver import BatchedLinearSVC
from mmmultissl.evaluation.svm.voc_lists import (VOCLists, check_voc_root,
                                                 read_voc_lists)

__all__ = [
    'BatchedLinearSVC', 'MMSELFSUP_COSTS', 'SVMProtocol', 'VOCLists',
    'average_precision', 'check_voc_root', 'evaluate_svm', 'evaluate_voc07',
    'extract_features', 'normalize', 'pool_features', 'read_voc_lists',
    'stratified_folds'
]
