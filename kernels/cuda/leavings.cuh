// The results of a block of outputs.cu for its slice of rows: sums over its groups of warps and over its
// lanes, always in the same order.

// A group's sums are distributed over its warps' lanes as a tensor core returns them; `column` is that of a
// block of 8. The groups take turns: each adds its own sums to those before it in shared memory, and the last
// one writes `columns` rows of n.
template <int kGroups, int kTiles, int kBlocks, class Column>
__device__ inline void leave_sums(const float (&sum)[kTiles][kBlocks][4], int group, int g, int t,
                                  int columns, int n, Column column, int pitch, float* group_sums,
                                  float* slice_sums) {
    for (int p = 0; p < kGroups; ++p) {
        if (group == p) {
#pragma unroll
            for (int d = 0; d < kTiles; ++d)
#pragma unroll
                for (int b = 0; b < kBlocks; ++b)
#pragma unroll
                    for (int i = 0; i < 4; ++i) {
                        const int k = 16 * d + g + i / 2 * 8, j = column(b) + 2 * t + i % 2;
                        float a = sum[d][b][i];
                        if (p > 0) a += group_sums[k * pitch + j];
                        if (p < kGroups - 1)
                            group_sums[k * pitch + j] = a;
                        else if (k < columns && j < n)
                            slice_sums[(long long)k * n + j] = a;
                    }
        }
        if (kGroups > 1) __syncthreads();
    }
}

// Values, then sums of factors, of a column in eight lanes of every warp: `columns` of each, for every slice.
template <int kWarps, int kPer>
__device__ inline void leave_totals(const float (&value_total)[kPer], const float (&factor_total)[kPer],
                                    int lane, int warp, int columns, double* totals) {
    SHARED_ARRAY(double, warp_totals, kWarps * 2 * 8 * kPer);
#pragma unroll
    for (int j = 0; j < kPer; ++j) {
        double value = value_total[j], factors = factor_total[j];
#pragma unroll
        for (int offset = 8; offset < 32; offset *= 2) {
            value += __shfl_xor_sync(kAllLanes, value, offset);
            factors += __shfl_xor_sync(kAllLanes, factors, offset);
        }
        if (lane < 8) {
            warp_totals[(warp * 2 + 0) * 8 * kPer + lane + 8 * j] = value;
            warp_totals[(warp * 2 + 1) * 8 * kPer + lane + 8 * j] = factors;
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < 2 * columns; i += 32 * kWarps) {
        const int which = i / columns, k = i % columns;
        double a = 0.0;
        for (int q = 0; q < kWarps; ++q) a += warp_totals[(q * 2 + which) * 8 * kPer + k];
        totals[(long long)blockIdx.x * 2 * columns + i] = a;
    }
}
