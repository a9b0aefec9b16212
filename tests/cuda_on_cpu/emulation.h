// The execution model of CUDA on a CPU, for kernels compiled by g++: one fiber per CUDA thread.
//
// Threads run one at a time. A thread runs until it meets others, at a barrier, a warp's barrier or a
// shuffle; which of the ready ones goes on is drawn from a seed, and so is the order of the blocks. What a
// kernel may not rely on is made to hurt: shared memory starts as NaN, its arrays lie apart, a thread that
// misses a meeting ends the process.
//
// The same source builds in three ways. Plain: numbers and meetings. With the address and undefined-behaviour
// sanitizers: reads out of bounds, misaligned vectors, overflowing offsets, in shared memory too. With the
// thread sanitizer: each fiber counts as a thread, and only the barriers order the accesses of two of them,
// so every race within a warp, between warps and between blocks is one that the sanitizer sees, whatever the
// order they ran in.
//
// Not here: masks of a part of a warp, atomics of other types than 64-bit integers, clusters, bulk copies,
// anything about speed. Memory is sequentially consistent, and the functions of math.h are the C library's.
#pragma once

#include <math.h>  // libstdc++'s: the overloads for float and double in the global namespace, as in CUDA C++

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

// The scheduler moves between fibers behind the thread sanitizer's back: its own accesses must not be
// reported.
#define EMULATION_UNSEEN __attribute__((no_sanitize_thread))

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};

namespace emulation {

struct Thread;
struct Block;

inline Thread* running = nullptr;
inline dim3 grid_size;
inline dim3 block_size;
inline const void* kernel_call = nullptr;  // the kernel with its arguments, and what calls it
inline void (*run_kernel_call)(const void*) = nullptr;

// xorshift64*, whose upper half is what is drawn. <random> would take a third of the time that g++ needs for
// a kernel.
struct Chance {
    uint64_t state = 1;

    void seed(uint64_t number) { state = number * 0x9e3779b97f4a7c15u + 1; }
    unsigned operator()() {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return unsigned(state * 0x2545f4914f6cdd1du >> 32);
    }
};
inline Chance chance;

[[noreturn]] inline void refuse() {
    fflush(stderr);
    _exit(42);
}

template <typename... Values>
[[noreturn]] void die(const char* format, Values... values) {
    fputs("emulation: ", stderr);
    fprintf(stderr, format, values...);
    fputc('\n', stderr);
    refuse();
}

// ---- Sanitizers: what they must be told; nothing in a plain build ----

inline void poison(void* memory, size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_poison_memory_region(memory, bytes);
#else
    (void)memory, (void)bytes;
#endif
}

inline void unpoison(void* memory, size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(memory, bytes);
#else
    (void)memory, (void)bytes;
#endif
}

// What came before release(token) in one thread happens before what follows acquire(token) in another.
inline void release(void* token) {
#if defined(__SANITIZE_THREAD__)
    __tsan_release(token);
#else
    (void)token;
#endif
}

inline void acquire(void* token) {
#if defined(__SANITIZE_THREAD__)
    __tsan_acquire(token);
#else
    (void)token;
#endif
}

// ---- Fibers ----

constexpr size_t kStackBytes = 256 << 10;  // a sanitizer writes its report on it
// at a power of two, tops of stacks would share a few cache lines
constexpr size_t kStackStride = kStackBytes + 960;

struct Fiber {
    ucontext_t context;
    void* registers[5];
    bool started = false;
    void* stack = nullptr;  // the scheduler's: known once a fiber was entered from it
    size_t stack_bytes = 0;
    void* address_sanitizer = nullptr;
    void* thread_sanitizer = nullptr;
};

inline Fiber scheduler;

// Whether the threads of a block go on as those of the next: the sanitizers want new ones.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kFibersGoOn = false;
#else
constexpr bool kFibersGoOn = true;
#endif

// swapcontext calls the system for the signal mask each time; jumps do without, and a job takes a third of
// the time. The compiler's own know what is live; the C library's look for what a jump would leave undone.
// The sanitizers follow swapcontext, not jumps between stacks.
EMULATION_UNSEEN __attribute__((noinline)) inline void switch_registers(Fiber& from, Fiber& to) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    swapcontext(&from.context, &to.context);
#else
    if (__builtin_setjmp(from.registers) != 0) {
        return;
    }
    from.started = true;
    if (to.started) {
        __builtin_longjmp(to.registers, 1);
    }
    setcontext(&to.context);
#endif
}

