// A pass over dense rows for up to 32 outputs, which reads each row from device memory once: softmax, or
// models side by side that each have their own codes, rows and weights. Products are made by tensor cores
// (tensor.cuh), with the accuracy of float32.
//
//     A block takes one slice of rows, tile by tile, through a ring of tiles in shared memory that copies
//     fill ahead of it. kAcross warps share kRows rows of a tile; the block's kWarps / kAcross groups have
//     rows of their own. A warp owns kBlocks blocks of 8 columns: their weights, their part of the sum.
//
//     tile -> products of the warp's columns -> shared memory, added up over the warps -> pointwise formula,
//     eight lanes a row -> factors to shared memory -> own columns of the sum += factors^T * tile
//
// The order of sums depends on the layout of X alone, and a column of W does not affect others: a model's
// sums have the same bits whichever models share the pass. The sums of each slice are written out; sum_slices
// (dense.cu) adds them in double.

#include "common.cuh"
#include "pointwise.cuh"
#include "tensor.cuh"
#include "softmax.cuh"
#include "models.cuh"
#include "leavings.cuh"

// X: as in dense.cu. weights: kTiles * 16 rows of n for each of margins and products, then as many intercepts
// each. y: `targets` codes per row; splits: `split_bytes` bytes per row, or null; s: row weights, or null;
// class_weights: a number for each code of each model, or null. columns: the number in use, of `models`
// models with `classes` columns each. known: known margins, `columns` per row; margins: where to write them,
// or null. stages: tiles of the ring. sums: per slice, `columns` rows of n. totals: per slice, as many values
// and sums of factors.
template <class Pass, Loss kLoss, class Storage, int kPiece, int kTiles, int kBlocks, int kRows, int kWarps,
          int kAcross, bool kHeld, int kResident>
