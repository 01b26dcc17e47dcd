// Matrix products by oneDNN. The blocks of a product do not depend on the number of threads, so results do not either.
#include "kernels/cpu/matmul.hpp"

#include "base/error.hpp"
#include "base/error_of.hpp"
#include "kernels/backend.hpp"
#include "kernels/cpu/parallel_for.hpp"

#include <omp.h>

#include <dnnl.hpp>
#include <map>
#include <tuple>
#include <vector>

namespace gpas::cpu {
namespace {

// A matrix as oneDNN describes it: element (i, j) is at data + i · row_stride + j · column_stride (in elements).
struct MatrixView {
    void* data = nullptr;
    Dtype dtype = Dtype::fp32;
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::int64_t row_stride = 0;
    std::int64_t column_stride = 1;
};

// Largest block of the result. Each block packs its part of b, so a block has enough rows to make that a small share of
// its work. It is small enough that a typical micro-batch gives several blocks. Measured on the shapes of the 71M model
// (docs/results).
constexpr std::int64_t block_rows = 512;
constexpr std::int64_t block_columns = 4096;

// Blocks of [0, total).
struct Cut {
    std::int64_t count;
    std::int64_t size;
    std::int64_t total;
    std::int64_t begin(std::int64_t i) const { return i * size; }
    std::int64_t extent(std::int64_t i) const { return std::min(size, total - i * size); }
};

// Equal blocks, whose size is a multiple of 16 and at most `most`: at least `least_blocks` if `total` is large enough.
Cut cut(std::int64_t total, std::int64_t most, std::int64_t least_blocks) {
    const std::int64_t wanted = std::max(least_blocks, (total + most - 1) / most);
    const std::int64_t size = std::max<std::int64_t>(16, ((total + wanted - 1) / wanted + 15) / 16 * 16);
    return {.count = (total + size - 1) / size, .size = size, .total = total};
}

dnnl::memory::data_type dnnl_type(Dtype dtype) {
    return dtype == Dtype::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

dnnl::memory::desc describe_matrix(const MatrixView& x) {
    return {{x.rows, x.columns}, dnnl_type(x.dtype), {x.row_stride, x.column_stride}};
}

MatrixView block_of(const MatrixView& x, std::int64_t row, std::int64_t rows, std::int64_t column,
                    std::int64_t columns) {
    MatrixView part = x;
    part.rows = rows;
    part.columns = columns;
    part.data =
        static_cast<char*>(x.data) + (row * x.row_stride + column * x.column_stride) * bytes_per_element(x.dtype);
    return part;
}

struct Product {
    dnnl::matmul primitive;
    dnnl::memory::desc a, b, c;
    std::int64_t scratch_bytes;
};

using Key = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                       std::int64_t, Dtype, Dtype, bool>;

Key key_of(const MatrixView& c, const MatrixView& a, const MatrixView& b, bool accumulate) {
    return {c.rows,          c.columns,    a.columns, a.row_stride, a.column_stride, b.row_stride,
            b.column_stride, c.row_stride, a.dtype,   c.dtype,      accumulate};
}

}  // namespace

struct MatmulCache::Impl {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    const bool native_bf16 = has_bf16_matmul();
    std::map<Key, Product> products;
    std::vector<float> wide_a, wide_b, wide_c;    // fp32 copies of bf16 matrices, if bf16 products are not native
    std::vector<std::vector<std::byte>> scratch;  // one per thread, as large as the largest product needs
    std::vector<dnnl::stream> streams;

    const Product& find(const MatrixView& c, const MatrixView& a, const MatrixView& b, bool accumulate) {
        const Key key = key_of(c, a, b, accumulate);
        const auto found = products.find(key);
        return found != products.end() ? found->second
                                       : products.emplace(key, compile(c, a, b, accumulate)).first->second;
    }

