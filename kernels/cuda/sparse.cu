// Passes over a sparse matrix in compressed rows that read each entry from device memory once: kLanes threads
// share a row, form its products, apply the pointwise formula, and go over its entries again, which are in
// the L1 cache by then, to add them to the sums of their columns.
//
// All threads add to those sums, so additions are atomic; and in order that their order does not matter, they
// are additions of integers: a term of column j is rounded to a multiple of 2^-(exponents[j] + shifts[k]),
// chosen by the host so that all terms of a column together stay below 2^62. The rounding error of a term is
// then less than 2^-62 of the largest sum that the column could have, which is below the rounding of the term
// itself unless columns have millions of numbers over twelve decades. The same bits on every run, for one
// 64-bit addition per entry and output. Rows, entries and offsets are 64-bit, columns 32-bit.

#include "common.cuh"
#include "blocks.cuh"
#include "pointwise.cuh"

// A term as an integer in units of 2^-exponent; negative ones in two's complement, so that adding them
// subtracts.
__device__ inline unsigned long long fixed(double term, int exponent) {
    return (unsigned long long)llrint(scalbn(term, exponent));
}

__device__ inline unsigned long long bits_of(double x) {
    union {
        double value;
        unsigned long long bits;
    } word = {x};
    return word.bits;
}

// Adds a row's entries, scaled by the factors of its outputs, to the sums (n rows of kOutputs).
template <int kOutputs, bool kSquares, int kLanes, class Storage, class Real>
__device__ inline void add_row(const Storage* data, const int* indices, long long begin, long long end,
                               int lane, const Real (&factor)[kOutputs], const int* exponents,
                               const int* shifts, unsigned long long* sums) {
    for (long long e = begin + lane; e < end; e += kLanes) {
        const int j = indices[e];
        const double x = double(widen(data[e]));
#pragma unroll
        for (int k = 0; k < kOutputs; ++k)
            atomicAdd(sums + (long long)j * kOutputs + k,
                      fixed(double(factor[k]) * (kSquares ? x * x : x), exponents[j] + shifts[k]));
    }
}

// weights: n rows of kDots, then kDots intercepts. s: row weights, or null for ones. margins: kOutputs rows
// of m, or null. sums: n rows of kOutputs, initially zeros. totals: per block, kOutputs values and kOutputs
// sums of factors.
template <class Pass, class Storage, class Real, int kLanes>
__global__ void __launch_bounds__(kThreads)
    sparse(const Storage* __restrict__ data, const int* __restrict__ indices,
           const long long* __restrict__ indptr, long long m, int n, const Real* __restrict__ weights,
           const unsigned char* __restrict__ y, const Real* __restrict__ s, const int* __restrict__ exponents,
           const int* __restrict__ shifts, Real* __restrict__ margins, unsigned long long* __restrict__ sums,
           double* __restrict__ totals) {
    constexpr int kOutputs = Pass::kOutputs, kDots = Pass::kDots;
    const int lane = threadIdx.x % kLanes;
    const long long groups = (long long)gridDim.x * (kThreads / kLanes);
    double total[2 * kOutputs] = {};

    // the same count for a whole block
    for (long long round = blockIdx.x * (kThreads / kLanes); round < m; round += groups) {
        const long long i = round + threadIdx.x / kLanes;
        const bool there = i < m;
        const long long begin = there ? indptr[i] : 0, end = there ? indptr[i + 1] : 0;
        Real z[kDots] = {};
        for (long long e = begin + lane; e < end; e += kLanes) {
            const Real x = Real(widen(data[e]));
            const Real* w = weights + (long long)indices[e] * kDots;
#pragma unroll
            for (int d = 0; d < kDots; ++d) z[d] += x * w[d];
        }
#pragma unroll
        for (int d = 0; d < kDots; ++d) {
#pragma unroll
            for (int offset = kLanes / 2; offset > 0; offset /= 2)
                z[d] += __shfl_xor_sync(kAllLanes, z[d], offset);
            z[d] += weights[(long long)n * kDots + d];
        }
        if (!there) continue;
        if (margins && lane == 0)
#pragma unroll
            for (int k = 0; k < kOutputs; ++k) margins[k * m + i] = z[k];
        if constexpr (Pass::kSums) {
            Real factor[kOutputs], value[kOutputs];
            Pass::row(z, y[i] != 0, s ? s[i] : Real(1), factor, value);
            if (lane == 0)
#pragma unroll
                for (int k = 0; k < kOutputs; ++k) {
                    total[k] += double(value[k]);
                    total[kOutputs + k] += double(factor[k]);
                }
            add_row<kOutputs, Pass::kSquares, kLanes>(data, indices, begin, end, lane, factor, exponents,
                                                      shifts, sums);
        }
    }
    if constexpr (Pass::kSums) block_sum(total, totals);
}

