// Tensor cores in TF32, used such that no digits of float32 are lost, and asynchronous copies to shared
// memory. Both need sm_80.
//
// A TF32 number has 11 binary digits. A float is the sum of two of them with a relative error of 2^-21, and
// of the product of two floats, three of the four partial products are worth adding. Numbers of 16 and 8 bits
// are one TF32 number each.
//
// Tensor cores truncate sums instead of rounding them. So sums are taken from them after a few products and
// added up in float.

// A number as a pair: the nearest representable one, and the rest.
struct Split {
    unsigned high, low;
};
__device__ inline unsigned bits_of(float x) {
    union {
        float value;
        unsigned bits;
    } word = {x};
    return word.bits;
}
// `high` is the nearest TF32 number; a tensor core ignores the last 13 bits of `low`. They are not rounded,
// because the addition would carry into the exponent of a NaN and make it a number, which here happens to
// `high` alone.
__device__ inline Split split(float x) {
    const unsigned high = (bits_of(x) + 0x1000u) & 0xffffe000u;
    return {high, bits_of(x - float_of(high))};
}

// A stored number as a float: exact, and a TF32 number if it has 16 bits or fewer.
__device__ inline float as_float(float x) { return x; }
__device__ inline float as_float(Half x) { return widen(x); }
__device__ inline float as_float(BFloat16 x) { return widen(x); }
__device__ inline float as_float(unsigned char x) { return float_of(0x4b000000u | x) - 8388608.0f; }
__device__ inline float as_float(signed char x) {
    return float_of(0x4b000000u | ((unsigned(x) & 0xffu) ^ 0x80u)) - 8388736.0f;
}

// sum (16 x 8) += a (16 x 8) * b (8 x 8), each distributed over the lanes of a warp: with g = lane / 4 and
// t = lane % 4, a lane has
//     a: (g, t) (g + 8, t) (g, t + 4) (g + 8, t + 4)     b: (t, g) (t + 4, g)
//     sum: (g, 2t) (g, 2t + 1) (g + 8, 2t) (g + 8, 2t + 1)
__device__ inline void multiply_add(float (&sum)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#ifndef __CUDACC_RTC__
    multiply_fragments(sum, a, b);
#elif __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Starts copying kBytes to shared memory: 16, 8 or 4 bytes asynchronously, fewer at once. Both addresses are
// multiples of kBytes.
template <int kBytes>
__device__ inline void copy_in_background(char* to, const char* from) {
    if constexpr (kBytes < 4) {
        for (int i = 0; i < kBytes; ++i) to[i] = from[i];
    } else {
#ifndef __CUDACC_RTC__
        begin_copy(to, from, kBytes);
#elif __CUDA_ARCH__ >= 800
        const unsigned place = unsigned(__cvta_generic_to_shared(to));
        if constexpr (kBytes == 16)
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(place), "l"(from) : "memory");
        else
            asm volatile("cp.async.ca.shared.global [%0], [%1], %2;"
                         ::"r"(place), "l"(from), "n"(kBytes) : "memory");
#endif
    }
}

// Rows in pieces of some bytes, which the threads of a group take in turn.
struct Pieces {
    int of_a_row, own_row, own_piece, more_rows, more_pieces;

    __device__ Pieces(int thread, int threads, int of_a_row)
        : of_a_row(of_a_row),
          own_row(thread / of_a_row),
          own_piece(thread % of_a_row),
          more_rows(threads / of_a_row),
          more_pieces(threads % of_a_row) {}

    // Starts copying this thread's pieces of some rows, which are `stride` bytes apart, to shared memory.
    template <int kPiece, int kPitch>
    __device__ void copy(char* to, const char* from, long long stride, int rows) const {
        for (int row = own_row, piece = own_piece; row < rows; row += more_rows, piece += more_pieces) {
            if (piece >= of_a_row) {
                piece -= of_a_row;
                if (++row >= rows) break;
            }
            copy_in_background<kPiece>(to + row * kPitch + piece * kPiece,
                                       from + row * stride + piece * kPiece);
        }
    }
};

// Ends a group of copies of this thread.
__device__ inline void end_of_copies() {
#ifndef __CUDACC_RTC__
    end_copies();
#elif __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most kLater groups of copies of this thread, the latest ones, are still in progress.
template <int kLater>
__device__ inline void wait_for_copies() {
#ifndef __CUDACC_RTC__
    wait_copies(kLater);
#elif __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(kLater) : "memory");
#endif
}

// The same for a number of groups, up to 4, that is not a compile-time constant.
__device__ inline void wait_for_all_but(int later) {
    if (later <= 0)
        wait_for_copies<0>();
    else if (later == 1)
        wait_for_copies<1>();
    else if (later == 2)
        wait_for_copies<2>();
    else if (later == 3)
        wait_for_copies<3>();
    else
        wait_for_copies<4>();
}
