#pragma once

namespace gpas {

// Which ranks are neighbours, fastest first. Tensor-parallel ranks always are; what comes last crosses nodes.
enum class MeshOrder { tensor_data_pipeline, tensor_pipeline_data };

}  // namespace gpas
