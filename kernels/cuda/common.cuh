// Common parts of all kernels: storage types, vector loads, sums over lanes. No header of CUDA is needed,
// since those are not part of every installation of CuPy.

#ifdef __CUDACC_RTC__
#define SHARED_ARRAY(T, name, size) __shared__ T name[size]
#define DYNAMIC_SHARED(T, name) extern __shared__ __align__(16) T name[]
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
// integers of more bits are converted to doubles
__device__ inline double widen(short x) { return double(x); }
__device__ inline double widen(unsigned short x) { return double(x); }
__device__ inline double widen(int x) { return double(x); }
__device__ inline double widen(unsigned x) { return double(x); }
__device__ inline double widen(long long x) { return double(x); }
__device__ inline double widen(unsigned long long x) { return double(x); }
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
__device__ inline float float_of(unsigned bits) {
    union {
        unsigned bits;
        float value;
    } word = {bits};
    return word.value;
}
__device__ inline float widen(BFloat16 x) { return float_of(unsigned(x.bits) << 16); }

// How a kernel reads the numbers of a storage type: as they are, or in units.
//
// Bytes are not converted at all. A byte b as the lowest bits of a float is b * 2^-149, exactly, and a
// multiply-add takes such a number as fast as any other. That is a permutation of bytes and a multiply-add,
// whereas a conversion takes four instructions, one of them at an eighth of the rate. The other factor is
// multiplied by 2^80 and the product by 2^69, so that no digit is lost for weights and factors between 2^-57
// and 2^47.
template <class Storage>
struct Units {
    static constexpr bool kTiny = false;
    template <class Real>
    __device__ static Real raised(Real x) {
        return x;
    }
    template <class Real>
    __device__ static Real lowered(Real x) {
        return x;
    }
    template <class Real>
    __device__ static Real multiply_add(Real x, Real y, Real sum) {
        return sum + x * y;
    }
};
struct TinyUnits {
    static constexpr bool kTiny = true;
    __device__ static float raised(float x) { return x * 0x1p80f; }
    __device__ static float lowered(float x) { return x * 0x1p69f; }
    __device__ static float multiply_add(float x, float y, float sum) {
#ifdef __CUDACC_RTC__
        // CuPy's -ftz=true would treat x as zero
        asm("fma.rn.f32 %0, %1, %2, %0;" : "+f"(sum) : "f"(x), "f"(y));
        return sum;
#else
        return sum + x * y;
#endif
    }
};
template <>
struct Units<unsigned char> : TinyUnits {};
template <>
struct Units<signed char> : TinyUnits {};

// Number `i` of a word, in its units, by one of two instructions.
//
// Numbers of less than 32 bits are kept in words until their second use: 16 bytes take 4 registers, as floats
// 16. The compiler would keep the converted numbers of the first use, in memory if registers do not suffice.
// With another instruction for the second use it cannot know that the result is the same except for the sign.
template <class T>
struct FromWord;
template <>
struct FromWord<unsigned char> {
    static constexpr int kAgain = 1;
    __device__ static float first(unsigned word, int i) { return float_of(__byte_perm(word, 0, 0x4440 + i)); }
    __device__ static float again(unsigned word, int i) { return float_of(__byte_perm(0, word, 0x0004 + i)); }
};
template <>
struct FromWord<signed char> {  // through b + 128, which is not negative
    using Bytes = FromWord<unsigned char>;
    static constexpr int kAgain = 1;
    __device__ static float first(unsigned word, int i) {
        return less_128(Bytes::first(word ^ 0x80808080u, i));
    }
    __device__ static float again(unsigned word, int i) {
        return less_128(Bytes::again(word ^ 0x80808080u, i));
    }
    __device__ static float less_128(float x) {
#ifdef __CUDACC_RTC__
        asm("add.rn.f32 %0, %0, %1;" : "+f"(x) : "f"(-0x1p-142f));
        return x;
#else
        return x - 0x1p-142f;
#endif
    }
};
template <>
struct FromWord<Half> {
    static constexpr int kAgain = -1;
    __device__ static float first(unsigned word, int i) {
        return widen(Half{(unsigned short)(word >> (16 * i))});
    }
    __device__ static float again(unsigned word, int i) {
#ifdef __CUDACC_RTC__
        float value;
        asm("{ .reg .f16 h; neg.f16 h, %1; cvt.f32.f16 %0, h; }"
            : "=f"(value) : "h"((unsigned short)(word >> (16 * i))));
        return value;
#else
        return -first(word, i);
#endif
    }
};
template <>
struct FromWord<BFloat16> {
    static constexpr int kAgain = 1;
    __device__ static float first(unsigned word, int i) {
        return float_of(i ? word & 0xffff0000u : word << 16);
    }
    __device__ static float again(unsigned word, int i) {
        return float_of(__byte_perm(word, 0, i ? 0x3244 : 0x1044));
    }
};

template <class T>
struct FromWholeWord {  // of 16 bits
    static constexpr int kAgain = -1;
    __device__ static double first(unsigned word, int i) { return double(int(T(word >> (16 * i)))); }
    __device__ static double again(unsigned word, int i) { return double(-int(T(word >> (16 * i)))); }
};
template <>
struct FromWord<short> : FromWholeWord<short> {};
template <>
struct FromWord<unsigned short> : FromWholeWord<unsigned short> {};

// A vector that is loaded at once: 16 bytes at most, with an address that is a multiple of its size. `at`
// returns one number in its units, `again` that times kAgain, `number` its value.
template <class T, int kSize, bool kWords = sizeof(T) < 4 && sizeof(T) * kSize >= 4>
struct alignas(sizeof(T) * kSize < 16 ? sizeof(T) * kSize : 16) Pack {
    static constexpr int kAgain = 1;
    T v[kSize];
    __device__ auto at(int i) const {
        if constexpr (Units<T>::kTiny)
            return FromWord<T>::first((unsigned char)v[i], 0);
        else
            return widen(v[i]);
    }
    __device__ auto again(int i) const { return at(i); }
    __device__ auto number(int i) const { return widen(v[i]); }
};
template <class T, int kSize>
struct alignas(sizeof(T) * kSize < 16 ? sizeof(T) * kSize : 16) Pack<T, kSize, true> {
    static constexpr int kPerWord = 4 / sizeof(T), kAgain = FromWord<T>::kAgain;
    unsigned words[kSize / kPerWord];
    __device__ auto at(int i) const { return FromWord<T>::first(words[i / kPerWord], i % kPerWord); }
    __device__ auto again(int i) const { return FromWord<T>::again(words[i / kPerWord], i % kPerWord); }
    __device__ auto number(int i) const {
        if constexpr (Units<T>::kTiny)
            return widen(T(words[i / kPerWord] >> (i % kPerWord * 8)));
        else
            return at(i);
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

// Sums of kRows x kValues numbers over kLanes adjacent lanes, by a transposed reduction: at every step a lane
// keeps one half of the rows and gives the other half to its partner. Lane l ends with the sums of rows l *
// kRows / kLanes onwards, one of them if there are more lanes than rows. Eight rows over 32 lanes take 9
// shuffles instead of 40.
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