__global__ void __launch_bounds__(32 * kWarps, kResident)
    outputs(const Storage* __restrict__ X, long long stride, long long m, int n,
            const float* __restrict__ weights, const unsigned char* __restrict__ y, int targets,
            const unsigned char* __restrict__ splits, int split_bytes, const float* __restrict__ s,
            const Model* __restrict__ table, const float* __restrict__ class_weights, int models, int classes,
            int columns, int slice_rows, int stages, const float* __restrict__ known,
            float* __restrict__ margins, float* __restrict__ sums, double* __restrict__ totals) {
    constexpr int kGroups = kWarps / kAcross, kTileRows = kGroups * kRows, kRowBlocks = kRows / 8;
    constexpr int kVectors = kTiles * (Pass::kMargins + Pass::kProducts);  // 16 columns of W each
    constexpr int kColumns = 8 * kBlocks * kAcross;
    constexpr int kItem = sizeof(Storage), kUneven = kItem == 4 ? 32 : 16;  // an odd multiple: banks differ
    constexpr int kPitch = ((kColumns * kItem + kUneven - 1) / kUneven | 1) * kUneven;
    constexpr int kZPitch = 16 * kVectors + 8;
    constexpr int kPer = 2 * kTiles;                      // columns of a lane in the formula
    constexpr int kAtOnce = 4 * kAcross;                  // rows of a group in the formula at once
    constexpr int kTurns = (kRows + kAtOnce - 1) / kAtOnce;
    constexpr bool kExact = kItem < 4;                    // numbers of X are TF32 numbers
    constexpr int kTogether = 2;                          // blocks whose products a tensor core adds up

    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int group = warp / kAcross, across = warp % kAcross;
    const int g = lane / 4, t = lane % 4;
    const int member = across * 32 + lane, row_lane = member % 8, first_row = member / 8;

    DYNAMIC_SHARED(char, memory);
    auto tile_of = [&](int stage) { return memory + (stage * kTileRows + group * kRows) * kPitch; };
    float* z_memory =
        reinterpret_cast<float*>(memory + stages * kTileRows * kPitch) + group * kAcross * kRows * kZPitch;
    auto z_of = [&](int part, int row) { return z_memory + (part * kRows + row) * kZPitch; };

    auto group_meets = [] {
        if constexpr (kAcross == 1)
            __syncwarp();
        else
            __syncthreads();
    };

    const long long begin = (long long)blockIdx.x * slice_rows;
    const int end = m - begin < slice_rows ? int(m - begin) : slice_rows;
    const int tiles = (end + kTileRows - 1) / kTileRows;

    // Zeros where no copy will write: beyond n, and beyond the last row.
    for (int i = threadIdx.x * 4; i < stages * kTileRows * kPitch; i += 32 * kWarps * 4)
        *reinterpret_cast<unsigned*>(memory + i) = 0;
    __syncthreads();

    const Pieces pieces(member, 32 * kAcross, n * kItem / kPiece);
    auto begin_tile = [&](int tile, int stage) {
        const int base = tile * kTileRows + group * kRows;
        if (tile < tiles) {
            const char* from = reinterpret_cast<const char*>(X + (begin + base) * stride);
            pieces.copy<kPiece, kPitch>(tile_of(stage), from, stride * kItem, min(end - base, kRows));
        }
        end_of_copies();
    };

    auto column = [&](int block) { return (block * kAcross + across) * 8; };
    // one block of 8 columns of W for 16 outputs; a lane's second column is the next one, so that it loads
    // pairs of X
    auto fetch_weights = [&](float (&w)[4], int vector, int block) {
        const int j = column(block) + 2 * t;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const long long row = vector * 16 + g + i % 2 * 8;
            w[i] = j + i / 2 < n ? weights[row * n + j + i / 2] : 0.0f;
        }
    };
    float held[kHeld ? kVectors : 1][kHeld ? kBlocks : 1][4];
    if constexpr (kHeld) {
#pragma unroll
        for (int d = 0; d < kVectors; ++d)
#pragma unroll
            for (int b = 0; b < kBlocks; ++b) fetch_weights(held[d][b], d, b);
    }
    const float* intercepts = weights + (long long)kVectors * 16 * n;

    float sum[kTiles][kBlocks][4] = {};
    float value_total[kPer] = {}, factor_total[kPer] = {};

    for (int i = 0; i < stages - 1; ++i) begin_tile(i, i);
    for (int tile = 0, stage = 0, ahead = stages - 1; tile < tiles; ++tile) {
        wait_for_all_but(stages - 2);
        group_meets();  // the tile is complete, and no thread still reads the one before it
        begin_tile(tile + stages - 1, ahead);
        ahead = stage;

        // the numbers of the rows that the formula needs are loaded early
        float weight[kTurns][kPer], at_hand[kTurns][kPer];
        int code[kTurns][kPer];
        const int base = tile * kTileRows + group * kRows;
#pragma unroll
        for (int turn = 0; turn < kTurns; ++turn) {
            const int r = turn * kAtOnce + first_row;
            const long long i = begin + base + r;
            const bool there = r < kRows && base + r < end;
#pragma unroll
            for (int j = 0; j < kPer; ++j) {
                const int k = row_lane + 8 * j;
                weight[turn][j] = at_hand[turn][j] = 0.0f;
                code[turn][j] = 0;
                const int model = kLoss == kSoftmax ? 0 : k;  // a single model's number goes to all lanes
                if (Pass::kSums && there && (kLoss == kSoftmax ? j == 0 : k < models)) {
                    const float* of_classes =
                        class_weights ? class_weights + model * (kLoss == kLogistic ? 2 : classes) : nullptr;
                    code[turn][j] = table[model].code(y + i * targets);
                    weight[turn][j] = table[model].weight(s ? s[i] : 1.0f, splits + i * split_bytes,
                                                          of_classes, code[turn][j]);
                }
                if constexpr (!Pass::kMargins)
                    if (there && k < columns) at_hand[turn][j] = known[i * columns + k];
            }
        }

        const char* here = tile_of(stage);
        if (++stage == stages) stage = 0;
        struct alignas(2 * kItem) Pair {
            Storage x[2];
        };
        auto pair_of = [](const char* row, int j) { return *reinterpret_cast<const Pair*>(row + j * kItem); };
        auto number = [&](int row, int j) {
            const float x = as_float(reinterpret_cast<const Storage*>(here + row * kPitch)[j]);
            return Pass::kSquares ? x * x : x;
        };

        {
            float z[kRowBlocks][kVectors][4] = {};
#pragma unroll
            for (int b = 0; b < kBlocks; b += kTogether) {
                unsigned high[kTogether][kVectors][4], low[kTogether][kVectors][4];
#pragma unroll
                for (int c = 0; c < kTogether; ++c)
#pragma unroll
                    for (int d = 0; d < kVectors; ++d) {
                        float w[4] = {};
                        if (b + c < kBlocks) {
                            if constexpr (!kHeld) fetch_weights(w, d, b + c);
#pragma unroll
                            for (int i = 0; i < 4; ++i) {
                                if constexpr (kHeld) w[i] = held[d][b + c][i];
                                const Split both = split(w[i]);
                                high[c][d][i] = both.high, low[c][d][i] = both.low;
                            }
                        }
                    }
#pragma unroll
                for (int r = 0; r < kRowBlocks; ++r) {
                    float part[kVectors][4] = {};
#pragma unroll
                    for (int c = 0; c < kTogether; ++c) {
                        if (b + c >= kBlocks) continue;
                        unsigned x_high[2], x_low[2];
                        const auto pair = pair_of(here + (8 * r + g) * kPitch, column(b + c) + 2 * t);
#pragma unroll
                        for (int i = 0; i < 2; ++i) {
                            const float x = as_float(pair.x[i]);
                            const Split both = split(x);
                            x_high[i] = kExact ? bits_of(x) : both.high, x_low[i] = both.low;
                        }
#pragma unroll
                        for (int d = 0; d < kVectors; ++d) {
                            if constexpr (!kExact) multiply_add(part[d], high[c][d], x_low);
                            multiply_add(part[d], low[c][d], x_high);
                            multiply_add(part[d], high[c][d], x_high);
                        }
                    }
#pragma unroll
                    for (int d = 0; d < kVectors; ++d)
#pragma unroll
                        for (int i = 0; i < 4; ++i) z[r][d][i] += part[d][i];
                }
            }
#pragma unroll
            for (int r = 0; r < kRowBlocks; ++r)
#pragma unroll
                for (int d = 0; d < kVectors; ++d)
#pragma unroll
                    for (int i = 0; i < 4; ++i)
                        z_of(across, 8 * r + 2 * t + i % 2)[16 * d + g + i / 2 * 8] = z[r][d][i];
        }
        group_meets();

#pragma unroll
        for (int turn = 0; turn < kTurns; ++turn) {
            const int r = turn * kAtOnce + first_row;
            const bool is_row = r < kRows;
            float z[kPer], u[kPer], factor[kPer] = {}, value[kPer] = {};
#pragma unroll
            for (int j = 0; j < kPer; ++j) {
                const int k = row_lane + 8 * j;
                auto product = [&](int column) {
                    float a = 0.0f;
#pragma unroll
                    for (int q = 0; q < kAcross; ++q)
                        if (is_row) a += z_of(q, r)[column];
                    return a + intercepts[column];
                };
                z[j] = Pass::kMargins ? product(k) : at_hand[turn][j];
                u[j] = Pass::kProducts ? product(k + (Pass::kMargins ? 16 * kTiles : 0)) : 0.0f;
                if (Pass::kMargins && margins && is_row && base + r < end && k < columns)
                    margins[(begin + base + r) * columns + k] = z[j];
            }
            if constexpr (Pass::kSums) {
                row_factors<Pass, kLoss>(row_lane, models, classes, columns, z, u, code[turn], weight[turn],
                                         factor, value);
#pragma unroll
                for (int j = 0; j < kPer; ++j) {
                    if (is_row) {  // overwrites margins that only this lane has read
                        z_of(0, r)[row_lane + 8 * j] = factor[j];
                        value_total[j] += value[j];
                        factor_total[j] += factor[j];
                    }
                }
            }
        }
        if constexpr (!Pass::kSums) continue;
        group_meets();

#pragma unroll
        for (int r = 0; r < kRowBlocks; r += kTogether) {
            unsigned high[kTogether][kTiles][4], low[kTogether][kTiles][4];
#pragma unroll
            for (int c = 0; c < kTogether; ++c)
#pragma unroll
                for (int d = 0; d < kTiles; ++d)
#pragma unroll
                    for (int i = 0; i < 4; ++i) {
                        if (r + c >= kRowBlocks) continue;
                        const Split both =
                            split(z_of(0, 8 * (r + c) + t + i / 2 * 4)[16 * d + g + i % 2 * 8]);
                        high[c][d][i] = both.high, low[c][d][i] = both.low;
                    }
#pragma unroll
            for (int b = 0; b < kBlocks; ++b) {
                float part[kTiles][4] = {};
#pragma unroll
                for (int c = 0; c < kTogether; ++c) {
                    if (r + c >= kRowBlocks) continue;
                    unsigned x_high[2], x_low[2];
#pragma unroll
                    for (int i = 0; i < 2; ++i) {
                        const float x = number(8 * (r + c) + t + 4 * i, column(b) + g);
                        const Split both = split(x);
                        x_high[i] = kExact && !Pass::kSquares ? bits_of(x) : both.high, x_low[i] = both.low;
                    }
#pragma unroll
                    for (int d = 0; d < kTiles; ++d) {
                        if constexpr (!kExact || Pass::kSquares) multiply_add(part[d], high[c][d], x_low);
                        multiply_add(part[d], low[c][d], x_high);
                        multiply_add(part[d], high[c][d], x_high);
                    }
                }
#pragma unroll
                for (int d = 0; d < kTiles; ++d)
#pragma unroll
                    for (int i = 0; i < 4; ++i) sum[d][b][i] += part[d][i];
            }
        }
    }
    if constexpr (!Pass::kSums) return;

    // The results of the block.
    wait_for_copies<0>();
    __syncthreads();
    leave_sums<kGroups>(sum, group, g, t, columns, n, column, kColumns, reinterpret_cast<float*>(memory),
                        sums + (long long)blockIdx.x * columns * n);
    leave_totals<kWarps>(value_total, factor_total, lane, warp, columns, totals);
}
