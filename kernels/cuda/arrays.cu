// Rows of a matrix whose numbers lie in any order: strided, reversed, repeated, by columns, or at addresses
// that are no multiples of their size. What no kernel reads where it lies is copied once.
//
// Numbers travel through a tile in shared memory, so that loads and stores are both of neighbours.

#include "common.cuh"
#include "blocks.cuh"

template <class Word>
__device__ inline Word loaded(const unsigned char* from) {
    if ((unsigned long long)from % sizeof(Word) == 0) return *reinterpret_cast<const Word*>(from);
    Word word;
    unsigned char* bytes = reinterpret_cast<unsigned char*>(&word);
    for (int b = 0; b < int(sizeof(Word)); ++b) bytes[b] = from[b];
    return word;
}

// X (m, n) begins `first` bytes from `memory`; its rows and columns lie row_bytes and column_bytes apart.
// to: m rows of `columns`, zeros beyond n.
template <class Word>
__global__ void copied(const unsigned char* memory, long long first, long long row_bytes,
                       long long column_bytes, long long m, long long n, Word* to, long long columns) {
    const unsigned char* const X = memory + first;
    SHARED_ARRAY(Word, tile, 32 * 33);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    // the direction in which neighbours lie is that of a warp's lanes
    const bool by_rows = (column_bytes < 0 ? -column_bytes : column_bytes) <=
                         (row_bytes < 0 ? -row_bytes : row_bytes);
    const long long across = (columns + 31) / 32, tiles = (m + 31) / 32 * across;
    for (long long t = blockIdx.x; t < tiles; t += gridDim.x) {
        const long long top = t / across * 32, left = t % across * 32;
        for (int k = warp; k < 32; k += kThreads / 32) {
            const int r = by_rows ? k : lane, c = by_rows ? lane : k;
            const long long i = top + r, j = left + c;
            tile[r * 33 + c] =
                i < m && j < n ? loaded<Word>(X + i * row_bytes + j * column_bytes) : Word(0);
        }
        __syncthreads();
        for (int k = warp; k < 32; k += kThreads / 32)
            if (top + k < m && left + lane < columns)
                to[(top + k) * columns + left + lane] = tile[k * 33 + lane];
        __syncthreads();
    }
}
