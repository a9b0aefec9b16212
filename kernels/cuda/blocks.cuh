// Kernels whose blocks have one size, and the sum over such a block.

constexpr unsigned kThreads = 256;

// Sums of a block of kThreads: a tree of fixed shape. out: kValues numbers a block.
template <int kValues>
__device__ inline void block_sum(double (&value)[kValues], double* out) {
    SHARED_ARRAY(double, sums, kThreads);
#pragma unroll
    for (int i = 0; i < kValues; ++i) {
        sums[threadIdx.x] = value[i];
        __syncthreads();
        for (unsigned half = kThreads / 2; half > 0; half /= 2) {
            if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
            __syncthreads();
        }
        if (threadIdx.x == 0) out[blockIdx.x * kValues + i] = sums[0];
        __syncthreads();
    }
}
