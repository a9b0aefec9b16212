// Passes over margins, which do not read X: between two matrix products, along a line, and for predictions.
// The latter take margins whose rows and columns have the strides `row` and `column`.
//
// Losses and sums are added in double: each thread adds its rows in order, each block in a tree of fixed
// shape, and block sums are written out to be added in order. No atomics: the same bits on every run.

#include "common.cuh"
#include "blocks.cuh"
#include "pointwise.cuh"

// The residuals and losses of all margins, each read once, between cuBLAS's two products where dense.cu has
// no kernel. In array code they would be a dozen kernels over vectors of m.
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

// Whether any margin is NaN or infinite; `found`, initially zero, is not written if all are finite.
template <class Real>
__global__ void nonfinite(const Real* z, long long row, long long column, long long m, int outputs,
                          int* found) {
    for (long long i = first_of_grid(); i < m; i += threads_of_grid())
        for (int c = 0; c < outputs; ++c) {
            const Real x = z[i * row + c * column];
            if (x - x != Real(0)) *found = 1;
        }
}

// The class of the (first) largest margin; for a single margin, whether it is positive.
template <class Real, class Code>
__global__ void likeliest(const Real* z, long long row, long long column, long long m, int outputs,
                          Code* codes) {
    for (long long i = first_of_grid(); i < m; i += threads_of_grid()) {
        Real most = outputs == 1 ? Real(0) : z[i * row];
        int best = 0;
        for (int c = outputs > 1; c < outputs; ++c) {
            const Real x = z[i * row + c * column];
            if (x > most) {
                most = x;
                best = outputs == 1 ? 1 : c;
            }
        }
        codes[i] = Code(best);
    }
}

// Probabilities of two classes, or their logarithms, from the margins of one output.
template <class Real>
__global__ void logistic_probabilities(const Real* z, long long row, long long m, bool logarithms,
                                       Real* out) {
    for (long long i = first_of_grid(); i < m; i += threads_of_grid()) {
        const Real x = z[i * row], size = x < Real(0) ? -x : x, t = exp(-size);
        Real likely = Real(1) / (Real(1) + t), unlikely = t / (Real(1) + t);
        if (logarithms) {
            likely = -log1p(t);
            unlikely = likely - size;
        }
        out[2 * i] = x > Real(0) ? unlikely : likely;
        out[2 * i + 1] = x > Real(0) ? likely : unlikely;
    }
}
