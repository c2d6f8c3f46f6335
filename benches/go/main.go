// Command gopeer is Go's side of the comparison: one workload in one process, with the same work,
// the same checks and the same line of result as the Rust peers in ../src/peers.
//
//	GOMAXPROCS=2 gopeer -workload pingpong -size 500000 -min-time-ms 250
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	skynetChildren = 10
	mpmcEach       = 4
	memoryWarmUp   = 10
)

// A pass is what doing a workload once took.
type pass struct {
	ops     int
	elapsed time.Duration
}

func since(start time.Time, ops int) pass {
	return pass{ops, time.Since(start)}
}

// workloads by name; each takes the size of a pass.
var workloads = map[string]func(int) pass{
	"yield_2":            func(n int) pass { return yields(2, n) },
	"yield_1000":         func(n int) pass { return yields(1000, n) },
	"spawn_finish":       spawnFinish,
	"spawn_join":         spawnJoin,
	"spawn_join_chan":    spawnJoin,
	"skynet":             skynet,
	"fib":                forkJoin,
	"fib_chan":           forkJoin,
	"pingpong":           pingPong,
	"spsc_0":             func(n int) pass { return stream(0, n) },
	"spsc_1":             func(n int) pass { return stream(1, n) },
	"spsc_100":           func(n int) pass { return stream(100, n) },
	"mpmc4x4_0":          func(n int) pass { return mpmc(0, n) },
	"mpmc4x4_64":         func(n int) pass { return mpmc(64, n) },
	"sieve":              sieve,
	"select2_0":          func(n int) pass { return selects(2, 0, n) },
	"select3_0":          func(n int) pass { return selects(3, 0, n) },
	"select8_0":          func(n int) pass { return selects(8, 0, n) },
	"select2_100":        func(n int) pass { return selects(2, 100, n) },
	"select3_100":        func(n int) pass { return selects(3, 100, n) },
	"select8_100":        func(n int) pass { return selects(8, 100, n) },
	"select_default":     selectDefault,
	"select_popular":     selectPopular,
	"mutex_1":            func(n int) pass { return mutex(1, n) },
	"mutex_8":            func(n int) pass { return mutex(8, n) },
	"mutex_64":           func(n int) pass { return mutex(64, n) },
	"rwlock_read_mostly": rwlock,
	"sleepers":           sleepers,
	"timer_start_stop":   timerStartStop,
	"timer_reset":        timerReset,
}

// sleeps are the workloads of which the median is told; each takes the number of sleeps of a pass.
var sleeps = map[string]func(int) []time.Duration{
	"sleep_50us_idle":     sleepsIdle,
	"timer_lateness_idle": func(n int) []time.Duration { return lateness(0, n) },
	"timer_lateness_load": func(n int) []time.Duration {
		return lateness(loadEachP*runtime.GOMAXPROCS(0), n)
	},
}

func main() {
	name := flag.String("workload", "", "the workload's name")
	size := flag.Int("size", 1, "the size of one pass")
	minTime := flag.Int("min-time-ms", 0, "how long the passes last at least")
	service := flag.String("serve", "", "be a server of this kind, and measure nothing")
	address := flag.String("address", "127.0.0.1:0", "where the server listens")
	flag.Parse()

	if *service != "" {
		fmt.Fprintln(os.Stderr, serve(*service, *address))
		os.Exit(1)
	}

	if *name == "parked_memory" {
		parkedMemory(memoryWarmUp)
		grown := parkedMemory(*size)
		fmt.Printf("measured bytes_per_goroutine=%.4f ops=%d\n", float64(grown)/float64(*size), *size)
		return
	}
	least := time.Duration(*minTime) * time.Millisecond
	if work, ok := sleeps[*name]; ok {
		all := measureSleeps(least, func() []time.Duration { return work(*size) })
		fmt.Printf("measured median_ns=%.4f p99_ns=%.4f ops=%d\n", median(all), percentile99(all), len(all))
		return
	}
	work, ok := workloads[*name]
	if !ok {
		fmt.Fprintf(os.Stderr, "there is no workload %s\n", *name)
		os.Exit(2)
	}
	work(*size)
	var total pass
	for {
		p := work(*size)
		total.ops += p.ops
		total.elapsed += p.elapsed
		if total.elapsed >= least {
			break
		}
	}
	fmt.Printf("measured ns_per_op=%.4f ops=%d\n",
		float64(total.elapsed.Nanoseconds())/float64(total.ops), total.ops)
}

// check stops a measurement whose work was not the work that was asked for.
func check(what string, got, want int) {
	if got != want {
		panic(fmt.Sprintf("%s: got %d, want %d", what, got, want))
	}
}

func sumBelow(n int) int { return n * (n - 1) / 2 }

func yields(goroutines, times int) pass {
	var yielded atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	wg.Add(goroutines)
	for range goroutines {
		go func() {
			mine := 0
			for range times {
				runtime.Gosched()
				mine++
			}
			yielded.Add(int64(mine))
			wg.Done()
		}()
	}
	wg.Wait()
	p := since(start, goroutines*times)
	check("yields", int(yielded.Load()), goroutines*times)
	return p
}

// A countdown is counted down by many goroutines; the last one sends a signal.
type countdown struct {
	left atomic.Int64
	done chan struct{}
}

func newCountdown(n int) *countdown {
	c := &countdown{done: make(chan struct{}, 1)}
	c.left.Store(int64(n))
	return c
}

func (c *countdown) oneDone() {
	if c.left.Add(-1) == 0 {
		c.done <- struct{}{}
	}
}