// Called on the stack just arrived at.
inline void arrived(Fiber& at, Fiber& from) {
#if defined(__SANITIZE_ADDRESS__)
    const void* stack = nullptr;
    size_t bytes = 0;
    __sanitizer_finish_switch_fiber(at.address_sanitizer, &stack, &bytes);
    from.stack = const_cast<void*>(stack);
    from.stack_bytes = bytes;
#else
    (void)at, (void)from;
#endif
}

EMULATION_UNSEEN inline void switch_fiber(Fiber& from, Fiber& to, bool for_good = false) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(for_good ? nullptr : &from.address_sanitizer, to.stack, to.stack_bytes);
#endif
#if defined(__SANITIZE_THREAD__)
    // A thread sees what the scheduler did, the scheduler not what a thread did: it would carry it to the
    // others.
    const bool into_thread = &from == &scheduler;
    __tsan_switch_to_fiber(to.thread_sanitizer, into_thread ? 0 : __tsan_switch_to_fiber_no_sync);
#endif
    (void)for_good;
    switch_registers(from, to);
    arrived(from, to);
}

inline void start_fiber(Fiber& fiber, void* stack, void (*body)()) {
    fiber.stack = stack;
    fiber.stack_bytes = kStackBytes;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = stack;
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, body, 0);
    // Once, of what the last fiber left there: the address sanitizer would do it at each switch, by the size
    // it finds.
    unpoison(stack, kStackBytes);
    fiber.context.uc_stack.ss_size = 0;
#if defined(__SANITIZE_THREAD__)
    fiber.thread_sanitizer = __tsan_create_fiber(0);
#endif
}

// The thread sanitizer gives a new fiber the identity of a destroyed one, and takes the accesses of both for
// one thread's. So the fibers of many blocks are kept, most often of a whole launch (each takes nearly 1 MB
// and 0.5 ms); beyond that, which thread of a later block inherits from which is left to chance.
constexpr size_t kMostFibers = 1024;
inline std::vector<void*> ended_fibers;

inline void destroy_fibers() {
#if defined(__SANITIZE_THREAD__)
    while (!ended_fibers.empty()) {
        std::swap(ended_fibers[chance() % ended_fibers.size()], ended_fibers.back());
        __tsan_destroy_fiber(ended_fibers.back());
        ended_fibers.pop_back();
    }
#endif
}

inline void end_fiber(Fiber& fiber) {
#if defined(__SANITIZE_THREAD__)
    ended_fibers.push_back(fiber.thread_sanitizer);
    if (ended_fibers.size() > kMostFibers) {
        destroy_fibers();
    }
#else
    (void)fiber;
#endif
}

// ---- Memory of the running block: stacks, threads, shared arrays ----

// One mapping. The thread sanitizer forgets accesses to memory that is unmapped; a stack or a shared array
// that the next block took over as it is would look like a race between the two.
class BlockMemory {
public:
    // Whether the memory is that of the block before, as it was left.
    bool renew(size_t bytes) {
#if defined(__SANITIZE_THREAD__)
        const bool keep = false;
#else
        const bool keep = bytes == size_;
#endif
        if (!keep) {
            if (base_) {
                munmap(base_, size_);
            }
            void* mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (mapping == MAP_FAILED) {
                die("no memory for a block");
            }
            base_ = static_cast<char*>(mapping);
            size_ = bytes;
        }
        used_ = 0;
        return keep;
    }

    EMULATION_UNSEEN void* take(size_t bytes) {
        void* memory = base_ + used_;
        used_ += (bytes + 63) / 64 * 64;
        return memory;
    }

private:
    char* base_ = nullptr;
    size_t size_ = 0;
    size_t used_ = 0;
};

inline BlockMemory block_memory;

// ---- Threads that meet ----

constexpr int kWarp = 32;
constexpr size_t kMaxThreads = 1024;
constexpr size_t kMaxStaticShared = 48 << 10;
constexpr size_t kMaxShared = 227 << 10;
static_assert(kMaxShared < kStackStride, "blocks of one size in bytes have as many threads");
constexpr size_t kRedZone = 64;
constexpr int kMaxArrays = 16;

