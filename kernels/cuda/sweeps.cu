// Sweeps over vectors with a number per row, which do not read X; each would be a dozen kernels in array
// code.
//
// Results of a block are written out to be combined in order on the host: no atomics, the same bits on every
// run.

#include "common.cuh"
#include "blocks.cuh"
#include "pointwise.cuh"

// The product, rounded without being fused into an addition: draws of rows compare numbers that have to be
// the same on every backend.
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

// The sum of the masses, and the number of positive ones.
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

// Whether a row passes the bar by its hash, which is that of logreg_accel/backends/drawing.py.
template <class Real>
struct Draw {
    Real scale, even;
    float bar;
    unsigned before, after;

    __device__ bool passes(Real mass, unsigned number) const {
        unsigned x = number ^ before;
        x ^= x >> 16;
        x *= 0x7feb352du;
        x ^= x >> 15;
        x *= 0x846ca68bu;
        x ^= x >> 16;
        x ^= after;
        const float u = (float(x) + 1.0f) * 0x1p-32f;
        return mass > Real(0) && rounded_product(mass, scale) + even > Real(rounded_product(u, bar));
    }
};

// The two kernels below find the rows that pass. A block has adjacent rows, so that those that pass are
// written in order. block_sums: null, or those of mass_total with the same number of blocks; `scale` is then
// divided by their total and `even` by the number of positive masses, without a wait for either. numbers: the
// numbers of the rows, or null if they are counted from 0.

// The totals of the block sums of mass_total, added up in every block in the same order; ones without them.
struct Total {
    double mass, count;

    __device__ explicit Total(const double* block_sums) : mass(of(block_sums, 0)), count(of(block_sums, 1)) {}

    __device__ static double of(const double* block_sums, int which) {
        if (!block_sums) return 1.0;
        double own = 0.0;
        for (unsigned block = threadIdx.x; block < gridDim.x; block += kThreads)
            own += block_sums[2 * block + which];
        return added_by_block(own);
    }

    template <class Real>
    __device__ Draw<Real> draw(double scale, double even, float bar, unsigned before, unsigned after) const {
        return {Real(scale / mass), Real(even / count), bar, before, after};
    }
};

// The number of rows of each block that pass.
template <class Real>
__global__ void mass_passing(const Real* mass, const unsigned* numbers, const double* block_sums,
                             double scale, double even, float bar, unsigned before, unsigned after,
                             long long m, long long block_rows, double* block_counts) {
    const auto draw = Total(block_sums).draw<Real>(scale, even, bar, before, after);
    const long long begin = blockIdx.x * block_rows, end = begin + block_rows < m ? begin + block_rows : m;
    double count[1] = {};
    for (long long i = begin + threadIdx.x; i < end; i += kThreads)
        count[0] += draw.passes(mass[i], numbers ? numbers[i] : unsigned(i)) ? 1.0 : 0.0;
    block_sum(count, block_counts);
}

// The first `room` of them with their masses and, unless `codes` is null, their codes; told: the sum of all
// masses, the number of rows with positive mass, and the number that pass.
template <class Real>
__global__ void mass_taken(const Real* mass, const unsigned* numbers, const double* block_sums,
                           double scale, double even, float bar, unsigned before, unsigned after, long long m,
                           long long block_rows, const double* block_counts, const unsigned char* codes,
                           long long room, double* told, long long* rows, Real* masses,
                           unsigned char* codes_taken) {
    constexpr int kOwn = 4;  // neighbouring rows of a thread
    const Total total(block_sums);
    const auto draw = total.draw<Real>(scale, even, bar, before, after);
    double earlier = 0.0;
    for (unsigned block = threadIdx.x; block < blockIdx.x; block += kThreads) earlier += block_counts[block];
    long long place = (long long)added_by_block(earlier);

    const long long begin = blockIdx.x * block_rows, end = begin + block_rows < m ? begin + block_rows : m;
    for (long long base = begin; base < end; base += kOwn * kThreads) {
        const long long first = base + threadIdx.x * kOwn;
        bool passes[kOwn];
        unsigned own = 0, all;
#pragma unroll
        for (int j = 0; j < kOwn; ++j) {
            const long long i = first + j;
            passes[j] = i < end && draw.passes(mass[i], numbers ? numbers[i] : unsigned(i));
            own += passes[j] ? 1 : 0;
        }
        long long at = place + before_in_block(own, all);
#pragma unroll
        for (int j = 0; j < kOwn; ++j) {
            if (!passes[j]) continue;
            if (at < room) {
                rows[at] = first + j, masses[at] = mass[first + j];
                if (codes) codes_taken[at] = codes[first + j];
            }
            ++at;
        }
        place += all;
    }
    if (blockIdx.x == gridDim.x - 1 && threadIdx.x == 0)
        told[0] = total.mass, told[1] = total.count, told[2] = double(place);
}

