// What all kernels share: numbers as they are stored, vector loads, sums over lanes. Needs no header of CUDA's: those are
// not part of every installation of CuPy.

#ifdef __CUDACC_RTC__
#define SHARED_ARRAY(T, name, size) __shared__ T name[size]
#else
#include "emulation.h"  // tests run the same source on a CPU
#endif

constexpr unsigned kAllLanes = 0xffffffffu;

struct Half {
    unsigned short bits;
};
struct BFloat16 {  // the upper half of a float
    unsigned short bits;
};

__device__ inline double widen(double x) { return x; }
__device__ inline float widen(float x) { return x; }
__device__ inline float widen(signed char x) { return float(x); }
__device__ inline float widen(unsigned char x) { return float(x); }
__device__ inline float widen(Half x) {
#ifdef __CUDACC_RTC__
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(x.bits));
    return value;
#else
    _Float16 value;
    __builtin_memcpy(&value, &x.bits, 2);
    return float(value);
#endif
}
__device__ inline float widen(BFloat16 x) {
    union {
        unsigned bits;
        float value;
    } word = {unsigned(x.bits) << 16};
    return word.value;
}

// The number in the lowest bits of a word, of the second argument's type.
__device__ inline signed char lowest(unsigned word, signed char) { return (signed char)(word); }
__device__ inline unsigned char lowest(unsigned word, unsigned char) { return (unsigned char)(word); }
__device__ inline Half lowest(unsigned word, Half) { return {(unsigned short)(word)}; }
__device__ inline BFloat16 lowest(unsigned word, BFloat16) { return {(unsigned short)(word)}; }

// A vector that is loaded at once: 16 bytes at most, so the address must be a multiple of its size. `at` widens one number.
//
// Numbers of less than 32 bits stay in words. The compiler would give each a register of its own, or keep the floats that they were
// widened to from the first use to the second (216 registers where 16 columns of bytes take 4): stay_packed makes it believe
// that the words have changed in between.
template <class T, int kSize, bool kWords = sizeof(T) < 4 && sizeof(T) * kSize >= 4>
struct alignas(sizeof(T) * kSize < 16 ? sizeof(T) * kSize : 16) Pack {
    T v[kSize];
    __device__ auto at(int i) const { return widen(v[i]); }
    __device__ void stay_packed() {}
};
template <class T, int kSize>
struct alignas(sizeof(T) * kSize < 16 ? sizeof(T) * kSize : 16) Pack<T, kSize, true> {
    static constexpr int kPerWord = 4 / sizeof(T), kBits = 8 * sizeof(T);
    unsigned words[kSize / kPerWord];
    __device__ float at(int i) const { return widen(lowest(words[i / kPerWord] >> (i % kPerWord * kBits), T{})); }
    __device__ void stay_packed() {
#ifdef __CUDACC_RTC__
#pragma unroll
        for (int i = 0; i < kSize / kPerWord; ++i) asm("" : "+r"(words[i]));
#endif
    }
};

// A line that the compiler moves no load across.
__device__ inline void keep_order() {
#ifdef __CUDACC_RTC__
    asm volatile("" ::: "memory");
#endif
}

template <class T, int kSize>
__device__ inline Pack<T, kSize> load(const T* from) {
    return *reinterpret_cast<const Pack<T, kSize>*>(from);
}

// Sums of kRows x kValues numbers over kLanes neighbouring lanes, transposed on the way: at every step a lane keeps one half
// of the rows and gives the other half to its partner. Lane l ends with the sums of rows l * kRows / kLanes onwards, one
// of them where there are more lanes than rows. Eight rows over 32 lanes take 9 shuffles, not 40.
template <int kOffset, int kRows, int kAll, int kValues, class Real>
__device__ inline void transposed_sum(Real (&dots)[kAll][kValues], int lane) {
    if constexpr (kOffset > 0) {
        constexpr int kKept = kRows > 1 ? kRows / 2 : 1;
        const bool upper = (lane & kOffset) != 0;
#pragma unroll
        for (int r = 0; r < kKept; ++r)
#pragma unroll
            for (int i = 0; i < kValues; ++i) {
                Real kept = dots[r][i], given = dots[r][i];
                if constexpr (kRows > 1) {
                    kept = upper ? dots[r + kKept][i] : dots[r][i];
                    given = upper ? dots[r][i] : dots[r + kKept][i];
                }
                dots[r][i] = kept + __shfl_xor_sync(kAllLanes, given, kOffset);
            }
        transposed_sum<kOffset / 2, kKept>(dots, lane);
    }
}

template <bool kFirst, class A, class B>
struct Choose {
    using type = A;
};
template <class A, class B>
struct Choose<false, A, B> {
    using type = B;
};