// The threads of a block or of a warp: a collective operation completes when all of them are at it.
struct Group {
    const char* threads;  // what they are called in a message
    Thread* first;
    unsigned size;
    unsigned waiting;
    // Two tokens in turn. With one, a thread already at the next meeting would seem to come before those that
    // are still leaving this one, and races between them would go unseen.
    unsigned turn;
    char token[2];
};

struct Warp : Group {
    uint64_t values[2][kWarp];  // what each lane brought to a shuffle, in the same turns
    unsigned fragments[2][kWarp][6];  // and to a product of matrices
};

struct Thread {
    Fiber fiber;
    uint3 index;
    unsigned number;
    unsigned lane;
    Warp* warp;
    Block* block;
    Group* waits_for;  // none: ready, or ended
    const char* site;
    bool ended;
};

struct SharedArray {
    const void* key;
    void* memory;
};

struct Block : Group {
    uint3 index;
    Warp* warps;
    void* dynamic_shared;
    size_t static_shared;
    SharedArray arrays[kMaxArrays];
};

inline char launch_token;  // orders a launch after the one before

EMULATION_UNSEEN inline void meet(Group& group, const char* site) {
    Thread& thread = *running;
    thread.waits_for = &group;
    thread.site = site;
    switch_fiber(thread.fiber, scheduler);
}

EMULATION_UNSEEN inline void synchronize(Group& group, const char* site) {
    void* token = &group.token[group.turn];
    release(token);
    meet(group, site);
    acquire(token);
}

EMULATION_UNSEEN inline void check_mask(const char* site, unsigned mask) {
    const unsigned size = running->warp->size;
    const unsigned all = size == kWarp ? ~0u : (1u << size) - 1;
    if ((mask & all) != all) {
        die("%s: mask %08x names a part of the warp, which is not emulated", site, mask);
    }
}

EMULATION_UNSEEN inline void sync_threads(const char* site) {
    synchronize(*running->block, site);
}

EMULATION_UNSEEN inline void sync_warp(const char* site, unsigned mask = ~0u) {
    check_mask(site, mask);
    synchronize(*running->warp, site);
}

// A shuffle exchanges registers and orders no memory. A lane that does not exist brings NaN.
template <typename T>
EMULATION_UNSEEN T exchange(const char* site, unsigned mask, T value, unsigned source) {
    static_assert(sizeof(T) <= sizeof(uint64_t), "a shuffle moves at most 8 bytes");
    check_mask(site, mask);
    Warp& warp = *running->warp;
    uint64_t* values = warp.values[warp.turn];
    __builtin_memcpy(&values[running->lane], &value, sizeof(T));
    meet(warp, site);
    __builtin_memcpy(&value, &values[source], sizeof(T));
    return value;
}

// With a width, every `width` lanes are a warp of their own.
inline unsigned segment_of_lane(int width) {
    return running->lane & ~unsigned(width - 1);
}

template <typename T>
T shuffle(const char* site, unsigned mask, T value, int source, int width = kWarp) {
    return exchange(site, mask, value, segment_of_lane(width) + (unsigned(source) & unsigned(width - 1)));
}

template <typename T>
T shuffle_xor(const char* site, unsigned mask, T value, int lanes, int width = kWarp) {
    const unsigned source = running->lane ^ unsigned(lanes);
    const bool beyond = source >= segment_of_lane(width) + width;
    return exchange(site, mask, value, beyond ? running->lane : source);
}

template <typename T>
T shuffle_down(const char* site, unsigned mask, T value, unsigned lanes, int width = kWarp) {
    const unsigned source = running->lane + lanes;
    const bool beyond = source >= segment_of_lane(width) + width;
    return exchange(site, mask, value, beyond ? running->lane : source);
}

// ---- Products of matrices ----

// Eleven digits, as a tensor core takes them.
inline double tf32(unsigned word) {
    word &= 0xffffe000u;
    float value;
    __builtin_memcpy(&value, &word, sizeof(value));
    return value;
}

