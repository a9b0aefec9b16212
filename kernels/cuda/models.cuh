// The passes of outputs.cu as formulas on a row: their inputs, and the factors that scale the row in the sum.

// A pass: the inputs of its formula, and what is summed.
struct Gradients {
    static constexpr bool kMargins = true, kProducts = false, kLoss = true, kSquares = false, kSums = true;
};
struct Products {  // margins, and products with vectors
    static constexpr bool kMargins = true, kProducts = true, kLoss = false, kSquares = false, kSums = true;
};
struct ProductsAt {  // with known margins
    static constexpr bool kMargins = false, kProducts = true, kLoss = false, kSquares = false, kSums = true;
};
struct Diagonals {
    static constexpr bool kMargins = true, kProducts = false, kLoss = false, kSquares = true, kSums = true;
};
struct OnlyMargins {
    static constexpr bool kMargins = true, kProducts = false, kLoss = false, kSquares = false, kSums = false;
};

enum Loss { kLogistic, kSoftmax, kSoftmaxes };  // models side by side; one model; several models

// A model: the column of its codes, and the bit that says which rows it trains on, or -1.
struct Model {
    int target, split;

    __device__ int code(const unsigned char* codes) const { return codes[target]; }
    // The weight of a row: zero if the model does not train on it, times the weight of its class if there is
    // one.
    __device__ float weight(float w, const unsigned char* bits, const float* of_classes, int code) const {
        if (split >= 0) w = bits[split / 8] >> split % 8 & 1 ? w : 0.0f;
        return of_classes ? w * of_classes[code] : w;
    }
};

// The factors and the losses of a lane's columns of one row, `row_lane` and every eighth after it, from
// margins z and products u. code, weight: those of the models whose numbers are those columns; of an only
// model in place 0 of all lanes.
template <class Pass, Loss kLoss, int kPer>
__device__ inline void row_factors(int row_lane, int models, int classes, int columns, const float (&z)[kPer],
                                   const float (&u)[kPer], const int (&code)[kPer],
                                   const float (&weight)[kPer], float (&factor)[kPer], float (&value)[kPer]) {
    if constexpr (kLoss != kLogistic) {
        SoftmaxRow<kPer, kLoss == kSoftmax> row{row_lane, models, classes};
#pragma unroll
        for (int j = 0; j < kPer; ++j) {
            const int k = row_lane + 8 * j;
            row.model[j] = k >= columns ? -1 : kLoss == kSoftmax ? 0 : k / classes;
            row.z[j] = z[j];
        }
        if constexpr (Pass::kLoss)
            row.loss(code, weight, factor, value);
        else if constexpr (Pass::kProducts)
            row.product(weight, u, factor);
        else
            row.curvature(weight, factor);
    } else {
#pragma unroll
        for (int j = 0; j < kPer; ++j) {
            if constexpr (Pass::kLoss) {
                const Logistic<float> line(z[j], code[j] != 0);
                factor[j] = weight[j] * line.residual;
                value[j] = weight[j] * line.loss;
            } else {
                factor[j] = weight[j] * logistic_curvature(z[j]);
                if constexpr (Pass::kProducts) factor[j] *= u[j];
            }
        }
    }
}