func spawnFinish(n int) pass {
	c := newCountdown(n)
	start := time.Now()
	for range n {
		go c.oneDone()
	}
	<-c.done
	p := since(start, n)
	check("spawn_finish", int(c.left.Load()), 0)
	return p
}

func spawnJoin(n int) pass {
	start := time.Now()
	for i := range n {
		result := make(chan int)
		go func() { result <- i }()
		check("spawn_join", <-result, i)
	}
	return since(start, n)
}

func skynet(leaves int) pass {
	start := time.Now()
	root := make(chan int)
	go skynetNode(root, 0, leaves)
	sum := <-root
	p := since(start, (skynetChildren*leaves-1)/(skynetChildren-1))
	check("skynet", sum, sumBelow(leaves))
	return p
}

func skynetNode(result chan<- int, number, leaves int) {
	if leaves == 1 {
		result <- number
		return
	}
	children := make(chan int)
	leaves /= skynetChildren
	for i := range skynetChildren {
		go skynetNode(children, number+i*leaves, leaves)
	}
	sum := 0
	for range skynetChildren {
		sum += <-children
	}
	result <- sum
}

func forkJoin(n int) pass {
	start := time.Now()
	result := fib(n)
	elapsed := time.Since(start)
	a, b := 0, 1 // fib(0), fib(1)
	for range n {
		a, b = b, a+b
	}
	check("fib", result, a)
	return pass{b - 1, elapsed} // one goroutine for each call above 1
}

func fib(n int) int {
	if n < 2 {
		return n
	}
	other := make(chan int, 1)
	go func() { other <- fib(n - 1) }()
	this := fib(n - 2)
	return this + <-other
}

func pingPong(n int) pass {
	pings, pongs := make(chan int), make(chan int)
	start := time.Now()
	go func() {
		for value := range pings {
			pongs <- value + 1
		}
		close(pongs)
	}()
	for i := range n {
		pings <- i
		check("pingpong", <-pongs, i+1)
	}
	close(pings)
	<-pongs // the other goroutine has ended
	return since(start, n)
}

func stream(capacity, n int) pass {
	numbers := make(chan int, capacity)
	start := time.Now()
	go func() {
		for i := range n {
			numbers <- i
		}
		close(numbers)
	}()
	sum := 0
	for value := range numbers {
		sum += value
	}
	p := since(start, n)
	check("stream", sum, sumBelow(n))
	return p
}

func mpmc(capacity, n int) pass {
	each := n / mpmcEach
	numbers := make(chan int, capacity)
	var senders, receivers sync.WaitGroup
	var sum atomic.Int64
	start := time.Now()
	senders.Add(mpmcEach)
	receivers.Add(mpmcEach)
	for range mpmcEach {
		go func() {
			for i := range each {
				numbers <- i
			}
			senders.Done()
		}()
		go func() {
			mine := 0
			for value := range numbers {
				mine += value
			}
			sum.Add(int64(mine))
			receivers.Done()
		}()
	}
	senders.Wait()
	close(numbers)
	receivers.Wait()
	p := since(start, each*mpmcEach)
	check("mpmc", int(sum.Load()), sumBelow(each)*mpmcEach)
	return p
}

// sieve ends its filters by a channel that is closed, as a send in Go does not fail when nobody
// receives any more; a filter that waits for a number ends when the one before it has closed.
func sieve(primes int) pass {
	quit := make(chan struct{})
	var wg sync.WaitGroup
	start := time.Now()
	wg.Add(primes + 1)
	source := make(chan int)
	go func() {
		defer wg.Done()
		defer close(source)
		for number := 2; ; number++ {
			select {
			case source <- number:
			case <-quit:
				return
			}
		}
	}()
	numbers, prime := source, 0
	for range primes {
		prime = <-numbers
		next := make(chan int)
		go filter(prime, numbers, next, quit, &wg)
		numbers = next
	}
	close(quit)
	wg.Wait()
	p := since(start, primes)
	check("sieve", prime, nthPrime(primes))
	return p
}

func filter(prime int, numbers <-chan int, passed chan<- int, quit <-chan struct{}, wg *sync.WaitGroup) {
	defer wg.Done()
	defer close(passed)
	for number := range numbers {
		if number%prime != 0 {
			select {
			case passed <- number:
			case <-quit:
				return
			}
		}
	}
}

// nthPrime finds a prime in another way than by the sieve.
func nthPrime(n int) int {
	for candidate := 2; ; candidate++ {
		prime := true
		for d := 2; d*d <= candidate; d++ {
			if candidate%d == 0 {
				prime = false
				break
			}
		}
		if prime {
			if n--; n == 0 {
				return candidate
			}
		}
	}
}

func parkedMemory(n int) int {
	gate := make(chan struct{})
	c := newCountdown(n)
	var wg sync.WaitGroup
	wg.Add(n)
	before := residentMemory()
	for range n {
		go func() {
			c.oneDone()
			<-gate
			wg.Done()
		}()
	}
	<-c.done
	grown := residentMemory() - before
	close(gate)
	wg.Wait()
	return grown
}

// residentMemory is the process's resident memory and page tables in bytes.
func residentMemory() int {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		panic(err)
	}
	defer file.Close()
	total := 0
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		for _, key := range []string{"VmRSS:", "VmPTE:"} {
			if rest, ok := strings.CutPrefix(lines.Text(), key); ok {
				kib := 0
				if _, err := fmt.Sscan(rest, &kib); err != nil {
					panic(err)
				}
				total += kib * 1024
			}
		}
	}
	return total
}
