"""Replacements for scikit-learn's parameters that do not exist here, for messages."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

_Init = TypeVar("_Init", bound=Callable[..., Any])
_PARAMETERS = {
    "penalty": "here it is `l1_ratio` (0 for L2, 1 for L1), and C=np.inf for none",
    "n_jobs": "here it is `n_threads`",
    "dual": "here it is solver='dual'",
    "multi_class": "leave it out: more than two classes are always fitted by softmax",
    "intercept_scaling": "leave it out: the intercept is never penalised",
}


def with_hints(init: _Init) -> _Init:
    """Wrap an `__init__` such that errors about scikit-learn's parameters name their replacements."""

    @functools.wraps(init)
    def checked(self, *args, **parameters):
        for name in parameters.keys() & _PARAMETERS.keys():
            raise TypeError(f"{type(self).__name__} has no parameter {name!r}; {_PARAMETERS[name]}.")
        init(self, *args, **parameters)

    return cast(_Init, checked)
