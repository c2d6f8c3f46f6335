package main

// The workloads about select: see the rows of the same names in ../src/compare/workloads/select.rs.

import "time"

const popularReceivers = 1000

// selects receives n values by a select over arms channels, each with a sender of its own.
func selects(arms, capacity, n int) pass {
	each := n / arms
	channels := make([]chan int, arms)
	for arm := range channels {
		channels[arm] = make(chan int, capacity)
	}
	receive := map[int]func([]chan int, int) int{2: select2, 3: select3, 8: select8}[arms]
	start := time.Now()
	for _, channel := range channels {
		go func() {
			for i := range each {
				channel <- i
			}
		}()
	}
	sum := receive(channels, each*arms)
	p := since(start, each*arms)
	check("select", sum, sumBelow(each)*arms)
	return p
}

func select2(channels []chan int, n int) (sum int) {
	a, b := channels[0], channels[1]
	for range n {
		select {
		case value := <-a:
			sum += value
		case value := <-b:
			sum += value
		}
	}
	return sum
}

func select3(channels []chan int, n int) (sum int) {
	a, b, c := channels[0], channels[1], channels[2]
	for range n {
		select {
		case value := <-a:
			sum += value
		case value := <-b:
			sum += value
		case value := <-c:
			sum += value
		}
	}
	return sum
}

func select8(channels []chan int, n int) (sum int) {
	a, b, c, d := channels[0], channels[1], channels[2], channels[3]
	e, f, g, h := channels[4], channels[5], channels[6], channels[7]
	for range n {
		select {
		case value := <-a:
			sum += value
		case value := <-b:
			sum += value
		case value := <-c:
			sum += value
		case value := <-d:
			sum += value
		case value := <-e:
			sum += value
		case value := <-f:
			sum += value
		case value := <-g:
			sum += value
		case value := <-h:
			sum += value
		}
	}
	return sum
}

func selectDefault(n int) pass {
	a, b := make(chan int), make(chan int)
	taken := 0
	start := time.Now()
	for range n {
		select {
		case <-a:
		case <-b:
		default:
			taken++
		}
	}
	p := since(start, n)
	check("select_default", taken, n)
	return p
}

// selectPopular times the sends only: the receivers are there before, and end after.
func selectPopular(n int) pass {
	popular := make(chan int)
	ready := newCountdown(popularReceivers)
	sums := make(chan int, popularReceivers)
	var quits []chan struct{}
	for range popularReceivers {
		quit := make(chan struct{})
		quits = append(quits, quit)
		go func() {
			ready.oneDone()
			sum := 0
			for {
				select {
				case value := <-popular:
					sum += value
				case <-quit:
					sums <- sum
					return
				}
			}
		}()
	}
	<-ready.done
	start := time.Now()
	for i := range n {
		popular <- i
	}
	p := since(start, n)
	for _, quit := range quits {
		close(quit)
	}
	sum := 0
	for range popularReceivers {
		sum += <-sums
	}
	check("select_popular", sum, sumBelow(n))
	return p
}
