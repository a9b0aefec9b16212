"""The ways to do an evaluation, each a function Problem -> Contestant."""

import functools
from unittest import mock

import cupy
import numpy as np
from gpu_data import draw_labels, draw_weights
from gpu_timing import Contestant

from logreg_accel.backends import passes
from logreg_accel.backends.cupy import CupyBackend, dense, synchronize
from logreg_accel.backends.cupy.workspace import Workspace
from logreg_accel.data import Block, as_matrix
from logreg_accel.losses import Logistic


class Problem:
    """X and y on the device, W and V (n + 1, outputs) on the host; the block is X and y for our backend."""

    def __init__(self, X, outputs=1):
        self.X, self.y, self.backend = X, draw_labels(X), CupyBackend()
        self.W, self.V = (
            draw_weights(X.dtype, X.shape[1], scale, seed, outputs) for scale, seed in ((0.7, 1), (1.0, 2))
        )
        self.block = self.backend.upload(Block(as_matrix(X), self.y))
        self.real = np.float64 if X.dtype == np.float64 else np.float32  # of the arithmetic


def our_launches(problem):
    """An evaluation of the problem, and the kernel launches that it made.

    A launch is (function, expression, grid, block, arguments). The workspace is a new one before and after,
    since its plans hold kernels.
    """
    real, launches, X = dense.kernel, [], problem.block.X

    def recording(file, expression):
        def launch(*arguments):
            launches.append((real(file, expression), expression, *arguments))
            real(file, expression)(*arguments)

        return launch

    X.workspace = Workspace()
    with mock.patch.object(dense, "kernel", recording):
        result = our_gradient(problem).run()
    X.workspace = Workspace()
    return result, launches


def our_gradient(p):
    return Contestant(
        lambda: p.backend.run(passes.LossGradient(p.W, Logistic()), p.block), lambda r: (r.value, r.gradient)
    )


def our_kernel(p):
    """The one that reads X, alone, with its arguments in place."""
    _, launches = our_launches(p)
    kernel, _, *launch = launches[0]
    return Contestant(lambda: kernel(*launch))


def our_product(p):
    return Contestant(
        lambda: p.backend.run(passes.HessianVector(p.W, p.V, Logistic()), p.block),
        lambda r: (None, r),
        checks="hessian_vector",
    )


def generic_body(tile_bytes, p):
    """The tiled generic body: cuBLAS on a tile."""
    backend = CupyBackend()
    backend.tile_bytes = tile_bytes
    return Contestant(
        lambda: backend.generic(passes.LossGradient(p.W, Logistic()), p.block),
        lambda r: (r.value, r.gradient),
    )


def _answer(to_host):
    """Of a result Σℓ, gradient of w, gradient of b."""

    def answer(result):
        value, gradient, intercept = (to_host(a) for a in result)
        return np.asarray(value, dtype=np.float64), np.append(gradient, intercept)

    return answer


def two_products(p):
    """X @ w, the formulas in array code and X.T @ r, each over all of X; narrow types are widened first."""
    w, b = (cupy.asarray(part.astype(p.real)) for part in (p.W[:-1], p.W[-1]))
    loss = Logistic()

    def run():
        x = p.X.astype(p.real, copy=False)
        value, residual = loss.value_residual(x @ w + b, p.y)
        return value.sum(axis=0, dtype=np.float64), x.T @ residual, residual.sum(axis=0, dtype=np.float64)

    return Contestant(run, _answer(cupy.asnumpy))


