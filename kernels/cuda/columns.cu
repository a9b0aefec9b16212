// A pass over a dense column-major X, in place, with one read of X.
//
//     A lane owns one of 32 adjacent rows, so that a warp loads 32 adjacent numbers of a column. All
//     numbers of a row stay in its lane, and no step of the loop adds up over lanes: the sums of a column's
//     lanes are added at the end of a slice. If there are few columns, a warp has all of them, and the
//     block's warps take turns with the rows (kShared false); more columns are divided among the warps,
//     which add up their products of the same rows through shared memory, with one barrier per step.
//
//     load columns -> products, column by column -> sum over warps -> pointwise formula
//     -> own sum += factor * number
//
// Slices, arguments and results of a block are those of dense.cu, except that `stride` is the distance of
// columns, in numbers.

#include "common.cuh"
#include "pointwise.cuh"

template <class Pass, class Storage, class Real, int kColumns, int kWarps, bool kShared>
__global__ void __launch_bounds__(32 * kWarps)
    columns(const Storage* __restrict__ X, long long stride, long long m, int n,
            const Real* __restrict__ weights, const unsigned char* __restrict__ y, const Real* __restrict__ s,
            int slice_rows, Real* __restrict__ margins, Real* __restrict__ sums,
            double* __restrict__ totals) {
    static_assert(Pass::kOutputs == 1, "of one output");
    constexpr int kDots = Pass::kDots, kStep = kShared ? 32 : 32 * kWarps;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const bool counts = !kShared || warp == 0;  // each row's value once
    auto column = [&](int c) { return kShared ? c * kWarps + warp : c; };

    const long long begin = (long long)blockIdx.x * slice_rows;
    const int end = m - begin < slice_rows ? int(m - begin) : slice_rows;

    Real sum[kColumns] = {};
    double value_total = 0.0, factor_total = 0.0;
    SHARED_ARRAY(Real, across, kShared ? 2 * kWarps * 32 * kDots : 1);
    int phase = 0;

    for (int base = kShared ? 0 : 32 * warp; base < end; base += kStep) {
        const long long i = begin + base + lane;
        const bool there = base + lane < end;
        Storage x[kColumns];
#pragma unroll
        for (int c = 0; c < kColumns; ++c)
            x[c] = there && column(c) < n ? X[column(c) * stride + i] : Storage{};
        bool positive = false;
        Real weight = Real(0);
        if (Pass::kSums && there) {
            positive = y[i] != 0;
            weight = s ? s[i] : Real(1);
        }

        Real z[kDots] = {};
#pragma unroll
        for (int c = 0; c < kColumns; ++c)
#pragma unroll
            for (int d = 0; d < kDots; ++d)
                if (column(c) < n) z[d] += Real(widen(x[c])) * weights[(long long)d * n + column(c)];
        if constexpr (kShared) {
            // two buffers in turn: a warp that writes the next step's sums meets no warp that still reads
            // this step's
            auto part = [&](int q, int d) -> Real& {
                return across[((phase * kWarps + q) * kDots + d) * 32 + lane];
            };
#pragma unroll
            for (int d = 0; d < kDots; ++d) part(warp, d) = z[d];
            __syncthreads();
#pragma unroll
            for (int d = 0; d < kDots; ++d) {
                z[d] = Real(0);
#pragma unroll
                for (int q = 0; q < kWarps; ++q) z[d] += part(q, d);
            }
            phase ^= 1;
        }
#pragma unroll
        for (int d = 0; d < kDots; ++d) z[d] += weights[(long long)kDots * n + d];
        if (margins && counts && there) margins[i] = z[0];

        if constexpr (Pass::kSums) {
            Real factor[1], value[1];
            Pass::row(z, positive, weight, factor, value);
            value_total += value[0];
            factor_total += factor[0];
#pragma unroll
            for (int c = 0; c < kColumns; ++c) {
                const Real number = widen(x[c]);
                sum[c] += (Pass::kSquares ? number * number : number) * factor[0];
            }
        }
    }
    if constexpr (!Pass::kSums) return;

    // The results of the block: sums over lanes, then over the warps that had rows of their own, in a fixed
    // order.
    Real* slice_sums = sums + (long long)blockIdx.x * n;
    SHARED_ARRAY(Real, warp_sums, kShared ? 1 : kWarps * kColumns);
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
        Real a = sum[c];
#pragma unroll
        for (int offset = 16; offset > 0; offset /= 2) a += __shfl_xor_sync(kAllLanes, a, offset);
        if (lane == 0 && !kShared) warp_sums[warp * kColumns + c] = a;
        if (lane == 0 && kShared && column(c) < n) slice_sums[column(c)] = a;
    }
    double value = counts ? value_total : 0.0, factors = counts ? factor_total : 0.0;
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) {
        value += __shfl_xor_sync(kAllLanes, value, offset);
        factors += __shfl_xor_sync(kAllLanes, factors, offset);
    }
    SHARED_ARRAY(double, warp_totals, 2 * kWarps);
    if (lane == 0) {
        warp_totals[2 * warp] = value;
        warp_totals[2 * warp + 1] = factors;
    }
    __syncthreads();
    if (!kShared && int(threadIdx.x) < n) {
        Real a = Real(0);
        for (int q = 0; q < kWarps; ++q) a += warp_sums[q * kColumns + threadIdx.x];
        slice_sums[threadIdx.x] = a;
    }
    if (threadIdx.x < 2) {
        double a = 0.0;
        for (int q = 0; q < kWarps; ++q) a += warp_totals[2 * q + threadIdx.x];
        totals[2 * (long long)blockIdx.x + threadIdx.x] = a;
    }
}