    Product compile(const MatrixView& c, const MatrixView& a, const MatrixView& b, bool accumulate) const {
        dnnl::primitive_attr attributes;
        attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
        if (accumulate) {
            dnnl::post_ops sum;
            sum.append_sum(1.0F);
            attributes.set_post_ops(sum);
        }
        const auto ma = describe_matrix(a);
        const auto mb = describe_matrix(b);
        const auto mc = describe_matrix(c);
        const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(ma, mb, mc), attributes, engine);
        return {.primitive = dnnl::matmul(description),
                .a = ma,
                .b = mb,
                .c = mc,
                .scratch_bytes = std::int64_t(description.scratchpad_desc().get_size())};
    }

    void reserve(int threads, std::int64_t bytes) {
        while (int(scratch.size()) < threads) scratch.emplace_back();
        while (int(streams.size()) < threads) streams.emplace_back(engine);
        for (auto& memory : scratch)
            if (std::int64_t(memory.size()) < bytes) memory.resize(std::size_t(bytes));
    }

    void run(const Product& product, const MatrixView& c, const MatrixView& a, const MatrixView& b, int thread) {
        const dnnl::memory::desc work({product.scratch_bytes}, dnnl::memory::data_type::u8, {1});
        product.primitive.execute(
            streams[std::size_t(thread)],
            {{DNNL_ARG_SRC, dnnl::memory(product.a, engine, a.data)},
             {DNNL_ARG_WEIGHTS, dnnl::memory(product.b, engine, b.data)},
             {DNNL_ARG_DST, dnnl::memory(product.c, engine, c.data)},
             {DNNL_ARG_SCRATCHPAD, dnnl::memory(work, engine, scratch[std::size_t(thread)].data())}});
    }
};

MatmulCache::MatmulCache() : impl_(std::make_unique<Impl>()) {}
MatmulCache::~MatmulCache() = default;

namespace {

MatrixView plain(const Tensor& x) { return {x.data, x.dtype, x.rows(), x.columns(), x.columns(), 1}; }
MatrixView transposed(const Tensor& x) { return {x.data, x.dtype, x.columns(), x.rows(), 1, x.columns()}; }

// c = a b, or c += a b if accumulate, for dtypes whose products oneDNN supports on this processor.
void native_product(Context& context, const MatrixView& c, const MatrixView& a, const MatrixView& b, bool accumulate) {
    MatmulCache::Impl& cache = context.matmul_cache().impl();
    const Cut rows = cut(c.rows, block_rows, 2);
    const Cut columns = cut(c.columns, block_columns, 1);
    struct Block {
        MatrixView c, a, b;
    };
    const auto block_at = [&](std::int64_t i) {
        const std::int64_t row = rows.begin(i % rows.count);
        const std::int64_t height = rows.extent(i % rows.count);
        const std::int64_t column = columns.begin(i / rows.count);
        const std::int64_t width = columns.extent(i / rows.count);
        return Block{.c = block_of(c, row, height, column, width),
                     .a = block_of(a, row, height, 0, a.columns),
                     .b = block_of(b, 0, b.rows, column, width)};
    };
    try {
        // One thread compiles the products before any block runs. There are at most four shapes, because only blocks of
        // the last row and of the last column differ from the others.
        std::int64_t most_scratch_bytes = 0;
        for (std::int64_t i :
             {std::int64_t(0), rows.count - 1, rows.count * (columns.count - 1), rows.count * columns.count - 1}) {
            const Block block = block_at(i);
            most_scratch_bytes =
                std::max(most_scratch_bytes, cache.find(block.c, block.a, block.b, accumulate).scratch_bytes);
        }
        cache.reserve(context.threads(), most_scratch_bytes);
        parallel_for(context, rows.count * columns.count, [&](std::int64_t i) {
            const Block block = block_at(i);
            cache.run(cache.find(block.c, block.a, block.b, accumulate), block.c, block.a, block.b,
                      omp_get_thread_num());
        });
    } catch (const dnnl::error& error) {
        if (error.status == dnnl_out_of_memory)
            fail(ExitCode::environment, "{}", host_memory_short("oneDNN cannot allocate"));
        fail(ExitCode::internal, "oneDNN refuses the product {}[{},{}] = {}[{},{}] [{},{}]: {}", dtype_name(c.dtype),
             c.rows, c.columns, dtype_name(a.dtype), a.rows, a.columns, b.rows, b.columns, error.what());
    }
}

constexpr std::int64_t cast_block = 1 << 14;  // elements

// A view with the shape and strides of x over `memory`, which grows to the size of x. Its elements are uninitialised.
MatrixView in_fp32(const MatrixView& x, std::vector<float>& memory) {
    if (std::int64_t(memory.size()) < x.rows * x.columns) memory.resize(std::size_t(x.rows * x.columns));
    MatrixView wide = x;
    wide.data = memory.data();
    wide.dtype = Dtype::fp32;
    return wide;
}

// x as fp32, which is exact. The elements of x are contiguous in memory, row by row or column by column.
MatrixView widened(Context& context, const MatrixView& x, std::vector<float>& memory) {
    const MatrixView wide = in_fp32(x, memory);
    const bf16* from = static_cast<const bf16*>(x.data);
    parallel_blocks(context, x.rows * x.columns, cast_block, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) memory[std::size_t(i)] = float(from[i]);
    });
    return wide;
}

