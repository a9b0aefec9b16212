// Sweeps over the margins of several classes, which do not read X: the formulas of the softmax loss, with one
// thread per row.
//
// With e = exp(z - max z) <= 1, sums run over the other classes, because 1 - p would lose its digits as the
// fit gets good. exp is computed again for every use: the number of classes is not bounded, so that stored
// values would have to be in memory.
//
// z, u and results per row: `classes` numbers per row. y: codes; s: row weights, or null. Results of a block
// are written out to be added in order: no atomics, the same bits on every run.

#include "common.cuh"
#include "blocks.cuh"
#include "pointwise.cuh"

#define FOR_EACH_ROW(i, m) \
    for (long long i = (long long)blockIdx.x * kThreads + threadIdx.x; i < m; \
         i += (long long)gridDim.x * kThreads)
// Not unrolled, because copies of exp would be most of the code and take most of the compile time.
#define FOR_EACH_CLASS(c, first, classes) _Pragma("unroll 1") for (int c = first; c < classes; ++c)

// One row: its margins as a function of the class.
template <class Real, class Margins>
struct Softmax {
    Margins z;
    int classes;
    // the largest margin; the sum of e below it; how many are as large
    Real top, lower = Real(0), ties = Real(0);
    __device__ Softmax(Margins z, int classes) : z(z), classes(classes), top(z(0)) {
        FOR_EACH_CLASS(c, 1, classes) top = z(c) > top || z(c) != z(c) ? z(c) : top;
        FOR_EACH_CLASS(c, 0, classes) {
            const Real x = e(c);
            if (x == Real(1))
                ties += Real(1);
            else
                lower += x;
        }
    }
    __device__ Real e(int c) const { return exp(z(c) - top); }
    __device__ Real probability(int c) const { return e(c) / (lower + ties); }
    __device__ Real others(int own) const {
        Real sum = Real(0);
        FOR_EACH_CLASS(c, 0, classes) sum += c == own ? Real(0) : e(c);
        return sum;
    }
    // rest: the sum of e over the other classes
    __device__ Real loss(int own, Real rest) const { return log1p(e(own) - Real(1) + rest) - (z(own) - top); }
    __device__ Real residual(int c, int own, Real rest, Real once) const {
        return (c == own ? -rest : e(c)) * once;
    }
    __device__ Real curvature(int c) const {
        const Real total = lower + ties, x = e(c);
        return x / total * ((x == Real(1) ? lower + (ties - Real(1)) : total - x) / total);
    }
};
template <class Real, class Margins>
__device__ inline Softmax<Real, Margins> softmax_of(Margins z, int classes) {
    return Softmax<Real, Margins>(z, classes);
}
template <class Real>
struct Row {  // margins that are contiguous in memory
    const Real* z;
    __device__ Real operator()(int c) const { return z[c]; }
};

// The curvature applied to u does not change if a number is subtracted from u; with u of the most likely
// class subtracted, no digits cancel.
template <class Real, class Margins, class Vector>
struct Product {
    const Softmax<Real, Margins>& row;
    Vector u;
    Real shift = Real(0), mean = Real(0);
    __device__ Product(const Softmax<Real, Margins>& row, Vector u) : row(row), u(u) {
        FOR_EACH_CLASS(c, 0, row.classes) shift += row.e(c) == Real(1) ? u(c) : Real(0);
        shift /= row.ties;
        FOR_EACH_CLASS(c, 0, row.classes) mean += row.probability(c) * (u(c) - shift);
    }
    __device__ Real operator()(int c) const { return row.probability(c) * (u(c) - shift - mean); }
};

template <class Real>
struct Apart {  // margins with a stride
    const Real* z;
    long long step;
    __device__ Real operator()(int c) const { return z[c * step]; }
};

// Probabilities of the classes, or their logarithms. The sum is over the other classes: added to the 1 of the
// largest margin, they would be rounded away.
template <class Real>
__global__ void softmax_probabilities(const Real* z, long long between, long long step, bool logarithms,
                                      long long m, int classes, Real* out) {
    FOR_EACH_ROW(i, m) {
        const auto row = softmax_of<Real>(Apart<Real>{z + i * between, step}, classes);
        const Real beyond = logarithms ? log1p(row.lower + (row.ties - Real(1))) : Real(0);
        FOR_EACH_CLASS(c, 0, classes)
        out[i * classes + c] = logarithms ? row.z(c) - row.top - beyond : row.probability(c);
    }
}

template <class Real>
__global__ void softmax_residual(const Real* z, const unsigned char* y, const Real* s, long long m,
                                 int classes, Real* out, double* block_losses) {
    double losses[1] = {};
    FOR_EACH_ROW(i, m) {
        const auto row = softmax_of<Real>(Row<Real>{z + i * classes}, classes);
        const int own = y[i];
        const Real weight = s ? s[i] : Real(1), rest = row.others(own), once = Real(1) / (row.e(own) + rest);
        FOR_EACH_CLASS(c, 0, classes) out[i * classes + c] = weight * row.residual(c, own, rest, once);
        losses[0] += double(weight * row.loss(own, rest));
    }
    block_sum(losses, block_losses);
}

template <class Real>
__global__ void softmax_curvatures(const Real* z, const Real* s, long long m, int classes, Real* out) {
    FOR_EACH_ROW(i, m) {
        const auto row = softmax_of<Real>(Row<Real>{z + i * classes}, classes);
        const Real weight = s ? s[i] : Real(1);
        FOR_EACH_CLASS(c, 0, classes) out[i * classes + c] = weight * row.curvature(c);
    }
}

