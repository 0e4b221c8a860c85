// The RefStore suite without mounts.
#include "cache/testing/ref_store_suite.h"

namespace kiln::cache {

INSTANTIATE_TEST_SUITE_P(Native, RefStoreSuite, testing::Values("native", "remote-native"));

}  // namespace kiln::cache
