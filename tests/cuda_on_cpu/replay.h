// What a program knows of its kernels: a table of their names, and how arguments out of a job become theirs.
//
// Of all that a program is made of, the kernels alone change from one to the next. This header is precompiled
// for them, and replay.cpp, which reads jobs and runs threads, is compiled once for each way to build: with
// both in the kernels' own translation unit, a program of one kernel took several times as long to build.
#pragma once

#include "emulation.h"

#include <cstring>
#include <string>
#include <tuple>
#include <type_traits>

namespace replay {

using emulation::die;

enum ArgumentKind : uint64_t { kNull, kPointer, kScalar };

struct Argument {
    uint64_t kind;
    void* pointer = nullptr;
    char type = 0;  // NumPy's kind of a scalar: i, u, f, b
    std::string scalar;
};

struct Launch {
    std::string kernel;
    dim3 grid;
    dim3 block;
    uint64_t shared_bytes;
    std::vector<Argument> arguments;
};

struct Kernel {
    const char* name;
    void (*run)(const Launch&);
};

extern const Kernel kernels[];  // ends with one of no name

// Runs `one(call)` as every thread of a launch.
void run_threads(const Launch& launch, const void* call, void (*one)(const void*));

template <typename Parameter>
Parameter unpack(const Launch& launch, size_t position) {
    const Argument& argument = launch.arguments[position];
    const char* kernel = launch.kernel.c_str();
    if constexpr (std::is_pointer_v<Parameter>) {
        if (argument.kind == kScalar) {
            die("%s: argument %zu is a scalar, the kernel takes a pointer", kernel, position);
        }
        return static_cast<Parameter>(argument.pointer);
    } else {
        static_assert(std::is_trivially_copyable_v<Parameter>, "arguments are passed as bytes");
        if (argument.kind != kScalar) {
            die("%s: argument %zu is a pointer, the kernel takes a scalar", kernel, position);
        }
        const size_t bytes = argument.scalar.size();
        if (bytes != sizeof(Parameter)) {
            die("%s: argument %zu has %zu bytes, the kernel takes %zu", kernel, position, bytes,
                sizeof(Parameter));
        }
        if (std::is_arithmetic_v<Parameter> &&
            std::is_floating_point_v<Parameter> != (argument.type == 'f')) {
            die("%s: argument %zu and the kernel's parameter are not both floating-point", kernel, position);
        }
        Parameter value;
        memcpy(&value, argument.scalar.data(), sizeof(value));
        return value;
    }
}

template <typename... Parameters, size_t... positions>
std::tuple<Parameters...> unpack_all(const Launch& launch, std::index_sequence<positions...>) {
    return {unpack<Parameters>(launch, positions)...};
}

template <typename... Parameters>
void call(void (*kernel)(Parameters...), const Launch& launch) {
    if (launch.arguments.size() != sizeof...(Parameters)) {
        die("%s: %zu arguments, the kernel takes %zu", launch.kernel.c_str(), launch.arguments.size(),
            sizeof...(Parameters));
    }
    const auto values = unpack_all<Parameters...>(launch, std::index_sequence_for<Parameters...>());
    const auto thread = [=] { std::apply(kernel, values); };
    run_threads(launch, &thread, [](const void* one) { (*static_cast<const decltype(thread)*>(one))(); });
}

template <auto kernel>
void run(const Launch& launch) {
    call(kernel, launch);
}

}  // namespace replay