// As mma.m16n8k8 in TF32: products are exact, and their sum is cut off, not rounded.
EMULATION_UNSEEN inline void multiply_fragments(const char* site, float (&sum)[4], const unsigned (&a)[4],
                                                const unsigned (&b)[2]) {
    Warp& warp = *running->warp;
    auto& fragments = warp.fragments[warp.turn];
    __builtin_memcpy(&fragments[running->lane], &a, sizeof(a));
    __builtin_memcpy(&fragments[running->lane][4], &b, sizeof(b));
    meet(warp, site);
    const unsigned g = running->lane / 4, t = running->lane % 4;
    for (unsigned i = 0; i < 4; ++i) {
        double exact = sum[i];
        for (unsigned k = 0; k < 8; ++k) {
            const unsigned word_of_a = i / 2 + k / 4 * 2, column = 2 * t + i % 2;
            exact +=
                tf32(fragments[g * 4 + k % 4][word_of_a]) * tf32(fragments[column * 4 + k % 4][4 + k / 4]);
        }
        sum[i] = float(exact);
        if (fabs(double(sum[i])) > fabs(exact)) {
            sum[i] = nextafterf(sum[i], 0.0f);
        }
    }
}

// ---- Copies in the background ----

struct Copy {
    void* to;
    const void* from;
    size_t bytes;
};

// Of each thread of the running block: the groups that it has ended, and the one that it has begun.
inline std::vector<std::vector<std::vector<Copy>>> copies_of_threads;

// Nothing is there before it is waited for, and what was there before is gone.
inline void begin_copy(void* to, const void* from, size_t bytes) {
    memset(to, 0xff, bytes);
    copies_of_threads[running->number].back().push_back({to, from, bytes});
}

inline void end_copies() {
    copies_of_threads[running->number].emplace_back();
}

inline void wait_copies(size_t later) {
    auto& groups = copies_of_threads[running->number];
    while (groups.size() - 1 > later) {
        for (const Copy& copy : groups.front()) {
            memcpy(copy.to, copy.from, copy.bytes);
        }
        groups.erase(groups.begin());
    }
}

// ---- Shared memory ----

EMULATION_UNSEEN inline void* take_shared(size_t bytes) {
    void* memory = block_memory.take(bytes);
    block_memory.take(kRedZone);
    unpoison(memory, bytes);
    return memory;
}

// The first thread to come by a declaration makes the array, the others find it.
EMULATION_UNSEEN inline void* find_shared(const void* key, size_t bytes) {
    Block& block = *running->block;
    SharedArray* array = block.arrays;
    while (array->key && array->key != key) {
        ++array;
    }
    if (!array->key) {
        block.static_shared += bytes;
        if (block.static_shared > kMaxStaticShared || array == block.arrays + kMaxArrays - 1) {
            die("more than 48 KiB, or more than %d arrays, of static shared memory", kMaxArrays - 1);
        }
        array->key = key;
        array->memory = take_shared(bytes);
    }
    return array->memory;
}

template <typename T, size_t N>
auto shared_array(const void* key) -> T (&)[N] {
    return *static_cast<T(*)[N]>(find_shared(key, sizeof(T) * N));
}

// ---- Scheduler ----

// A thread of the next block goes on where one of this block ended: a new context calls the system twice.
inline void thread_body() {
    arrived(running->fiber, scheduler);
    for (;;) {
        run_kernel_call(kernel_call);
        release(&launch_token);
        running->ended = true;
        switch_fiber(running->fiber, scheduler, true);
    }
}

EMULATION_UNSEEN inline void check_same_site(const Group& group) {
    const Thread& first = group.first[0];
    for (unsigned i = 1; i < group.size; ++i) {
        const Thread& other = group.first[i];
        if (first.site != other.site && strcmp(first.site, other.site) != 0) {
            die("%s meet at different places: thread %u at %s, thread %u at %s", group.threads, first.number,
                first.site, other.number, other.site);
        }
    }
}

