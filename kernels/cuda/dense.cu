// A pass over dense rows that reads each row from device memory once and uses it twice: for its products with
// the weights and, scaled by the result of the pointwise formula, for its contribution to the sum. In between
// the row stays in registers.
//
//     kLanes threads share a row: a power of two up to 32 inside a warp, or all 32 * kWarps threads of the
//     block. Each owns kPacks vectors of kVector columns: their weights, their part of the sum, their part of
//     the rows. kRows rows are processed at once: their loads are in flight together, and a sum over lanes is
//     cheaper for many rows than for one. With fewer than 32 lanes per row, a warp has 32 / kLanes adjacent
//     rows, so that its loads are contiguous.
//
//     load rows -> products, lane by lane -> sum over lanes; now a lane owns some rows' margins
//     -> pointwise formula, once per row -> every lane of a row gets its factor
//     -> own columns of the sum += factor * row
//
// A block processes one slice of rows. How rows are cut into slices depends on the shape of X alone
// (shapes.py). The sums of each slice are written out, and sum_slices adds them in order, in double: the same
// bits on every run, without atomics. Row numbers and offsets are 64-bit: 2.1M x 1024 is already past 2^31.

#include "common.cuh"
#include "pointwise.cuh"

// X: row-major, `stride` numbers from row to row; n columns are read: a multiple of kVector, zeros where X
// has none. weights: kDots rows of n, then kDots intercepts. s: row weights, or null for ones. margins:
// kOutputs rows of m, which a pass of kAt reads and another one writes unless it is null. sums: per slice,
// kOutputs rows of n. totals: per slice, kOutputs values and kOutputs sums of factors.
template <class Pass, class Storage, class Real, int kVector, int kPacks, int kRows, int kLanes, int kWarps,
          bool kHeld, int kResident>
