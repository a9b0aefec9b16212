// replay JOB SEED: runs the launches of a job file on the emulation and writes the buffers to JOB.out.
// replay: the same for every line "SEED JOB" of its input, each answered by a line; a fault ends the process.
//
// A job, as emulator.py writes it; numbers are 64-bit and little-endian:
//     number of buffers; each: kind, bytes, phase, contents (none if huge)
//     number of launches; each: length and text of the kernel's name, grid x y z, block x y z, bytes of
//         dynamic shared memory, number of arguments; each: kind, then
//         pointer: buffer, offset | scalar: type, bytes, contents
// A buffer begins `phase` bytes past a multiple of 256, where a view into a larger array begins on a GPU.

#include "replay.h"

#include <cstdlib>

#include <unistd.h>

namespace replay {

constexpr size_t kAlignment = 256;

enum BufferKind : uint64_t { kData, kHuge };

struct Buffer {
    uint64_t kind;
    uint64_t bytes;
    char* memory;
    void* mapping;  // or allocation: what it lies in
};

class Job {
public:
    explicit Job(const char* path) : file_(fopen(path, "rb")) {
        if (!file_) {
            die("cannot read %s", path);
        }
    }
    Job(const Job&) = delete;
    ~Job() { fclose(file_); }

    void bytes(void* to, size_t count) {
        if (count > 0 && fread(to, 1, count, file_) != count) {
            die("the job ends early");
        }
    }

    uint64_t number() {
        uint64_t value;
        bytes(&value, sizeof(value));
        return value;
    }

    dim3 size() {
        const unsigned x = unsigned(number());
        const unsigned y = unsigned(number());
        const unsigned z = unsigned(number());
        return {x, y, z};
    }

    std::string text() {
        std::string value(number(), '\0');
        bytes(&value[0], value.size());
        return value;
    }

private:
    FILE* file_;
};

// Zeros without memory behind them, for offsets of more than 32 bits.
void* huge(size_t bytes) {
    void* memory = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        die("cannot map %zu bytes", bytes);
    }
    return memory;
}

// An allocation of its own that ends with the buffer: the address sanitizer sees the byte after it.
void* allocate(size_t phase, size_t bytes) {
    void* memory = nullptr;
    if (posix_memalign(&memory, kAlignment, phase + bytes) != 0) {
        die("no memory for %zu bytes", bytes);
    }
    emulation::poison(memory, bytes > 0 ? phase : phase + 1);
    return memory;
}

Buffer read_buffer(Job& job) {
    Buffer buffer;
    buffer.kind = job.number();
    buffer.bytes = job.number();
    const uint64_t phase = job.number();
    if (buffer.kind == kHuge) {
        buffer.mapping = huge(buffer.bytes);
        buffer.memory = static_cast<char*>(buffer.mapping);
    } else {
        buffer.mapping = allocate(phase, buffer.bytes);
        buffer.memory = static_cast<char*>(buffer.mapping) + phase;
        job.bytes(buffer.memory, buffer.bytes);
    }
    return buffer;
}

void release_buffer(const Buffer& buffer) {
    if (buffer.kind == kHuge) {
        munmap(buffer.mapping, buffer.bytes);
    } else {
        free(buffer.mapping);
    }
}

Argument read_argument(Job& job, const std::vector<Buffer>& buffers) {
    Argument argument;
    argument.kind = job.number();
    if (argument.kind == kPointer) {
        const uint64_t buffer = job.number();
        argument.pointer = buffers.at(buffer).memory + job.number();
    } else if (argument.kind == kScalar) {
        argument.type = char(job.number());
        argument.scalar = job.text();
    }
    return argument;
}

Launch read_launch(Job& job, const std::vector<Buffer>& buffers) {
    Launch launch;
    launch.kernel = job.text();
    launch.grid = job.size();
    launch.block = job.size();
    launch.shared_bytes = job.number();
    const uint64_t count = job.number();
    for (uint64_t i = 0; i < count; ++i) {
        launch.arguments.push_back(read_argument(job, buffers));
    }
    return launch;
}

void run_threads(const Launch& launch, const void* call, void (*one)(const void*)) {
    emulation::launch(launch.grid, launch.block, launch.shared_bytes, call, one);
}

void run_job(const std::string& path, unsigned long seed) {
    emulation::chance.seed(seed);

    Job job(path.c_str());
    std::vector<Buffer> buffers(job.number());
    for (Buffer& buffer : buffers) {
        buffer = read_buffer(job);
    }
    const uint64_t launches = job.number();
    for (uint64_t i = 0; i < launches; ++i) {
        const Launch launch = read_launch(job, buffers);
        const Kernel* kernel = kernels;
        while (kernel->name && launch.kernel != kernel->name) {
            ++kernel;
        }
        if (!kernel->name) {
            die("no kernel %s in this program", launch.kernel.c_str());
        }
        kernel->run(launch);
    }

    FILE* output = fopen((path + ".out").c_str(), "wb");
    for (const Buffer& buffer : buffers) {
        if (buffer.kind == kData && fwrite(buffer.memory, 1, buffer.bytes, output) != buffer.bytes) {
            die("cannot write %s.out", path.c_str());
        }
    }
    if (fclose(output) != 0) {
        die("cannot write %s.out", path.c_str());
    }
    for (const Buffer& buffer : buffers) {
        release_buffer(buffer);
    }
}

// A program that started for every job, or forked, would spend most of a small launch on that.
void serve() {
    constexpr unsigned kSeconds = 600;
    char line[8192];
    while (fgets(line, sizeof(line), stdin)) {
        char* rest;
        const unsigned long seed = strtoul(line, &rest, 10);
        const std::string path(rest + 1, strcspn(rest + 1, "\n"));
        alarm(kSeconds);
        run_job(path, seed);
        alarm(0);
        puts("done");
        fflush(stdout);
    }
}

}  // namespace replay

int main(int count, char** arguments) {
    if (count > 2) {
        replay::run_job(arguments[1], strtoul(arguments[2], nullptr, 10));
    } else {
        replay::serve();
    }
}
