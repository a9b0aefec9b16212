// The pointwise formulas of the logistic loss, for one row: what stands between a row's margins and its share of a sum.
//
// With t = exp(-|z|) <= 1 and the margin signed by its class, z~ = z for y = 1 and -z for y = 0:
//
//     loss       max(-z~, 0) + log1p(t)
//     residual   -+ (z~ > 0 ? t : 1) / (1 + t)          (- for y = 1; never sigma(z) - 1, which loses all digits)
//     curvature  t / (1 + t)^2
//
// exp, fabs and log1p are CUDA's accurate ones: fast-math versions would be the largest error of the whole pass.

template <class Real>
struct Logistic {
    Real loss, residual;
    __device__ Logistic(Real z, bool positive) {
        const Real margin = positive ? z : -z;
        const Real t = exp(-fabs(z));
        const Real miss = (margin > Real(0) ? t : Real(1)) / (Real(1) + t);
        loss = (margin < Real(0) ? -margin : Real(0)) + log1p(t);
        residual = positive ? -miss : miss;
    }
};

template <class Real>
__device__ inline Real logistic_curvature(Real z) {
    const Real t = exp(-fabs(z));
    return t / ((Real(1) + t) * (Real(1) + t));
}

// A pass is its pointwise formula. From the products of a row with kDots vectors come, for each of K outputs, a factor that
// scales the row in the sum (kSums) and, for the loss, a value. kSquares sums the row's squares instead.

template <int K>
struct LossGradient {
    static constexpr int kOutputs = K, kDots = K;
    static constexpr bool kSums = true, kSquares = false;
    template <class Real>
    __device__ static void row(const Real (&z)[kDots], bool positive, Real weight, Real (&factor)[K], Real (&value)[K]) {
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
    static constexpr bool kSums = true, kSquares = false;
    template <class Real>
    __device__ static void row(const Real (&z)[kDots], bool, Real weight, Real (&factor)[K], Real (&value)[K]) {
#pragma unroll
        for (int k = 0; k < K; ++k) {
            factor[k] = weight * logistic_curvature(z[k]) * z[K + k];
            value[k] = Real(0);
        }
    }
};

template <int K>
struct Diagonal {
    static constexpr int kOutputs = K, kDots = K;
    static constexpr bool kSums = true, kSquares = true;
    template <class Real>
    __device__ static void row(const Real (&z)[kDots], bool, Real weight, Real (&factor)[K], Real (&value)[K]) {
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
    static constexpr bool kSums = false, kSquares = false;
    template <class Real>
    __device__ static void row(const Real (&)[kDots], bool, Real, Real (&)[K], Real (&)[K]) {}
};
