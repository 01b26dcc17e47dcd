#include "bench/onednn_rate.hpp"

#include "base/stopwatch.hpp"
#include "engine/model/parameters.hpp"

#include <omp.h>

#include <algorithm>
#include <dnnl.hpp>
#include <vector>

namespace gpas::bench {
namespace {

struct Shape {
    std::int64_t tokens, out, in;
    double times;  // per step
};

std::vector<Shape> products(const ModelConfig& m, std::int64_t tokens) {
    const std::int64_t width = head_dim(m);
    const std::int64_t chunk = std::min<std::int64_t>(tokens, 512);
    return {{tokens, (m.heads + 2 * heads_of_kv(m)) * width, m.hidden_size, double(m.layers)},
            {tokens, m.hidden_size, m.heads * width, double(m.layers)},
            {tokens, 2 * m.ffn_size, m.hidden_size, double(m.layers)},
            {tokens, m.hidden_size, m.ffn_size, double(m.layers)},
            {chunk, m.vocab_size, m.hidden_size, double(tokens) / double(chunk)}};
}

class Timer {
public:
    explicit Timer(Dtype dtype)
        : type_(dtype == Dtype::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32) {}

    // Median seconds of c [rows, columns] = a b with the given strides.
    double seconds(std::int64_t rows, std::int64_t columns, std::int64_t depth, bool a_transposed, bool b_transposed,
                   bool accumulate) {
        using Desc = dnnl::memory::desc;
        const Desc a({rows, depth}, type_, a_transposed ? dnnl::memory::dims{1, rows} : dnnl::memory::dims{depth, 1});
        const Desc b({depth, columns}, type_,
                     b_transposed ? dnnl::memory::dims{1, depth} : dnnl::memory::dims{columns, 1});
        const Desc c({rows, columns}, accumulate ? dnnl::memory::data_type::f32 : type_, {columns, 1});
        dnnl::primitive_attr attributes;
        if (accumulate) {
            dnnl::post_ops sum;
            sum.append_sum(1.0F);
            attributes.set_post_ops(sum);
        }
        const dnnl::matmul primitive({dnnl::matmul::desc(a, b, c), attributes, engine_});
        dnnl::memory ma(a, engine_), mb(b, engine_), mc(c, engine_);
        for (dnnl::memory* memory : {&ma, &mb, &mc})
            std::fill_n(static_cast<char*>(memory->get_data_handle()), memory->get_desc().get_size(), char(0));
        std::vector<double> times;
        for (int i = 0; i < 6; ++i) {
            const Stopwatch watch;
            primitive.execute(stream_, {{DNNL_ARG_SRC, ma}, {DNNL_ARG_WEIGHTS, mb}, {DNNL_ARG_DST, mc}});
            stream_.wait();
            if (i > 0) times.push_back(watch.seconds());
        }
        std::nth_element(times.begin(), times.begin() + 2, times.end());
        return times[2];
    }

private:
    dnnl::memory::data_type type_;
    dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream_{engine_};
};

}  // namespace

ProductRate onednn_rate(const ModelConfig& model, std::int64_t tokens, Dtype dtype, int threads) {
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    Timer timer(dtype);
    ProductRate rate;
    double total_seconds = 0.0;
    for (const Shape& s : products(model, tokens)) {
        rate.operations += 3.0 * 2.0 * double(s.tokens) * double(s.out) * double(s.in) * s.times;
        total_seconds += s.times * (timer.seconds(s.tokens, s.out, s.in, false, true, false) +   // y = x wᵀ
                                    timer.seconds(s.tokens, s.in, s.out, false, false, false) +  // dx = dy w
                                    timer.seconds(s.out, s.in, s.tokens, true, false, true));    // dw += dyᵀ x
    }
    omp_set_num_threads(before);
    rate.gflops = rate.operations / total_seconds * 1e-9;
    return rate;
}

}  // namespace gpas::bench