def torch_function(which, real):
    """An evaluation as PyTorch's users write it: (X, y, w, b) -> Σℓ, gradient of w, gradient of b."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    softplus, cross_entropy = (
        torch.nn.functional.softplus,
        torch.nn.functional.binary_cross_entropy_with_logits,
    )

    def closed_form(X, y, w, b):
        x = X.to(real)
        z = x @ w + b
        r = torch.sigmoid(z) - y
        return (softplus(z) - y * z).sum(), x.T @ r, r.sum()

    def sums(X, y, w, b):  # no product: a compiler may fuse it, conversions included
        x = X.to(real)
        z = (x * w).sum(1) + b
        r = torch.sigmoid(z) - y
        return (softplus(z) - y * z).sum(), (x * r[:, None]).sum(0), r.sum()

    def autograd(X, y, w, b):
        w, b = w.detach().requires_grad_(), b.detach().requires_grad_()
        loss = cross_entropy(X.to(real) @ w + b, y, reduction="sum")
        return (loss.detach(), *torch.autograd.grad(loss, (w, b)))

    function = {"closed form": closed_form, "sums": sums, "autograd": autograd}[
        which.removeprefix("compiled ")
    ]
    if not which.startswith("compiled "):
        return function
    torch._dynamo.reset()
    return torch.compile(function, dynamic=False)


def torch_tensor(X):
    import torch

    if X.dtype.name == "bfloat16":
        return torch.from_dlpack(X.view(np.int16)).view(torch.bfloat16)  # the same bits, by a type both know
    return torch.from_dlpack(X)


def torch_contestant(which, p):
    import torch

    real = torch.float64 if p.real == np.float64 else torch.float32
    X, y, function = torch_tensor(p.X), torch_tensor(p.y).to(real), torch_function(which, real)
    w, b = (torch.tensor(a, dtype=real, device=X.device) for a in (p.W[:-1, 0], p.W[-1, 0]))
    return Contestant(
        lambda: function(X, y, w, b),
        _answer(lambda a: a.detach().double().cpu().numpy()),
        lambda result: torch.cuda.synchronize(),
    )


def jax_contestant(which, p):
    """As JAX's users write it: (X, y, w, b) -> Σℓ, gradient of w, gradient of b."""
    import jax
    import jax.dlpack
    import jax.numpy as jnp

    jax.config.update("jax_default_matmul_precision", "highest")  # float32, not TF32
    if p.real == np.float64:
        jax.config.update("jax_enable_x64", True)

    def value_and_grad(X, y, w, b):
        def total(w, b):
            z = X.astype(p.real) @ w + b
            return (jnp.logaddexp(0.0, z) - y * z).sum()

        value, gradients = jax.value_and_grad(total, argnums=(0, 1))(w, b)
        return value, *gradients

    def closed_form(X, y, w, b):
        x = X.astype(p.real)
        z = x @ w + b
        r = jax.nn.sigmoid(z) - y
        return (jnp.logaddexp(0.0, z) - y * z).sum(), r @ x, r.sum()

    synchronize()  # JAX has streams of its own
    X, y = jax.dlpack.from_dlpack(p.X), jax.dlpack.from_dlpack(p.y).astype(p.real)
    w, b = jnp.asarray(p.W[:-1, 0].astype(p.real)), jnp.asarray(p.real(p.W[-1, 0]))
    function = jax.jit({"value_and_grad": value_and_grad, "closed form": closed_form}[which])
    return Contestant(lambda: function(X, y, w, b), _answer(np.asarray), jax.block_until_ready)


OURS = {"ours": our_gradient, "our kernel": our_kernel, "ours: hessian_vector": our_product}
TILED = {
    "tiled: 32 MB": functools.partial(generic_body, 32 << 20),
    "tiled: 256 MB": functools.partial(generic_body, 256 << 20),
    "tiled: 1 GB": functools.partial(generic_body, 1 << 30),
}
QUICK = {
    "two products": two_products,
    **TILED,
    **{
        f"PyTorch: {which}": functools.partial(torch_contestant, which)
        for which in ("closed form", "autograd")
    },
}
COMPILED = {
    "PyTorch: compiled closed form": functools.partial(torch_contestant, "compiled closed form"),
    "JAX: value_and_grad": functools.partial(jax_contestant, "value_and_grad"),
    "PyTorch: compiled sums": functools.partial(torch_contestant, "compiled sums"),
    "JAX: closed form": functools.partial(jax_contestant, "closed form"),
}
