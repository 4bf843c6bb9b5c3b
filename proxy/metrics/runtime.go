package metrics

import (
	"bytes"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// What the runtime and the system say of the process, under the names that
// Prometheus' own client gives them, so that common dashboards work.
var runtimeTable = []metric{
	{"go_info", "Information about the Go environment.", gauge, nil},
	{"go_goroutines", "Number of goroutines that currently exist.", gauge, nil},
	{"go_sched_gomaxprocs_threads", "The current runtime.GOMAXPROCS setting.", gauge, nil},
	{"go_memstats_heap_alloc_bytes", "Number of heap bytes allocated and currently in use.", gauge, nil},
	{"go_memstats_heap_objects", "Number of currently allocated objects.", gauge, nil},
	{"go_memstats_next_gc_bytes", "Number of heap bytes when next garbage collection will take place.", gauge, nil},
	{"go_memstats_sys_bytes", "Number of bytes obtained from system.", gauge, nil},
	{"go_memstats_alloc_bytes_total", "Total number of bytes allocated in heap until now, even if released already.", counter, nil},
	{"go_gc_cycles_total_gc_cycles_total", "Count of all completed GC cycles.", counter, nil},
	{"go_gc_gomemlimit_bytes", "Go runtime memory limit configured by the user, otherwise math.MaxInt64.", gauge, nil},
	{"process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", counter, nil},
	{"process_resident_memory_bytes", "Resident memory size in bytes.", gauge, nil},
	{"process_virtual_memory_bytes", "Virtual memory size in bytes.", gauge, nil},
	{"process_open_fds", "Number of open file descriptors.", gauge, nil},
	{"process_start_time_seconds", "Start time of the process since unix epoch in seconds.", gauge, nil},
}

var started = time.Now()

// runtime adds the samples of runtimeTable. What the system does not tell is left
// out.
func (e *exposition) runtime() {
	e.sample("go_info", "go_info", 1, "version", runtime.Version())
	for name, key := range map[string]string{
		"go_goroutines":                      "/sched/goroutines:goroutines",
		"go_sched_gomaxprocs_threads":        "/sched/gomaxprocs:threads",
		"go_memstats_heap_alloc_bytes":       "/memory/classes/heap/objects:bytes",
		"go_memstats_heap_objects":           "/gc/heap/objects:objects",
		"go_memstats_next_gc_bytes":          "/gc/heap/goal:bytes",
		"go_memstats_sys_bytes":              "/memory/classes/total:bytes",
		"go_memstats_alloc_bytes_total":      "/gc/heap/allocs:bytes",
		"go_gc_cycles_total_gc_cycles_total": "/gc/cycles/total:gc-cycles",
		"go_gc_gomemlimit_bytes":             "/gc/gomemlimit:bytes",
	} {
		sample := []metrics.Sample{{Name: key}}
		metrics.Read(sample)
		if sample[0].Value.Kind() == metrics.KindUint64 {
			e.sample(name, name, float64(sample[0].Value.Uint64()))
		}
	}
	e.sample("process_start_time_seconds", "process_start_time_seconds", float64(started.UnixMilli())/1e3)
	if stat, err := os.ReadFile("/proc/self/stat"); err == nil {
		// The name of the program stands in brackets, and may have spaces in it.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		number := func(i int) float64 {
			if i >= len(fields) {
				return 0
			}
			n, _ := strconv.ParseFloat(fields[i], 64)
			return n
		}
		const ticks = 100 // a second, on every Linux that Go runs on
		e.sample("process_cpu_seconds_total", "process_cpu_seconds_total", (number(11)+number(12))/ticks)
		e.sample("process_virtual_memory_bytes", "process_virtual_memory_bytes", number(20))
		e.sample("process_resident_memory_bytes", "process_resident_memory_bytes", number(21)*float64(os.Getpagesize()))
	}
	if files, err := os.ReadDir("/proc/self/fd"); err == nil {
		e.sample("process_open_fds", "process_open_fds", float64(len(files)-1)) // one is that of the listing
	}
}
