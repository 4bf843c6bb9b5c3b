package upstream

import "flag"

var long = flag.Bool("long", false, "run the long form of tests: 10,000 requests at the idle boundary")
