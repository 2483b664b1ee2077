"""The probes as scikit-learn estimators, for use without a run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from layeratlas.core import registry
from layeratlas.core.arrays import Floats
from layeratlas.probes._dual import fitted_weights, label_columns


class _LinearProbe(BaseEstimator):  # type: ignore[misc]
    """Standardise, solve in the dual and store the weights in the units of the input."""

    def __init__(self, method: str = "ridge") -> None:
        self.method = method

    def _fit(self, x: Floats, y: Floats) -> None:
        weights = fitted_weights(registry.get("probes", self.method), x, y)
        self.coef_, self.intercept_ = weights.coef, weights.intercept

    def _scores(self, X: ArrayLike) -> Floats:
        check_is_fitted(self)
        x = validate_data(self, X, reset=False, dtype=np.float64)
        scores: Floats = x @ self.coef_.T + self.intercept_
        return scores


class LinearProbeClassifier(ClassifierMixin, _LinearProbe):  # type: ignore[misc]
    """A linear probe by name (`ridge`, `svm` or a plug-in) as a scikit-learn classifier.

    X: (n, d) numbers; y: (n,) class names. After `fit`: `classes_`, `coef_` (k, d) and `intercept_` (k,) in the
    units of X, with k = 1 for two classes and one row per class otherwise.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> LinearProbeClassifier:
        """Fit on all rows; raises ValueError if the labels have fewer than two classes."""
        x, labels = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"the labels have one class ({self.classes_[0]!r}); expected two or more")
        self._fit(x, label_columns(codes.astype(np.float64), len(self.classes_)))
        return self

    def decision_function(self, X: ArrayLike) -> Floats:
        """Return signed scores, (n,) for two classes and (n, k) otherwise."""
        scores = self._scores(X)
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the predicted class names, (n,)."""
        scores = self._scores(X)
        codes = (scores[:, 0] > 0).astype(int) if len(self.classes_) == 2 else scores.argmax(1)
        names: NDArray[Any] = self.classes_[codes]
        return names


class LinearProbeRegressor(RegressorMixin, _LinearProbe):  # type: ignore[misc]
    """A linear probe that predicts numbers (`ridge` or a plug-in) as a scikit-learn regressor."""

    def fit(self, X: ArrayLike, y: ArrayLike) -> LinearProbeRegressor:
        """Fit on every row. X: (n, d); y: (n,). Raises ValueError if the probe cannot predict numbers."""
        x, target = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        if not registry.get("probes", self.method).predicts_numbers:
            raise ValueError(f"the probe '{self.method}' predicts classes only; expected one such as 'ridge'")
        self._fit(x, np.asarray(target, dtype=np.float64)[:, None])
        return self

    def predict(self, X: ArrayLike) -> Floats:
        """Return predictions, (n,)."""
        return self._scores(X)[:, 0]
