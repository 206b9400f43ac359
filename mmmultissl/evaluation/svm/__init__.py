# Copyright (c) mmmultissl contributors. All rights reserved.
from mmmultissl.evaluation.svm.average_precision import (average_precision,
                                                         average_precisions)
from mmmultissl.evaluation.svm.features import (FrozenEncoder,
                                                extract_features,
                                                extract_stages, pool_features)
from mmmultissl.evaluation.svm.full import evaluate_svm
from mmmultissl.evaluation.svm.low_shot import (LowShotProtocol, draw_low_shot,
                                                evaluate_low_shot)
from mmmultissl.evaluation.svm.protocol import (MMSELFSUP_COSTS, VISSL_COSTS,
                                                SVMProtocol, normalize,
                                                prepare, stratified_folds)
from mmmultissl.evaluation.svm.solver import (BatchedLinear, logistic,
                                              squared_hinge)
from mmmultissl.evaluation.svm.subset_solver import SubsetSVC
from mmmultissl.evaluation.svm.voc_lists import (VOCLists, check_voc_root,
                                                 read_voc_lists)

__all__ = [
    'BatchedLinear', 'FrozenEncoder', 'LowShotProtocol', 'MMSELFSUP_COSTS',
    'SVMProtocol', 'SubsetSVC', 'VISSL_COSTS', 'VOCLists',
    'average_precision', 'average_precisions', 'check_voc_root',
    'draw_low_shot', 'evaluate_low_shot', 'evaluate_svm', 'extract_features',
    'extract_stages', 'logistic', 'normalize', 'pool_features', 'prepare',
    'read_voc_lists', 'squared_hinge', 'stratified_folds'
]
