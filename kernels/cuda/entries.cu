// Compressed rows made of others (some of the rows, or the same pattern with other numbers) for the kernels
// of sparse.cu; and conversion of their sums from fixed point.

#include "common.cuh"
#include "blocks.cuh"

// The number of entries of each of some rows.
__global__ void row_lengths(const long long* indptr, const long long* rows, long long count,
                            long long* lengths) {
    for (long long i = first_of_grid(); i < count; i += threads_of_grid())
        lengths[i] = indptr[rows[i] + 1] - indptr[rows[i]];
}

// Copies the entries of some rows, one warp per row; begins: the offset of each in the result.
template <class Storage>
__global__ void taken_entries(const Storage* data, const int* indices, const long long* indptr,
                              const long long* rows, const long long* begins, long long count,
                              Storage* to_data, int* to_indices) {
    const int lane = threadIdx.x % 32;
    for (long long i = first_of_grid() / 32; i < count; i += threads_of_grid() / 32) {
        const long long from = indptr[rows[i]], to = begins[i], length = begins[i + 1] - to;
        for (long long e = lane; e < length; e += 32) {
            to_data[to + e] = data[from + e];
            to_indices[to + e] = indices[from + e];
        }
    }
}

// out[i] = indptr[i] - first.
__global__ void shifted(const long long* indptr, long long first, long long count, long long* out) {
    for (long long i = first_of_grid(); i < count; i += threads_of_grid()) out[i] = indptr[i] - first;
}

// Entries in float64, minus the centre of their column.
template <class Storage>
__global__ void moved(const Storage* data, const int* indices, const double* centre, long long count,
                      double* out) {
    for (long long e = first_of_grid(); e < count; e += threads_of_grid())
        out[e] = double(widen(data[e])) - centre[indices[e]];
}

// Converts sums (n, outputs) from fixed point, into columns of a matrix with `columns` columns; exponents and
// shifts are those of sparse.cu.
__global__ void unfixed(const long long* sums, const int* exponents, const int* shifts, int n, int outputs,
                        int columns, double* out) {
    for (long long e = first_of_grid(); e < (long long)n * outputs; e += threads_of_grid()) {
        const long long j = e / outputs;
        const int k = int(e % outputs);
        out[j * columns + k] = scalbn(double(sums[e]), -(exponents[j] + shifts[k]));
    }
}

// out (n + 1, n + 1): a Gram matrix (n, n), whose upper triangle is given in fixed point; its last row and
// column have the weighted sums of the columns and the sum of the weights.
__global__ void unfixed_gram(const long long* sums, const int* exponents, int shift, const double* border,
                             const double* corner, int n, double* out) {
    const long long size = n + 1;
    for (long long e = first_of_grid(); e < size * size; e += threads_of_grid()) {
        const long long i = e / size, j = e % size;
        const long long low = i < j ? i : j, high = i < j ? j : i;
        out[e] = high < n ? scalbn(double(sums[low * n + high]), -(exponents[low] + exponents[high] + shift))
                          : low < n ? border[low] : *corner;
    }
}
