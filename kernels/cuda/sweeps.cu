// Sweeps over vectors with a number a row, which read no X and would be a dozen kernels each as array code.
//
// Results of a block go out to be put together in order on the host: no atomics, the same bits on every run.

#include "common.cuh"
#include "blocks.cuh"
#include "pointwise.cuh"

// The product rounded by itself: who draws rows compares numbers that are the same on every backend.
__device__ inline float rounded_product(float x, float y) {
#ifdef __CUDACC_RTC__
    return __fmul_rn(x, y);
#else
    return x * y;
#endif
}
__device__ inline double rounded_product(double x, double y) {
#ifdef __CUDACC_RTC__
    return __dmul_rn(x, y);
#else
    return x * y;
#endif
}

// The sum of the masses, and how many are positive.
template <class Real>
__global__ void mass_total(const Real* mass, long long m, double* block_sums) {
    const long long stride = (long long)gridDim.x * kThreads;
    double sums[2] = {};
    for (long long i = (long long)blockIdx.x * kThreads + threadIdx.x; i < m; i += stride) {
        sums[0] += double(mass[i]);
        sums[1] += mass[i] > Real(0) ? 1.0 : 0.0;
    }
    block_sum(sums, block_sums);
}

// Which rows pass the bar by their hash: that of logreg_accel/backends/drawing.py. numbers: those of the
// rows, or null where they are counted from 0.
template <class Real>
__global__ void mass_above(const Real* mass, const unsigned* numbers, Real scale, Real even, float bar,
                           unsigned before, unsigned after, long long m, bool* passes) {
    const long long stride = (long long)gridDim.x * kThreads;
    for (long long i = (long long)blockIdx.x * kThreads + threadIdx.x; i < m; i += stride) {
        unsigned x = (numbers ? numbers[i] : unsigned(i)) ^ before;
        x ^= x >> 16;
        x *= 0x7feb352du;
        x ^= x >> 15;
        x *= 0x846ca68bu;
        x ^= x >> 16;
        x ^= after;
        const float u = (float(x) + 1.0f) * 0x1p-32f;
        passes[i] =
            mass[i] > Real(0) && rounded_product(mass[i], scale) + even > Real(rounded_product(u, bar));
    }
}

// Curvatures times weights, and times u where that is not null.
template <class Real>
__global__ void logistic_curvatures(const Real* z, const Real* s, const Real* u, long long m, Real* out) {
    const long long stride = (long long)gridDim.x * kThreads;
    for (long long i = (long long)blockIdx.x * kThreads + threadIdx.x; i < m; i += stride) {
        Real c = logistic_curvature(z[i]);
        if (s) c *= s[i];
        out[i] = u ? c * u[i] : c;
    }
}

// How margins changed: the largest change, less the least and the most in favour of the row's own class. See
// `margin_change` of logreg_accel/backends/generic.py.
template <class Real>
__global__ void logistic_change(const Real* start, const Real* end, const unsigned char* y, const Real* s,
                                Real far, long long m, double* block_largest) {
    const long long stride = (long long)gridDim.x * kThreads;
    constexpr double kLeast = -1.7976931348623157e308;
    double largest[3] = {kLeast, kLeast, kLeast};
    for (long long i = (long long)blockIdx.x * kThreads + threadIdx.x; i < m; i += stride) {
        const Real side = y[i] != 0 ? Real(1) : Real(-1);
        const Real lead_before = side * start[i], lead_after = side * end[i];
        const Real before = lead_before > far ? far : lead_before;
        const Real after = lead_after > far ? far : lead_after;
        const bool counts = !s || s[i] > Real(0);
        const Real gained = (after < -far ? -far : after) - (before < -far ? -far : before);
        largest[0] = larger(largest[0], double(fabs(end[i] - start[i])));
        largest[1] = larger(largest[1], counts ? double(before - after) : 0.0);
        largest[2] = larger(largest[2], counts && before < far ? double(gained) : 0.0);
    }
    block_joined(largest, block_largest, larger);
}

// How far the losses at some margins lie above their tangents at others, times weights: row by row, since
// sums of losses would cancel.
template <class Real>
__global__ void logistic_above(const Real* start, const Real* end, const unsigned char* y, const Real* s,
                               long long m, double* block_sums) {
    const long long stride = (long long)gridDim.x * kThreads;
    double sums[1] = {};
    for (long long i = (long long)blockIdx.x * kThreads + threadIdx.x; i < m; i += stride) {
        const Logistic<Real> there(start[i], y[i] != 0), here(end[i], y[i] != 0);
        const Real above = (there.loss - here.loss) - here.residual * (start[i] - end[i]);
        sums[0] += double(s ? s[i] * above : above);
    }
    block_sum(sums, block_sums);
}