// Nobody can go on: names a meeting that is waited for and a thread that does not come to it.
[[noreturn]] EMULATION_UNSEEN inline void report_missing(const Block& block) {
    const Thread* waiting = block.first;
    for (unsigned i = 0; i < block.size; ++i) {
        const Thread& thread = block.first[i];
        if (thread.waits_for && (!waiting->waits_for || thread.waits_for != &block)) {
            waiting = &thread;
        }
    }
    const Group& group = *waiting->waits_for;
    const Thread* missing = group.first;
    while (missing->waits_for == &group) {
        ++missing;
    }
    die("%s not reached by all %s: in block (%u, %u, %u), thread %u waits there and thread %u %s%s",
        waiting->site, group.threads, block.index.x, block.index.y, block.index.z, waiting->number,
        missing->number, missing->ended ? "has ended" : "waits at ", missing->ended ? "" : missing->site);
}

EMULATION_UNSEEN inline void run_threads(Block& block) {
    std::vector<Thread*> ready;
    for (unsigned i = 0; i < block.size; ++i) {
        ready.push_back(&block.first[i]);
    }
    for (unsigned alive = block.size; alive > 0;) {
        if (ready.empty()) {
            report_missing(block);
        }
        std::swap(ready[chance() % ready.size()], ready.back());
        Thread& thread = *ready.back();
        ready.pop_back();
        running = &thread;
        switch_fiber(scheduler, thread.fiber);
        if (thread.ended) {
            --alive;
            continue;
        }
        Group& group = *thread.waits_for;
        if (++group.waiting < group.size) {
            continue;
        }
        check_same_site(group);
        group.waiting = 0;
        group.turn ^= 1;
        for (unsigned i = 0; i < group.size; ++i) {
            group.first[i].waits_for = nullptr;
            ready.push_back(&group.first[i]);
        }
    }
}

inline void run_block(uint3 index, size_t dynamic_bytes) {
    const unsigned threads = block_size.x * block_size.y * block_size.z;
    const unsigned warps = (threads + kWarp - 1) / kWarp;
    const size_t shared_bytes = kMaxStaticShared + dynamic_bytes + (kMaxArrays + 1) * 2 * kRedZone;
    const size_t of_threads = threads * (kStackStride + sizeof(Thread) + 64);
    const size_t of_warps = (warps + 1) * (sizeof(Warp) + 64);
    const bool kept = block_memory.renew(of_threads + of_warps + sizeof(Block) + 64 + shared_bytes);

    char* stacks = static_cast<char*>(block_memory.take(threads * kStackStride));
    Thread* first = static_cast<Thread*>(block_memory.take(threads * sizeof(Thread)));
    Block& block = *new (block_memory.take(sizeof(Block))) Block{};
    block.threads = "threads of the block";
    block.first = first;
    block.size = threads;
    block.index = index;
    block.warps = static_cast<Warp*>(block_memory.take(warps * sizeof(Warp)));
    for (unsigned w = 0; w < warps; ++w) {
        Warp& warp = *new (&block.warps[w]) Warp{};
        warp.threads = "lanes of the warp";
        warp.first = first + w * kWarp;
        warp.size = w + 1 < warps ? kWarp : threads - w * kWarp;
        memset(warp.values, 0xff, sizeof(warp.values));
    }
    for (unsigned t = 0; t < threads; ++t) {
        Thread& thread = first[t];
        if (!kept || !kFibersGoOn) {
            start_fiber((new (&thread) Thread{})->fiber, stacks + t * kStackStride, thread_body);
        }
        thread.index = {t % block_size.x, t / block_size.x % block_size.y, t / block_size.x / block_size.y};
        thread.number = t;
        thread.lane = t % kWarp;
        thread.warp = &block.warps[t / kWarp];
        thread.block = &block;
        thread.ended = false;
    }

    char* shared = static_cast<char*>(block_memory.take(kRedZone));
    unpoison(shared, shared_bytes);
    memset(shared, 0xff, shared_bytes);
    poison(shared, shared_bytes);
    block.dynamic_shared = take_shared(dynamic_bytes);

    copies_of_threads.assign(threads, {{}});
    run_threads(block);
    for (unsigned t = 0; t < threads; ++t) {
        end_fiber(first[t].fiber);
    }
}

