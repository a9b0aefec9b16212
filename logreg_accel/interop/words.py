"""Names of scikit-learn's parameters that are different here, for messages."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

_Init = TypeVar("_Init", bound=Callable[..., Any])
_PARAMETERS = {
    "penalty": "`l1_ratio` (0 for L2, 1 for L1), and C=np.inf for none",
    "n_jobs": "`n_threads`",
    "dual": "solver='dual'",
    "multi_class": "nothing: more than two classes are softmax",
    "intercept_scaling": "nothing: the intercept bears no penalty",
}


def with_hints(init: _Init) -> _Init:
    """An `__init__` that says of scikit-learn's parameters what they are called here."""

    @functools.wraps(init)
    def checked(self, *args, **parameters):
        for name in parameters.keys() & _PARAMETERS.keys():
            raise TypeError(
                f"{type(self).__name__} has no parameter {name!r}; here it is {_PARAMETERS[name]}."
            )
        init(self, *args, **parameters)

    return cast(_Init, checked)