__global__ void __launch_bounds__(32 * kWarps, kResident / (32 * kWarps))
    dense(const Storage* __restrict__ X, long long stride, long long m, int n,
          const Real* __restrict__ weights, const unsigned char* __restrict__ y, const Real* __restrict__ s,
          int slice_rows, Real* __restrict__ margins, Real* __restrict__ sums, double* __restrict__ totals) {
    constexpr int kOutputs = Pass::kOutputs, kDots = Pass::kDots;
    constexpr bool kWholeBlock = kLanes > 32;
    constexpr int kWarpLanes = kWholeBlock ? 32 : kLanes;          // lanes of a row within one warp
    constexpr int kSide = 32 / kWarpLanes;                         // rows side by side in a warp
    constexpr int kChunk = kRows * kSide;                          // rows of one step of a warp
    constexpr int kStep = kWholeBlock ? kChunk : kWarps * kChunk;  // rows of one step of the block
    // rows whose margins a lane ends up with, lanes that end up with the same row
    constexpr int kOwned = kRows > kWarpLanes ? kRows / kWarpLanes : 1;
    constexpr int kOwners = kRows > kWarpLanes ? 1 : kWarpLanes / kRows;
    static_assert(!kWholeBlock || kLanes == 32 * kWarps,
                  "a row is shared by a part of a warp or by the whole block");

    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int side = lane / kWarpLanes;
    const int first_pack = kWholeBlock ? threadIdx.x : lane % kWarpLanes;
    const int first_owned = kRows > kWarpLanes ? lane % kWarpLanes * kOwned : lane % kWarpLanes / kOwners;
    const bool counts = lane % kOwners == 0 && (!kWholeBlock || warp == 0);  // each row's value once

    // A thread's packs lie at distances known at compile time: left to itself, the compiler keeps the column
    // of some of them in a register, for which there is none in the largest kernels.
    constexpr int kApart = kLanes * kVector;
    const int first_column = first_pack * kVector;
    auto column = [&](int pack) { return pack * kApart + first_column; };
    auto weights_of = [&](int dot, int pack) {
        const int j = column(pack);
        Pack<Real, kVector> w{};
        if (j < n) w = load<Real, kVector>(weights + (long long)dot * n + j);
#pragma unroll
        for (int v = 0; v < kVector; ++v) w.v[v] = Units<Storage>::raised(w.v[v]);
        return w;
    };
    Real intercept[kDots];
    // else they come through the L1 cache, once for kRows rows
    Pack<Real, kVector> held[kHeld ? kDots : 1][kPacks];
#pragma unroll
    for (int d = 0; d < kDots; ++d) {
        intercept[d] = weights[(long long)kDots * n + d];
        if constexpr (kHeld) {
#pragma unroll
            for (int c = 0; c < kPacks; ++c) held[d][c] = weights_of(d, c);
        }
    }

    // this block's slice: from here on row numbers are its own, and fit an int
    const long long begin = (long long)blockIdx.x * slice_rows;
    const int end = m - begin < slice_rows ? int(m - begin) : slice_rows;
    const Storage* __restrict__ slice_X = X + begin * stride;

    struct Rows {
        Pack<Storage, kVector> x[kRows][kPacks];
        bool positive[kOwned];
        Real weight[kOwned];  // 0 beyond the last row
        Real at[Pass::kAt ? kOwned * kOutputs : 1];
    };
    auto fetch = [&](Rows& rows, int base) {
        if constexpr (Pass::kSums) {
#pragma unroll
            for (int o = 0; o < kOwned; ++o) {
                const int i = base + (first_owned + o) * kSide + side;
                rows.positive[o] = i < end && y[begin + i] != 0;
                rows.weight[o] = i < end ? (s ? s[begin + i] : Real(1)) : Real(0);
                if constexpr (Pass::kAt) {
#pragma unroll
                    for (int k = 0; k < kOutputs; ++k)
                        rows.at[o * kOutputs + k] = i < end ? margins[k * m + begin + i] : Real(0);
                }
            }
        }
        const Storage* row = slice_X + (base + side) * stride + first_column;
#pragma unroll
        for (int r = 0; r < kRows; ++r, row += kSide * stride)
#pragma unroll
            for (int c = 0; c < kPacks; ++c) {
                const bool there = base + r * kSide + side < end && column(c) < n;
                rows.x[r][c] = there ? load<Storage, kVector>(row + c * kApart) : Pack<Storage, kVector>{};
            }
    };

    // the unit of the sums (squares of numbers in units would be zero), and what is added up
    using Sum = typename Choose<Pass::kSquares, Units<Real>, Units<Storage>>::type;
    constexpr Real kSign = Pass::kSquares ? 1 : Pack<Storage, kVector>::kAgain;
    auto term = [](const Pack<Storage, kVector>& pack, int v) {
        if constexpr (Pass::kSquares && Units<Storage>::kTiny)
            return pack.number(v) * pack.number(v);
        else if constexpr (Pass::kSquares)
            return pack.again(v) * pack.again(v);
        else
            return pack.again(v);
    };
    // with many outputs there are no registers for doubles
    using Total = typename Choose<kOutputs == 1, double, Real>::type;
    Real sum[kOutputs][kPacks * kVector] = {};
    Total value_total[kOutputs] = {}, factor_total[kOutputs] = {};
    SHARED_ARRAY(Real, across, kWholeBlock ? 2 * kWarps * kRows * kDots : 1);
    int phase = 0;

    Rows rows;
    for (int base = kWholeBlock ? 0 : warp * kChunk; base < end; base += kStep) {
        fetch(rows, base);

        Real dots[kRows][kDots] = {};
#pragma unroll
        for (int c = 0; c < kPacks; ++c) {
            // otherwise the compiler loads all weights ahead, for which there are no registers
            if constexpr (!kHeld) keep_order();
#pragma unroll
            for (int d = 0; d < kDots; ++d) {
                Pack<Real, kVector> w;
                if constexpr (kHeld)
                    w = held[d][c];
                else
                    w = weights_of(d, c);
#pragma unroll
                for (int r = 0; r < kRows; ++r)
#pragma unroll
                    for (int v = 0; v < kVector; ++v)
                        dots[r][d] = Units<Storage>::multiply_add(rows.x[r][c].at(v), w.v[v], dots[r][d]);
            }
        }

        transposed_sum<kWarpLanes / 2, kRows>(dots, lane);
        if constexpr (kWholeBlock) {
            // two buffers in turn: a warp that writes the next step's sums meets no warp that still reads
            // this step's
            if (lane % kOwners == 0) {
#pragma unroll
                for (int d = 0; d < kDots; ++d)
                    across[((phase * kWarps + warp) * kRows + first_owned) * kDots + d] = dots[0][d];
            }
            __syncthreads();
#pragma unroll
            for (int d = 0; d < kDots; ++d) {
                dots[0][d] = Real(0);
#pragma unroll
                for (int q = 0; q < kWarps; ++q)
                    dots[0][d] += across[((phase * kWarps + q) * kRows + first_owned) * kDots + d];
            }
            phase ^= 1;
        }

        Real factor[kOwned][kOutputs], values[kOutputs] = {}, factors[kOutputs] = {};
#pragma unroll
        for (int o = 0; o < kOwned; ++o) {
            const int i = base + (first_owned + o) * kSide + side;
            Real z[kDots + (Pass::kAt ? kOutputs : 0)], value[kOutputs];
#pragma unroll
            for (int d = 0; d < kDots; ++d) z[d] = Units<Storage>::lowered(dots[o][d]) + intercept[d];
            if constexpr (Pass::kAt) {
#pragma unroll
                for (int k = 0; k < kOutputs; ++k) z[kDots + k] = rows.at[o * kOutputs + k];
            } else if (margins && counts && i < end) {
#pragma unroll
                for (int k = 0; k < kOutputs; ++k) margins[k * m + begin + i] = z[k];
            }
            if constexpr (Pass::kSums) {
                Pass::row(z, rows.positive[o], rows.weight[o], factor[o], value);
#pragma unroll
                for (int k = 0; k < kOutputs; ++k) {
                    values[k] += value[k];
                    factors[k] += factor[o][k];
                }
            }
        }

        if constexpr (Pass::kSums) {
#pragma unroll
            for (int k = 0; k < kOutputs; ++k) {
                value_total[k] += values[k];
                factor_total[k] += factors[k];
            }
#pragma unroll
            for (int r = 0; r < kRows; ++r) {
                const int owner = side * kWarpLanes + r * kOwners / kOwned;
#pragma unroll
                for (int k = 0; k < kOutputs; ++k) {
                    const Real f = kSign * Sum::raised(__shfl_sync(kAllLanes, factor[r % kOwned][k], owner));
#pragma unroll
                    for (int c = 0; c < kPacks; ++c)
#pragma unroll
                        for (int v = 0; v < kVector; ++v) {
                            Real& s = sum[k][c * kVector + v];
                            s = Sum::multiply_add(term(rows.x[r][c], v), f, s);
                        }
                }
            }
        }
    }
    if constexpr (!Pass::kSums) return;

    // The results of the block: sums over its lanes and warps, in a fixed order.
    Real* slice_sums = sums + (long long)blockIdx.x * kOutputs * n;
    if constexpr (kWholeBlock) {
#pragma unroll
        for (int k = 0; k < kOutputs; ++k)
#pragma unroll
            for (int c = 0; c < kPacks; ++c)
#pragma unroll
                for (int v = 0; v < kVector; ++v)
                    if (column(c) < n)
                        slice_sums[(long long)k * n + column(c) + v] = Sum::lowered(sum[k][c * kVector + v]);
    } else {
        constexpr int kColumns = kPacks * kLanes * kVector;
        SHARED_ARRAY(Real, warp_sums, kWarps * kOutputs * kColumns);
#pragma unroll
        for (int k = 0; k < kOutputs; ++k)
#pragma unroll
            for (int c = 0; c < kPacks; ++c)
#pragma unroll
                for (int v = 0; v < kVector; ++v) {
                    Real a = sum[k][c * kVector + v];
#pragma unroll
                    for (int offset = kWarpLanes; offset < 32; offset *= 2)
                        a += __shfl_xor_sync(kAllLanes, a, offset);
                    if (side == 0) warp_sums[(warp * kOutputs + k) * kColumns + column(c) + v] = a;
                }
        __syncthreads();
        for (int k = 0; k < kOutputs; ++k)
            for (int j = threadIdx.x; j < n; j += 32 * kWarps) {
                Real a = Real(0);
#pragma unroll
                for (int q = 0; q < kWarps; ++q) a += warp_sums[(q * kOutputs + k) * kColumns + j];
                slice_sums[(long long)k * n + j] = Sum::lowered(a);
            }
    }

    SHARED_ARRAY(double, warp_totals, kWarps * 2 * kOutputs);
#pragma unroll
    for (int k = 0; k < kOutputs; ++k) {
        double value = counts ? value_total[k] : Total(0), factors = counts ? factor_total[k] : Total(0);
#pragma unroll
        for (int offset = 16; offset > 0; offset /= 2) {
            value += __shfl_xor_sync(kAllLanes, value, offset);
            factors += __shfl_xor_sync(kAllLanes, factors, offset);
        }
        if (lane == 0) {
            warp_totals[warp * 2 * kOutputs + k] = value;
            warp_totals[warp * 2 * kOutputs + kOutputs + k] = factors;
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < 2 * kOutputs; i += 32 * kWarps) {
        double a = 0.0;
        for (int q = 0; q < kWarps; ++q) a += warp_totals[q * 2 * kOutputs + i];
        totals[(long long)blockIdx.x * 2 * kOutputs + i] = a;
    }
}

// out = the results of the slices, added up in double: `columns` sums, then `extras` totals. A block adds up
// kSummed adjacent numbers, the fewest that fill a memory transaction, since few numbers keep only few blocks
// busy and there are many slices. A thread takes one number of every blockDim.x / kSummed-th slice; the sums
// of the threads are added in order.
template <class Real>
__global__ void sum_slices(const Real* __restrict__ sums, const double* __restrict__ totals, long long slices,
                           int columns, int extras, double* __restrict__ out) {
    constexpr int kSummed = 8;  // shapes.SUMMED
    SHARED_ARRAY(double, warp_sums, 32 * kSummed);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    const int first = threadIdx.x / kSummed, step = blockDim.x / kSummed;
    const int j = blockIdx.x * kSummed + lane % kSummed;
    double a = 0.0;
    if (j < columns) {
#pragma unroll 8
        for (long long i = first; i < slices; i += step) a += double(sums[i * columns + j]);
    } else if (j < columns + extras) {
#pragma unroll 8
        for (long long i = first; i < slices; i += step) a += totals[i * extras + j - columns];
    }
#pragma unroll
    for (int offset = kSummed; offset < 32; offset *= 2) a += __shfl_xor_sync(kAllLanes, a, offset);
    if (lane < kSummed) warp_sums[warp * kSummed + lane] = a;
    __syncthreads();
    if (threadIdx.x < kSummed && j < columns + extras) {
        for (int q = 1; q < warps; ++q) a += warp_sums[q * kSummed + lane];
        out[j] = a;
    }
}
