#include "tests/support/test_device.hpp"

namespace gpas::test_support {

const Device test_device = Device::cpu;

}  // namespace gpas::test_support
