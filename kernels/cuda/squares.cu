// Sums of the squares of dense rows: over each column, and over each row with a scale for every column; and
// weighted sums of rows by groups. sum_slices of dense.cu adds up the slices of the first.

#include "common.cuh"
#include "blocks.cuh"

// A block takes a slice of rows and kThreads columns. The grid has one dimension, because a second one would
// be limited to 2^16 blocks. `lanes` threads, a power of two, share a row; the others take rows of their own.
// sums: per slice, n numbers.
template <class Storage, class Real>
__global__ void column_squares(const Storage* X, long long stride, long long m, int n, int lanes,
                               int slice_rows, Real* sums) {
    SHARED_ARRAY(Real, parts, kThreads);
    const unsigned across = (n - 1) / kThreads + 1, slice = blockIdx.x / across;
    const long long j = (long long)(blockIdx.x % across) * kThreads + threadIdx.x % lanes;
    const long long begin = (long long)slice * slice_rows;
    const long long end = begin + slice_rows < m ? begin + slice_rows : m;
    Real sum = Real(0);
    if (j < n)
        for (long long i = begin + threadIdx.x / lanes; i < end; i += kThreads / lanes) {
            const Real x = Real(widen(X[i * stride + j]));
            sum += x * x;
        }
    parts[threadIdx.x] = sum;
    __syncthreads();
    if (int(threadIdx.x) < lanes && j < n) {
        for (int q = 1; q < kThreads / lanes; ++q) sum += parts[q * lanes + threadIdx.x];
        sums[(long long)slice * n + j] = sum;
    }
}

// scale[j] = m / squares[j], the inverse of a column's mean square, or 0 for a column of zeros.
template <class Real>
__global__ void inverse_means(const double* squares, long long m, int n, Real* scale) {
    for (long long j = first_of_grid(); j < n; j += threads_of_grid())
        scale[j] = squares[j] > 0 ? Real(m / squares[j]) : Real(0);
}

// norms[i] = sum over j of scale[j] * X[i, j]^2, one warp per row.
template <class Storage, class Real>
__global__ void row_squares(const Storage* X, long long stride, long long m, int n, const Real* scale,
                            Real* norms) {
    constexpr int kRowsAtOnce = kThreads / 32;
    const int lane = threadIdx.x % 32;
    const long long first = (long long)blockIdx.x * kRowsAtOnce + threadIdx.x / 32;
    for (long long i = first; i < m; i += (long long)gridDim.x * kRowsAtOnce) {
        Real sum = Real(0);
        for (int j = lane; j < n; j += 32) {
            const Real x = Real(widen(X[i * stride + j]));
            sum += scale[j] * (x * x);
        }
#pragma unroll
        for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(kAllLanes, sum, offset);
        if (lane == 0) norms[i] = sum;
    }
}

// out[g] (n + 1, k) += the sum of [row, 1] times each of its k numbers of R over the rows of group g, which
// are the elements of `order` from begins[g] on. A block processes a group, a thread some of its columns.
template <class Real>
__global__ void group_sums(const Real* X, long long stride, int n, const Real* R, int k,
                           const long long* order, const long long* begins, long long groups, double* out) {
    for (long long g = blockIdx.x; g < groups; g += gridDim.x)
        for (long long e = threadIdx.x; e < (long long)(n + 1) * k; e += kThreads) {
            const long long j = e / k, a = e % k;
            double sum = 0;
            for (long long at = begins[g]; at < begins[g + 1]; ++at) {
                const long long i = order[at];
                sum += double(R[i * k + a]) * (j < n ? double(X[i * stride + j]) : 1.0);
            }
            out[g * (n + 1) * k + e] += sum;
        }
}
