// The pointwise formulas of the logistic loss, for one row: from its margins to the factor that scales it in
// a sum.
//
// With t = exp(-|z|) <= 1 and the margin signed by its class, z~ = z for y = 1 and -z for y = 0:
//
//     loss       max(-z~, 0) + log1p(t)
//     residual   -+ (z~ > 0 ? t : 1) / (1 + t)      (- for y = 1; never sigma(z) - 1, which loses all digits)
//     curvature  t / (1 + t)^2
//
// to within two units in the last place; the error of fast-math versions would be the largest of the whole
// pass. exp is CUDA's own. In float, the formulas take most of the time of a pass with few columns, so that
// they make use of the range of their arguments: 1 + t is in [1, 2], so that a division needs no special
// cases (`over_normal`, for a divisor near 1), and log1p(t) on [0, 1] is one polynomial.

__device__ inline double over_normal(double a, double b) { return a / b; }
__device__ inline float over_normal(float a, float b) {
#ifdef __CUDACC_RTC__
    float reciprocal;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(reciprocal) : "f"(b));
    return a * (reciprocal + reciprocal * (1.0f - b * reciprocal));
#else
    return a * (1.0f / b);
#endif
}

__device__ inline double log1p_to_one(double t) { return log1p(t); }
__device__ inline float log1p_to_one(float t) {
    // Chebyshev interpolation of log1p(t) / t, off by 5e-9 of it at most
    float a = -0.00317606f;
    a = a * t + 0.01954253f;
    a = a * t - 0.05637361f;
    a = a * t + 0.10543624f;
    a = a * t - 0.15269667f;
    a = a * t + 0.19663274f;
    a = a * t - 0.24951616f;
    a = a * t + 0.3332971f;
    a = a * t - 0.49999893f;
    a = a * t + 1.0f;
    return a * t;
}

template <class Real>
struct Logistic {
    Real loss, residual;
    __device__ Logistic(Real z, bool positive) {
        const Real margin = positive ? z : -z;
        const Real t = exp(-fabs(z));
        const Real miss = over_normal(margin > Real(0) ? t : Real(1), Real(1) + t);
        loss = (margin < Real(0) ? -margin : Real(0)) + log1p_to_one(t);
        residual = positive ? -miss : miss;
    }
};

template <class Real>
__device__ inline Real logistic_curvature(Real z) {
    const Real t = exp(-fabs(z));
    const Real share = over_normal(Real(1), Real(1) + t);
    return t * share * share;
}

// A pass is its pointwise formula. From the products of a row with kDots vectors it computes, for each of K
// outputs, a factor that scales the row in the sum (kSums) and, for the loss, a value. With kSquares, the
// row's squares are summed instead. With kAt, known margins follow the products.

template <int K>
struct LossGradient {
    static constexpr int kOutputs = K, kDots = K;
    static constexpr bool kSums = true, kSquares = false, kAt = false;
    template <class Real>
    __device__ static void row(const Real (&z)[kDots], bool positive, Real weight, Real (&factor)[K],
                               Real (&value)[K]) {
#pragma unroll
        for (int k = 0; k < K; ++k) {
            const Logistic<Real> line(z[k], positive);
            factor[k] = weight * line.residual;
            value[k] = weight * line.loss;
        }
    }
};

template <int K>
struct HessianVector {  // the first K products are margins, the rest the products with the vectors
    static constexpr int kOutputs = K, kDots = 2 * K;
    static constexpr bool kSums = true, kSquares = false, kAt = false;
    template <class Real>
    __device__ static void row(const Real (&z)[kDots], bool, Real weight, Real (&factor)[K],
                               Real (&value)[K]) {
#pragma unroll
        for (int k = 0; k < K; ++k) {
            factor[k] = weight * logistic_curvature(z[k]) * z[K + k];
            value[k] = Real(0);
        }
    }
};

template <int K>
struct ProductAt {  // as HessianVector, with known margins
    static constexpr int kOutputs = K, kDots = K;
    static constexpr bool kSums = true, kSquares = false, kAt = true;
    template <class Real>
    __device__ static void row(const Real (&z)[2 * K], bool, Real weight, Real (&factor)[K],
                               Real (&value)[K]) {
#pragma unroll
        for (int k = 0; k < K; ++k) {
            factor[k] = weight * logistic_curvature(z[K + k]) * z[k];
            value[k] = Real(0);
        }
    }
};

template <int K>
struct Diagonal {
    static constexpr int kOutputs = K, kDots = K;
    static constexpr bool kSums = true, kSquares = true, kAt = false;
    template <class Real>
    __device__ static void row(const Real (&z)[kDots], bool, Real weight, Real (&factor)[K],
                               Real (&value)[K]) {
#pragma unroll
        for (int k = 0; k < K; ++k) {
            factor[k] = weight * logistic_curvature(z[k]);
            value[k] = Real(0);
        }
    }
};

template <int K>
struct Margins {
    static constexpr int kOutputs = K, kDots = K;
    static constexpr bool kSums = false, kSquares = false, kAt = false;
    template <class Real>
    __device__ static void row(const Real (&)[kDots], bool, Real, Real (&)[K], Real (&)[K]) {}
};
