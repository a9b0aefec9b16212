// Copies and combinations of arrays: all or some rows of a matrix with any layout (strided, reversed,
// column-major, at addresses that are not multiples of the item size), in the same type or another one; and
// arithmetic on vectors with a number per row.
//
// CuPy can do all this, too, but by kernels that it has to compile at first use.

#include "common.cuh"
#include "blocks.cuh"

template <class T>
__device__ inline T loaded(const unsigned char* from) {
    if ((unsigned long long)from % sizeof(T) == 0) return *reinterpret_cast<const T*>(from);
    T number;
    unsigned char* bytes = reinterpret_cast<unsigned char*>(&number);
    for (int b = 0; b < int(sizeof(T)); ++b) bytes[b] = from[b];
    return number;
}

template <class From, class To>
struct As {
    __device__ static To number(From x) { return To(widen(x)); }
};
template <class Same>
struct As<Same, Same> {
    __device__ static Same number(Same x) { return x; }
};

// X begins `first` bytes from `memory`; row_bytes and column_bytes are its strides. to: m rows of `columns`,
// zeros beyond n; row i is row rows[i] of X, or row i if rows is null. Numbers pass through a tile in shared
// memory, so that both loads and stores are contiguous.
template <class From, class To>
__global__ void copied(const unsigned char* memory, long long first, long long row_bytes,
                       long long column_bytes, const long long* rows, long long m, long long n, To* to,
                       long long columns) {
    SHARED_ARRAY(To, tile, 32 * 33);
    const unsigned char* const X = memory + first;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    // the lanes of a warp follow the direction with the smaller stride
    const bool by_rows = (column_bytes < 0 ? -column_bytes : column_bytes) <=
                         (row_bytes < 0 ? -row_bytes : row_bytes);
    const long long across = (columns + 31) / 32, tiles = (m + 31) / 32 * across;
    for (long long t = blockIdx.x; t < tiles; t += gridDim.x) {
        const long long top = t / across * 32, left = t % across * 32;
        for (int k = warp; k < 32; k += kThreads / 32) {
            const int r = by_rows ? k : lane, c = by_rows ? lane : k;
            const long long i = top + r, j = left + c;
            To x = To(0);
            if (i < m && j < n)
                x = As<From, To>::number(
                    loaded<From>(X + (rows ? rows[i] : i) * row_bytes + j * column_bytes));
            tile[r * 33 + c] = x;
        }
        __syncthreads();
        for (int k = warp; k < 32; k += kThreads / 32)
            if (top + k < m && left + lane < columns)
                to[(top + k) * columns + left + lane] = tile[k * 33 + lane];
        __syncthreads();
    }
}

// out[i] = vector[rows[i]].
template <class Word>
__global__ void picked(const Word* vector, const long long* rows, long long m, Word* out) {
    for (long long i = first_of_grid(); i < m; i += threads_of_grid()) out[i] = vector[rows[i]];
}

// out[i] = each[y[i]], times s[i] unless s is null.
template <class Real, class Weight>
__global__ void of_classes(const unsigned char* y, const Real* each, const Weight* s, long long m,
                           Real* out) {
    for (long long i = first_of_grid(); i < m; i += threads_of_grid())
        out[i] = s ? each[y[i]] * Real(s[i]) : each[y[i]];
}

// out[i] = a[i] * b[i] * c[i]; each vector has its own type.
template <class B, class C>
__global__ void product(const double* a, const B* b, const C* c, long long m, double* out) {
    for (long long i = first_of_grid(); i < m; i += threads_of_grid()) out[i] = a[i] * b[i] * c[i];
}

// total += sign * the first n rows and columns of a matrix, the block of outputs a and b, and also its block
// of b and a. Row i * outputs + a of the total belongs to parameter i of output a. The first call overwrites
// the total.
template <class Real>
__global__ void add_matrix(const Real* matrix, int columns, int n, double sign, int outputs, int a, int b,
                           bool first, double* total) {
    const long long size = (long long)n * outputs;
    for (long long e = first_of_grid(); e < (long long)n * n; e += threads_of_grid()) {
        const long long i = e / n, j = e % n;
        const double number = sign * matrix[i * columns + j];
        double* const here = total + (i * outputs + a) * size + j * outputs + b;
        *here = first ? number : *here + number;
        if (a != b) {
            double* const there = total + (j * outputs + b) * size + i * outputs + a;
            *there = first ? number : *there + number;
        }
    }
}

// Z (m, outputs) += a row.
template <class Real>
__global__ void add_row(Real* Z, long long count, int outputs, const Real* row) {
    for (long long e = first_of_grid(); e < count; e += threads_of_grid()) Z[e] += row[e % outputs];
}

// Z += numbers, an array of the same size.
template <class Real>
__global__ void add(Real* Z, const double* numbers, long long count) {
    for (long long e = first_of_grid(); e < count; e += threads_of_grid()) Z[e] += Real(numbers[e]);
}

// Partial sums of the columns of a matrix of `count` numbers. `threads` is a multiple of the number of
// columns; out[t]: the sum of the numbers that thread t has added up, all of one column.
template <class Real>
__global__ void column_sums(const Real* matrix, long long count, int threads, double* out) {
    const long long t = first_of_grid();
    if (t >= threads) return;
    double sum = 0;
    for (long long e = t; e < count; e += threads) sum += double(matrix[e]);
    out[t] = sum;
}

// The same for the largest magnitudes.
template <class Real>
__global__ void column_reach(const Real* matrix, long long count, int threads, double* out) {
    const long long t = first_of_grid();
    if (t >= threads) return;
    double most = 0;
    for (long long e = t; e < count; e += threads) {
        const double x = double(matrix[e]);
        most = Larger{}(most, x < 0 ? -x : x);
    }
    out[t] = most;
}

// out[i] = sign * a[i] * b[i].
template <class Real>
__global__ void times(const Real* a, const Real* b, Real sign, long long m, Real* out) {
    for (long long i = first_of_grid(); i < m; i += threads_of_grid()) out[i] = sign * a[i] * b[i];
}

// The sum of a vector, by one block.
__global__ void total(const double* vector, long long m, double* out) {
    double sum = 0;
    for (long long i = threadIdx.x; i < m; i += kThreads) sum += vector[i];
    sum = added_by_block(sum);
    if (threadIdx.x == 0) *out = sum;
}

// out[e] = x[e]^2, in the arithmetic.
template <class Storage, class Real>
__global__ void squared(const Storage* x, long long count, Real* out) {
    for (long long e = first_of_grid(); e < count; e += threads_of_grid()) {
        const Real number = Real(widen(x[e]));
        out[e] = number * number;
    }
}
