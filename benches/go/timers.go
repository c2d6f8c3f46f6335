package main

// The workloads about sleeping and timers: see the rows of the same names in
// ../src/compare/workloads/timers.rs.

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	shortSleep       = 50 * time.Microsecond
	latenessSleepers = 4
	loadEachP        = 2
	loadSlice        = 100 * time.Microsecond
)

// mix is a number that looks random, the same for the same i on every peer (splitmix64).
func mix(i int) uint64 {
	z := uint64(i) + 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// sleepersMillis is how long goroutine i of the sleepers sleeps.
func sleepersMillis(i int) int { return int(mix(i) % 101) }

// latenessMicros is how long sleep i lasts of those whose lateness is measured.
func latenessMicros(i int) int { return 1000 + int(mix(i)%9001) }

func sleepers(n int) pass {
	c := newCountdown(n)
	var slept atomic.Int64
	start := time.Now()
	for i := range n {
		go func() {
			millis := sleepersMillis(i)
			time.Sleep(time.Duration(millis) * time.Millisecond)
			slept.Add(int64(millis))
			c.oneDone()
		}()
	}
	<-c.done
	p := since(start, n)
	sum, longest := 0, 0
	for i := range n {
		sum += sleepersMillis(i)
		longest = max(longest, sleepersMillis(i))
	}
	check("sleepers", int(slept.Load()), sum)
	if p.elapsed < time.Duration(longest)*time.Millisecond {
		panic("sleepers: over before the longest sleep")
	}
	return p
}

func timerStartStop(n int) pass {
	stopped := 0
	start := time.Now()
	for range n {
		if time.AfterFunc(time.Second, func() {}).Stop() {
			stopped++
		}
	}
	p := since(start, n)
	check("timer_start_stop", stopped, n)
	return p
}

func timerReset(n int) pass {
	running := 0
	timer := time.NewTimer(time.Second)
	start := time.Now()
	for range n {
		if timer.Reset(time.Second) {
			running++
		}
	}
	p := since(start, n)
	timer.Stop()
	check("timer_reset", running, n)
	return p
}

// sleepsIdle returns what each of n short sleeps took.
func sleepsIdle(n int) []time.Duration {
	taken := make([]time.Duration, n)
	for i := range taken {
		start := time.Now()
		time.Sleep(shortSleep)
		taken[i] = time.Since(start)
		if taken[i] < shortSleep {
			panic("sleep: woken before its time")
		}
	}
	return taken
}

// lateness returns by how much each of n sleeps was longer than asked for, while busy goroutines
// compute.
func lateness(busy, n int) []time.Duration {
	var stop atomic.Bool
	var computed atomic.Int64
	var load, asleep sync.WaitGroup
	load.Add(busy)
	for range busy {
		go func() {
			for !stop.Load() {
				for start := time.Now(); time.Since(start) < loadSlice; {
				}
				computed.Add(1)
				runtime.Gosched()
			}
			load.Done()
		}()
	}
	each := n / latenessSleepers
	late := make([]time.Duration, each*latenessSleepers)
	asleep.Add(latenessSleepers)
	for sleeper := range latenessSleepers {
		go func() {
			for i := sleeper * each; i < (sleeper+1)*each; i++ {
				asked := time.Duration(latenessMicros(i)) * time.Microsecond
				start := time.Now()
				time.Sleep(asked)
				late[i] = time.Since(start) - asked
				if late[i] < 0 {
					panic("lateness: woken before its time")
				}
			}
			asleep.Done()
		}()
	}
	asleep.Wait()
	stop.Store(true)
	load.Wait()
	if busy > 0 && computed.Load() < int64(busy) {
		panic("lateness: there was no load")
	}
	return late
}

// median is the middle of sorted times in ns, or the mean of the two in the middle.
func median(sorted []time.Duration) float64 {
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return float64(sorted[middle])
	}
	return float64(sorted[middle-1]+sorted[middle]) / 2
}

// percentile99 is the smallest of the sorted times that 99 % of them do not exceed.
func percentile99(sorted []time.Duration) float64 {
	rank := (len(sorted)*99 + 99) / 100
	return float64(sorted[rank-1])
}

// measureSleeps makes one pass to warm up, then passes until they have lasted minTime.
func measureSleeps(minTime time.Duration, work func() []time.Duration) []time.Duration {
	work()
	var all []time.Duration
	for start := time.Now(); ; {
		all = append(all, work()...)
		if time.Since(start) >= minTime {
			slices.Sort(all)
			return all
		}
	}
}