// Factors by which rows are multiplied so that their Gram matrices are Hessians, vectors of m: for every
// class, `own` has the square root of its own curvature, and `shares` a factor whose product for two classes
// is minus their curvature; `mean` has the square root of the mean curvature. Each may be null.
template <class Real>
__global__ void softmax_roots(const Real* z, const Real* s, long long m, int classes, Real* own,
                              Real* shares, Real* mean) {
    FOR_EACH_ROW(i, m) {
        const auto row = softmax_of<Real>(Row<Real>{z + i * classes}, classes);
        const Real weight = s ? s[i] : Real(1), root = sqrt(weight);
        Real sum = Real(0);
        FOR_EACH_CLASS(c, 0, classes) {
            const Real curvature = weight * row.curvature(c);
            sum += curvature;
            if (own) own[c * m + i] = sqrt(curvature);
            if (shares) shares[c * m + i] = root * row.probability(c);
        }
        if (mean) mean[i] = sqrt(sum / Real(classes));
    }
}

// Curvatures of a row, added up over the classes.
template <class Real>
__global__ void softmax_mass(const Real* z, const Real* s, long long m, int classes, Real* out) {
    FOR_EACH_ROW(i, m) {
        const auto row = softmax_of<Real>(Row<Real>{z + i * classes}, classes);
        Real mass = Real(0);
        FOR_EACH_CLASS(c, 0, classes) mass += row.curvature(c);
        out[i] = s ? s[i] * mass : mass;
    }
}

template <class Real>
__global__ void softmax_product(const Real* z, const Real* s, const Real* u, long long m, int classes,
                                Real* out) {
    FOR_EACH_ROW(i, m) {
        const auto row = softmax_of<Real>(Row<Real>{z + i * classes}, classes);
        const Product<Real, Row<Real>, Row<Real>> product(row, Row<Real>{u + i * classes});
        const Real weight = s ? s[i] : Real(1);
        FOR_EACH_CLASS(c, 0, classes) out[i * classes + c] = weight * product(c);
    }
}

// The two derivatives in t of the loss at the margins z0 + t * (z1 - z0), summed.
template <class Real>
__global__ void softmax_line(const Real* z0, const Real* z1, const unsigned char* y, const Real* s, Real t,
                             long long m, int classes, double* block_sums) {
    double sums[2] = {};
    FOR_EACH_ROW(i, m) {
        const Real *from = z0 + i * classes, *to = z1 + i * classes;
        auto change = [=](int c) { return to[c] - from[c]; };
        const auto row = softmax_of<Real>([=](int c) { return from[c] + t * (to[c] - from[c]); }, classes);
        const Product<Real, decltype(row.z), decltype(change)> product(row, change);
        const int own = y[i];
        const Real weight = s ? s[i] : Real(1), rest = row.others(own), once = Real(1) / (row.e(own) + rest);
        Real slope = Real(0), curvature = Real(0);
        FOR_EACH_CLASS(c, 0, classes) {
            slope += row.residual(c, own, rest, once) * change(c);
            curvature += product(c) * change(c);
        }
        sums[0] += double(weight * slope), sums[1] += double(weight * curvature);
    }
    block_sum(sums, block_sums);
}

// How far the losses at some margins lie above their tangents at others, row by row.
template <class Real>
__global__ void softmax_above(const Real* start, const Real* end, const unsigned char* y, const Real* s,
                              long long m, int classes, double* block_sums) {
    double sums[1] = {};
    FOR_EACH_ROW(i, m) {
        const Real *from = start + i * classes, *to = end + i * classes;
        const auto there = softmax_of<Real>(Row<Real>{from}, classes);
        const auto here = softmax_of<Real>(Row<Real>{to}, classes);
        const int own = y[i];
        const Real rest = here.others(own), once = Real(1) / (here.e(own) + rest);
        Real along = Real(0);
        FOR_EACH_CLASS(c, 0, classes) along += here.residual(c, own, rest, once) * (from[c] - to[c]);
        const Real above = there.loss(own, there.others(own)) - here.loss(own, rest) - along;
        sums[0] += double(s ? s[i] * above : above);
    }
    block_sum(sums, block_sums);
}

// As logistic_change of sweeps.cu: the lead of the row's own class is over each of the others, and the
// largest change is that of a difference of two margins.
template <class Real>
__global__ void softmax_change(const Real* start, const Real* end, const unsigned char* y, const Real* s,
                               Real far, long long m, int classes, double* block_largest) {
    constexpr double kLeast = -1.7976931348623157e308;
    double largest[3] = {kLeast, kLeast, kLeast};
    FOR_EACH_ROW(i, m) {
        const Real *from = start + i * classes, *to = end + i * classes;
        const int own = y[i];
        const bool counts = !s || s[i] > Real(0);
        largest[1] = Larger{}(largest[1], 0.0), largest[2] = Larger{}(largest[2], 0.0);
        double up = kLeast, down = kLeast;
        FOR_EACH_CLASS(c, 0, classes) {
            up = Larger{}(up, double(to[c] - from[c])), down = Larger{}(down, double(from[c] - to[c]));
            if (c == own || !counts) continue;
            const Real lead_before = from[own] - from[c], lead_after = to[own] - to[c];
            const Real before = lead_before > far ? far : lead_before;
            const Real after = lead_after > far ? far : lead_after;
            const Real gained = (after < -far ? -far : after) - (before < -far ? -far : before);
            largest[1] = Larger{}(largest[1], double(before - after));
            largest[2] = Larger{}(largest[2], before < far ? double(gained) : 0.0);
        }
        largest[0] = Larger{}(largest[0], up + down);
    }
    block_joined(largest, block_largest, Larger{});
}