// x = memory rounded to bf16, with the layout of x.
void narrow(Context& context, const MatrixView& x, const std::vector<float>& memory) {
    bf16* to = static_cast<bf16*>(x.data);
    parallel_blocks(context, x.rows * x.columns, cast_block, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) to[i] = bf16(memory[std::size_t(i)]);
    });
}

// Products of two bf16 are exact in fp32, and native bf16 products are summed in fp32 too. So fp32 products of the
// widened values give the sums that native bf16 products would give.
void product_of_widened(Context& context, const MatrixView& c, const MatrixView& a, const MatrixView& b,
                        bool accumulate) {
    MatmulCache::Impl& cache = context.matmul_cache().impl();
    const MatrixView wide_a = widened(context, a, cache.wide_a);
    const MatrixView wide_b = widened(context, b, cache.wide_b);
    if (c.dtype == Dtype::fp32) return native_product(context, c, wide_a, wide_b, accumulate);
    if (accumulate) fail(ExitCode::internal, "product: sums are kept in fp32, not in {}", dtype_name(c.dtype));
    native_product(context, in_fp32(c, cache.wide_c), wide_a, wide_b, false);
    narrow(context, c, cache.wide_c);
}

// c = a b, or c += a b if `accumulate`. c is plain(), and fp32 if `accumulate`. bf16 products are summed in fp32.
void product(Context& context, const MatrixView& c, const MatrixView& a, const MatrixView& b, bool accumulate) {
    const bool native = a.dtype == Dtype::fp32 || context.matmul_cache().impl().native_bf16;
    native ? native_product(context, c, a, b, accumulate) : product_of_widened(context, c, a, b, accumulate);
}

// oneDNN's reference implementation ("ref") does not count.
bool ask_for_bf16_matmul() {
    const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    const dnnl::memory::desc matrix({16, 16}, dnnl::memory::data_type::bf16, {16, 1});
    try {
        const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(matrix, matrix, matrix), engine);
        return std::string(description.impl_info_str()).find("ref") == std::string::npos;
    } catch (const dnnl::error&) {
        return false;
    }
}

}  // namespace

bool has_bf16_matmul() {
    static const bool has = ask_for_bf16_matmul();
    return has;
}

void matmul(Context& context, Tensor y, Tensor x, Tensor w) {
    product(context, plain(y), plain(x), transposed(w), false);
}

void matmul_dx(Context& context, Tensor dx, Tensor dy, Tensor w) {
    product(context, plain(dx), plain(dy), plain(w), false);
}

void matmul_dw(Context& context, Tensor dw, Tensor dy, Tensor x) {
    product(context, plain(dw), transposed(dy), plain(x), true);
}

}  // namespace gpas::cpu
