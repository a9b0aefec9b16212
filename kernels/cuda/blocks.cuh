// Kernels whose blocks have one size, and what the numbers of such a block come to.

constexpr unsigned kThreads = 256;

// Numbers of a block of kThreads, joined two by two: a tree of fixed shape. out: kValues numbers a block.
template <int kValues, class Join>
__device__ inline void block_joined(double (&value)[kValues], double* out, Join join) {
    SHARED_ARRAY(double, parts, kThreads);
#pragma unroll
    for (int i = 0; i < kValues; ++i) {
        parts[threadIdx.x] = value[i];
        __syncthreads();
        for (unsigned half = kThreads / 2; half > 0; half /= 2) {
            if (threadIdx.x < half) parts[threadIdx.x] = join(parts[threadIdx.x], parts[threadIdx.x + half]);
            __syncthreads();
        }
        if (threadIdx.x == 0) out[blockIdx.x * kValues + i] = parts[0];
        __syncthreads();
    }
}

template <int kValues>
__device__ inline void block_sum(double (&value)[kValues], double* out) {
    block_joined(value, out, [](double a, double b) { return a + b; });
}

// The larger one; NaN stays.
__device__ inline double larger(double best, double x) { return x > best || x != x ? x : best; }
