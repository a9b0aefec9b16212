// Examination of labels and weights before the first pass: which classes there are, the code of each label,
// the number of rows and the weight of each class, and whether weights are valid.
//
// Results of a block are written out to be combined in order: no atomics, the same bits on every run.

#include "common.cuh"
#include "blocks.cuh"

// The least and the greatest label among the rows of a block. out: two numbers of each block.
template <class Label>
__global__ void label_range(const Label* y, long long m, Label* out) {
    Label least = y[0], most = y[0];
    for (long long i = first_of_grid(); i < m; i += threads_of_grid()) {
        least = Smaller{}(least, y[i]);
        most = Larger{}(most, y[i]);
    }
    least = joined_by_block(least, Smaller{});
    most = joined_by_block(most, Larger{});
    if (threadIdx.x == 0) {
        out[2 * blockIdx.x] = least;
        out[2 * blockIdx.x + 1] = most;
    }
}

// Codes of labels of two values, the least and the greatest in `ranges`. told: both values, in eight bytes
// each; then, for each block, the number of rows with the greatest one, and the number with neither.
template <class Label>
__global__ void label_codes(const Label* y, const Label* ranges, long long m, unsigned char* codes,
                            double* told) {
    Label least = ranges[0], most = ranges[1];
    for (unsigned b = threadIdx.x; b < gridDim.x; b += kThreads) {
        least = Smaller{}(least, ranges[2 * b]);
        most = Larger{}(most, ranges[2 * b + 1]);
    }
    least = joined_by_block(least, Smaller{});
    most = joined_by_block(most, Larger{});
    double counts[2] = {};
    for (long long i = first_of_grid(); i < m; i += threads_of_grid()) {
        const bool high = y[i] == most;
        codes[i] = high;
        counts[0] += high;
        counts[1] += !high && !(y[i] == least);
    }
    block_sum(counts, told + 2);
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        *reinterpret_cast<Label*>(told) = least;
        *reinterpret_cast<Label*>(told + 1) = most;
    }
}

// For each class, the number of rows, the sum of their weights, and the number of positive weights; s is null
// for ones. out: three numbers of each block for each class.
template <class Real>
__global__ void class_totals(const unsigned char* y, const Real* s, long long m, int classes, double* out) {
    for (int code = 0; code < classes; ++code) {
        double sums[3] = {};
        for (long long i = first_of_grid(); i < m; i += threads_of_grid())
            if (y[i] == code) {
                const double weight = s ? double(s[i]) : 1.0;
                sums[0] += 1;
                sums[1] += weight;
                sums[2] += weight > 0;
            }
        block_sum(sums, out + 3 * (long long)code * gridDim.x);
    }
}

// Which labels occur, by their distance from the least one, which is at most `range`. seen, initially zeros,
// gets a 1 for each label that occurs; its last element says whether a label is not an integer in this range.
// Many threads may write the same 1 to an element at once, which is harmless.
template <class Label>
__global__ void label_presence(const Label* y, Label least, int range, long long m, unsigned char* seen) {
    for (long long i = first_of_grid(); i < m; i += threads_of_grid()) {
        const Label above = Label(y[i] - least);
        const int place = int(above);
        seen[Label(place) == above ? place : range + 1] = 1;
    }
}

// codes[i]: the code of a label, which `code` has by the label's distance from the least one.
template <class Label, class Code>
__global__ void label_lookup(const Label* y, Label least, const Code* code, long long m, Code* codes) {
    for (long long i = first_of_grid(); i < m; i += threads_of_grid())
        codes[i] = code[int(Label(y[i] - least))];
}

// Of weights: the first row whose weight is NaN, infinite or negative, or m; the largest weight, the sum, the
// least positive weight, and the number of positive weights. out: these five of each block.
__global__ void weights_look(const double* s, long long m, double* out) {
    constexpr double kMost = 1.7976931348623157e308;
    double strange = double(m), largest = 0, least = kMost, sums[2] = {};
    for (long long i = first_of_grid(); i < m; i += threads_of_grid()) {
        const double weight = s[i];
        if (!(weight >= 0 && weight <= kMost)) strange = double(i) < strange ? double(i) : strange;
        largest = Larger{}(largest, weight);
        if (weight > 0) least = Smaller{}(least, weight);
        sums[0] += weight;
        sums[1] += weight > 0;
    }
    const double told[5] = {joined_by_block(strange, Smaller{}), joined_by_block(largest, Larger{}),
                            added_by_block(sums[0]), joined_by_block(least, Smaller{}),
                            added_by_block(sums[1])};
    if (threadIdx.x == 0)
        for (int k = 0; k < 5; ++k) out[5 * blockIdx.x + k] = told[k];
}

// The number of positive weights among the block_rows rows of each block, and their rows, in order.
__global__ void positive_count(const double* s, long long m, long long block_rows, double* counts) {
    const long long begin = blockIdx.x * block_rows, end = begin + block_rows < m ? begin + block_rows : m;
    double count[1] = {};
    for (long long i = begin + threadIdx.x; i < end; i += kThreads) count[0] += s[i] > 0;
    block_sum(count, counts);
}

__global__ void positive_rows(const double* s, long long m, long long block_rows, const double* counts,
                              long long* rows) {
    double earlier = 0;
    for (unsigned block = threadIdx.x; block < blockIdx.x; block += kThreads) earlier += counts[block];
    long long place = (long long)added_by_block(earlier);
    const long long begin = blockIdx.x * block_rows, end = begin + block_rows < m ? begin + block_rows : m;
    for (long long base = begin; base < end; base += kThreads) {
        const long long i = base + threadIdx.x;
        const unsigned own = i < end && s[i] > 0;
        unsigned all;
        const unsigned before = before_in_block(own, all);
        if (own) rows[place + before] = i;
        place += all;
    }
}

// out[i] = s[i] / scale, or zero if that is zero in the arithmetic of the passes.
template <class Real>
__global__ void scaled_weights(const double* s, double scale, long long m, double* out) {
    for (long long i = first_of_grid(); i < m; i += threads_of_grid()) {
        const double weight = s[i] / scale;
        out[i] = Real(weight) == Real(0) ? 0.0 : weight;
    }
}

// The codes of one of several models, which are column `target` of y, and the weights of its rows: s, or 1 if
// s is null, for rows with bit `split` of their splits (for all rows if `split` is negative), times the
// weights of their classes unless these are null. weights is null if all are one.
template <class Real>
__global__ void model_rows(const unsigned char* y, int targets, int target, const unsigned char* splits,
                           int split_bytes, int split, const Real* s, const Real* of_classes, long long m,
                           unsigned char* codes, Real* weights) {
    for (long long i = first_of_grid(); i < m; i += threads_of_grid()) {
        const unsigned char code = y[i * targets + target];
        codes[i] = code;
        if (!weights) continue;
        const bool trains = split < 0 || (splits[i * split_bytes + split / 8] >> split % 8 & 1);
        const Real weight = !trains ? Real(0) : s ? s[i] : Real(1);
        weights[i] = of_classes ? weight * of_classes[code] : weight;
    }
}
