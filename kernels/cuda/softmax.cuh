// The pointwise formulas of the softmax loss, for one row whose margins are distributed over eight adjacent
// lanes: lane l has columns l, l + 8, ... of one or several models, each of `classes` adjacent columns.
// `model` is that of each of a lane's columns, or -1. Model i's code and weight, and the loss, are in lane i
// % 8, at place i / 8; those of a single model are in all lanes.
//
// With e = exp(z - max z) <= 1, sums run over the other classes, because 1 - p would lose its digits as the
// fit gets good.

template <int kSize, bool kOne>
struct SoftmaxRow {
    int lane;        // of the eight
    int in_all, classes;
    int model[kSize];
    float z[kSize];  // minus the largest one of the model, after `exponentials`
    float e[kSize];

    __device__ static float sum(float x) {
#pragma unroll
        for (int offset = 4; offset > 0; offset /= 2) x += __shfl_xor_sync(kAllLanes, x, offset);
        return x;
    }
    __device__ int models() const { return kOne ? 1 : in_all; }

    // The number of model `i`, from the lane that has it.
    template <class T>
    __device__ static T of_model(const T (&each)[kSize], int i) {
        if constexpr (kOne) return each[0];
        T mine = each[0];
#pragma unroll
        for (int j = 1; j < kSize; ++j) mine = i / 8 == j ? each[j] : mine;
        return __shfl_sync(kAllLanes, mine, i % 8, 8);
    }

    __device__ void exponentials() {
        for (int i = 0; i < models(); ++i) {
            float top = -3.402823466e38f;
#pragma unroll
            for (int j = 0; j < kSize; ++j)
                if (model[j] == i) top = fmaxf(top, z[j]);
#pragma unroll
            for (int offset = 4; offset > 0; offset /= 2)
                top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, offset));
#pragma unroll
            for (int j = 0; j < kSize; ++j)
                if (model[j] == i) z[j] -= top;
        }
#pragma unroll
        for (int j = 0; j < kSize; ++j) e[j] = model[j] < 0 ? 0.0f : exp(z[j]);
    }

    __device__ void loss(const int (&code)[kSize], const float (&weight)[kSize], float (&factor)[kSize],
                         float (&value)[kSize]) {
        exponentials();
        for (int i = 0; i < models(); ++i) {
            const int own = i * classes + of_model(code, i);
            const float w = of_model(weight, i);
            float others = 0.0f, its = 0.0f, its_z = 0.0f;
#pragma unroll
            for (int j = 0; j < kSize; ++j) {
                const bool here = lane + 8 * j == own;
                if (model[j] == i) others += here ? 0.0f : e[j];
                its += here ? e[j] : 0.0f;
                its_z += here ? z[j] : 0.0f;
            }
            others = sum(others), its = sum(its), its_z = sum(its_z);
            const float scale = over_normal(w, its + others);
#pragma unroll
            for (int j = 0; j < kSize; ++j) {
                if (model[j] == i) factor[j] = scale * (lane + 8 * j == own ? -others : e[j]);
                if (lane + 8 * j == i) value[j] = w * (log1p(its - 1.0f + others) - its_z);
            }
        }
    }

    __device__ void curvature(const float (&weight)[kSize], float (&factor)[kSize]) {
        exponentials();
        for (int i = 0; i < models(); ++i) {
            float lower = 0.0f, ties = 0.0f;
#pragma unroll
            for (int j = 0; j < kSize; ++j) {
                if (model[j] == i) lower += e[j] == 1.0f ? 0.0f : e[j];
                if (model[j] == i) ties += e[j] == 1.0f ? 1.0f : 0.0f;
            }
            lower = sum(lower), ties = sum(ties);
            const float once = over_normal(1.0f, lower + ties), total = lower + ties, w = of_model(weight, i);
#pragma unroll
            for (int j = 0; j < kSize; ++j) {
                const float rest = e[j] == 1.0f ? lower + (ties - 1.0f) : total - e[j];
                if (model[j] == i) factor[j] = w * (e[j] * once) * (rest * once);
            }
        }
    }

    // The product does not change if a number is subtracted from u; with u of the most likely class
    // subtracted, no digits cancel.
    __device__ void product(const float (&weight)[kSize], const float (&u)[kSize], float (&factor)[kSize]) {
        exponentials();
        for (int i = 0; i < models(); ++i) {
            float total = 0.0f, ties = 0.0f, at_top = 0.0f;
#pragma unroll
            for (int j = 0; j < kSize; ++j) {
                const bool top = model[j] == i && e[j] == 1.0f;
                if (model[j] == i) total += e[j];
                ties += top ? 1.0f : 0.0f;
                at_top += top ? u[j] : 0.0f;
            }
            total = sum(total), ties = sum(ties), at_top = sum(at_top);
            const float shift = over_normal(at_top, ties), once = over_normal(1.0f, total);
            const float w = of_model(weight, i);
            float mean = 0.0f;
#pragma unroll
            for (int j = 0; j < kSize; ++j)
                if (model[j] == i) mean += e[j] * once * (u[j] - shift);
            mean = sum(mean);
#pragma unroll
            for (int j = 0; j < kSize; ++j)
                if (model[j] == i) factor[j] = w * (e[j] * once) * (u[j] - shift - mean);
        }
    }
};