// Runs every thread of every block: `call` is the kernel with its arguments, and `run` what calls it.
inline void launch(dim3 grid, dim3 block, size_t dynamic_bytes, const void* call, void (*run)(const void*)) {
    const size_t threads = size_t(block.x) * block.y * block.z;
    const size_t blocks = size_t(grid.x) * grid.y * grid.z;
    if (threads == 0 || threads > kMaxThreads || block.z > 64) {
        die("a block of %u x %u x %u threads", block.x, block.y, block.z);
    }
    if (blocks == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) {
        die("a grid of %u x %u x %u blocks", grid.x, grid.y, grid.z);
    }
    if (dynamic_bytes > kMaxShared) {
        die("%zu bytes of dynamic shared memory, the limit is %zu", dynamic_bytes, kMaxShared);
    }
    kernel_call = call;
    run_kernel_call = run;
    grid_size = grid;
    block_size = block;
#if defined(__SANITIZE_THREAD__)
    scheduler.thread_sanitizer = __tsan_get_current_fiber();
#endif
    std::vector<size_t> order(blocks);
    for (size_t i = 0; i < blocks; ++i) {
        order[i] = i;
        std::swap(order[i], order[chance() % (i + 1)]);
    }
    for (size_t i : order) {
        run_block({unsigned(i % grid.x), unsigned(i / grid.x % grid.y), unsigned(i / grid.x / grid.y)},
                  dynamic_bytes);
    }
    acquire(&launch_token);
    destroy_fibers();
}

}  // namespace emulation

// ---- CUDA's words ----

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static_assert(false, "kernels declare shared memory by SHARED_ARRAY or DYNAMIC_SHARED");

#define SHARED_ARRAY(T, name, N) \
    static char name##_key;      \
    T(&name)[N] = emulation::shared_array<T, (N)>(&name##_key)
#define DYNAMIC_SHARED(T, name) T* name = static_cast<T*>(emulation::running->block->dynamic_shared)

#define threadIdx (static_cast<const uint3&>(emulation::running->index))
#define blockIdx (static_cast<const uint3&>(emulation::running->block->index))
#define blockDim (static_cast<const dim3&>(emulation::block_size))
#define gridDim (static_cast<const dim3&>(emulation::grid_size))
constexpr int warpSize = emulation::kWarp;
using std::max;
using std::min;

#define EMULATION_TEXT_OF(line) #line
#define EMULATION_TEXT(line) EMULATION_TEXT_OF(line)
#define EMULATION_SITE(operation) operation " (" __FILE__ ":" EMULATION_TEXT(__LINE__) ")"
#define __syncthreads() emulation::sync_threads(EMULATION_SITE("__syncthreads"))
inline unsigned long long atomicAdd(unsigned long long* at, unsigned long long more) {
    return __atomic_fetch_add(at, more, __ATOMIC_RELAXED);
}
inline unsigned long long atomicMax(unsigned long long* at, unsigned long long least) {
    const unsigned long long before = __atomic_load_n(at, __ATOMIC_RELAXED);
    if (least > before) {
        __atomic_store_n(at, least, __ATOMIC_RELAXED);  // threads run one at a time: nobody comes between
    }
    return before;
}

inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
    const unsigned long long bytes = (unsigned long long)high << 32 | low;
    unsigned chosen = 0;
    for (int i = 0; i < 4; ++i)
        chosen |= unsigned(bytes >> (8 * (selector >> (4 * i) & 7)) & 0xff) << (8 * i);
    return chosen;
}

#define __syncwarp(...) emulation::sync_warp(EMULATION_SITE("__syncwarp"), ##__VA_ARGS__)
#define __shfl_sync(...) emulation::shuffle(EMULATION_SITE("__shfl_sync"), __VA_ARGS__)
#define __shfl_xor_sync(...) emulation::shuffle_xor(EMULATION_SITE("__shfl_xor_sync"), __VA_ARGS__)
#define __shfl_down_sync(...) emulation::shuffle_down(EMULATION_SITE("__shfl_down_sync"), __VA_ARGS__)

#define multiply_fragments(...) emulation::multiply_fragments(EMULATION_SITE("mma"), __VA_ARGS__)
#define begin_copy(...) emulation::begin_copy(__VA_ARGS__)
#define end_copies(...) emulation::end_copies()
#define wait_copies(...) emulation::wait_copies(__VA_ARGS__)

// Hints about caches: macros, so that a report names the line in the kernel.
#define __ldg(...) (*(__VA_ARGS__))
#define __ldcs(...) (*(__VA_ARGS__))
