// Transformed copies of rows: minus their centre, in the arithmetic of the pass, times the square roots of
// their curvatures.
//
//     kRoots   X~ = root * [X - 1c^T, 1], whose Gram matrix by cuBLAS is a Hessian: root is
//              sqrt(s * curvature) of one output, or a given number for each row
//     else     X~ = X - 1c^T, for the kernels of dense.cu
//
// A warp makes a row, so that the curvature of a row is computed by as many lanes as share its numbers, and
// loads are contiguous.

#include "common.cuh"
#include "blocks.cuh"
#include "pointwise.cuh"

// stride: distance of X's rows, in numbers. centre: n, or null; z: margins, or null if they are computed from
// the weights w, n and an intercept; s: weights of rows, or null; roots: the factors of the rows, or null if
// they are computed from z and s. columns: numbers of a row of out, zeros beyond those above.
template <class Storage, class Real, bool kRoots>
__global__ void made_rows(const Storage* X, long long stride, long long m, int n, const double* centre,
                          const Real* z, const Real* w, const Real* s, const Real* roots, int columns,
                          Real* out) {
    constexpr int kRowsAtOnce = kThreads / 32;
    const int lane = threadIdx.x % 32;
    const long long first = (long long)blockIdx.x * kRowsAtOnce + threadIdx.x / 32;
    for (long long i = first; i < m; i += (long long)gridDim.x * kRowsAtOnce) {
        auto number = [&](int j) {
            const Real x = Real(widen(X[i * stride + j]));
            return centre ? x - Real(centre[j]) : x;
        };
        Real root = roots ? roots[i] : Real(1);
        if (kRoots && !roots) {
            Real margin = Real(0);
            if (!z) {
                for (int j = lane; j < n; j += 32) margin += w[j] * number(j);
#pragma unroll
                for (int offset = 16; offset > 0; offset /= 2)
                    margin += __shfl_xor_sync(kAllLanes, margin, offset);
            }
            const Real curvature = logistic_curvature(z ? z[i] : margin + w[n]);
            root = sqrt(s ? s[i] * curvature : curvature);
        }
        for (int j = lane; j < columns; j += 32) {
            const Real x = j < n ? number(j) : kRoots && j == n ? Real(1) : Real(0);
            out[i * columns + j] = root * x;
        }
    }
}
