// Passes over margins, which read no X: between two matrix products, and along a line.
//
// Losses and sums are added in double: each thread its rows in order, each block a tree of fixed shape, and
// block sums go out to be added in order. No atomics: the same bits on every run.

#include "common.cuh"
#include "blocks.cuh"
#include "pointwise.cuh"

// sigma, the error and the loss of all margins, each read once: as array code, a dozen kernels over vectors
// of m. What stands between cuBLAS's two products where dense.cu has no kernel.
template <class Real>
__global__ void logistic_residual(const Real* z, const unsigned char* y, const Real* s, long long m,
                                  Real* residual, double* block_losses) {
    const long long stride = (long long)gridDim.x * kThreads;
    double loss[1] = {};
    for (long long i = (long long)blockIdx.x * kThreads + threadIdx.x; i < m; i += stride) {
        const Logistic<Real> line(z[i], y[i] != 0);
        const Real weight = s ? s[i] : Real(1);
        residual[i] = weight * line.residual;
        loss[0] += double(weight * line.loss);
    }
    block_sum(loss, block_losses);
}

// The two derivatives in t of the loss at the margins z0 + t * (z1 - z0), summed.
template <class Real>
__global__ void logistic_line(const Real* z0, const Real* z1, const unsigned char* y, const Real* s, Real t,
                              long long m, double* block_sums) {
    const long long stride = (long long)gridDim.x * kThreads;
    double sums[2] = {};
    for (long long i = (long long)blockIdx.x * kThreads + threadIdx.x; i < m; i += stride) {
        const Real d = z1[i] - z0[i], z = z0[i] + t * d;
        const Logistic<Real> line(z, y[i] != 0);
        const Real weight = s ? s[i] : Real(1);
        sums[0] += double(weight * line.residual * d);
        sums[1] += double(weight * logistic_curvature(z) * d * d);
    }
    block_sum(sums, block_sums);
}
