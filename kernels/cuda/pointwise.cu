// The pointwise line of the logistic loss on all margins, in one pass: sigma, the error and the loss.
//
// Between the two matrix products of a gradient (z = Xw + b before, X'r after) stand, per row, with t = exp(-|z|) and
// the margin signed by its class, z~ = z for y = 1 and -z for y = 0:
//
//     loss      s * (max(-z~, 0) + log1p(t))
//     residual  -+ s * (z~ > 0 ? t : 1) / (1 + t)          (- for y = 1)
//
// As array code this is a dozen kernels over vectors of m; here every margin is read once and every residual written
// once. Losses are added in double: each thread its rows in order, each block a tree of fixed shape, and the block sums
// go out to be added in order. No atomics: the same bits on every run.

constexpr int kThreads = 256;

template <typename T>
__global__ void logistic_residual(const T* z, const unsigned char* y, const T* s, long long m, T* residual,
                                  double* block_losses) {
    __shared__ double sums[kThreads];
    const long long stride = (long long)gridDim.x * kThreads;
    double loss = 0.0;
    for (long long i = (long long)blockIdx.x * kThreads + threadIdx.x; i < m; i += stride) {
        const bool positive = y[i] != 0;
        const T margin = positive ? z[i] : -z[i];
        const T t = exp(-fabs(margin));
        const T weight = s ? s[i] : T(1);
        const T miss = weight * ((margin > T(0) ? t : T(1)) / (T(1) + t));
        residual[i] = positive ? -miss : miss;
        loss += (double)(weight * ((margin < T(0) ? -margin : T(0)) + log1p(t)));
    }
    sums[threadIdx.x] = loss;
    __syncthreads();
    for (int half = kThreads / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) block_losses[blockIdx.x] = sums[0];
}