// The product of the transposed matrix with given factors (m rows of kOutputs), added as in `sparse`.
template <int kOutputs, class Storage, class Real, int kLanes>
__global__ void __launch_bounds__(kThreads)
    transposed(const Storage* __restrict__ data, const int* __restrict__ indices,
               const long long* __restrict__ indptr, long long m, const Real* __restrict__ factors,
               const int* __restrict__ exponents, const int* __restrict__ shifts,
               unsigned long long* __restrict__ sums) {
    const int lane = threadIdx.x % kLanes;
    const long long groups = (long long)gridDim.x * (kThreads / kLanes);
    for (long long i = blockIdx.x * (kThreads / kLanes) + threadIdx.x / kLanes; i < m; i += groups) {
        Real factor[kOutputs];
#pragma unroll
        for (int k = 0; k < kOutputs; ++k) factor[k] = factors ? factors[i * kOutputs + k] : Real(1);
        add_row<kOutputs, false, kLanes>(data, indices, indptr[i], indptr[i + 1], lane, factor, exponents,
                                         shifts, sums);
    }
}

// The upper triangle of the transposed matrix times its rows scaled by a factor each, (n, n); indices ascend
// within a row.
template <class Storage, class Real, int kLanes>
__global__ void __launch_bounds__(kThreads)
    weighted_gram(const Storage* __restrict__ data, const int* __restrict__ indices,
                  const long long* __restrict__ indptr, long long m, int n, const Real* __restrict__ factors,
                  const int* __restrict__ exponents, int shift, unsigned long long* __restrict__ sums) {
    const int lane = threadIdx.x % kLanes;
    const long long groups = (long long)gridDim.x * (kThreads / kLanes);
    for (long long i = blockIdx.x * (kThreads / kLanes) + threadIdx.x / kLanes; i < m; i += groups) {
        const long long end = indptr[i + 1];
        for (long long a = indptr[i]; a < end; ++a) {
            const int ja = indices[a];
            const double scaled = double(factors[i]) * double(widen(data[a]));
            for (long long b = a + lane; b < end; b += kLanes) {
                const int jb = indices[b];
                atomicAdd(sums + (long long)ja * n + jb,
                          fixed(scaled * double(widen(data[b])), exponents[ja] + exponents[jb] + shift));
            }
        }
    }
}

// The bounds from which the host computes the exponents: for every column, the largest magnitude, as the bits
// of a double (which are ordered like integers), and the number of entries; for all rows, the largest squared
// norm, as bits.
template <class Storage>
__global__ void __launch_bounds__(kThreads)
    reaches(const Storage* __restrict__ data, const int* __restrict__ indices,
            const long long* __restrict__ indptr, long long m, unsigned long long* __restrict__ largest,
            unsigned long long* __restrict__ counts, unsigned long long* __restrict__ squared_norm) {
    for (long long i = (long long)blockIdx.x * kThreads + threadIdx.x; i < m;
         i += (long long)gridDim.x * kThreads) {
        double squares = 0.0;
        for (long long e = indptr[i]; e < indptr[i + 1]; ++e) {
            const double x = double(widen(data[e]));
            squares += x * x;
            atomicMax(largest + indices[e], bits_of(fabs(x)));
            atomicAdd(counts + indices[e], 1ull);
        }
        atomicMax(squared_norm, bits_of(squares));
    }
}
