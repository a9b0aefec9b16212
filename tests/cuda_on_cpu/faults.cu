// A correct kernel, and one kernel per fault that the emulation must see.

constexpr unsigned kAll = 0xffffffffu;

struct alignas(16) Four {
    float value[4];
};

// The sum of each block's stretch of values: shuffles within warps, shared memory and a barrier between them.
template <typename T, int kThreads>
__global__ void __launch_bounds__(kThreads)
    block_sums(const T* __restrict__ values, long long n, T scale, double* sums) {
    SHARED_ARRAY(double, of_warp, kThreads / 32);
    DYNAMIC_SHARED(double, of_round);
    const long long stretch = (n + gridDim.x - 1) / gridDim.x;
    const long long stop = min(n, (blockIdx.x + 1) * stretch);
    double sum = 0.0;
    for (int round = 0; round < 2; ++round) {
        double part = 0.0;
        for (long long i = blockIdx.x * stretch + threadIdx.x + round * kThreads; i < stop;
             i += 2 * kThreads) {
            part += scale * __ldg(values + i);
        }
        for (int lanes = 16; lanes > 0; lanes /= 2) {
            part += __shfl_xor_sync(kAll, part, lanes);
        }
        if (threadIdx.x % 32 == 0) {
            of_warp[threadIdx.x / 32] = part;
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            for (int w = 0; w < kThreads / 32; ++w) {
                sum += of_warp[w];
            }
            of_round[round] = sum;
        }
        __syncthreads();
    }
    if (threadIdx.x == kThreads - 1) {
        sums[blockIdx.x] = of_round[1];
    }
}

// What shuffles bring to each lane, and where a thread stands: for blocks of any shape.
__global__ void lanes(int* from, float* down, long long* segment, int* place) {
    const int t = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    from[t] = __shfl_sync(kAll, t, 3);
    down[t] = __shfl_down_sync(kAll, float(t), 2);
    segment[t] = __shfl_sync(kAll, (long long)t << 33, 1, 8);
    __syncwarp();
    place[t] = 100 * threadIdx.z + 10 * threadIdx.y + threadIdx.x;
}

__global__ void overloads(const float* x, float* results) {
    static_assert(sizeof(exp(1.0f)) == 4 && sizeof(log1p(1.0f)) == 4 && sizeof(fabs(1.0f)) == 4 &&
                      sizeof(exp(1.0)) == 8,
                  "");
    results[0] = log1p(exp(-fabs(x[0])));
}

__global__ void double_all(const float* x, long long stride, float* doubled) {
    doubled[threadIdx.x] = 2 * x[threadIdx.x * stride];
}

__global__ void copy_bytes(const unsigned char* from, unsigned char* to) {
    to[threadIdx.x] = from[threadIdx.x];
}

__global__ void nothing(const float*, int) {}

__global__ void reads_past_the_end(const float* x, int n, float* y) {
    y[threadIdx.x] = x[threadIdx.x] + x[n];
}

__global__ void reads_past_shared(float* y) {
    SHARED_ARRAY(float, tile, 64);
    tile[threadIdx.x] = 1;
    __syncthreads();
    const float* next = tile + 1;
    y[threadIdx.x] = next[threadIdx.x];
}

__global__ void reads_past_dynamic_shared(float* y) {
    DYNAMIC_SHARED(float, tile);
    tile[threadIdx.x] = 1;
    __syncthreads();
    y[threadIdx.x] = tile[threadIdx.x + 1];
}

__global__ void lacks_a_barrier(float* y) {
    SHARED_ARRAY(float, tile, 64);
    tile[threadIdx.x] = threadIdx.x;
    y[threadIdx.x] = tile[63 - threadIdx.x];
}

__global__ void has_a_barrier_of_the_warp_only(float* y) {
    SHARED_ARRAY(float, tile, 64);
    tile[threadIdx.x] = threadIdx.x;
    __syncwarp();
    y[threadIdx.x] = tile[threadIdx.x ^ 32];
}

__global__ void trusts_a_shuffle_to_order_memory(float* y) {
    SHARED_ARRAY(float, tile, 64);
    tile[threadIdx.x] = threadIdx.x;
    const int other = __shfl_xor_sync(kAll, int(threadIdx.x), 1);
    y[threadIdx.x] = tile[other];
}

__global__ void overwrites_what_others_still_read(float* y) {
    SHARED_ARRAY(float, tile, 64);
    for (int round = 0; round < 2; ++round) {
        tile[threadIdx.x] = round;
        __syncthreads();
        y[threadIdx.x] = tile[63 - threadIdx.x];
    }
}

__global__ void loads_a_vector_from_anywhere(const float* x, int offset, float* y) {
    const Four four = *reinterpret_cast<const Four*>(x + offset);
    y[threadIdx.x] = four.value[threadIdx.x];
}

__global__ void overflows_the_offset(const float* X, int m, int n, float* y) {
    const int last = m - 1;
    y[threadIdx.x] = X[last * n + threadIdx.x];
}

__global__ void reaches_far(const float* X, long long m, int n, float* y) {
    y[threadIdx.x] = X[(m - 1) * n + threadIdx.x] + 1;
}

__global__ void shifts_too_far(int* y) {
    y[threadIdx.x] = 1 << (threadIdx.x + 31);
}

__global__ void has_a_barrier_for_some(float* y) {
    if (threadIdx.x < 16) {
        __syncthreads();
    }
    y[threadIdx.x] = 1;
}

__global__ void has_two_barriers_for_one(float* y) {
    if (threadIdx.x < 32) {
        __syncthreads();
    } else {
        __syncthreads();
    }
    y[threadIdx.x] = 1;
}

__global__ void leaves_a_lane_out(float* y) {
    if (threadIdx.x != 5) {
        y[threadIdx.x] = __shfl_xor_sync(kAll, 1.0f, 1);
    }
}

__global__ void splits_a_shuffle(float* y) {
    if (threadIdx.x < 16) {
        y[threadIdx.x] = __shfl_sync(kAll, 1.0f, 0);
    } else {
        y[threadIdx.x] = __shfl_sync(kAll, 2.0f, 0);
    }
}

__global__ void shuffles_a_part(float* y) {
    y[threadIdx.x] = __shfl_sync(0xffffu, 1.0f, 0);
}

__global__ void writes_one_cell(float* y) {
    __syncthreads();
    if (threadIdx.x == 0) {
        y[0] = blockIdx.x;
    }
}
