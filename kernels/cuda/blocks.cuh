// Kernels whose blocks have one size, and what the numbers of such a block come to.

constexpr unsigned kThreads = 256;

// Sweeps go from a thread's first number on in steps of all threads.
__device__ inline long long first_of_grid() { return (long long)blockIdx.x * kThreads + threadIdx.x; }
__device__ inline long long threads_of_grid() { return (long long)gridDim.x * kThreads; }

// A number of each thread of a block, joined two by two: a tree of fixed shape. All threads get the result.
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

// The same of several numbers. out: kValues numbers a block.
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

// The larger one, the smaller one; NaN stays.
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

// What the threads before this one have, and in `all` what all of them have.
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
