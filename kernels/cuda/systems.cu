// Symmetric matrices made of sums, before they are factored: a kernel for each step, since CuPy would have to
// compile half a dozen of its own.

#include "common.cuh"
#include "blocks.cuh"

// H = the first `size` rows and columns of sums / weight, plus a ridge on the diagonal. H may be the sums.
__global__ void mean_matrix(const double* sums, int columns, int size, double weight, const double* ridge,
                            double* H) {
    for (long long e = first_of_grid(); e < (long long)size * size; e += threads_of_grid()) {
        const long long i = e / size, j = e % size;
        H[e] = sums[i * columns + j] / weight + (i == j ? ridge[i] : 0.0);
    }
}

// Adds curvature along shifts of all k weights of a feature together, one feature per block: the mean of its
// diagonal elements, divided by k, is added to each element of its (k, k) block.
__global__ void against_shifts(double* H, int size, int k, const int* features) {
    double* const block = H + (long long)features[blockIdx.x] * k * (size + 1);
    double trace = 0;
    for (int a = 0; a < k; ++a) trace += block[(long long)a * (size + 1)];
    __syncthreads();  // all have read before any element changes
    for (int e = threadIdx.x; e < k * k; e += kThreads)
        block[(long long)(e / k) * size + e % k] += trace / ((double)k * k);
}

// scaled = H with rows and columns times `scale`, which makes the diagonal 1 where it is positive, plus a
// lift of the diagonal.
__global__ void unit_diagonal(const double* H, int size, double lift, double* scale, double* scaled) {
    for (long long e = first_of_grid(); e < (long long)size * size; e += threads_of_grid()) {
        const long long i = e / size, j = e % size;
        const double own = H[i * size + i], other = H[j * size + j];
        const double row = own > 0 ? 1 / sqrt(own) : 1.0, column = other > 0 ? 1 / sqrt(other) : 1.0;
        scaled[e] = H[e] * column * row + (i == j ? lift : 0.0);
        if (i == j) scale[i] = row;
    }
}