// Curvatures times weights, and times u unless that is null.
template <class Real>
__global__ void logistic_curvatures(const Real* z, const Real* s, const Real* u, long long m, Real* out) {
    const long long stride = (long long)gridDim.x * kThreads;
    for (long long i = (long long)blockIdx.x * kThreads + threadIdx.x; i < m; i += stride) {
        Real c = logistic_curvature(z[i]);
        if (s) c *= s[i];
        out[i] = u ? c * u[i] : c;
    }
}

// How far the loss of a row lies above its tangent at another margin, times its weight.
template <class Real>
__device__ inline double above_tangent(Real start, Real end, bool positive, Real weight) {
    const Logistic<Real> there(start, positive), here(end, positive);
    return double(weight * ((there.loss - here.loss) - here.residual * (start - end)));
}

// How margins changed: the largest change, minus the least and the largest change in favour of the row's own
// class, and how far losses lie above their tangents. See `margin_change` in
// logreg_accel/backends/generic.py.
template <class Real>
__global__ void logistic_change(const Real* start, const Real* end, const unsigned char* y, const Real* s,
                                Real far, long long m, double* block_results) {
    const long long stride = (long long)gridDim.x * kThreads;
    constexpr double kLeast = -1.7976931348623157e308;
    double largest[3] = {kLeast, kLeast, kLeast}, above = 0.0;
    for (long long i = (long long)blockIdx.x * kThreads + threadIdx.x; i < m; i += stride) {
        const Real side = y[i] != 0 ? Real(1) : Real(-1);
        const Real lead_before = side * start[i], lead_after = side * end[i];
        const Real before = lead_before > far ? far : lead_before;
        const Real after = lead_after > far ? far : lead_after;
        const Real weight = s ? s[i] : Real(1);
        const bool counts = weight > Real(0);
        const Real gained = (after < -far ? -far : after) - (before < -far ? -far : before);
        largest[0] = Larger{}(largest[0], double(fabs(end[i] - start[i])));
        largest[1] = Larger{}(largest[1], counts ? double(before - after) : 0.0);
        largest[2] = Larger{}(largest[2], counts && before < far ? double(gained) : 0.0);
        above += above_tangent(start[i], end[i], y[i] != 0, weight);
    }
    double* own = block_results + blockIdx.x * 4;
    for (int i = 0; i < 3; ++i) {
        const double most = joined_by_block(largest[i], Larger{});
        if (threadIdx.x == 0) own[i] = most;
    }
    const double total = added_by_block(above);
    if (threadIdx.x == 0) own[3] = total;
}

// How far the losses at some margins lie above their tangents at others, row by row, since sums of losses
// would cancel.
template <class Real>
__global__ void logistic_above(const Real* start, const Real* end, const unsigned char* y, const Real* s,
                               long long m, double* block_sums) {
    const long long stride = (long long)gridDim.x * kThreads;
    double sums[1] = {};
    for (long long i = (long long)blockIdx.x * kThreads + threadIdx.x; i < m; i += stride)
        sums[0] += above_tangent(start[i], end[i], y[i] != 0, s ? s[i] : Real(1));
    block_sum(sums, block_sums);
}
