// Kernels with a fixed block size, and reductions over such a block.

constexpr unsigned kThreads = 256;

// In sweeps, a thread goes from its first number on in steps of the number of all threads.
__device__ inline long long first_of_grid() { return (long long)blockIdx.x * kThreads + threadIdx.x; }
__device__ inline long long threads_of_grid() { return (long long)gridDim.x * kThreads; }

// Combines a number of each thread of a block pairwise, in a tree of fixed shape. All threads get the result.
template <class T, class Join>
__device__ inline T joined_by_block(T value, Join join) {
    SHARED_ARRAY(T, parts, kThreads);
    parts[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = kThreads / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) parts[threadIdx.x] = join(parts[threadIdx.x], parts[threadIdx.x + half]);
        __syncthreads();
    }
    const T all = parts[0];
    __syncthreads();
    return all;
}

__device__ inline double added_by_block(double value) {
    return joined_by_block(value, [](double a, double b) { return a + b; });
}

// The same for several numbers. out: kValues numbers per block.
template <int kValues, class Join>
__device__ inline void block_joined(double (&value)[kValues], double* out, Join join) {
#pragma unroll
    for (int i = 0; i < kValues; ++i) {
        const double all = joined_by_block(value[i], join);
        if (threadIdx.x == 0) out[blockIdx.x * kValues + i] = all;
    }
}

template <int kValues>
__device__ inline void block_sum(double (&value)[kValues], double* out) {
    block_joined(value, out, [](double a, double b) { return a + b; });
}

// The larger one and the smaller one of two numbers; NaN is kept.
struct Larger {
    template <class T>
    __device__ T operator()(T best, T x) const {
        return x > best || x != x ? x : best;
    }
};
struct Smaller {
    template <class T>
    __device__ T operator()(T best, T x) const {
        return x < best || x != x ? x : best;
    }
};

// The sum over the threads before this one, and in `all` the sum over all threads.
__device__ inline unsigned before_in_block(unsigned own, unsigned& all) {
    SHARED_ARRAY(unsigned, sums, kThreads);
    sums[threadIdx.x] = own;
    __syncthreads();
    for (unsigned step = 1; step < kThreads; step *= 2) {
        const unsigned more = threadIdx.x >= step ? sums[threadIdx.x - step] : 0;
        __syncthreads();
        sums[threadIdx.x] += more;
        __syncthreads();
    }
    all = sums[kThreads - 1];
    const unsigned before = sums[threadIdx.x] - own;
    __syncthreads();
    return before;
}
