// The vendored file declares without defining; whoever includes it gets the definitions too.
#include "json.hpp"
