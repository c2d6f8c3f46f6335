package main

// The workloads about locks: see the rows of the same names in ../src/compare/workloads/locks.rs.

import (
	"sync"
	"time"
)

const (
	rwlockGoroutines = 8
	readsPerWrite    = 1000
)

// A counter is what the goroutines lock and count up.
type counter struct {
	sync.Mutex
	value int
}

func mutex(goroutines, n int) pass {
	each := n / goroutines
	var shared counter
	var wg sync.WaitGroup
	start := time.Now()
	wg.Add(goroutines)
	for range goroutines {
		go func() {
			for range each {
				shared.Lock()
				shared.value++
				shared.Unlock()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	p := since(start, each*goroutines)
	check("mutex", shared.value, each*goroutines)
	return p
}

// rwlock locks for writing after so many reads; no reader may see the counter go back.
func rwlock(n int) pass {
	each := n / rwlockGoroutines
	var lock sync.RWMutex
	var wg sync.WaitGroup
	value := 0
	start := time.Now()
	wg.Add(rwlockGoroutines)
	for range rwlockGoroutines {
		go func() {
			seen := 0
			for i := range each {
				if i%(readsPerWrite+1) == readsPerWrite {
					lock.Lock()
					value++
					lock.Unlock()
				} else {
					lock.RLock()
					read := value
					lock.RUnlock()
					if read < seen {
						panic("rwlock: a write was lost")
					}
					seen = read
				}
			}
			wg.Done()
		}()
	}
	wg.Wait()
	p := since(start, each*rwlockGoroutines)
	check("rwlock", value, each/(readsPerWrite+1)*rwlockGoroutines)
	return p
}
