#include "engine/model/products.hpp"

#include <algorithm>

namespace gpas {
namespace {

class Products {
public:
    explicit Products(const ModelShape& shape) : shape_(shape) {}

    // y [rows, n] = x [rows, k] wᵀ, w [n, k], and in training the gradients of x and w.
    void linear(std::int64_t rows, std::int64_t n, std::int64_t k, Dtype y_dtype) {
        if (rows == 0 || n == 0 || k == 0) return;
        const Tensor y = matrix(shape_.dtype, rows, n), x = matrix(shape_.dtype, rows, k),
                     w = matrix(shape_.dtype, n, k);
        add(cuda::key_of_matmul(matrix(y_dtype, rows, n), x, w));
        if (!shape_.training) return;
        add(cuda::key_of_matmul_dx(x, y, w));
        add(cuda::key_of_matmul_dw(matrix(Dtype::fp32, n, k), y, x));
    }
    std::vector<cuda::MatmulKey> take() { return std::move(keys_); }

private:
    // Every tensor of a product begins where one of an arena may, or at a row of the head that is a multiple of 64
    // bytes away from it.
    static Tensor matrix(Dtype dtype, std::int64_t rows, std::int64_t columns) {
        return Tensor(nullptr, dtype, {rows, columns});
    }
    void add(const cuda::MatmulKey& key) {
        if (std::ranges::find(keys_, key) == keys_.end()) keys_.push_back(key);
    }

    const ModelShape& shape_;
    std::vector<cuda::MatmulKey> keys_;
};

}  // namespace

std::vector<cuda::MatmulKey> products_of(const ModelConfig& model, const ModelShape& shape,
                                         const std::vector<ModelPart>& parts) {
    const AttentionShape attention = attention_shape(model, shape);
    const std::int64_t tokens = shape.tokens(), hidden = model.hidden_size, ffn = ffn_columns(model, shape);
    Products products(shape);
    if (std::ranges::any_of(parts, [](const ModelPart& part) { return !part.layers.empty(); })) {
        products.linear(tokens, attention.qkv_columns(), hidden, shape.dtype);
        products.linear(tokens, hidden, attention.heads * attention.head_dim, shape.dtype);
        products.linear(tokens, 2 * ffn, hidden, shape.dtype);
        products.linear(tokens, hidden, ffn, shape.dtype);
    }
    if (std::ranges::any_of(parts, &ModelPart::head)) {
        const std::int64_t chunk = std::min(tokens, shape.head_chunk);
        const std::int64_t columns = vocabulary_rows(model, shape).size();
        products.linear(chunk, columns, hidden, Dtype::fp32);
        products.linear(tokens % chunk, columns, hidden, Dtype::fp32);  // the last one, if it is smaller
    }
    return products.take();
}

}  // namespace gpas
