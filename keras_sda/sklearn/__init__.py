"""Stacked denoising autoencoders and ladder networks as scikit-learn estimators.

Those of a network take raw features, dense or sparse, scale them themselves, and learn from every
row they are given: four pretrain on all of them first, `LadderClassifier` learns from rows with and
without a label at once. `CodeSpreading` spreads labels over rows, or over the codes of a network.
This module is loaded on first use: `import keras_sda` alone does not import scikit-learn.
"""

from keras_sda.sklearn.classifier import SDAClassifier
from keras_sda.sklearn.imputer import SDAImputer
from keras_sda.sklearn.ladder_classifier import LadderClassifier
from keras_sda.sklearn.outlier_detector import SDAOutlierDetector
from keras_sda.sklearn.regressor import SDARegressor
from keras_sda.sklearn.spreading import CodeSpreading
from keras_sda.sklearn.transformer import SDATransformer

_WEIGHT_REASON = (
    "Training uses mini-batches of shuffled rows: a row that occurs twice falls into other batches "
    "and gets other noise than one row of weight 2."
)
_ROUNDING_REASON = (
    "Networks compute in float32: on some processors the last digit of a row's output depends on "
    "the rows beside it, and the check wants the digits of float64."
)
_WEIGHTS = {
    "check_sample_weight_equivalence_on_dense_data": _WEIGHT_REASON,
    "check_sample_weight_equivalence_on_sparse_data": _WEIGHT_REASON,
}
_ROUNDING = {
    "check_methods_sample_order_invariance": _ROUNDING_REASON,
    "check_methods_subset_invariance": _ROUNDING_REASON,
}

# For `sklearn.utils.estimator_checks.check_estimator(expected_failed_checks=...)`.
EXPECTED_FAILED_CHECKS: dict[str, dict[str, str]] = {
    "SDAClassifier": {**_WEIGHTS, **_ROUNDING},
    "SDARegressor": {**_WEIGHTS, **_ROUNDING},
    "LadderClassifier": {**_WEIGHTS, **_ROUNDING},
    "SDATransformer": {**_ROUNDING},
    "SDAOutlierDetector": {**_ROUNDING},
    "SDAImputer": {**_ROUNDING},
    "CodeSpreading": {},
}

__all__ = [
    "EXPECTED_FAILED_CHECKS",
    "CodeSpreading",
    "LadderClassifier",
    "SDAClassifier",
    "SDAImputer",
    "SDAOutlierDetector",
    "SDARegressor",
    "SDATransformer",
]
